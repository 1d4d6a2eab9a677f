"""A real web server on a free port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, CookieJar
from playwright.async_api import Browser, Page

from gateway.health import Health, HealthState
from gateway.hub import Hub
from gateway.settings import WebSettings
from tests.gateway.door.keyring import Keyring
from tests.gateway.web.chromium import Chromium, clean_page, shared_chromium
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


@pytest.fixture
async def browser(chromium_server: Chromium) -> AsyncIterator[Browser]:
    async with shared_chromium(chromium_server.start()) as browser:
        yield browser


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    # Behind some tests there is no gateway: what its API is asked for is not there then.
    async with clean_page(browser, "status of 503", "status of 404") as page:
        yield page
