"""The page's latency view: where the time of one utterance went, and how that is for many of them."""

from __future__ import annotations

import pytest
from msgspec import structs
from playwright.async_api import Page, expect

from gateway.contract.events import DeliveryEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import AudioFacts, Timings
from tests.gateway.events import delivery, device, reply, transcription
from tests.gateway.web.chromium import IN_CHROMIUM, open_page
from tests.gateway.web.house import House

pytestmark = IN_CHROMIUM

NONE = "\u2013"
MORNING = 1_767_250_800.0


def heard(number: int = 1, text_ms: float = 410, device: str = "kitchen") -> TranscriptionEvent:
    """300 ms until the end was noticed, 2 ms in the queue, the rest at the recognizer."""
    return structs.replace(
        transcription(number=number),
        device_id=device,
        timestamp=MORNING + 60 * number,
        audio=AudioFacts(seconds=1.5),
        timings=Timings(endpoint_ms=300, queue_ms=2, recognize_ms=text_ms - 302, text_ms=text_ms),
    )


def answered(number: int = 1, device: str = "kitchen") -> tuple[ReplyEvent, DeliveryEvent]:
    """50 ms after the text, and there 20 ms later."""
    return (
        structs.replace(reply(number=number), device_id=device),
        structs.replace(delivery(number), device_id=device, speech_to_reply_ms=480),
    )


async def table(page: Page, panel: str) -> list[list[str]]:
    """What stands in the table behind a drawing."""
    rows = await page.locator(f"{panel} details tbody tr").all()
    return [await row.locator("th, td").all_text_contents() for row in rows]


async def test_without_an_utterance_it_says_so(page: Page, house: House) -> None:
    await open_page(page, house, "latency")
    await expect(page.locator("#latency-empty")).to_be_visible()
    await expect(page.locator("#latency")).to_be_hidden()
    await expect(page).to_have_title("Latency \u2013 Earshot")


async def test_the_waterfall_of_an_utterance(page: Page, house: House) -> None:
    await open_page(page, house, "latency")
    house.publish(heard(), *answered())
    await expect(page.locator(".water-said")).to_contain_text("turn on the light")
    bars = page.locator("#waterfall .bar")
    await expect(bars).to_have_count(7)
    rows = await table(page, "#waterfall")
    assert rows[:4] == [
        ["Speech", "\u22121.50 s", "1.50 s"],
        ["End noticed", "0 ms", "300 ms"],
        ["Queue", "300 ms", "2 ms"],
        ["Recognizer", "302 ms", "108 ms"],
    ]
    assert [name for name, _, _ in rows[4:]] == ["Publish", "Orchestrator", "Delivery"]
    assert rows[-1] == ["Delivery", "460 ms", "20 ms"]
    lengths = [float(await bar.get_attribute("width") or 0) for bar in await bars.all()]
    assert lengths[1] / lengths[3] == pytest.approx(300 / 108, rel=0.02)
    assert lengths[1] / lengths[6] == pytest.approx(300 / 20, rel=0.02)


async def test_a_recognizer_that_began_in_the_pause_begins_before_the_end_was_noticed(
    page: Page, house: House
) -> None:
    early = Timings(endpoint_ms=300, queue_ms=1, recognize_ms=200, text_ms=305)
    await open_page(page, house, "latency")
    house.publish(structs.replace(heard(), timings=early))
    await expect(page.locator("#waterfall .bar")).to_have_count(4)
    assert (await table(page, "#waterfall"))[3] == ["Recognizer", "105 ms", "200 ms"]


async def test_each_stage_explains_itself_to_the_pointer_and_to_the_keyboard(
    page: Page, house: House
) -> None:
    await open_page(page, house, "latency")
    house.publish(heard(), *answered())
    stage, tip = page.get_by_label("Recognizer: 108 ms"), page.locator("#waterfall > .tip")
    await stage.hover()
    await expect(tip).to_contain_text("The recognizer at work")
    await page.mouse.move(0, 0)
    await expect(tip).to_have_text("480 ms from the end of speech.")
    await stage.focus()
    await expect(tip).to_contain_text("The recognizer at work")
    await page.keyboard.press("Tab")
    await expect(tip).not_to_contain_text("The recognizer at work")


