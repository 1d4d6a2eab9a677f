"""The browser's device in a real Chromium: the golden vectors, and speech that reaches the gateway whatever breaks."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from firmware_bridge.link.fleet import Fleet
from gateway.contract.events import DeviceEvent
from tests.gateway.events import reply
from tests.gateway.web.chromium import IN_CHROMIUM
from tests.gateway.web.site import Site, open_site
from tests.gateway.works import loud
from tests.record import passes

EVENTS_PAGE = Path(__file__).parents[3] / "docs" / "events.md"
FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS = json.loads((FOLDER / "frames.json").read_text())
REPLIES = json.loads((FOLDER / "replies.json").read_text())
BY_DEVICE = ("HELLO", "AUDIO_START", "AUDIO", "AUDIO_STOP", "PING", "PONG")
BY_GATEWAY = ("WELCOME", "STATUS", "PARTIAL", "TRANSCRIPT", "REPLY", "ACK", "PING", "PONG", "FAULT")

pytestmark = IN_CHROMIUM

# A device on the page, and what it was told, in order.
DEVICE = """
async (id) => {
  const { Device } = await import("/static/device.js");
  const told = (window.told = []);
  const listener = Object.fromEntries(
    ["onState", "onStatus", "onPartial", "onTranscript", "onReply"].map((name) => [
      name,
      (...what) => told.push([name.slice(2).toLowerCase(), ...what]),
    ]),
  );
  window.device = new Device(id, listener);
  // As a microphone gives it: pieces of a size that is not the frames'.
  window.feed = (bytes, stream) => {
    const samples = new Int16Array(Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)).buffer);
    for (let at = 0; at < samples.length; at += 700) device.audio(stream, samples.subarray(at, at + 700));
    return stream;
  };
  window.say = (bytes, options) => feed(bytes, device.start(options));
  device.open();
}
"""


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


async def open_device(page: Page, site: Site, name: str = "web-page") -> None:
    await page.goto(site.url)
    await page.evaluate(DEVICE, name)


async def told(page: Page, what: str) -> Any:
    """The first time that the device told ``what``, once it has."""
    await page.wait_for_function("(what) => told.some(([kind]) => kind === what)", arg=what)
    return await page.evaluate("(what) => told.find(([kind]) => kind === what)[1]", what)


async def state(page: Page, wanted: str) -> None:
    await page.wait_for_function("(wanted) => device.state === wanted", arg=wanted)


def base64(pcm: bytes) -> str:
    return b64encode(pcm).decode()


async def test_frames_of_the_device_are_the_vectors(page: Page, site: Site) -> None:
    await page.goto(site.url)
    for vector in (v for v in VECTORS if v["type"] in BY_DEVICE):
        fields = vector["fields"]
        if fields.get("proof") or fields.get("kind"):
            continue  # what a board says of itself; a page has its token, and no firmware
        codec = ["PCM16", "IMA_ADPCM", "OPUS"].index(fields.get("codec", "PCM16"))
        mark = fields.get("end_on_silence", fields.get("wants_partials", False))
        flags = vector["header"]["resent"] | 2 * mark | 4 * fields.get("wants_pieces", False) | codec << 4
        header = {**vector["header"], "flags": flags}
        hexed = await page.evaluate(ENCODE, [vector["type"], header, hello_fields(fields)])
        expected = vector["frame"]
        if vector["type"] == "HELLO":  # in JSON, the order of keys is no matter
            assert json.loads(bytes.fromhex(hexed[40:])) == json.loads(bytes.fromhex(expected[40:]))
            hexed, expected = hexed[:40], expected[:40]
        assert hexed == expected, vector["name"]


ENCODE = """
async ([type, header, fields]) => {
  const { encode, helloPayload } = await import("/static/frames.js");
  const raw = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
  const payload = type === "HELLO" ? helloPayload(fields) : raw(fields.payload ?? "");
  return Array.from(encode(type, header, payload), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
"""


def hello_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """As helloPayload takes them."""
    if "boot" not in fields:
        return fields
    names = {
        "device_id": "id",
        "firmware": "fw",
        "ring_frames": "ring",
        "next_sequence": "next",
        "max_payload": "mtu",
    }
    said = {name: value for name, value in fields.items() if not name.startswith(("wants_", "takes_"))}
    return {names.get(name, name): value for name, value in said.items() if name not in {"kind", "proof"}}


async def test_frames_of_the_gateway_are_understood(page: Page, site: Site) -> None:
    await page.goto(site.url)
    for vector in (v for v in VECTORS if v["type"] in BY_GATEWAY):
        frame = await page.evaluate(DECODE, vector["frame"])
        assert frame["type"] == vector["type"]
        header = {name: value for name, value in vector["header"].items() if name != "resent"}
        assert {name: frame["header"][name] for name in header} == header
        for name, value in vector["fields"].items():
            if name == "stable":
                assert frame["stable"] == vector["fields"]["text"][:value]
            else:
                assert frame[camel(name)] == (value.lower() if name in {"status", "code"} else value)


DECODE = """
async (hex) => {
  const { decode } = await import("/static/frames.js");
  return decode(Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16)).buffer);
}
"""


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


async def test_replies_are_shown_as_their_vectors_say(page: Page, site: Site) -> None:
    await page.goto(site.url)
    for vector in (vector for vector in REPLIES if vector["wants_pieces"]):
        assert await page.evaluate(SHOW, vector["frames"]) == vector["shown"], vector["name"]


SHOW = """
async (frames) => {
  const { Device } = await import("/static/device.js");
  const { decode } = await import("/static/frames.js");
  let shown = null;
  const device = new Device("web-page", { onReply: ({ text }) => (shown = text) });
  return frames.map((hex) => {
    shown = null;
    device.show(decode(Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16)).buffer));
    return shown;
  });
}
"""


async def test_what_is_no_frame_is_nothing(page: Page, site: Site) -> None:
    """Every frame of the gateway cut off everywhere, and other bytes: none throws."""
    await page.goto(site.url)
    hexes = [vector["frame"] for vector in VECTORS] + ["", "00" * 20, "ff" * 3000]
    thrown = await page.evaluate(
        """async (hexes) => {
          const { decode } = await import("/static/frames.js");
          for (const hex of hexes) {
            const bytes = Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
            for (let length = 0; length <= bytes.length; length += 1) {
              try { decode(bytes.slice(0, length).buffer); } catch (error) { return `${hex} ${length} ${error}`; }
            }
          }
          return "";
        }""",
        hexes,
    )
    assert thrown == ""


async def test_speech_in_answer_out(page: Page, site: Site) -> None:
    await open_device(page, site)
    stream = await page.evaluate(
        "(pcm) => { const s = say(pcm); device.stop(s); return s; }", base64(loud(1))
    )
    heard = await site.parts.result(device_id="web-page")
    assert heard.text == "16000"
    assert heard.correlation_id.startswith(f"web-{heard.session_id}-")
    transcript = await told(page, "transcript")
    assert transcript == {"stream": stream, "correlationId": heard.correlation_id, "text": "16000"}
    await site.parts.reply(heard, "yes " * 1500)  # longer than a frame
    reply = await told(page, "reply")
    assert (reply["text"], reply["final"], reply["error"]) == ("yes " * 1500, True, False)
    statuses = await page.evaluate(
        "told.filter(([kind]) => kind === 'status').map(([, what]) => what.status)"
    )
    assert statuses[:3] == ["listening", "transcribing", "thinking"]
    await site.parts.idle()  # the answer was acknowledged
    await page.wait_for_function("() => device.ring.frames.length === 0")


async def test_an_answer_grows_on_the_page(page: Page, site: Site) -> None:
    await open_device(page, site)
    await page.evaluate("(pcm) => void device.stop(say(pcm))", base64(loud(1)))
    heard = await site.parts.result(device_id="web-page")
    shown = "told.filter(([kind]) => kind === 'reply').map(([, reply]) => [reply.text, reply.final])"
    for count, word in enumerate(("It ", "is "), 1):
        await site.parts.reply(heard, word, final=False)
        await page.wait_for_function(f"(count) => {shown}.length === count", arg=count)
    await site.parts.reply(heard, "It is noon.")
    await page.wait_for_function(f"() => {shown}.length === 3")
    assert await page.evaluate(shown) == [["It ", False], ["It is ", False], ["It is noon.", True]]
    await site.parts.idle()


async def test_the_gateway_finds_the_end(page: Page, site: Site) -> None:
    await open_device(page, site)
    speech = loud(1) + bytes(2 * 16_000 * 2)
    await page.evaluate("(pcm) => void say(pcm, { endOnSilence: true })", base64(speech))
    assert (await site.parts.result()).audio.end_reason == "silence"


async def test_what_is_said_before_the_gateway_is_there(page: Page, site: Site) -> None:
    """The first words are kept in the ring until the socket is open."""
    await page.goto(site.url)
    await page.evaluate(DEVICE.replace("device.open();", ""), "web-page")
    await page.evaluate("(pcm) => device.stop(say(pcm))", base64(loud(2)))
    assert await page.evaluate("device.unacknowledged") > 30
    await page.evaluate("device.open()")
    assert (await site.parts.result()).text == "32000"


async def test_every_sample_arrives_once_however_often_the_socket_breaks(page: Page, site: Site) -> None:
    await open_device(page, site)
    stream = await page.evaluate("(pcm) => say(pcm)", base64(loud(1)))
    for links in range(1, 4):
        # Its state alone would do for the last link, whose end the page may not have heard of yet.
        await page.wait_for_function(
            "(links) => told.filter(([, state]) => state === 'linked').length === links", arg=links
        )
        await page.evaluate("device.socket.close()")
        await site.parts.events.first(DeviceEvent, device_id="web-page", state="disconnected")
        site.parts.events.items.clear()
        await page.evaluate("([pcm, stream]) => feed(pcm, stream)", [base64(loud(1)), stream])
    await page.evaluate("(stream) => device.stop(stream)", stream)
    heard = await site.parts.result()
    assert heard.text == "64000"
    assert heard.audio.gaps == 0
    assert await page.evaluate("device.lost") == 0
    await site.parts.reply(heard, "all there")
    assert (await told(page, "reply"))["text"] == "all there"
    assert await page.evaluate("told.filter(([kind]) => kind === 'transcript').length") == 1


async def test_more_than_the_ring_holds_is_lost_and_counted(page: Page, site: Site) -> None:
    await page.goto(site.url)
    await page.evaluate(DEVICE.replace("device.open();", ""), "web-page")
    kept = await page.evaluate(
        """async () => {
          const { FRAME_SAMPLES, RING_FRAMES } = await import("/static/device.js");
          const stream = device.start();
          const frame = new Int16Array(FRAME_SAMPLES).fill(12000);
          for (let n = 0; n < RING_FRAMES + 10; n += 1) device.audio(stream, frame);
          device.stop(stream);
          return [device.lost, 11 * FRAME_SAMPLES, device.ring.frames.length, RING_FRAMES];
        }"""
    )
    assert kept[:3:2] == kept[1::2]
    await page.evaluate("device.open()")
    results = site.parts.results
    await passes(lambda: sum(heard.audio.lost_ms for heard in results.items) == pytest.approx(11 * 60))


async def test_a_refusal_says_why(page: Page, site: Site) -> None:
    await open_device(page, site, "no good name")
    why = await page.wait_for_function(
        "() => told.find(([kind, state]) => kind === 'state' && state === 'refused')"
    )
    assert "A-Z a-z 0-9" in (await why.json_value())[2]


async def test_the_gateway_stops_and_comes_back(page: Page, site: Site) -> None:
    """Another run of the gateway: what was said and not yet durable is said again to it."""
    await open_device(page, site)
    await state(page, "linked")
    bridge = site.parts.bridge
    bridge._fleet.shut_down(0.0)
    bridge._flush()
    await state(page, "refused")
    bridge._fleet = Fleet(site.parts.config.devices, site.parts._hear, site.parts._delivered)
    await state(page, "linked")
    await page.evaluate("(pcm) => device.stop(say(pcm))", base64(loud(1)))
    assert (await site.parts.result()).text == "16000"


async def test_close_is_for_good(page: Page, site: Site) -> None:
    await open_device(page, site)
    await state(page, "linked")
    await page.evaluate("device.close()")
    await site.parts.events.first(DeviceEvent, device_id="web-page", state="disconnected")
    assert await page.evaluate("[device.state, device.socket, device.ticking]") == ["offline", None, None]


async def test_floats_become_samples(page: Page, site: Site) -> None:
    await page.goto(site.url)
    samples = await page.evaluate(
        "async () => Array.from((await import('/static/device.js')).toPcm16([0, 0.5, 1, 2, -1, -2, NaN]))"
    )
    assert samples == [0, 16384, 32767, 32767, -32768, -32768, 0]


async def test_the_event_source_runs_as_written(page: Page, site: Site) -> None:
    """The program of docs/events.md."""
    (program,) = re.findall(r"```js\n(.*?)```", EVENTS_PAGE.read_text(), re.DOTALL)
    await page.goto(site.url)
    async with page.expect_console_message(lambda message: "The light is on." in message.text):
        program = program.replace("http://127.0.0.1:8080", site.url.rstrip("/"))
        await page.evaluate(f"{program}; new Promise((open) => {{ source.onopen = open; }})")
        site.parts.hub.publish(reply())
