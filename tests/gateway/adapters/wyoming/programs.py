"""A server over a gateway's works, and programs that speak Wyoming with it, as their own library has it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import wyoming.client
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event, write_event

from gateway.adapters.doors import AdapterDoor
from gateway.adapters.wyoming.respondents import Service
from gateway.adapters.wyoming.server import WyomingServer
from gateway.adapters.wyoming.speech_to_text import SpeechToText
from tests.gateway.works import Works
from tests.record import PATIENCE, passes
from tests.system.house import running


def no_time() -> float:
    """A clock in which all sound comes sooner than it can be spoken."""
    return 0.0


class EverLater:
    """A clock in which no sound ever comes too soon."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        self.time += 60.0
        return self.time


@asynccontextmanager
async def served(
    works: Works,
    *places: str,
    services: Sequence[Service] = (),
    connections: int = 64,
    allow: dict[str, str] | None = None,
    now: Callable[[], float] = no_time,
    partial_ms: int = 0,
) -> AsyncIterator[WyomingServer]:
    """Listening."""
    services = services or [
        SpeechToText(
            works.pipeline.dictations, works.recognizer, version="1.2", partial_ms=partial_ms, now=now
        )
    ]
    door = AdapterDoor("wyoming", works.health, allow=allow or {}, connections=connections)
    wanted = places or ("tcp://127.0.0.1:0",)
    server = WyomingServer(wanted, services, door, works.health.mishaps)
    with running(server.run()):
        await passes(lambda: len(server.places) == len(wanted))
        yield server


def client(server: WyomingServer) -> AsyncTcpClient:
    """Whoever waits too long fails its test."""
    return AsyncTcpClient("127.0.0.1", server.places[0].port, read_timeout=PATIENCE)


async def read(program: wyoming.client.AsyncClient, *kinds: str) -> Event:
    """The next event, or the next of these kinds."""
    while True:
        event = await program.read_event()
        assert event is not None, "the connection is over"
        if not kinds or event.type in kinds:
            return event


async def rest(program: wyoming.client.AsyncClient) -> list[Event]:
    """All that comes until the server ends it."""
    events = []
    while (event := await program.read_event()) is not None:
        events.append(event)
    return events


def spoken(
    pcm: bytes,
    rate: int = 16_000,
    width: int = 2,
    channels: int = 1,
    *,
    size: int = 320,
    stop: bool = True,
    apart: bool = False,
) -> bytes:
    """Sound as events, by the reference. ``apart``: no two pieces come at once, whenever they come."""
    form: dict[str, Any] = {"rate": rate, "width": width, "channels": channels}
    out = io.BytesIO()
    write_event(AudioStart(**form).event(), out)
    for at in range(0, len(pcm), size):
        write_event(AudioChunk(**form, audio=pcm[at : at + size]).event(), out)
        if apart:
            write_event(Event("unheard-of"), out)
    if stop:
        write_event(AudioStop().event(), out)
    return out.getvalue()


async def say(program: wyoming.client.AsyncClient, data: bytes) -> None:
    """Bytes as they are."""
    writer: asyncio.StreamWriter | None = program._writer
    assert writer is not None
    writer.write(data)
    await writer.drain()


async def ask(program: wyoming.client.AsyncClient, pcm: bytes, **wanted: Any) -> Event:
    """Home Assistant before 2026.11: all the sound, and then the first text or error."""
    sound = {
        name: wanted.pop(name)
        for name in ("rate", "width", "channels", "size", "stop", "apart")
        if name in wanted
    }
    await program.write_event(Transcribe(**wanted).event())
    await say(program, spoken(pcm, **sound))
    return await read(program, "transcript", "error")
