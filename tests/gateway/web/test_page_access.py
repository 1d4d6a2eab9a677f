"""The page for everybody: names, contrast, nothing that jumps, the keyboard alone, a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec import structs
from playwright.async_api import Browser, Page, expect

from gateway.contract.messages import AudioFacts
from gateway.observing.health import HealthState
from tests.gateway.events import delivery, device, partial, reply, status, transcription
from tests.gateway.web.chromium import IN_CHROMIUM, clean_page, open_page
from tests.gateway.web.house import House

pytestmark = IN_CHROMIUM

CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
VIEWS = ("live", "history", "latency", "health", "machine")
TOO_WIDE = """
[...document.querySelectorAll("main *")]
  .filter((node) => node instanceof HTMLElement && node.clientWidth && !node.closest(".table"))
  .filter((node) => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX === "visible")
  .map((node) => node.outerHTML.slice(0, 120))
"""
CONTROLS = {
    "button", "link", "textbox", "searchbox", "combobox", "slider", "radio", "checkbox", "tab", "switch", "menuitem",
    "spinbutton", "dialog", "navigation", "region", "radiogroup", "Audio",
}  # fmt: skip
"""Roles that say nothing without a name."""


def furnish(house: House) -> None:
    """One of everything that the page can show."""
    house.publish(
        structs.replace(device(), room="Kitchen", lost_frames=3),
        device("study"),
        device("attic", "disconnected", reason="unplugged"),
        device("hall"),
        transcription("turn on the light"),
        reply(),
        delivery(),
        structs.replace(reply("Sorry.", 2), fallback=True),
        transcription("", 2, error="out of memory"),
        transcription("", 3),
        transcription("good night", 4),
        structs.replace(reply("", 4), error="no agent"),
        reply("much later", 4, late=True),
        partial("and now the lie", 5, stable="and now"),
        status("listening"),
        status("thinking", "study"),
        status("error", "hall"),
        structs.replace(transcription("what is next", 6), device_id="study", session_id="s-study"),
    )
    house.health.set("mqtt", HealthState.DEGRADED, "nobody answers", "start mosquitto")
    house.health.set("page", HealthState.UNHEALTHY, "no port", "set web.port")


async def nodes(page: Page) -> list[dict[str, Any]]:
    """The accessibility tree as a screen reader gets it, flat."""
    session = await page.context.new_cdp_session(page)
    tree = await session.send("Accessibility.getFullAXTree")
    return [
        {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
        for node in tree["nodes"]
        if not node["ignored"]
    ]


@pytest.mark.parametrize("view", VIEWS)
async def test_every_control_has_a_name(page: Page, house: House, view: str) -> None:
    furnish(house)
    await open_page(page, house, view)
    await expect(page.locator(".device")).to_have_count(4)
    found = await nodes(page)
    assert {"button", "link", "navigation", "main"} <= {node["role"] for node in found}
    assert [node for node in found if node["role"] in CONTROLS and not node["name"].strip()] == []


async def test_the_landmarks_and_headings_tell_the_page(page: Page, house: House) -> None:
    await open_page(page, house)
    found = [(node["role"], node["name"]) for node in await nodes(page)]
    for landmark in (
        ("banner", ""),
        ("navigation", "Views"),
        ("region", "At a glance"),
        ("complementary", "Devices"),
        ("main", ""),
        ("heading", "Earshot"),
        ("heading", "Live"),
    ):
        assert landmark in found


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_text_stands_out_from_its_ground(
    browser: Browser, house: House, theme: Literal["light", "dark"]
) -> None:
    furnish(house)
    async with clean_page(browser, "status of", color_scheme=theme) as page:
        for view in VIEWS:
            await open_page(page, house, view)
            await expect(page.locator(".device")).to_have_count(4)
            texts = await page.evaluate(CONTRAST)
            assert len(texts) > 20
            assert [text for text in texts if text["ratio"] < text["least"]] == []


async def test_nothing_jumps_while_text_streams(browser: Browser, house: House) -> None:
    furnish(house)
    async with clean_page(browser, "status of", viewport={"width": 1100, "height": 500}) as page:
        await open_page(page, house)
        await expect(page.locator(".turn")).to_have_count(5)
        await watch_shifts(page)
        said = ""
        for number in range(10, 16):
            words = ("and this is what somebody says to the house, word by word " * 3).split()
            house.publish(status("listening"))
            for count in range(4, len(words), 4):
                said = " ".join(words[:count])
                house.publish(partial(said, number, stable=" ".join(words[: count - 4])))
                await expect(page.locator(".heard").last).to_have_text(said)
            gaps = AudioFacts(seconds=2, gaps=1, lost_ms=20)
            house.publish(
                status("thinking"), structs.replace(transcription(said, number), audio=gaps, timestamp=number)
            )
            await expect(page.locator(".reply").last).to_have_text("Thinking")
            for _ in range(6):
                house.publish(reply("The light is on now, as you wished. ", number, final=False))
            house.publish(
                reply("The light is on now, as you wished. " * 6, number), delivery(number), status("idle")
            )
            await expect(page.locator(".mark").last).to_contain_text("delivered")
        moved = await shifts(page)
        assert moved == [], "\n".join(moved)


async def watch_shifts(page: Page) -> None:
    """From now on, remember what moved without anybody having asked for it."""
    await page.evaluate(
        """() => {
          window.shifts = [];
          window.shiftWatcher = new PerformanceObserver((list) => window.shifts.push(...list.getEntries()));
          window.shiftWatcher.observe({ type: "layout-shift" });
        }"""
    )


async def shifts(page: Page) -> list[str]:
    """What moved, and how much."""
    moved: list[str] = await page.evaluate(
        """async () => {
          await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          window.shifts.push(...window.shiftWatcher.takeRecords());
          const box = ({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(" ");
          const name = ({ node, previousRect, currentRect }) =>
            `${node?.className || node?.nodeName} from ${box(previousRect)} to ${box(currentRect)}`;
          return window.shifts.map(({ value, sources }) => `${value} ${sources.map(name).join(", ")}`);
        }"""
    )
    return moved


async def test_the_keyboard_alone_is_enough(page: Page, house: House) -> None:
    furnish(house)
    await open_page(page, house)
    await expect(page.locator(".device")).to_have_count(4)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.keyboard.press("d")
    await expect(page.locator(".device").first).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator('.device[aria-pressed="true"]')).to_be_focused()
    await expect(page.locator(".clear").first).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator(".clear").first).to_be_hidden()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    for key, view in (("2", "history"), ("3", "latency"), ("4", "health"), ("5", "machine"), ("1", "live")):
        await page.keyboard.press(key)
        await expect(page.locator(f"#{view}-title")).to_be_focused()
    assert await page.locator("#tabs [aria-current]").inner_text() == "Live"


async def test_single_keys_can_be_switched_off_and_stay_so(page: Page, house: House) -> None:
    await open_page(page, house)
    await page.get_by_role("button", name="Keyboard shortcuts").click()
    await page.get_by_label("Shortcuts of a single key").uncheck()
    await page.get_by_role("button", name="Close").click()
    await page.keyboard.press("2")
    await expect(page.locator("#view-live")).to_be_visible()
    await page.reload()
    await expect(page.locator("#keys-on")).not_to_be_checked()


async def test_focus_is_seen(page: Page, house: House) -> None:
    furnish(house)
    await open_page(page, house)
    await expect(page.locator(".device")).to_have_count(4)
    for _ in range(25):
        await page.keyboard.press("Tab")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", await page.evaluate("document.activeElement.outerHTML")


@pytest.mark.parametrize("view", VIEWS)
async def test_it_fits_a_phone(browser: Browser, house: House, view: str) -> None:
    furnish(house)
    house.publish(
        device("a-device-with-a-rather-long-name"), transcription("x" * 300, 9), reply("y" * 300, 9)
    )
    async with clean_page(browser, "status of", viewport={"width": 360, "height": 740}) as page:
        await open_page(page, house, view)
        await expect(page.locator(".device")).to_have_count(5)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert await page.evaluate(TOO_WIDE) == []
        for tab in await page.locator("#tabs a").all():
            box = await tab.bounding_box()
            assert box is not None
            assert box["height"] >= 44


async def test_it_can_be_used_when_enlarged_to_four_hundred_percent(browser: Browser, house: House) -> None:
    furnish(house)
    async with clean_page(browser, "status of", viewport={"width": 320, "height": 256}) as page:
        await open_page(page, house)
        await expect(page.locator(".device")).to_have_count(4)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        await page.locator(".heard").first.scroll_into_view_if_needed()
        await expect(page.locator(".heard").first).to_be_in_viewport()
