"""An orchestrator inside the gateway that ends the process does not get the same words at each start, for ever."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from gateway.pipeline.asking.attempts import GIVEN_UP, MAX_ATTEMPTS
from tests.record import PATIENCE
from tests.servers.process import free_port
from tests.system.house import settings
from tests.system.process import EARSHOT

DEADLY = """
import os
from gateway.orchestrator import Orchestrator

deadly = Orchestrator("deadly")

@deadly.on_transcript
async def answer(heard):
    if heard.text == "die":
        os._exit(9)
    return "here I am"
"""


class Mortal:
    """A gateway in ``folder`` whose orchestrator ends it when it is told to die."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{(port := free_port())}/api/v1"
        (folder / "deadly_house.py").write_text(DEADLY)
        parts: dict[str, Any] = {
            "orchestrator": {"app": "deadly_house:deadly", "timeout_seconds": 600},
            "transcription": {"engine": "off"},
            "web": {"port": port},
        }
        (folder / "config.yaml").write_text(json.dumps(settings(folder, **parts)))

    async def begin(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *EARSHOT, "run", "--config", str(self.folder / "config.yaml"), cwd=self.folder
        )

    async def say(self, client: ClientSession, text: str) -> None:
        """As soon as it hears."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(ClientError):
                    async with client.post(f"{self.url}/say", json={"text": text}) as answer:
                        if answer.status == 202:
                            return
                        text = "" if answer.status < 500 else text
                    assert text, answer.status
                await asyncio.sleep(0.05)

    async def found(self, client: ClientSession, path: str, what: str) -> list[dict[str, Any]]:
        async with client.get(f"{self.url}/{path}") as answer:
            found: list[dict[str, Any]] = (await answer.json())[what]
            return found

    async def answered(self, client: ClientSession, count: int) -> list[dict[str, Any]]:
        """What was said, newest first, once so much of it is answered."""
        async with asyncio.timeout(PATIENCE):
            while True:
                said = await self.found(client, "utterances", "utterances")
                if sum(bool(one["reply"]) for one in said) == count:
                    return said
                await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_words_that_end_the_gateway_are_given_up(tmp_path: Path) -> None:
    house = Mortal(tmp_path)
    async with ClientSession() as client:
        process = await house.begin()
        saying = asyncio.create_task(house.say(client, "die"))
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 9
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
        for _ in range(MAX_ATTEMPTS):
            process = await house.begin()
            assert await asyncio.wait_for(process.wait(), PATIENCE) == 9
        process = await house.begin()
        try:
            await house.say(client, "hello")
            said = await house.answered(client, 2)
            hello, die = said
            assert (hello["reply"]["text"], hello["reply"]["error"]) == ("here I am", None)
            assert (die["text"], die["reply"]["error"]) == ("die", "deadly gave it up")
            (letter,) = await house.found(client, "dead-letters", "dead_letters")
            assert letter["reason"] == GIVEN_UP
        finally:
            process.kill()
            await process.wait()
