"""A satellite made with the reference's own package, by the rules of the program that people run."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wyoming.audio import AudioChunk, AudioStop
from wyoming.event import Event, async_read_event, async_write_event, write_event
from wyoming.info import Attribution, Describe, Info, Satellite
from wyoming.ping import Ping, Pong
from wyoming.pipeline import PipelineStage, RunPipeline
from wyoming.wake import Detection

from tests.record import Record
from tests.servers.listener import close_listener

ATTRIBUTION = Attribution("nobody", "http://localhost")
INFO = Info(
    satellite=Satellite(
        name="Kitchen",
        attribution=ATTRIBUTION,
        installed=True,
        description="a peer",
        version="1.0",
        area="Kitchen",
    )
)
CHUNK = 2048
"""Bytes of sound in one event, as its microphone program hands on."""


def event_bytes(event: Event) -> bytes:
    """As it goes over the wire."""
    written = io.BytesIO()
    write_event(event, written)
    return written.getvalue()


class Told:
    """An event of the server's, to be waited for by its type."""

    def __init__(self, event: Event) -> None:
        self.type, self.data = event.type, event.data or {}


class PeerSatellite:
    """Serves one server at a time, and remembers what it was told."""

    def __init__(self, info: Info = INFO) -> None:
        self.told = Record()
        self.info = info
        self.connections = 0
        self.answers_pings = True
        self.serving: asyncio.StreamWriter | None = None
        self.writers: set[asyncio.StreamWriter] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if self.serving is writer:
                self.serving = None
            self.writers.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while event := await async_read_event(reader):
            if Describe.is_type(event.type):
                await async_write_event(self.info.event(), writer)
                continue
            if self.serving is None:
                self.serving = writer
            elif self.serving is not writer:
                return  # it has another already
            if Ping.is_type(event.type) and self.answers_pings:
                await self.send(Pong(text=Ping.from_event(event).text).event())
            self.told(Told(event))

    def breaks_off(self) -> None:
        """As a machine does whose plug was pulled and that is there again: its TCP knows of no connection."""
        assert self.serving is not None
        connection = self.serving.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.serving.transport.abort()

    # -- what it says

    async def send(self, event: Event) -> None:
        assert self.serving is not None
        await async_write_event(event, self.serving)

    async def begins(self, *, woken: bool = False, word: str | None = None) -> None:
        """It begins to stream: behind its own wake word, or because it always does."""
        if woken and word:
            await self.send(Detection(name=word).event())
        start = PipelineStage.ASR if woken else PipelineStage.WAKE
        await self.send(RunPipeline(start_stage=start, end_stage=PipelineStage.HANDLE).event())

    async def plays(self, pcm: bytes, *, rate: int = 16_000, width: int = 2, channels: int = 1) -> None:
        for start in range(0, len(pcm), CHUNK):
            await self.send(AudioChunk(rate, width, channels, pcm[start : start + CHUNK]).event())

    async def stops(self) -> None:
        await self.send(AudioStop().event())

    # -- what it was told

    def types(self) -> list[str]:
        return [one.type for one in self.told.items if one.type != "ping"]

    def pongs(self) -> list[str]:
        return [one.data.get("text") for one in self.told.of(Told, type="pong")]

    async def hears(self, kind: str, count: int = 1) -> Told:
        found: Told = await self.told.first(Told, type=kind, count=count)
        return found


@asynccontextmanager
async def peer_satellite(info: Info = INFO, port: int = 0) -> AsyncIterator[tuple[PeerSatellite, str]]:
    """One that is there, and its address."""
    peer = PeerSatellite(info)
    server = await asyncio.start_server(peer.handle, "127.0.0.1", port)
    try:
        yield peer, f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        await close_listener(server)
        for writer in peer.writers:
            writer.transport.abort()
        while peer.writers:  # noqa: ASYNC110 - each notices in a step of its own
            await asyncio.sleep(0)
