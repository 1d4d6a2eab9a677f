"""wyoming-openai 0.8.0, unmodified, between a client of Wyoming and our /v1: by files, streamed, and in realtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient

from tests.real.things import WYOMING_OPENAI, interpreter
from tests.record import PATIENCE
from tests.servers.process import ServerProcess, free_port
from tests.system.house import open_house, pcm, silence, text

pytestmark = [pytest.mark.slow, pytest.mark.real(WYOMING_OPENAI)]

MODELS = {"--stt-models": "whisper-1", "--stt-streaming-models": "gpt-4o-transcribe",
          "--stt-realtime-models": "gpt-live-transcribe"}  # fmt: skip


class Proxy(ServerProcess):
    """It has a model for each of its ways."""

    READY = b"Starting server"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._url = url

    def command(self) -> list[str]:
        ways = [part for way in MODELS.items() for part in way]
        return [
            str(interpreter(WYOMING_OPENAI)), "-m", "wyoming_openai", "--uri", f"tcp://127.0.0.1:{self.port}",
            "--stt-openai-url", self._url, "--stt-openai-key", "none-is-needed", "--languages", "en", *ways,
        ]  # fmt: skip


@asynccontextmanager
async def proxy(folder: Path) -> AsyncIterator[Proxy]:
    async with open_house(folder, adapters={"openai": {"enabled": True}}) as house:
        place = folder / "proxy"
        place.mkdir()
        one = Proxy(place, f"{house.gateway.url}v1")
        try:
            yield await asyncio.to_thread(one.start)
        finally:
            await asyncio.to_thread(one.kill)


async def asked(port: int, model: str, name: str) -> list[tuple[str, str]]:
    """What is told of a recording: the kinds of events, and their texts."""
    told: list[tuple[str, str]] = []
    audio = pcm(name) + silence(0.5)
    async with asyncio.timeout(PATIENCE), AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Transcribe(name=model, language="en").event())
        await client.write_event(AudioStart(16_000, 2, 1).event())
        for at in range(0, len(audio), 2_048):
            await client.write_event(AudioChunk(16_000, 2, 1, audio[at : at + 2_048]).event())
        await client.write_event(AudioStop().event())
        while not told or told[-1][0] not in ("transcript", "error"):
            event = await client.read_event()
            assert event is not None, told
            told.append((event.type, event.data.get("text", "")))
    return told


async def test_each_of_its_ways_brings_what_is_said(tmp_path: Path) -> None:
    async with proxy(tmp_path) as one:
        for model in MODELS.values():
            for name in ("u00", "u01"):
                told = await asked(one.port, model, name)
                assert told[-1] == ("transcript", text(name)), model
        kinds = [kind for kind, _ in told]
        assert kinds[0] == "transcript-start"
        assert "".join(words for kind, words in told if kind == "transcript-chunk") == text("u01")
