"""The page's devices and lines: what came over them, what they print, and forgetting one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.link.framing import Noise
from firmware_bridge.link.wires import Line
from gateway.contract.events import DeviceEvent
from tests.gateway.web.chromium import IN_CHROMIUM
from tests.gateway.web.site import Site, open_site

pytestmark = IN_CHROMIUM

MARKUP = '<img src=x onerror="document.title=1">'


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(journal=tmp_path / "journal.db") as opened:
        yield opened


async def test_a_device_its_log_and_how_it_is_forgotten(page: Page, site: Site) -> None:
    bridge = site.parts.bridge
    await page.goto(f"{site.url}#health")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await expect(page.locator("#boards-panel")).to_be_hidden()
    board = page.locator(".board")
    async with site.parts.board():
        await expect(board.locator("h4")).to_have_text(["kitchen"])
        await expect(board.locator(".state")).to_have_text("Here")
        await expect(page.get_by_role("button", name="Forget kitchen")).to_be_hidden()
        bridge.receive(Line("air-kitchen"), [Noise(f"free heap 31 k\n{MARKUP}\n".encode())])
        await page.get_by_role("button", name="Log of kitchen").click()
        lines = page.locator("#device-log-lines li span")
        await expect(lines).to_have_text(["free heap 31 k", MARKUP])
        bridge.receive(Line("air-kitchen"), [Noise(b"wifi lost\n")])
        await expect(lines).to_have_text(["free heap 31 k", MARKUP, "wifi lost"])
        await page.get_by_role("button", name="Close").click()
    await site.parts.events.first(DeviceEvent, state="disconnected")
    await expect(board.locator(".state")).to_have_text("Away: out of reach")
    await page.get_by_role("button", name="Forget kitchen").click()
    await expect(board).to_have_count(0)
    await expect(page.locator(".device")).to_have_count(0)


async def test_a_bad_line_says_what_is_wrong_and_shows_what_came(page: Page, site: Site) -> None:
    bridge = site.parts.bridge
    bridge.receive(Line("/dev/ttyUSB0"), [Noise(b"rst:0x1 (POWERON)\n")])
    bridge.carrier_weak("/dev/ttyUSB0", "only seven bits of each byte arrive", "set it to 8N1")
    await page.goto(f"{site.url}#health")
    board = page.locator(".board")
    await expect(board.locator("h4")).to_have_text(["/dev/ttyUSB0"])
    await expect(board.locator(".state")).to_have_text("No device")
    await expect(board.locator(".reason")).to_have_text("only seven bits of each byte arrive")
    await expect(board.locator(".remedy")).to_have_text("set it to 8N1")
    await page.get_by_role("button", name="Log of /dev/ttyUSB0").click()
    await expect(page.locator("#device-log-lines li span")).to_have_text(["rst:0x1 (POWERON)"])


async def test_who_waits_is_approved_or_denied_where_the_devices_are(page: Page, tmp_path: Path) -> None:
    async with open_site(journal=tmp_path / "journal.db", devices={"unknown": "approve"}) as site:
        await site.parts.register.look()
        for name in ("kitchen", "attic"):
            knock(site, name)
        await page.goto(f"{site.url}#health")
        board = page.locator(".board")
        await expect(board.locator("h4")).to_have_text(["kitchen", "attic"])
        await expect(board.locator(".state")).to_have_text(["Waits", "Waits"])
        await expect(board.first.locator(".detail")).to_have_text(
            "mqtt · fw 1 · 1 time · kitchen awaits approval"
        )
        await page.get_by_role("button", name="Deny attic").click()
        await expect(board.locator("h4")).to_have_text(["kitchen"])
        await page.get_by_role("button", name="Approve kitchen").click()
        await expect(board).to_have_count(0)
        knock(site, "kitchen")
        await expect(board.first.locator(".state")).to_have_text("Here")
        standings = {name: one.standing.value for name, one in site.parts.register.registered().items()}
        assert standings == {"attic": "denied", "kitchen": "approved"}
        site.parts.register.file.make_key("kitchen", {"name": MARKUP})
        await site.parts.register.look()
        knock(site, "kitchen")
        await expect(board.first.locator(".detail")).to_contain_text(
            f"{MARKUP} · home · mqtt · fw 1 · has a key"
        )


async def test_what_cannot_be_decided_is_told_where_it_was_tried(page: Page, tmp_path: Path) -> None:
    async with open_site(journal=tmp_path / "journal.db", devices={"unknown": "approve"}) as site:
        await site.parts.register.look()
        knock(site, "kitchen")
        (tmp_path / "devices.json.lock").mkdir()
        await page.goto(f"{site.url}#health")
        await page.get_by_role("button", name="Approve kitchen").click()
        await expect(page.locator(".board .reason")).to_contain_text("cannot be written")


async def test_on_a_phone_the_brokers_row_has_its_name_on_one_line(page: Page, site: Site) -> None:
    site.parts.bridge.carrier_up("mqtt")
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(f"{site.url}#health")
    name = page.locator(".board h4", has_text="mqtt")
    await expect(page.get_by_role("button", name="MQTT password")).to_be_visible()
    assert await name.evaluate("one => one.getBoundingClientRect().height < 30")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def knock(site: Site, device_id: str) -> None:
    hello = Hello(Header(), device_id, 5, "fw 1", 0, 0, 0, 0)
    site.parts.bridge.receive(Line("mqtt", device_id), [hello])
