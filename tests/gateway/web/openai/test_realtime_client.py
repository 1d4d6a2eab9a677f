"""OpenAI's own client in realtime sessions, unmodified, over a gateway with its own recognizer: real words."""

from __future__ import annotations

import asyncio
import base64
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import soxr
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent

from tests.gateway.web.openai.v1 import FILLER
from tests.record import PATIENCE
from tests.system.house import RECORDINGS, open_house, pcm, silence, text
from transcription.audio import from_pcm16

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[4] / "docs" / "openai.md"
TRANSCRIPTION = "conversation.item.input_audio_transcription."


@asynccontextmanager
async def open_client(folder: Path) -> AsyncIterator[AsyncOpenAI]:
    async with open_house(folder, adapters={"openai": {"enabled": True}}) as house:
        url = f"{house.gateway.url}v1"
        socket = url.replace("http", "ws", 1)
        async with AsyncOpenAI(base_url=url, websocket_base_url=socket, api_key=FILLER) as client:
            yield client


def at_24_khz(*sound: bytes) -> bytes:
    resampled = soxr.resample(from_pcm16(b"".join(sound)), 16_000, 24_000)
    return bytes(resampled.astype("<i2").tobytes())


async def speak(connection: Any, audio: bytes) -> None:
    for at in range(0, len(audio), 4_800):
        piece = base64.b64encode(audio[at : at + 4_800]).decode()
        await connection.input_audio_buffer.append(audio=piece)


async def until(connection: Any, kind: str, told: list[Any]) -> Any:
    async with asyncio.timeout(PATIENCE):
        while True:
            event = await connection.recv()
            assert event.type != "error", event
            told.append(event)
            if event.type == kind:
                return event


def deltas(told: list[Any], item_id: str) -> str:
    return "".join(
        event.delta for event in told if event.type.endswith(".delta") and event.item_id == item_id
    )


async def test_the_client_hears_what_is_said_and_when_it_was_over(tmp_path: Path) -> None:
    told: list[RealtimeServerEvent] = []
    async with (
        open_client(tmp_path) as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        await connection.session.update(
            session={
                "type": "transcription",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24_000},
                        "transcription": {"model": "gpt-live-transcribe", "language": "en"},
                        "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
                    }
                },
            }
        )
        updated = await until(connection, "session.updated", told)
        assert updated.session.type == "transcription"
        for name in ("u00", "u01"):
            await speak(connection, at_24_khz(pcm(name), silence(1)))
            done = await until(connection, f"{TRANSCRIPTION}completed", told)
            assert done.transcript == text(name)
            assert done.usage.type == "duration"
            assert deltas(told, done.item_id) == text(name)
        kinds = [event.type for event in told]
        assert kinds[0] == "session.created"
        assert kinds.count("input_audio_buffer.speech_started") == 2
        assert {type(event).__name__ for event in told} >= {"ConversationItemAdded", "ConversationItemDone"}


async def test_the_client_commits_by_itself_and_clears(tmp_path: Path) -> None:
    told: list[Any] = []
    async with open_client(tmp_path) as client, client.realtime.connect(model="whisper-1") as connection:
        await connection.session.update(
            session={"type": "transcription", "audio": {"input": {"turn_detection": None}}}
        )
        await speak(connection, at_24_khz(pcm("u01")))
        await connection.input_audio_buffer.clear()
        await speak(connection, at_24_khz(pcm("u00")))
        await connection.input_audio_buffer.commit()
        done = await until(connection, f"{TRANSCRIPTION}completed", told)
        assert done.transcript == text("u00")


async def test_the_clients_of_the_beta_too(tmp_path: Path) -> None:
    told: list[Any] = []
    async with (
        open_client(tmp_path) as client,
        client.beta.realtime.connect(
            model="gpt-4o-transcribe", extra_query={"intent": "transcription"}
        ) as connection,
    ):
        await connection.transcription_session.update(
            session={
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
            }
        )
        await speak(connection, at_24_khz(pcm("u00"), silence(1)))
        done = await until(connection, f"{TRANSCRIPTION}completed", told)
        assert done.transcript == text("u00")
        assert "conversation.item.created" in [event.type for event in told]


async def test_the_program_of_the_docs_works_as_it_stands_there(tmp_path: Path) -> None:
    section = DOCUMENT.read_text(encoding="utf-8").split("## Realtime sessions\n")[1]
    (program,) = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    async with open_house(tmp_path, adapters={"openai": {"enabled": True}}) as house:
        file = RECORDINGS["u00"].path
        command = (sys.executable, "-c", program, house.gateway.url.rstrip("/"), "none", str(file))
        async with asyncio.timeout(PATIENCE):
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            told, _ = await process.communicate()
    assert told.decode().strip() == text("u00")
