"""A client of realtime sessions that says what a test wants, right or wrong, and what it is told."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.gateway.web.openai.v1 import V1
from tests.gateway.works import swing
from tests.record import PATIENCE

TRANSCRIPTION = "conversation.item.input_audio_transcription."


def loud(seconds: float, rate: int = 24_000) -> bytes:
    """Speech, as the voice activity of the works understands it; at another rate than ours."""
    return swing(12_000, int(rate * seconds))


def quiet(seconds: float, rate: int = 24_000) -> bytes:
    return swing(40, int(rate * seconds))


class Speaker:
    """One session."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.told: list[dict[str, Any]] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send_str(msgspec.json.encode({"type": kind, **fields}).decode())

    async def speak(self, audio: bytes, size: int = 9_600) -> None:
        for at in range(0, len(audio), size):
            piece = base64.b64encode(audio[at : at + size]).decode()
            await self.say("input_audio_buffer.append", audio=piece)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            message = await self.socket.receive()
        assert message.type is WSMsgType.TEXT, (message, self.told)
        told: dict[str, Any] = msgspec.json.decode(message.data)
        assert told["event_id"].startswith("event_")
        self.told.append(told)
        return told

    async def first(self, kind: str) -> dict[str, Any]:
        """The next of that kind; others are passed over."""
        while (told := await self.next())["type"] != kind:
            pass
        return told

    async def error(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.first("error"))["error"]
        return found

    async def transcript(self) -> str:
        return str((await self.first(f"{TRANSCRIPTION}completed"))["transcript"])

    async def update(self, **given: Any) -> dict[str, Any]:
        await self.say("session.update", session={"type": "transcription", "audio": {"input": given}})
        found: dict[str, Any] = (await self.first("session.updated"))["session"]["audio"]["input"]
        return found

    async def closed(self) -> int:
        """With which code it is closed, whatever comes before."""
        async with asyncio.timeout(PATIENCE):
            while not self.socket.closed:
                await self.socket.receive()
        assert self.socket.close_code is not None
        return self.socket.close_code


@asynccontextmanager
async def realtime(v1: V1, query: str = "?intent=transcription", **options: Any) -> AsyncIterator[Speaker]:
    url = f"{v1.served.url}v1/realtime{query}".replace("http", "ws", 1)
    async with v1.served.client.ws_connect(url, **options) as socket:
        yield Speaker(socket)
