"""Recordings over HTTP: into text in every form, and what is no recording, too much, or never comes."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from structlog.testing import capture_logs

from firmware_bridge.speech_files import read_wav, recordings
from gateway.pipeline.recordings.transcribing import GAPS
from gateway.web.api.transcriptions import RECORDINGS
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.works import Engine, loud, quiet, swing
from tests.record import passes
from tests.system.house import House, open_house
from tests.transcription.recordings import FORMATS, recording, wav, wav_that_says
from transcription.audio import from_pcm16
from transcription.transcriber import Hints, Segment, Word

pytestmark = pytest.mark.slow

PATH = "/transcriptions"
MIB = 1024 * 1024


def speech(*seconds: float) -> bytes:
    """Stretches of speech with pauses between, as the voice activity of the works understands it."""
    return b"".join(loud(one) + quiet(1) for one in seconds)


async def transcribe(
    served: Served, body: Any, status: int = 200, query: str = "", kind: str = "audio/wav"
) -> Any:
    headers = {"Content-Type": kind}
    return await served.call("POST", PATH + query, status, data=body, headers=headers)


async def test_what_is_refused_before_it_is_read_takes_no_part_of_what_somebody_may_send(
    tmp_path: Path,
) -> None:
    async with open_served(tmp_path) as served:
        for _ in range(2 * int(served.works.config.web.limits.uploads_per_minute)):
            await transcribe(served, b"", 422, "?format=papyrus")
        await transcribe(served, recording(from_pcm16(speech(1.0)), "wav"))


async def dripping(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
        await asyncio.sleep(0)


async def test_a_recording_is_cut_into_what_was_said(served: Served) -> None:
    pcm = from_pcm16(speech(1.0, 2.0))
    for body in (recording(pcm, "wav"), dripping(recording(pcm, "flac"))):
        told = await transcribe(served, body)
        assert abs(told["seconds"] - 5.0) < 0.05
        first, second = told["segments"]
        assert 0 <= first["start"] < 0.2
        assert 1.5 < second["start"] < 2.1
        assert second["end"] > 4.0
        assert told["text"] == f"{first['text']} {second['text']}"
        assert told["language"] == "en"
        assert first["error"] is None


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
async def test_what_is_said_is_understood_in_every_format(tmp_path: Path, name: str) -> None:
    spoken = next(one for one in recordings() if one.demo)
    pcm = from_pcm16(read_wav(spoken.path))
    async with open_house(tmp_path, transcription={"partials": {"every_ms": 0}}) as house:
        told = await over_http(house, recording(pcm, name), "?words=true")
    assert told["text"].lower().strip(" .") == spoken.text.lower().strip(" .")
    (part,) = told["segments"]
    assert " ".join(word["word"].strip() for word in part["words"]).lower().strip(
        " ."
    ) == spoken.text.lower().strip(" .")
    assert all(0 <= word["start"] < word["end"] <= part["end"] <= told["seconds"] for word in part["words"])


async def over_http(house: House, body: bytes, query: str = "") -> Any:
    from aiohttp import ClientSession

    url = f"{house.gateway.url}api/v1{PATH}{query}"
    async with (
        ClientSession() as client,
        client.post(url, data=body, headers={"Content-Type": "application/octet-stream"}) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()


@pytest.mark.parametrize(
    ("form", "kind", "looks"),
    [
        ("srt", "application/x-subrip", r"1\n00:00:0\d,\d{3} --> 00:00:0\d,\d{3}\n\d+\n\n2\n00:.*"),
        ("vtt", "text/vtt", r"WEBVTT\n\n00:00:0\d\.\d{3} --> .*"),
        ("text", "text/plain", r"\d+\n\d+\n"),
    ],
)
async def test_it_is_answered_in_other_forms(served: Served, form: str, kind: str, looks: str) -> None:
    body = recording(from_pcm16(speech(1.0, 2.0)), "wav")
    async with served.raw(
        "POST", f"api/v1{PATH}?format={form}", data=body, headers={"Content-Type": "audio/wav"}
    ) as response:
        assert (response.status, response.content_type) == (200, kind)
        assert re.fullmatch(looks, await response.text(), flags=re.DOTALL)


async def test_what_is_missing_is_told_beside_other_forms_too(served: Served) -> None:
    options = {"headers": {"Content-Type": "audio/wav"}}
    whole = wav(speech(1.0))
    async with served.raw("POST", f"api/v1{PATH}?format=srt", data=whole, **options) as response:
        assert "X-Missing" not in response.headers
    async with served.raw(
        "POST", f"api/v1{PATH}?format=srt", data=whole + b"?" * 3_000, **options
    ) as response:
        assert response.headers["X-Missing"] == "2.0 s: 3000 bytes of it are no sound that is known"


async def test_words_have_times_of_the_whole_recording(tmp_path: Path) -> None:
    engine = Engine()
    engine.says = engine.says.__class__(
        "",
        "en",
        0.8,
        0.0,
        (Segment(0.0, 0.5, "x"),),
        "counting",
        "none",
        0.0,
        words=(Word("x", 0.1, 0.4, 0.9),),
    )
    async with open_served(tmp_path, engine) as served:
        body = recording(from_pcm16(speech(1.0, 1.0)), "wav")
        told = await transcribe(served, body, query="?words=true&language=en")
        assert all(hints.word_timestamps and hints.language == "en" for hints in served.works.engine.hints)
        for part in told["segments"]:
            (word,) = part["words"]
            assert word["start"] == pytest.approx(part["start"] + 0.1)


async def test_a_recording_in_which_nobody_speaks_is_empty(served: Served) -> None:
    told = await transcribe(served, recording(from_pcm16(quiet(3)), "wav"))
    assert (told["text"], told["segments"]) == ("", [])


@pytest.mark.parametrize("name", ["wav", "flac"])
async def test_an_offset_is_nothing_that_is_said(served: Served, name: str) -> None:
    with_offset = swing(40, 16_000, -9_000) + swing(12_000, 16_000, -9_000) + swing(40, 16_000, -9_000)
    told = await transcribe(served, recording(from_pcm16(with_offset), name))
    (part,) = told["segments"]
    assert 0.4 < part["start"] < 1.0
    assert part["text"] == told["text"] != ""


async def test_what_the_engine_cannot_do_is_that_part_s_affair(tmp_path: Path) -> None:
    engine = Engine()
    async with open_served(tmp_path, engine) as served:
        await transcribe(served, recording(from_pcm16(speech(1.0)), "wav"))
        first = await transcribe(served, wav_that_says(0xFFFFFFFF, data=speech(1.0, 2.0)))
        engine.poison = {int(first["segments"][0]["text"])}
        told = await transcribe(served, wav_that_says(0xFFFFFFFF, data=speech(1.0, 2.0)))
        bad, good = told["segments"]
        assert "too many" in bad["error"]
        assert good["text"] == told["text"] == first["segments"][1]["text"]
        body, options = (
            wav_that_says(0xFFFFFFFF, data=speech(1.0, 2.0)),
            {"headers": {"Content-Type": "audio/wav"}},
        )
        async with served.raw("POST", f"api/v1{PATH}?format=srt", data=body, **options) as response:
            assert "too many" in response.headers["X-Missing"], "subtitles have no place for it"


# -- what is refused


@pytest.mark.parametrize(
    "body", [b"", b"no recording at all", bytes(50_000), b"RIFF\0\0\0\0WAVE" + b"x" * 5_000]
)
async def test_what_is_no_recording_is_refused(served: Served, body: bytes) -> None:
    told = await transcribe(served, body, 422)
    assert told["errors"][0]["place"] == "body"


async def test_a_fault_of_the_gateway_s_own_is_not_the_recording_s(served: Served) -> None:
    class Broken:
        def __call__(self, samples: Any) -> Any:
            raise TypeError("ours")

        def __getattr__(self, name: str) -> Any:
            raise TypeError("ours")

    served.works.pipeline.transcribing._listen = Broken
    with capture_logs() as logs:
        told = await transcribe(served, recording(from_pcm16(speech(1.0))), 500)
    assert "not with the request" in told["detail"]
    (line,) = [one for one in logs if one["event"] == "request failed"]
    assert line["log_level"] == "error"


async def test_why_it_cannot_be_decoded_is_told_in_words(served: Served) -> None:
    told = await transcribe(served, b"RIFF\0\0\0\0WAVE" + b"x" * 5_000, 422)
    words = told["errors"][0]["message"]
    assert "without sound" in words
    assert not re.search(r"Errno|\d{4}|none", words)


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data", "video/mp4"])
async def test_what_says_that_it_is_something_else_is_refused(served: Served, kind: str) -> None:
    told = await transcribe(served, b"RIFF", 415, kind=kind)
    assert ("send the file itself" in told.get("remedy", "")) == (kind == "multipart/form-data")


@pytest.mark.parametrize(
    "kind",
    [
        "audio/wave", "audio/vnd.wave", "Audio/X-FLAC", "audio/mp3", "audio/opus", "application/ogg", "audio/aac",
        "video/webm; codecs=opus", "audio/ogg;codecs=opus", "audio/mp4", "audio/x-m4a", "APPLICATION/OCTET-STREAM",
    ],
)  # fmt: skip
async def test_it_is_taken_under_the_names_that_people_give_it(served: Served, kind: str) -> None:
    assert (await transcribe(served, recording(from_pcm16(speech(1.0)), "wav"), kind=kind))["text"]


async def test_what_follows_another_rate_is_heard_and_what_is_no_sound_is_told(served: Served) -> None:
    pcm = from_pcm16(speech(1.0))
    body = (
        recording(pcm, "wav", rate=8_000)
        + recording(pcm, "flac", "stereo")
        + wav(pcm.tobytes())
        + b"?" * 3_000
    )
    told = await transcribe(served, body)
    assert len(told["segments"]) == 3
    (gap,) = told["missing"]
    assert gap["at"] == pytest.approx(told["seconds"]) == pytest.approx(6.0, abs=0.05)
    assert gap["reason"] == "3000 bytes of it are no sound that is known"


async def test_an_m4a_whose_index_is_at_its_end_is_heard_as_a_whole(served: Served) -> None:
    body = recording(from_pcm16(speech(1.0, 1.0)), "m4a of a phone")
    told = await transcribe(served, dripping(body, 1_000))
    assert len(told["segments"]) == 2
    assert told["missing"] == []


async def test_of_what_is_missing_so_much_is_told(served: Served) -> None:
    one = wav(speech(0.1)[:3_200]) + b"?" * 2_000
    told = await transcribe(served, one * (GAPS + 20))
    assert len(told["missing"]) == GAPS
    assert told["missing"][-1]["reason"]


async def test_a_request_says_how_its_recording_is_to_be_heard(tmp_path: Path) -> None:
    body = recording(from_pcm16(speech(1.0)), "wav")
    transcription = {"prompt": "At home.", "hotwords": "Herd", "segmenter": {"pause_ms": 0}}
    async with open_served(tmp_path, transcription=transcription) as served:
        await transcribe(served, body)
        await transcribe(served, body, query="?prompt=Whom%3F&language=en&words=true")
        await transcribe(served, body, query="?prompt=&hotwords=Aoife")
        assert served.works.engine.hints == [
            Hints(None, "At home.", "Herd"),
            Hints("en", "Whom?", "Herd", word_timestamps=True),
            Hints(None, "", "Aoife"),
        ]
        told = await transcribe(served, body, 422, query="?hotwords=" + "x" * 301)
        assert [error["place"] for error in told["errors"]] == ["hotwords"]


@pytest.mark.parametrize("query", ["?format=pdf", "?language=English", "?words=maybe", "?model=x"])
async def test_what_cannot_be_wanted_is_refused(served: Served, query: str) -> None:
    await transcribe(served, recording(from_pcm16(loud(1)), "wav"), 422, query)


@pytest.mark.parametrize("claimed", [0, 100, 0x7FFFFFFF, 0xFFFFFFFF])
async def test_a_wav_that_lies_about_its_length_is_taken_for_what_it_is(served: Served, claimed: int) -> None:
    told = await transcribe(served, wav_that_says(claimed, data=speech(1.0)))
    assert told["seconds"] <= 2.01


@pytest.mark.slow
async def test_a_stream_that_goes_on_and_on_is_refused_in_flat_memory(tmp_path: Path) -> None:
    """2 GB of it are offered; nobody takes more than is allowed."""
    piece = quiet(16)
    offered = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal offered
        yield wav_that_says(0xFFFFFFFF)
        while offered < 2_000_000_000:
            offered += len(piece)
            yield piece

    uploads = {"megabytes": 40, "seconds": 1_000_000}
    async with open_served(tmp_path, web={"uploads": uploads}) as served:
        await transcribe(served, wav_that_says(0xFFFFFFFF, data=speech(1.0)))  # everything is loaded
        process, most = psutil.Process(), 0
        before = process.memory_info().rss

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(watch())
        with suppress(OSError):  # it may be cut off while it is still sending
            told = await transcribe(served, endless(), 413)
            assert "40 MiB" in told["detail"]
        watching.cancel()
        assert offered < 60 * MIB
        assert most - before < 40 * MIB
        assert await served.get("/health")


async def test_one_that_says_that_it_is_too_large_is_refused_before_it_comes(tmp_path: Path) -> None:
    async with open_served(tmp_path, web={"uploads": {"megabytes": 1}}) as served:
        host, port = served.url.removeprefix("http://").strip("/").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/v1{PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: audio/wav\r\n"
        writer.write(f"{head}Content-Length: 2000000000\r\n\r\n".encode())
        async with asyncio.timeout(20):
            assert b" 413 " in await reader.readline()
        writer.close()


async def test_one_that_is_too_long_is_refused_however_small_it_is(tmp_path: Path) -> None:
    silence = recording(np.zeros(16_000 * 120, np.int16), "flac")
    assert len(silence) < 100_000
    async with open_served(tmp_path, web={"uploads": {"seconds": 60}}) as served:
        assert "60 s" in (await transcribe(served, silence, 413, kind="audio/flac"))["detail"]


async def test_one_that_does_not_come_on_is_given_up(tmp_path: Path) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield wav_that_says(1_000_000)
        await asyncio.sleep(60)

    async with open_served(tmp_path, web={"uploads": {"stall_seconds": 0.2}}) as served:
        with suppress(OSError):
            await transcribe(served, stuck(), 408)
        await passes(lambda: not served.works.pipeline.transcribing._open)


async def test_whoever_leaves_leaves_nothing_behind(served: Served) -> None:
    host, port = served.url.removeprefix("http://").strip("/").split(":")
    with socket.create_connection((host, int(port))) as wire:
        head = f"POST /api/v1{PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: audio/wav\r\n"
        wire.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + wav_that_says(1_000_000))
        await passes(lambda: served.works.pipeline.transcribing._open)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await passes(lambda: not served.works.pipeline.transcribing._open)
    assert (await transcribe(served, wav_that_says(0xFFFFFFFF, data=speech(1.0))))["text"]


async def test_so_many_at_once_and_no_more(tmp_path: Path) -> None:
    engine = Engine()
    engine.go.clear()
    body = wav_that_says(0xFFFFFFFF, data=speech(1.0))
    async with open_served(tmp_path, engine, web={"uploads": {"at_once": 1}}) as served:
        first = asyncio.create_task(transcribe(served, body))
        await engine.working()
        told = await transcribe(served, body, 429)
        assert "already" in told["detail"]
        engine.go.set()
        assert (await first)["text"]
        assert (await transcribe(served, body))["text"]


async def test_without_a_recognizer_it_says_so(tmp_path: Path) -> None:
    async with open_served(tmp_path, transcription={"engine": "off"}) as served:
        told = await transcribe(served, wav_that_says(0xFFFFFFFF, data=speech(1.0)), 503)
        assert told["remedy"] == "set transcription.engine to auto"


async def test_the_gateway_stops_all_the_same(tmp_path: Path) -> None:
    engine = Engine()
    engine.go.clear()
    body = wav_that_says(0xFFFFFFFF, data=speech(*[0.5] * 20))
    async with open_served(tmp_path, engine) as served:
        waiting = asyncio.create_task(transcribe(served, body, 503))
        await engine.working()
        served.works.pipeline.transcribing.close()
        engine.go.set()
        await waiting


# -- devices first


async def test_what_devices_say_is_done_before_what_is_left_of_a_recording(tmp_path: Path) -> None:
    engine = Engine()
    engine.go.clear()
    body = wav_that_says(0xFFFFFFFF, data=speech(0.5, 0.5, 0.5))
    async with open_served(tmp_path, engine, transcription={"segmenter": {"pause_ms": 0}}) as served:
        await served.works.ready()
        sending = asyncio.create_task(transcribe(served, body))
        await engine.working()
        async with served.works.board() as kitchen:
            saying = asyncio.create_task(kitchen.say(loud(2)))
            await passes(lambda: served.works.recognizer.waiting == 1)
            engine.go.set()
            heard = await served.works.result()
            await served.works.reply(heard, "yes")
            await saying
        told = await sending
        assert len(told["segments"]) == 3
        assert engine.lengths.index(32_000) == 1, "right after what the engine was at"


def test_every_name_of_a_recording_is_a_media_type() -> None:
    assert all(re.fullmatch(r"(audio|video|application)/[a-z0-9.-]+", one) for one in RECORDINGS)
