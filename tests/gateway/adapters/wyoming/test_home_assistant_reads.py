"""A client that reads and writes as components/wyoming of Home Assistant 2026.11 does, and a whole gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info

from tests.record import PATIENCE, passes
from tests.system.house import House, open_house, pcm, silence, text

pytestmark = pytest.mark.slow

CHUNK = 320
"""Bytes: 10 ms, as Home Assistant sends them."""
RATE, WIDTH, CHANNELS = 16_000, 2, 1


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, adapters={"wyoming": {"listen": ["tcp://127.0.0.1:0"]}}) as house:
        await passes(lambda: "wyoming" in house.gateway.health.report().components)
        yield house


def port(house: House) -> int:
    detail = str(house.gateway.health.report().components["wyoming"].detail)
    found = re.match(r"tcp://127.0.0.1:(\d+): nobody is there", detail)
    assert found, detail
    return int(found[1])


async def load_wyoming_info(port: int) -> Info:
    """As data.py does at setup."""
    async with AsyncTcpClient("127.0.0.1", port) as client, asyncio.timeout(PATIENCE):
        await client.write_event(Describe().event())
        while True:
            event = await client.read_event()
            assert event is not None, "Connection closed unexpectedly"
            if Info.is_type(event.type):
                return Info.from_event(event)


async def as_spoken(sound: bytes, speed: float) -> AsyncIterator[bytes]:
    """Piece by piece."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for at in range(0, len(sound), CHUNK):
        await asyncio.sleep(max(0.0, begin + at / 2 / RATE / speed - loop.time()))
        yield sound[at : at + CHUNK]


async def microphone(sound: bytes, speed: float) -> AsyncIterator[bytes]:
    """What the pipeline hands on, without an end of its own: nobody but the service ends it."""
    async for piece in as_spoken(sound, speed):
        yield piece
    await asyncio.Event().wait()


async def upload(client: AsyncTcpClient, stream: AsyncIterator[bytes]) -> None:
    async for audio in stream:
        await client.write_event(AudioChunk(rate=RATE, width=WIDTH, channels=CHANNELS, audio=audio).event())
    await client.write_event(AudioStop().event())


async def receive(client: AsyncTcpClient) -> str | None:
    while True:
        event = await client.read_event()
        if event is None:
            return None
        if Error.is_type(event.type):
            return None
        if Transcript.is_type(event.type):
            return Transcript.from_event(event).text


async def process_audio_stream(port: int, language: str, stream: AsyncIterator[bytes]) -> str | None:
    """As stt.py does, from the connection to its end: whichever of the two is done first."""
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Transcribe(language=language).event())
        await client.write_event(AudioStart(rate=RATE, width=WIDTH, channels=CHANNELS).event())
        uploading = asyncio.create_task(upload(client, stream))
        receiving = asyncio.create_task(receive(client))
        try:
            done, _ = await asyncio.wait((uploading, receiving), return_when=asyncio.FIRST_COMPLETED)
            if receiving in done:
                return receiving.result()
            uploading.result()
            return await receiving
        finally:
            for task in (uploading, receiving):
                task.cancel()
            await asyncio.gather(uploading, receiving, return_exceptions=True)


async def test_it_is_set_up_and_asked_and_the_gateway_hears_where_somebody_stops(house: House) -> None:
    info = await load_wyoming_info(port(house))
    [asr] = info.asr
    assert asr.installed
    assert not asr.requires_external_vad
    assert {language for model in asr.models if model.installed for language in model.languages} == {"en"}

    async with asyncio.timeout(PATIENCE):
        heard = await asyncio.gather(
            *(
                process_audio_stream(port(house), "en", microphone(pcm(name) + silence(1.5), speed=1.5))
                for name in ("u00", "u01", "u02")
            )
        )
    assert heard == [text(name) for name in ("u00", "u01", "u02")]
    await passes(lambda: "nobody is there" in str(house.gateway.health.report().components["wyoming"].detail))
    assert not house.results.items  # nothing of it is published
    assert not house.gateway.health.mishaps.counts


async def test_sound_that_was_kept_until_somebody_asked_for_it_is_no_recording(house: House) -> None:
    kept = 4 * 32_000 // CHUNK * CHUNK
    sound = silence(3.5) + pcm("u00") + silence(3.0)

    async def from_a_buffer() -> AsyncIterator[bytes]:
        for at in range(0, kept, CHUNK):
            yield sound[at : at + CHUNK]
        async for piece in microphone(sound[kept:], speed=1.5):
            yield piece

    async with asyncio.timeout(PATIENCE):
        assert await process_audio_stream(port(house), "en", from_a_buffer()) == text("u00")


async def test_a_pipeline_that_is_given_up_leaves_nothing_at_work(house: House) -> None:
    asking = asyncio.create_task(process_audio_stream(port(house), "en", microphone(pcm("u00"), speed=8.0)))
    await passes(lambda: house.gateway.pipeline.dictations._open)
    asking.cancel()
    await passes(lambda: not house.gateway.pipeline.dictations._open)


async def test_who_listens_gets_the_text_in_pieces_that_together_are_the_text(house: House) -> None:
    sound = pcm("u00") + silence(0.35) + pcm("u01") + silence(0.5)
    async with AsyncTcpClient("127.0.0.1", port(house), read_timeout=PATIENCE) as client:
        await client.write_event(Transcribe(language="en").event())
        uploading = asyncio.create_task(upload(client, as_spoken(sound, speed=3.0)))
        events: list[Event] = []
        while not events or events[-1].type != "transcript-stop":
            event = await client.read_event()
            assert event is not None
            events.append(event)
        await uploading
    start, *pieces, whole, _ = events
    assert start.type == "transcript-start"
    assert {piece.type for piece in pieces} == {"transcript-chunk"}
    assert "".join(piece.data["text"] for piece in pieces) == whole.data["text"]
    assert whole.data["text"] == f"{text('u00')} {text('u01')}"
