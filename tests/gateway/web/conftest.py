"""A real web server on a free port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar
from playwright.async_api import Browser, Page

from gateway.hub.hub import Hub
from gateway.observing.health import Health, HealthState
from gateway.settings.web import WebSettings
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.chromium import Chromium, Driver, clean_page, in_chromium
from tests.gateway.web.house import House, web_server


@pytest.fixture
def settings() -> WebSettings:
    return WebSettings(port=0)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """The house's tokens."""
    return Keyring(tmp_path)


@pytest.fixture
async def house(settings: WebSettings, keyring: Keyring) -> AsyncIterator[House]:
    hub = Hub(settings)
    health = Health(hub.publish)
    health.set("recognizer", HealthState.HEALTHY)
    async with web_server(hub, health, folder=keyring.folder) as server:
        yield House(hub, health, server)


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    jar = CookieJar(unsafe=True)  # cookies of an address, too
    async with ClientSession(cookie_jar=jar) as session:
        yield session


@pytest.fixture(scope="session")
def chromium_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """The worker's browser."""
    server = Chromium(tmp_path_factory.mktemp("chromium")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    """What drives the worker's browser."""
    with Driver() as driver:
        yield driver


@pytest.fixture
def _function_scoped_runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """pytest-asyncio's event loop of a test. In the browser it is the driver's; what a test leaves on it ends, too."""
    if not in_chromium(request.node):
        yield request.getfixturevalue("_function_scoped_runner")
        return
    driver = request.getfixturevalue("driver")
    yield driver.runner
    driver.end_all_others()


@pytest.fixture
async def browser(chromium_server: Chromium, driver: Driver) -> AsyncIterator[Browser]:
    browser = await driver.playwright.chromium.connect_over_cdp(chromium_server.start().address)
    yield browser
    await browser.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    # Behind some tests there is no gateway: what its API is asked for is not there then.
    async with clean_page(browser, "status of 503", "status of 404") as page:
        yield page
