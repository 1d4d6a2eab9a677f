"""Just enough of the Wyoming protocol to have speech transcribed.

An event is a line of JSON (``type``, and the lengths of what follows), then its data as JSON, then a payload.
One request is one connection, as in Home Assistant: transcribe, audio-start, audio-chunk ..., audio-stop
one way, transcript the other.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from benchmarks.load.speaking import Heard
from firmware_bridge.link.events import SAMPLE_RATE

CHUNK_SAMPLES = 320
MOST_CHUNKS = 60 * SAMPLE_RATE // CHUNK_SAMPLES
FORMAT = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}


async def say(port: int, pcm: bytes, *, speed: float = 1.0) -> Heard:
    """Stream PCM16 at ``speed`` times real time to the server on that port, and wait for the text."""
    now = asyncio.get_running_loop().time
    async with _request(port) as (reader, writer):
        began = now()
        size = 2 * CHUNK_SAMPLES
        for start in range(0, len(pcm), size):
            chunk = pcm[start : start + size]
            if speed != math.inf:  # each chunk when its last sample is there
                await asyncio.sleep(began + (start + len(chunk)) / 2 / SAMPLE_RATE / speed - now())
            _send(writer, "audio-chunk", FORMAT, chunk)
            await writer.drain()
        stopped = now()
        _send(writer, "audio-stop", {})
        text = await _transcript(reader)
        return Heard(text, 1000 * (now() - stopped))


async def say_on(port: int, pcm: bytes, *, end: float) -> Heard:
    """Stream in real time, silence behind the speech, and never say that it is over: whoever listens has to know.

    The wait is from ``end``, in seconds of what is sent.
    """
    now = asyncio.get_running_loop().time
    async with _request(port) as (reader, writer):
        began = now()
        answer = asyncio.create_task(_at(_transcript(reader)))
        for number in count():
            await asyncio.wait([answer], timeout=began + (number + 1) * CHUNK_SAMPLES / SAMPLE_RATE - now())
            if answer.done() or number > MOST_CHUNKS:
                break
            _send(writer, "audio-chunk", FORMAT, _chunk(pcm, number))
            await writer.drain()
        if not answer.done():
            answer.cancel()
            raise RuntimeError(f"no text within {MOST_CHUNKS * CHUNK_SAMPLES / SAMPLE_RATE} s")
        text, at = await answer
        return Heard(text, 1000 * (at - began - end))


@asynccontextmanager
async def _request(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One, up to where its audio begins."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        _send(writer, "transcribe", {"language": "en"})
        _send(writer, "audio-start", FORMAT)
        yield reader, writer
    finally:
        writer.close()


async def _at(answer: Awaitable[str]) -> tuple[str, float]:
    """The text, and when it was there."""
    return await answer, asyncio.get_running_loop().time()


def _chunk(pcm: bytes, number: int) -> bytes:
    size = 2 * CHUNK_SAMPLES
    return pcm[number * size : (number + 1) * size].ljust(size, b"\0")


async def _transcript(reader: asyncio.StreamReader) -> str:
    while True:
        header = json.loads(await reader.readline())
        data = header.get("data", {})
        if size := header.get("data_length"):
            data |= json.loads(await reader.readexactly(size))
        await reader.readexactly(header.get("payload_length") or 0)
        if header["type"] == "transcript":
            return str(data["text"])


def _send(writer: asyncio.StreamWriter, kind: str, data: dict[str, Any], payload: bytes = b"") -> None:
    body = json.dumps(data).encode()
    header = {"type": kind, "data_length": len(body), "payload_length": len(payload)}
    writer.write(json.dumps(header).encode() + b"\n" + body + payload)
