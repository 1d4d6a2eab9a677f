"""One voice that two devices of a room have heard is put to agents once; whatever else is the same is not one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from firmware_bridge.simulator.user import ReplyShown
from gateway.contract.agents import AgentRequest
from gateway.contract.events import ReplyEvent
from gateway.contract.messages import AudioFacts, Timings, TranscriptionMessage
from gateway.pipeline.by_name import echoes
from gateway.pipeline.by_name.echoes import Echoes
from gateway.pipeline.erasing import Whose
from tests.gateway.pipeline.by_name.test_team_answers import House, house
from tests.gateway.works import loud
from tests.record import passes
from tests.system.house import Board

FIRST = TranscriptionMessage(
    session_id="s_1", user_id="ann", device_id="kitchen", text="Turn on the light.", timestamp=100.0, success=True,
    message_id="m_1", correlation_id="c_1", utterance_id="u_1", language="en", room="Kitchen",
    audio=AudioFacts(seconds=2.0), timings=Timings(endpoint_ms=300.0, text_ms=500.0),
)  # fmt: skip


def heard(**facts: Any) -> TranscriptionMessage:
    return structs.replace(FIRST, **{"device_id": "kettle", "correlation_id": "c_2", **facts})


def known(seconds: float = 1.0) -> Echoes:
    those = Echoes(seconds)
    those.note(FIRST)
    return those


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"text": "turn on the light"},
        {"timestamp": 100.9},
        {"timestamp": 99.1},
        {"timestamp": 108.0, "timings": Timings(endpoint_ms=300.0, text_ms=8_500.0)},
        {"audio": AudioFacts(seconds=2.8), "timestamp": 101.0},
    ],
)
def test_another_device_of_the_room_has_heard_it(facts: dict[str, Any]) -> None:
    assert known().find(heard(**facts)) == "c_1"


@pytest.mark.parametrize(
    "facts",
    [
        {"device_id": "kitchen"},
        {"text": "turn off the light"},
        {"room": "Bath"},
        {"room": ""},
        {"user_id": "ben"},
        {"language": "de"},
        {"timestamp": 101.1},
        {"audio": AudioFacts(seconds=0.0)},
    ],
)
def test_it_is_another_voice_or_was_said_again(facts: dict[str, Any]) -> None:
    assert known().find(heard(**facts)) == ""


def test_they_are_bounded_and_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known(0.0).find(heard()) == ""
    monkeypatch.setattr(echoes, "MOST", 3)
    those = known()
    for number in range(2, 6):
        those.note(heard(correlation_id=f"c_{number}", text=f"say {number}"))
    assert (len(those), those.find(heard())) == (3, "")
    assert those.find(heard(text="say 5", device_id="kitchen")) == "c_5"
    those.forget("c_5")
    those.forget("c_5")
    assert those.find(heard(text="say 5", device_id="kitchen")) == ""


@asynccontextmanager
async def two_boards(
    journal: Path | None = None, **orchestrator: Any
) -> AsyncIterator[tuple[House, Board, Board]]:
    devices = {"rooms": {"kitchen": "Kitchen", "kettle": "Kitchen"}}
    async with house("a", team={}, devices=devices, journal=journal, **orchestrator) as one:
        await one.works.ready()
        async with one.works.board("kitchen") as kitchen, one.works.board("kettle") as kettle:
            await asyncio.gather(kitchen.connected(), kettle.connected())
            yield one, kitchen, kettle


async def both_hear(one: House, tasks: asyncio.TaskGroup, *boards: Board) -> list[TranscriptionMessage]:
    """Their transcripts, in the order in which they are published; they speak until they have their answers."""
    await one.come("a")
    before = len(one.works.results.of(TranscriptionMessage))
    for board in boards:
        tasks.create_task(board.say(loud(2)))
    return [await one.works.result(count=before + number + 1) for number in range(len(boards))]


async def test_it_is_asked_once_and_both_devices_are_told_the_answer(tmp_path: Path) -> None:
    async with two_boards(tmp_path / "journal.db") as (one, kitchen, kettle), asyncio.TaskGroup() as tasks:
        first, second = await both_hear(one, tasks, kitchen, kettle)
        assert first.device_id != second.device_id
        request = await one.request("a")
        await one.answer(request, "The light is on.", data={"on": True})
        asked, other = request.transcript.correlation_id, {first.correlation_id, second.correlation_id}
        (echo,) = other - {asked}
        assert (await one.end(asked)).echo_of == ""
        end: ReplyEvent = await one.end(echo)
        assert (end.text, end.data, end.agents, end.echo_of) == (
            "The light is on.",
            {"on": True},
            ("a",),
            asked,
        )
        for board in (kitchen, kettle):
            await board.told.first(ReplyShown, text="The light is on.")
        assert len(one.asked.of(AgentRequest)) == 1
        await one.works.idle()
        assert not one.teams._lines


async def test_whoever_says_it_again_is_answered_again() -> None:
    async with two_boards() as (one, kitchen, _), asyncio.TaskGroup() as tasks:
        for number in range(2):
            (said,) = await both_hear(one, tasks, kitchen)
            await one.answer(await one.request("a", count=number + 1), "Louder.")
            assert (await one.end(said.correlation_id)).echo_of == ""


async def test_both_have_the_time_that_the_team_has() -> None:
    async with two_boards() as (one, kitchen, kettle), asyncio.TaskGroup() as tasks:
        said = await both_hear(one, tasks, kitchen, kettle)
        tracker = one.works.pipeline._questions.tracker
        deadlines = {tracker.request(each.correlation_id).deadline for each in said}  # type: ignore[union-attr]
        assert len(deadlines) == 1, "that of the team, and not of a request that waits for its turn"
        await one.answer(await one.request("a"), "The light is on.")
        for each in said:
            await one.end(each.correlation_id)


async def test_an_answer_that_is_not_remembered_is_asked_for_again() -> None:
    async with two_boards() as (one, kitchen, kettle), asyncio.TaskGroup() as tasks:
        (said,) = await both_hear(one, tasks, kitchen)
        await one.answer(await one.request("a"), "The light is on.")
        await one.end(said.correlation_id)
        one.teams._over.clear()
        (again,) = await both_hear(one, tasks, kettle)
        await one.answer(await one.request("a", count=2), "It is on.")
        assert (await one.end(again.correlation_id)).text == "It is on."


async def test_a_failure_is_that_of_both() -> None:
    async with two_boards() as (one, kitchen, kettle), asyncio.TaskGroup() as tasks:
        said = await both_hear(one, tasks, kitchen, kettle)
        await one.answer(await one.request("a"), error="broken")
        assert {(await one.end(each.correlation_id)).error for each in said} == {"a: broken"}


async def test_what_is_erased_is_nobodys_answer_and_its_echo_is_asked() -> None:
    async with two_boards() as (one, kitchen, kettle), asyncio.TaskGroup() as tasks:
        said = await both_hear(one, tasks, kitchen, kettle)
        asked = (await one.request("a")).transcript.correlation_id
        (echo,) = {each.correlation_id for each in said} - {asked}
        await one.works.pipeline.erasing.erase(Whose(correlation_id=asked))
        request = await one.request("a", count=2)
        assert request.transcript.correlation_id == echo
        await one.answer(request, "The light is on.")
        assert (await one.end(echo)).text == "The light is on."
        await passes(lambda: not one.teams._lines)
