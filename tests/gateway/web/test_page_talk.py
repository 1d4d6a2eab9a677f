"""Speaking to the house from the page: a real microphone stream, the bundled model, and text that is typed."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from firmware_bridge.speech_files import read_wav
from tests.gateway.web.chromium import IN_CHROMIUM, chromium, clean_page
from tests.gateway.web.house import House as WebHouse
from tests.system.house import RECORDINGS, House, open_house, silence, text

pytestmark = IN_CHROMIUM

SPOKEN = "u27"
GENEROUS = {"partials": {"every_ms": 200, "share": 1.0, "longest_ms": 10_000}}
PATIENCE_MS = 40_000
WATCH_LEVEL = """
() => setInterval(() => {
  const level = Number(document.getElementById("talk").style.getPropertyValue("--level"));
  if (level > 0.02) window.loudAt = performance.now();
}, 20)
"""
FELL_SILENT = "() => window.loudAt && performance.now() - window.loudAt > 500"
"""Whether the microphone was loud, and has not been for half a second."""


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, transcription=GENEROUS) as home:
        yield home


@pytest.fixture
async def speaker(tmp_path: Path) -> AsyncIterator[Browser]:
    """A browser into whose microphone a recording is spoken, once, a second after it is opened."""
    file = tmp_path / "spoken.wav"
    with wave.open(str(file), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(silence(1.0) + read_wav(RECORDINGS[SPOKEN].path) + silence(2.0))
    async with chromium(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}%noloop",
    ) as browser:
        yield browser


@pytest.mark.parametrize("by", ["button", "space"])
async def test_hold_speak_and_be_answered(speaker: Browser, home: House, by: str) -> None:
    async with clean_page(speaker) as page:
        await page.goto(home.gateway.url)
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await page.evaluate(WATCH_LEVEL)
        if by == "button":
            await page.locator("#talk").hover()
            await page.mouse.down()
        else:
            await page.keyboard.down("Space")
        await expect(page.locator("#talk")).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#talk-note")).to_contain_text("Speak", timeout=PATIENCE_MS)
        heard = page.locator(".heard")
        await expect(heard).to_contain_text(text(SPOKEN).split()[0], timeout=PATIENCE_MS)
        await expect(heard).to_have_attribute("data-kind", "partial")
        await page.wait_for_function(FELL_SILENT, timeout=PATIENCE_MS)
        await (page.mouse.up() if by == "button" else page.keyboard.up("Space"))
        await expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
        await expect(heard).to_have_attribute("data-kind", "final", timeout=PATIENCE_MS)
        await expect(heard).to_have_text(text(SPOKEN))
        await expect(page.locator(".reply-text")).to_contain_text("thermometer", timeout=PATIENCE_MS)
        await expect(page.locator(".mark")).to_contain_text("delivered")
        await expect(page.locator(".device-name")).to_have_text(
            [await page.evaluate("localStorage['earshot.device']")]
        )


async def test_a_refused_microphone_is_explained_and_typing_goes_on(browser: Browser, home: House) -> None:
    # Headless, nobody can be asked: the browser refuses.
    async with clean_page(browser) as page:
        await page.goto(home.gateway.url)
        await page.locator("#talk").focus()
        await page.keyboard.down("Enter")
        await page.keyboard.up("Enter")
        await expect(page.locator("#talk-note")).to_contain_text("microphone")
        await expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
        await page.locator("#say").fill("set a timer for four minutes")
        await page.keyboard.press("Enter")
        await expect(page.locator("#say")).to_have_value("")
        await expect(page.locator(".heard")).to_have_text("set a timer for four minutes")
        await expect(page.locator(".reply-text")).to_have_text("Demo: Timer set for 4 minutes.")
        await expect(page.locator("#talk-note")).to_be_empty()


async def test_what_is_not_said_comes_back(browser: Browser, home: House) -> None:
    async with clean_page(browser) as page:
        await page.goto(home.gateway.url)
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await page.evaluate("document.getElementById('say').removeAttribute('maxlength')")
        await page.locator("#say").fill("x" * 4_001)
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator("#talk-note")).to_contain_text("Not said: ")
        await expect(page.locator("#say")).to_have_value("x" * 4_001)
        await page.locator("#say").fill("   ")
        await page.keyboard.press("Enter")
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await expect(page.locator(".turn")).to_have_count(0)


async def test_the_space_bar_types_where_one_types(browser: Browser, home: House) -> None:
    async with clean_page(browser) as page:
        await page.goto(home.gateway.url)
        await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        await page.keyboard.press("t")
        await expect(page.locator("#say")).to_be_focused()
        await page.keyboard.type("hello there")
        await expect(page.locator("#say")).to_have_value("hello there")
        await page.locator("#help-open").focus()
        await page.keyboard.press("Space")
        await expect(page.locator("#help")).to_be_visible()
        await expect(page.locator("#talk-note")).to_be_empty()


RESAMPLED = """
async ([rate, hertz, piece]) => {
  const { Resampler, RATE } = await import("/static/resample.js");
  const resampler = new Resampler(rate);
  const tone = Float32Array.from({ length: rate }, (_, at) => Math.sin((2 * Math.PI * hertz * at) / rate));
  const out = [];
  for (let from = 0; from < rate; from += piece) out.push(...resampler.feed(tone.subarray(from, from + piece)));
  const settled = out.slice(800, -800);
  const mean = (of) => settled.reduce((sum, value, at) => sum + of(value, at), 0) / settled.length;
  const part = (wave) => 2 * mean((value, at) => value * wave((2 * Math.PI * hertz * at) / RATE));
  const rms = Math.sqrt(mean((value) => value * value));
  return { samples: out.length, amplitude: Math.hypot(part(Math.sin), part(Math.cos)), rms };
}
"""


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
async def test_audio_of_any_rate_becomes_16_khz(browser: Browser, house: WebHouse, rate: int) -> None:
    async with clean_page(browser) as page:
        await page.goto(house.url)
        tone = await page.evaluate(RESAMPLED, [rate, 440, 128])
        assert tone["samples"] == pytest.approx(16_000, abs=80)
        assert tone["amplitude"] == pytest.approx(1, abs=0.005)
        assert tone["rms"] == pytest.approx(0.7071, abs=0.005)
        if rate > 32_000:  # what 16 kHz cannot hold must not come back as something else
            assert (await page.evaluate(RESAMPLED, [rate, 10_000, 128]))["rms"] < 0.003
        other = await page.evaluate(RESAMPLED, [rate, 440, 37])
        assert other["samples"] == pytest.approx(tone["samples"], abs=1)
        assert other["amplitude"] == pytest.approx(tone["amplitude"], rel=0.001)
