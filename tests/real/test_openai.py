"""Programs for OpenAI's interface, unmodified, and real weights behind ours."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI

from tests.real.people import PROMPTS, prompts, read
from tests.real.things import LITELLM, WYOMING_OPENAI_GATEWAY, interpreter
from tests.real.weights import BASE
from tests.record import PATIENCE
from tests.servers.process import ServerProcess, free_port
from tests.system.house import RECORDINGS, open_house, text
from tests.transcription.recordings import wav

pytestmark = pytest.mark.slow

ON = {"openai": {"enabled": True}}
NAME = "u00"
FILE = RECORDINGS[NAME].path


@pytest.mark.real(LITELLM)
async def test_litellm_gets_text_words_subtitles_and_its_own_errors(tmp_path: Path) -> None:
    program = Path(__file__).with_name("asks_by_litellm.py")
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # it would ask for prices elsewhere
    async with open_house(tmp_path, adapters=ON) as house:
        process = await asyncio.create_subprocess_exec(
            str(interpreter(LITELLM)), str(program), house.gateway.url.rstrip("/"), str(FILE),
            stdout=asyncio.subprocess.PIPE, env=environ,
        )  # fmt: skip
        async with asyncio.timeout(2 * PATIENCE):
            told, _ = await process.communicate()
    said = json.loads(told)
    assert said.pop("srt").splitlines()[2] == text(NAME)
    assert said == {
        "json": text(NAME),
        "later": text(NAME),
        "words": text(NAME).split(),
        "language": "english",
        "another model": "NotFoundError",
        "no language": "BadRequestError",
    }


class Front(ServerProcess):
    """wyoming-openai-gateway: OpenAI's interface for people who have a Wyoming server. Ours is one, too."""

    READY = b"Application startup complete"

    def __init__(self, folder: Path, wyoming: int) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._wyoming = wyoming

    def command(self) -> list[str]:
        settings = (f"STT_PORT={self._wyoming}", "STT_HOST=127.0.0.1", "HOST=127.0.0.1", f"PORT={self.port}")
        return ["env", *settings, str(interpreter(WYOMING_OPENAI_GATEWAY)), "-m", "wyoming_openai_gateway"]


@pytest.mark.real(WYOMING_OPENAI_GATEWAY)
async def test_wyoming_openai_gateway_has_our_wyoming_behind_it(tmp_path: Path) -> None:
    wyoming = free_port()
    async with open_house(tmp_path, adapters={"wyoming": {"listen": [f"tcp://127.0.0.1:{wyoming}"]}}):
        (tmp_path / "front").mkdir()
        front = Front(tmp_path / "front", wyoming)
        await asyncio.to_thread(front.start)
        try:
            async with AsyncOpenAI(base_url=f"http://127.0.0.1:{front.port}/v1", api_key="none") as client:
                told = await client.audio.transcriptions.create(model="whisper-1", file=FILE)
        finally:
            await asyncio.to_thread(front.kill)
    assert told.text == text(NAME)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
@pytest.mark.xdist_group("real words")
@pytest.mark.real(BASE, PROMPTS)
async def test_base_understands_spanish_and_translates_it(tmp_path: Path) -> None:
    (said,) = (one for one in prompts("es") if one.name == "agent-alreadyon")
    data = wav(read(said.path).tobytes())
    settings = {"model": str(BASE.place), "language": "auto", "partials": {"every_ms": 0}}
    async with (
        open_house(tmp_path, adapters=ON, transcription=settings) as house,
        AsyncOpenAI(base_url=f"{house.gateway.url}v1", api_key="none", max_retries=20) as client,
    ):
        names = [one.id async for one in await client.models.list()]
        text, audio = client.audio.translations, client.audio.transcriptions
        plain = await audio.create(
            model=names[0],
            file=("a.wav", data),
            response_format="verbose_json",
            timestamp_granularities=["word"],
        )
        english = await text.create(model="whisper-1", file=("a.wav", data))
        with pytest.raises(openai.NotFoundError):
            await text.create(model="whisper-9", file=("a.wav", data))
    assert plain.language == "spanish"
    assert {"agente", "por", "favor", "tecla"} <= set(
        plain.text.lower().replace(",", "").replace(".", "").split()
    )
    assert plain.words is not None
    assert len(plain.words) == len(plain.text.split())
    assert {"agent", "please", "number"} <= set(
        english.text.lower().replace(",", "").replace(".", "").split()
    )
    assert names[0] not in str(BASE.place.parent)
