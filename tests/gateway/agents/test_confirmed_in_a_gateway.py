"""A yes in a whole gateway: to the question that was given as the answer, typed as it would be spoken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.agents.ready_made import ready_made
from gateway.contract.events import ReplyEvent
from gateway.orchestrator import Heard, Orchestrator
from tests.gateway.web.api.served import Served, open_served
from tests.system.house import running

COMMANDS = """
commands:
  unlock: {say: unlock, confirm: "Unlock the door?", do: [{shell: unlock}], reply: Unlocked.}
"""


@asynccontextmanager
async def house(folder: Path, *others: Orchestrator) -> AsyncIterator[Served]:
    """A gateway that asks an agent of kind commands; ``others`` are asked at the same time, and preferred."""
    (folder / "commands.yaml").write_text(COMMANDS)
    commands = {
        "file": str(folder / "commands.yaml"),
        "shell": {"unlock": ["/bin/touch", str(folder / "unlocked")]},
    }
    agents = {**{one.name: {} for one in others}, "house": {"kind": "commands", "commands": commands}}
    team = {"agents": list(agents), "policy": "first", "prefer_seconds": 1}
    settings = {"agents": agents, "teams": {"all": team}}
    async with open_served(folder, orchestrator=settings) as served:
        own = ready_made("house", served.works.config.orchestrator.agents["house"])
        with running(*(one.run(served.works.broker) for one in (own, *others))):
            yield served


async def said(served: Served, text: str) -> str:
    """What is answered to that."""
    told = await served.call("POST", "/say", 202, json={"text": text})
    answer = await served.works.events.first(ReplyEvent, correlation_id=told["correlation_id"], final=True)
    await served.works.settled()
    return answer.text


async def test_a_yes_does_what_was_asked_about(tmp_path: Path) -> None:
    async with house(tmp_path) as served:
        assert await said(served, "unlock") == "Unlock the door?"
        assert not (tmp_path / "unlocked").exists()
        assert await said(served, "yes") == "Unlocked."
        assert (tmp_path / "unlocked").exists()


async def test_a_yes_is_none_to_a_question_that_was_not_the_answer(tmp_path: Path) -> None:
    """Both have answered, and the other's answer was given: nobody has heard of a door."""
    lamps = Orchestrator("lamps")

    @lamps.on_transcript
    async def answer(heard: Heard) -> str:
        return "All the lamps?" if heard.text == "unlock" else "All of them are on."

    async with house(tmp_path, lamps) as served:
        assert await said(served, "unlock") == "All the lamps?"
        assert await said(served, "yes") == "All of them are on."
        assert not (tmp_path / "unlocked").exists()
