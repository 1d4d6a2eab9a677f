"""The page's machine view: what the machine uses over time, and what is short, in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from gateway.app import Gateway
from gateway.observing.machine import sampler as machine_sampler
from tests.gateway.web.chromium import IN_CHROMIUM, clean_page
from tests.gateway.web.metrics.test_metrics_route import served

pytestmark = IN_CHROMIUM
TITLES = [
    "Processor, in cores",
    "Memory",
    "What waits",
    "Devices, agents, broker",
    "How late the event loop is",
    "Disk",
]


@pytest_asyncio.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """One that was looked at a few times."""
    monkeypatch.setattr(machine_sampler, "MINUTES", (0.0, 180))
    async with Gateway(served(tmp_path)) as running:
        for _ in range(6):
            await running.machine.look()
            await asyncio.sleep(0.01)
        yield running


async def opened(page: Page, gateway: Gateway) -> None:
    await page.goto(f"{gateway.url}#machine")
    await expect(page.locator("#machine")).to_be_visible()


async def test_what_the_machine_uses_is_drawn(page: Page, gateway: Gateway) -> None:
    await opened(page, gateway)
    await expect(page).to_have_title("Machine \u2013 Earshot")
    assert await page.locator("#machine-curves h3").all_text_contents() == TITLES
    await expect(page.locator("#machine-now dt").first).to_have_text("Load")
    await expect(page.locator("#machine-now")).to_contain_text("Gateway")
    memory = page.get_by_role("img", name="Memory over time. Now: gateway")
    await expect(memory.locator("polyline")).to_have_count(2)
    await expect(memory.locator(".tick").first).to_contain_text("MB")


async def test_the_same_stands_in_a_table(page: Page, gateway: Gateway) -> None:
    await opened(page, gateway)
    panel = page.locator("#machine-curves .panel", has_text="Disk")
    await panel.get_by_text("As a table").click()
    rows = panel.locator("tbody tr")
    assert await rows.count() >= 5
    await expect(rows.first.locator("td").last).to_contain_text("GB")


async def test_half_a_day_is_asked_for(page: Page, gateway: Gateway) -> None:
    await opened(page, gateway)
    async with page.expect_response(lambda response: "span=hours" in response.url) as answer:
        await page.get_by_text("12 hours").click()
    assert (await (await answer.value).json())["course"]["step_seconds"] == machine_sampler.HOURS[0]
    await expect(page.locator(".curves").first).to_contain_text("Two looks are needed")


async def test_what_is_short_is_said_with_what_to_do(page: Page, gateway: Gateway) -> None:
    gateway.hub.waits.recognizing.extend([1.4] * 9)
    await opened(page, gateway)
    advice = page.locator("#advice li", has_text="takes 1.4 s here")
    await expect(advice.locator(".remedy")).to_contain_text("earshot models bench")


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]
)
async def test_it_fits(browser: Browser, gateway: Gateway, width: int, scheme: str) -> None:
    size = {"width": width, "height": 900}
    async with clean_page(browser, viewport=size, color_scheme=scheme) as page:
        await opened(page, gateway)
        await expect(page.locator(".curves svg").first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        for curves in await page.locator(".curves").all():
            box = await curves.bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= width


async def test_a_gateway_that_nobody_has_looked_at_says_so(page: Page, gateway: Gateway) -> None:
    gateway.machine.latest = None
    await page.goto(f"{gateway.url}#machine")
    await expect(page.locator("#machine-note")).to_contain_text("Nobody has looked yet")
    await expect(page.locator("#machine")).to_be_hidden()
