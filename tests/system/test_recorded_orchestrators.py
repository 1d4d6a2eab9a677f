"""Orchestrators that came with version 0.1.0, as they were: they know nothing new, and answer as they did."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.contract.events import ReplyEvent
from tests.servers.mosquitto import Mosquitto
from tests.system.house import RECORDINGS, open_house, text
from tests.system.test_foreign_orchestrators import NOBODY, until_logged

RECORDED = Path(__file__).parents[1] / "gateway" / "contract" / "recorded" / "orchestrators"


def as_it_was(name: str, folder: Path) -> Path:
    """The program, as a file that Python runs."""
    program = folder / f"{name}_of_0_1_0.py"
    program.write_bytes((RECORDED / f"{name}.py.txt").read_bytes())
    return program


@contextmanager
def at_work(program: Path, *arguments: str) -> Iterator[None]:
    """Until the block ends; it must still run then."""
    with subprocess.Popen([sys.executable, str(program), *arguments], stdout=subprocess.DEVNULL) as process:
        try:
            yield
            assert process.poll() is None
        finally:
            process.kill()


async def test_one_inside_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = as_it_was("ten_lines", tmp_path).stem
    monkeypatch.chdir(tmp_path)
    parts: dict[str, Any] = {"orchestrator": {"app": f"{app}:house"}, "transcription": {"engine": "off"}}
    async with open_house(tmp_path, **parts) as one, ClientSession() as client:
        async with client.post(f"{one.gateway.url}api/v1/say", json={"text": "hello"}) as answer:
            said = await answer.json()
        reply = await one.events.first(ReplyEvent, correlation_id=said["correlation_id"])
        assert (reply.text, reply.agent, reply.error) == ("You said: hello", "ten-lines", None)


@pytest.mark.slow
async def test_one_with_paho(house: Any, mosquitto: Mosquitto, tmp_path: Path) -> None:
    program = as_it_was("mqtt_paho", tmp_path)
    with at_work(program, "127.0.0.1", str(mosquitto.port), "of-then"):
        await until_logged(mosquitto, b"of-then")
        parts = {"orchestrator": NOBODY, "broker": {"url": mosquitto.url}}
        async with house(**parts) as one, one.board("kitchen") as kitchen:
            said = await kitchen.say(RECORDINGS["u05"].path)
            assert said.reply == f"paho heard: {text('u05')}"
