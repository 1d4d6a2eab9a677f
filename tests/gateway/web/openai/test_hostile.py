"""Whatever is sent to /v1/audio: it is refused in words, gives its place back, and the gateway goes on as before."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import ClientConnectionError
from structlog.testing import capture_logs

from tests.gateway.web.api.served import speech
from tests.gateway.web.openai.test_transcriptions import Talking, file
from tests.gateway.web.openai.v1 import V1, error, open_v1
from tests.gateway.web.raw import connection
from tests.gateway.works import Engine, loud, quiet
from tests.record import passes
from tests.transcription.recordings import wav

PATH = "/audio/transcriptions"
FORM = {"Content-Type": "multipart/form-data; boundary=B"}
FILE = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
MODEL = b'\r\n--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--B--\r\n'


def field(name: str, value: bytes = b"x") -> bytes:
    return b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)


async def post(v1: V1, data: Any, headers: dict[str, str] = FORM) -> tuple[int, dict[str, Any]]:
    async with v1.raw("POST", PATH, data=data, headers=headers) as response:
        return response.status, await error(response)


async def well(v1: V1) -> None:
    """Nothing was left behind: no place is taken, and the next one is heard."""
    await passes(lambda: not v1.works.pipeline.transcribing._places)
    told = await v1.client.audio.transcriptions.create(model="whisper-1", file=file(speech(0.5)))
    assert told.text


async def test_what_is_no_form_is_a_bad_request(v1: V1) -> None:
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (b'{"model":"whisper-1"}', {"Content-Type": "application/json"}),
        (speech(0.5), {"Content-Type": "audio/wav"}),
        (FILE + b"x" + MODEL, {"Content-Type": "multipart/form-data"}),
        (FILE + b"x" + MODEL, {"Content-Type": "multipart/form-data; boundary=C"}),
        (b"", FORM),
        (bytes(range(256)) * 500, FORM),
        (b"--B\r\n" * 10_000, FORM),
        (b"--B--", FORM),
        (FILE + b"x", FORM),
        (field("file") + MODEL[2:], FORM),
        (FILE + b"x\r\n" + FILE + b"y" + MODEL, FORM),
        (field("model", b"whisper-1") + b"--B--", FORM),
        (FILE + b"x\r\n--B--", FORM),
        (FILE + b"x\r\n" + field("model", b"\xff\xfe") + b"--B--", FORM),
        (b"".join(field(f"f{i}") for i in range(10_000)) + FILE + b"x" + MODEL, FORM),
        (field("prompt", b"x" * 1_000_000) + FILE + b"x" + MODEL, FORM),
        (field("model", b"whisper-1") + field("model", b"gpt-transcribe") + FILE + b"x" + MODEL, FORM),
        (b"--B\r\nContent-Disposition: form-data\r\n\r\nx" + MODEL, FORM),
    ]
    with capture_logs() as logs:
        for body, headers in bodies:
            status, told = await post(v1, body, headers)
            assert (status, told["type"]) == (400, "invalid_request_error"), body[:100]
            assert told["message"]
    assert [line for line in logs if line["log_level"] in {"error", "warning"}] == []
    await well(v1)


async def test_a_file_that_is_too_large_is_refused_before_and_while_it_comes(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield FILE
        for _ in range(64):
            yield bytes(64 * 1024)

    async with open_v1(tmp_path, web={"port": 0, "uploads": {"megabytes": 1}}) as v1:
        with pytest.raises(openai.APIStatusError, match="more than 1 MiB") as refused:
            await v1.client.audio.transcriptions.create(model="whisper-1", file=file(bytes(1_100_000)))
        assert refused.value.status_code == 413
        with suppress(ClientConnectionError):  # it may be closed before all of it is sent
            status, told = await post(v1, endless())
            assert (status, told["type"]) == (413, "invalid_request_error")
        await well(v1)


async def test_one_that_does_not_come_on_is_given_up(tmp_path: Path) -> None:
    async with open_v1(tmp_path, web={"port": 0, "uploads": {"stall_seconds": 0.2}}) as v1:
        port = int(v1.served.url.rsplit(":", 1)[1].strip("/"))
        head = f"POST /v1{PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000000\r\n"
        kind = f"Content-Type: {FORM['Content-Type']}\r\n\r\n"
        for sent in (b"", b"--B\r\nContent-Disp", FILE + bytes(5_000)):
            async with connection(port) as raw:
                raw.send((head + kind).encode() + sent)
                status, told = await raw.head()
                assert (status, "X-Request-Id" in told) == (408, True)
        await well(v1)


async def test_one_that_is_cut_off_leaves_nothing_behind(v1: V1) -> None:
    host, port = v1.served.url.removeprefix("http://").strip("/").split(":")
    head = f"POST /v1{PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {FORM['Content-Type']}\r\n"
    with capture_logs() as logs:
        for sent in (b"--B", FILE + bytes(5_000), FILE + bytes(3_000_000)):
            with socket.create_connection((host, int(port))) as wire:
                wire.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(wire, f"{head}Content-Length: 9000000\r\n\r\n".encode() + sent)
                await passes(lambda: v1.works.pipeline.transcribing._places)
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await passes(lambda: not v1.works.pipeline.transcribing._places)
    assert [line for line in logs if line["log_level"] in {"error", "warning"}] == []
    await well(v1)


@pytest.mark.parametrize("stream", [False, True])
async def test_whoever_leaves_in_the_middle_is_not_worked_for_any_more(
    tmp_path: Path, *, stream: bool
) -> None:
    engine = Talking()
    engine.go.clear()
    said = wav((loud(0.6) + quiet(1)) * 12)
    async with open_v1(tmp_path, engine) as v1:
        asking = asyncio.create_task(
            v1.client.audio.transcriptions.create(model="whisper-1", file=file(said), stream=stream)  # type: ignore[call-overload]
        )
        await engine.working()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await passes(lambda: not v1.works.recognizer.waiting)
        engine.go.set()
        await passes(lambda: not v1.works.pipeline.transcribing._places)
        assert len(engine.hints) <= 2


async def test_twenty_at_once_are_served_or_told_to_come_again(tmp_path: Path) -> None:
    engine = Engine()
    engine.go.clear()
    async with open_v1(tmp_path, engine) as v1:

        async def ask(retries: int) -> object:
            client = v1.client.with_options(max_retries=retries)
            try:
                return (
                    await client.audio.transcriptions.create(model="whisper-1", file=file(speech(0.5)))
                ).text
            except openai.RateLimitError as refused:
                return refused

        asking = [asyncio.create_task(ask(0)) for _ in range(20)]
        await passes(lambda: sum(one.done() for one in asking) == 18)
        engine.go.set()
        answers = await asyncio.gather(*asking)
        refused = [one for one in answers if isinstance(one, openai.RateLimitError)]
        assert len(refused) == 18  # of four places one who asks has two
        assert {one.response.headers["Retry-After"] for one in refused} == {"10"}
        assert {one.code for one in refused} == {"rate_limit_exceeded"}
        await well(v1)


async def test_health_shows_who_is_being_heard(tmp_path: Path) -> None:
    engine = Engine()
    engine.go.clear()
    async with open_v1(tmp_path, engine) as v1:

        def shown() -> str:
            return str(v1.works.health.report().components["openai"].detail)

        assert shown() == "at /v1: nobody is there"
        asking = asyncio.create_task(
            v1.client.audio.transcriptions.create(model="whisper-1", file=file(speech(0.5)))
        )
        await passes(lambda: "1 connection" in shown())
        engine.go.set()
        await asking
        await passes(lambda: shown() == "at /v1: nobody is there")


async def test_uploads_are_counted_as_those_of_the_api_are(tmp_path: Path) -> None:
    limits = {"port": 0, "limits": {"uploads_per_minute": 2}}
    async with open_v1(tmp_path, web=limits) as v1:
        create = v1.client.audio.transcriptions.create
        for _ in range(2):
            await create(model="whisper-1", file=file(speech(0.5)))
        with pytest.raises(openai.RateLimitError, match="too many uploads"):
            await create(model="whisper-1", file=file(speech(0.5)))


async def test_what_devices_say_is_done_before_what_is_left_of_a_file(tmp_path: Path) -> None:
    engine = Engine()
    engine.go.clear()
    async with open_v1(tmp_path, engine, transcription={"segmenter": {"pause_ms": 0}}) as v1:
        await v1.works.ready()
        asking = asyncio.create_task(
            v1.client.audio.transcriptions.create(model="whisper-1", file=file(speech(0.5, 0.5, 0.5)))
        )
        await engine.working()
        async with v1.works.board() as kitchen:
            saying = asyncio.create_task(kitchen.say(loud(2)))
            await passes(lambda: v1.works.recognizer.waiting == 1)
            engine.go.set()
            await v1.works.reply(await v1.works.result(), "yes")
            await saying
        assert len((await asking).text.split()) == 3
        assert engine.lengths.index(32_000) == 1