async def test_a_failure_has_its_times_too(page: Page, house: House) -> None:
    await open_page(page, house, "latency")
    house.publish(structs.replace(heard(), success=False, text="", error="out of memory"))
    await expect(page.locator(".water-said")).to_contain_text("out of memory")
    await expect(page.locator("#waterfall .bar")).to_have_count(4)
    await expect(page.locator("#by-device tbody tr")).to_have_text(f"kitchen1{4 * NONE}")


async def test_the_plot_is_read_with_the_arrow_keys(page: Page, house: House) -> None:
    for number in range(1, 21):
        house.publish(
            heard(number, 400 + 10 * number),
            structs.replace(delivery(number), speech_to_reply_ms=450 + 10 * number),
        )
    await open_page(page, house, "latency")
    plot, tip = page.locator(".plot"), page.locator("#plot > .tip")
    await expect(plot.locator(".each")).to_have_count(20)
    await plot.focus()
    await expect(tip).to_contain_text("half within 650 ms, 95 % within 650 ms, 1 utterance")
    await page.keyboard.press("Home")
    await expect(tip).to_contain_text("half within 460 ms")
    await page.keyboard.press("ArrowRight")
    await expect(tip).to_contain_text("half within 470 ms")
    await expect(plot).to_have_attribute("aria-valuetext", await tip.inner_text())
    await page.get_by_label("Speech to text").check(force=True)
    await expect(tip).to_contain_text("half within 420 ms")
    assert len(await table(page, "#plot")) == 20


async def test_the_pointer_reads_the_plot_too(page: Page, house: House) -> None:
    house.publish(heard(1), *answered(1), heard(2), *answered(2))
    await open_page(page, house, "latency")
    await page.locator(".plot").hover(position={"x": 90, "y": 100})
    await expect(page.locator("#plot > .tip")).to_contain_text("1 utterance")
    await page.mouse.move(0, 0)
    await expect(page.locator("#plot > .tip")).to_have_text("Point at it, or use the arrow keys.")


async def test_by_device_and_narrowed_to_one(page: Page, house: House) -> None:
    for number in range(1, 5):
        house.publish(heard(number), *answered(number))
    house.publish(device("study"), heard(5, 900, "study"))
    await open_page(page, house, "latency")
    rows = page.locator("#by-device tbody tr")
    await expect(rows).to_have_text(["kitchen4410 ms410 ms480 ms480 ms", f"study1900 ms900 ms{2 * NONE}"])
    await expect(page.locator(".strip-row")).to_have_count(5)
    await page.locator(".device", has_text="study").click()
    await expect(rows).to_have_text([f"study1900 ms900 ms{2 * NONE}"])
    await expect(page.locator(".strip-row")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator(".strip-row")).to_have_count(5)


async def test_the_live_view_leads_to_an_utterances_waterfall_and_a_strip_to_another(
    page: Page, house: House
) -> None:
    house.publish(heard(1), *answered(1), heard(2, 700), *answered(2))
    await open_page(page, house)
    await page.locator(".speed").first.click()
    await expect(page.locator("#latency-title")).to_be_focused()
    said = page.locator(".strip-row[aria-current]")
    await expect(said).to_contain_text("480 ms")
    await page.locator(".strip-row").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#waterfall")).to_contain_text("398 ms")
    assert (await table(page, "#waterfall"))[3] == ["Recognizer", "302 ms", "398 ms"]


async def test_an_utterance_that_is_not_known_shows_the_latest(page: Page, house: House) -> None:
    house.publish(heard())
    await open_page(page, house, "latency/u_never%2F<b>")
    await expect(page.locator(".water-said")).to_contain_text("turn on the light")
    await open_page(page, house, "latency/%E0%A4%A")
    await expect(page.locator(".water-said")).to_contain_text("turn on the light")
