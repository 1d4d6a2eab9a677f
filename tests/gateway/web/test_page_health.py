"""The page's health view: every part, worst first, with what to do and since when."""

from __future__ import annotations

import time

from msgspec import structs
from playwright.async_api import Page, expect

from gateway.events import HealthEvent
from gateway.health import HealthState
from tests.gateway.web.chromium import IN_CHROMIUM, open_page
from tests.gateway.web.house import House

pytestmark = IN_CHROMIUM


async def test_the_worst_comes_first_and_healing_moves_it_down(page: Page, house: House) -> None:
    await open_page(page, house, "health")
    names = page.locator(".problem h3")
    await expect(names).to_have_text(["recognizer"])
    house.health.set("mqtt", HealthState.DEGRADED, "nobody answers", "start mosquitto")
    house.health.set("journal", HealthState.UNHEALTHY, "the disk is full")
    await expect(names).to_have_text(["journal", "mqtt", "recognizer"])
    states = page.locator(".problem .state")
    await expect(states).to_have_text(["Does not work", "Works less well", "Works"])
    await expect(page.locator(".problem").nth(1)).to_contain_text("nobody answers")
    await expect(page.locator(".problem .remedy").nth(1)).to_have_text("start mosquitto")
    await expect(page.locator(".problem .remedy").first).to_be_hidden()
    house.health.set("journal", HealthState.HEALTHY)
    await expect(names).to_have_text(["mqtt", "journal", "recognizer"])


async def test_since_when(page: Page, house: House) -> None:
    now = time.time()
    house.publish(
        HealthEvent(component="today", state="healthy", timestamp=now),
        HealthEvent(component="long ago", state="healthy", timestamp=now - 3 * 86_400),
    )
    await open_page(page, house, "health")
    today = page.locator(".problem", has_text="today").locator(".since")
    await expect(today).to_have_text(time.strftime("since %H:%M:%S", time.localtime(now)))
    earlier = page.locator(".problem", has_text="long ago").locator(".since")
    day = time.localtime(now - 3 * 86_400)
    await expect(earlier).to_contain_text(str(day.tm_mday))
    await expect(earlier).to_contain_text(time.strftime("%H:%M:%S", day))


async def test_a_state_that_this_page_does_not_know_is_shown_as_it_is(page: Page, house: House) -> None:
    event = HealthEvent(component="moon", state="eclipsed", reason="the earth is in the way")
    house.publish(structs.replace(event))
    await open_page(page, house, "health")
    await expect(page.locator(".problem", has_text="moon")).to_contain_text("eclipsed")
    await expect(page.locator("#headline")).to_have_text("All is well")


async def test_what_the_gateway_is(page: Page, house: House) -> None:
    await open_page(page, house, "health")
    await expect(page.locator(".problem h3")).to_have_text(["recognizer"])
    await expect(page.locator("#gateway")).to_contain_text("Up for")
    await expect(page.locator("#gateway dd").last).to_have_text(house.hub.epoch)
