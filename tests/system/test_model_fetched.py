"""A gateway whose model is not here fetches it while devices speak: everybody sees how far it is, nothing is lost."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from tests.system.house import RECORDINGS, board, passes, text
from tests.system.process import run
from tests.transcription.hub_server import NAME, serve_hub

pytestmark = pytest.mark.slow


def fetched_to(folder: Path) -> dict[str, str]:
    return {"isolation": "process", "model": NAME, "models_dir": str(folder / "models")}


async def test_a_model_is_fetched_at_the_start_and_what_was_said_waits_for_it(tmp_path: Path) -> None:
    name = next(iter(RECORDINGS))
    with serve_hub() as hub:
        hub.gate = threading.Event()
        settings = {"engine": "faster-whisper", **fetched_to(tmp_path)}
        environ = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        async with (
            run(tmp_path, environ=environ, transcription=settings) as gateway,
            board(tmp_path, "kitchen") as kitchen,
        ):
            await passes(lambda: gateway.logged("recognizer is unhealthy"))
            await passes(
                lambda: any(
                    "fetching tiny.en: " in line["reason"]
                    for line in gateway.logged("recognizer is unhealthy")
                )
            )
            await kitchen.connected()
            saying = asyncio.create_task(kitchen.say(RECORDINGS[name].path))
            await kitchen.told.until(lambda: kitchen.story(1)[-1:] == ["transcribing"])
            hub.gate.set()
            assert (await saying).transcript == text(name)
            (has,) = gateway.logged("recognizer has its engine")
            assert has["model"] == NAME
            assert not gateway.logged("recognizer's process says"), "no progress bar on the log"


async def test_meanwhile_the_fallback_answers(tmp_path: Path) -> None:
    name = next(iter(RECORDINGS))
    with serve_hub() as hub:
        hub.gate = threading.Event()
        settings = fetched_to(tmp_path)
        environ = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        async with (
            run(tmp_path, environ=environ, transcription=settings) as gateway,
            board(tmp_path, "kitchen") as kitchen,
        ):
            await passes(
                lambda: any(
                    line["reason"].endswith("pocketsphinx goes on meanwhile")
                    for line in gateway.logged("recognizer is degraded")
                )
            )
            await kitchen.say(RECORDINGS[name].path)
            hub.gate.set()
            await passes(lambda: len(gateway.logged("recognizer has its engine")) == 2)
            assert (await kitchen.say(RECORDINGS[name].path)).transcript == text(name)
            engines = [line["engine"] for line in gateway.logged("utterance")]
            assert engines == ["pocketsphinx", "faster-whisper"]
            assert not gateway.logged("recognizer is started again")
