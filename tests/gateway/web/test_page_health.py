"""The page's health view: every part, worst first, with what to do and since when."""

from __future__ import annotations

import time

from msgspec import structs
from playwright.async_api import Page, expect

from gateway.contract.events import HealthEvent
from gateway.observing.health import HealthState
from gateway.observing.recognizer_health import BUNDLED_NOTICE
from tests.gateway.web.chromium import IN_CHROMIUM, WHOLE, open_page
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
    await expect(names).to_have_text(["mqtt", "recognizer", "journal"])


async def test_who_is_missed_is_named_but_behind_what_everybody_misses(page: Page, house: House) -> None:
    await open_page(page, house, "health")
    headline = page.locator("#headline")
    port = "/dev/serial/by-id/usb-a"
    house.health.set(port, HealthState.DEGRADED, "unplugged", "plug it in", works=False, about="kitchen")
    await expect(headline).to_have_text("kitchen is away")
    await expect(page.locator(".problem h3").first).to_have_text(f"kitchen · {port}")
    house.health.set("broker", HealthState.DEGRADED, "refused", "start it", works=False)
    await expect(headline).to_have_text("broker does not work, and 1 more problem")
    house.health.set("devices", HealthState.DEGRADED, "bath on mqtt is refused", "give it another id")
    house.health.set("broker", HealthState.HEALTHY)
    house.health.forget(port)
    await expect(headline).to_have_text("A device is not let in")
    await expect(page.locator(".problem h3")).not_to_contain_text([port])
    house.health.forget("devices")
    await expect(page.locator(".problem h3")).to_have_text(["recognizer", "broker"])


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
    await expect(page.locator("#headline")).to_have_text("Ready, and no device has called yet")


async def test_what_the_gateway_is(page: Page, house: House) -> None:
    await open_page(page, house, "health")
    await expect(page.locator(".problem h3")).to_have_text(["recognizer"])
    await expect(page.locator("#gateway")).to_contain_text("Up for")
    await expect(page.locator("#gateway dd").last).to_have_text(house.hub.epoch)


async def test_what_does_not_work_at_all_is_not_said_to_work_less_well(page: Page, house: House) -> None:
    await open_page(page, house, "health")
    house.health.set("journal", HealthState.DEGRADED, "it keeps in memory only")
    house.health.set("mqtt", HealthState.DEGRADED, "Connection refused", "start mosquitto", works=False)
    await expect(page.locator("#headline")).to_have_text("mqtt does not work, and 1 more problem")
    await expect(page.locator(".problem h3")).to_have_text(["mqtt", "journal", "recognizer"])
    await expect(page.locator(".problem .state")).to_have_text(["Does not work", "Works less well", "Works"])


async def test_no_word_of_it_is_cut_off(page: Page, house: House) -> None:
    name = (
        "/dev/serial/by-id/usb-Silicon_Labs_CP2102N_USB_to_UART_Bridge_Controller_0123456789abcdef-if00-port0"
    )
    house.health.set(name, HealthState.DEGRADED, "unplugged " * 12, "plug it in again " * 8, works=False)
    for width in (1280, 820, 360):
        await page.set_viewport_size({"width": width, "height": 800})
        await open_page(page, house)
        for line in ("#headline", "#subline"):
            assert await page.locator(line).evaluate(WHOLE), (width, line)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


async def test_many_notices_leave_a_phone_room_for_what_is_said(page: Page, house: House) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await open_page(page, house)
    house.health.set("mqtt", HealthState.DEGRADED, "Connection refused", "start the broker", works=False)
    for number in range(6):
        house.health.set(f"part {number}", HealthState.HEALTHY, notice=f"{number}: {BUNDLED_NOTICE}")
    notices = page.locator(".notice")
    await expect(notices).to_have_count(6)
    assert await page.locator("main").evaluate("one => one.clientHeight") > 300
    await expect(notices.last).not_to_be_in_viewport()
    await notices.last.scroll_into_view_if_needed()
    await expect(notices.last).to_be_in_viewport()


async def test_what_several_gateways_note_alike_stands_there_once(page: Page, house: House) -> None:
    await open_page(page, house)
    for gateway in ("ward-a", "ward-b"):
        house.health.set(f"{gateway} · recognizer", HealthState.HEALTHY, notice="It is for trying out.")
    await expect(page.locator(".notice", has_text="It is for trying out.")).to_have_count(1)


async def test_what_a_part_is_stands_there_also_while_it_works(page: Page, house: House) -> None:
    await open_page(page, house, "health")
    house.health.set("broker", HealthState.HEALTHY, detail="Redis 7.0: fsync")
    await expect(page.locator(".problem", has_text="broker").locator(".detail")).to_have_text(
        "Redis 7.0: fsync"
    )


async def test_a_notice_stays_until_its_cause_is_gone(page: Page, house: House) -> None:
    house.health.set("recognizer", HealthState.HEALTHY, notice=BUNDLED_NOTICE)
    await open_page(page, house)
    notice = page.locator(".notice")
    await expect(notice).to_have_text(BUNDLED_NOTICE)
    await page.reload()
    await expect(notice).to_be_visible()
    house.health.set("mqtt", HealthState.DEGRADED, "refused")
    await expect(page.locator("#headline")).to_have_text("mqtt works less well")
    await expect(notice).to_be_visible()
    house.health.set("recognizer", HealthState.HEALTHY, detail="base.en, faster-whisper")
    await expect(notice).to_have_count(0)
