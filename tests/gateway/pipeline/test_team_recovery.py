"""A gateway that is killed in the middle of a team's work: the next one goes on, and nobody is asked twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.broker.opening import MEMORY
from gateway.contract.agents import REQUESTS_TOPIC
from gateway.contract.messages import RESULTS_TOPIC
from gateway.journal.records import DeadLetterRow, Verb
from gateway.orchestrators.heard import Heard
from gateway.pipeline.by_name.deeds import UNDONE_NEVER
from gateway.pipeline.teams.members import MemberState
from tests.gateway.pipeline.mortal import House, are_there, until_idle
from tests.gateway.works import Works, loud
from tests.record import PATIENCE, passes
from tests.system.house import Board

SAID = loud(1)
MOST_DEEDS = 60
"""No team's work here has so many."""


async def _chain(house: House) -> None:
    """Three, of whom one comes after another, and one who makes one answer of theirs; the first is shown at once."""

    async def after(heard: Heard) -> str:
        return f"B after {heard.answers['a'].text}"

    async def both(heard: Heard) -> str:
        return " + ".join(one.text for one in heard.answers)

    async def first(_heard: Heard) -> str:
        return "A"

    await house.work(house.agent("a", first), house.agent("b", after), house.agent("c", both))


CHAIN = {
    "agents": {"a": {}, "b": {}, "c": {}},
    "teams": {
        "house": {
            "agents": ["a", "b"], "policy": "all", "after": {"b": ["a"]}, "combine": "by", "combined_by": "c",
            "show_first": True,
        }
    },
}  # fmt: skip


async def _undoing(house: House) -> None:
    """One that acts, and one that fails when it has."""
    acted = asyncio.Event()

    async def act(_heard: Heard) -> str:
        acted.set()
        return "It is on."

    async def fail(_heard: Heard) -> str:
        await acted.wait()
        raise LookupError("no")

    await house.work(house.agent("switch", act), house.agent("check", fail))


UNDOING = {
    "agents": {"switch": {"compensates": True}, "check": {}},
    "teams": {"house": {"agents": ["switch", "check"], "policy": "all", "partial": False}},
}


def finals(house: House) -> list[ReplyShown]:
    (kitchen,) = house.boards
    return kitchen.told.of(ReplyShown, final=True)


def nobody_was_asked_twice(house: House) -> None:
    """Each agent worked once on each utterance, under one request id; again under it, if it died itself."""
    asked = set(house.asked) if house.inside else house.asked
    counts = Counter((name, correlation_id) for name, correlation_id, _ in asked)
    assert set(counts.values()) <= {1}, house.asked


async def _one_utterance(kitchen: Board) -> None:
    await kitchen.say(SAID)


async def _nothing_more(_works: Works) -> None:
    """With the end at the device all is over."""


@dataclass(frozen=True)
class Play:
    """What is tried at each death: who is there, what is said, how many ends that has, and when all is over."""

    settings: dict[str, Any]
    cast: Callable[[House], Awaitable[None]]
    speak: Callable[[Board], Awaitable[None]] = _one_utterance
    ends: int = 1
    settle: Callable[[Works], Awaitable[None]] = _nothing_more

    async def lives_and_dies(self, house: House, at: int) -> tuple[list[str], bool]:
        """Over a gateway that dies at that deed, and the next one; what was done, and whether it died."""
        kitchen = await house.board()
        async with house.gateway(at) as (works, fuse):
            speaking = asyncio.ensure_future(self.speak(kitchen))
            over = asyncio.create_task(self._over(works, kitchen))
            dead = asyncio.create_task(fuse.dead.wait())
            await asyncio.wait({over, dead}, return_when=asyncio.FIRST_COMPLETED)
            deeds, died = list(fuse.deeds), fuse.dead.is_set()
            over.cancel()
            dead.cancel()
        if died:
            async with house.gateway() as (works, _):
                await self._over(works, kitchen)
        await speaking
        return deeds, died

    async def _over(self, works: Works, kitchen: Board) -> None:
        await kitchen.told.first(ReplyShown, count=self.ends, final=True)
        await until_idle(works)
        await self.settle(works)


async def sweep(
    folder: Path, url: str, play: Play, judge: Callable[[House, list[str]], Awaitable[None]]
) -> int:
    """Dies at the first deed, at the second, ... until one lives; how many deaths that were."""
    for at in range(1, MOST_DEEDS):
        home = folder / f"death{at}"
        home.mkdir()
        async with House(home, url) as house:
            house.settings = {"orchestrator": play.settings}
            await play.cast(house)
            deeds, died = await play.lives_and_dies(house, at)
            told = f"dead before {deeds[-1]!r}, the {at}th of {deeds}"
            assert len(finals(house)) == play.ends, told
            await judge(house, deeds)
            nobody_was_asked_twice(house)
            letters, _, dead = await house.left()
            assert (letters, dead) == ([], []), told
            if not died:
                return at - 1
    raise AssertionError("it never lived")


@pytest.mark.slow
async def test_a_chain_and_its_combiner_go_on_whenever_the_gateway_dies(tmp_path: Path, nats: Any) -> None:
    async def judge(house: House, deeds: list[str]) -> None:
        assert finals(house)[0].text == "A + B after A", deeds

    assert await sweep(tmp_path, nats.url, Play(CHAIN, _chain), judge) > 10


@pytest.mark.slow
async def test_what_was_done_is_undone_once_whenever_the_gateway_dies(tmp_path: Path, nats: Any) -> None:
    async def judge(house: House, deeds: list[str]) -> None:
        assert finals(house)[0].error, deeds
        await passes(lambda: len(house.undone) == 1)
        (asked,) = [request_id for name, _, request_id in house.asked if name == "switch"]
        assert house.undone == [("switch", asked)], deeds

    async def settle(works: Any) -> None:
        teams = works.pipeline._by_name._teams
        await passes(lambda: teams._over and not any(lead.undoing for lead in teams._over.values()))

    assert await sweep(tmp_path, nats.url, Play(UNDOING, _undoing, settle=settle), judge) > 10


@pytest.mark.slow
async def test_a_turn_waits_for_the_one_before_it_whenever_the_gateway_dies(
    tmp_path: Path, nats: Any
) -> None:
    """It is said while the first is at work, and is put to its agent with the first one's answer."""

    async def cast(house: House) -> None:
        async def answer(heard: Heard) -> str:
            (kitchen,) = house.boards
            await kitchen.told.until(
                lambda: len({one.stream for one in kitchen.told.of(TranscriptShown)}) == 2
            )
            return f"{heard.text} after {[turn.reply for turn in heard.conversation]}"

        await house.work(house.agent("a", answer))

    async def both(kitchen: Board) -> None:
        first = asyncio.create_task(kitchen.say(SAID))
        await kitchen.told.first(TranscriptShown)
        await kitchen.say(loud(2))
        await first

    async def judge(house: House, deeds: list[str]) -> None:
        first, second = (shown.text for shown in finals(house))
        assert first.endswith(" after []"), deeds
        assert second.endswith(f" after {[first]}"), deeds
        if any("Asked" in deed for deed in deeds[:-1]):  # else what is said anew is heard before what is left
            assert first.startswith("16000"), deeds

    play = Play({"agents": {"a": {}}}, cast, both, ends=2)
    assert await sweep(tmp_path, nats.url, play, judge) > 15


@pytest.mark.slow
async def test_agents_that_die_with_the_gateway_are_asked_the_same_again(tmp_path: Path) -> None:
    """In one process, over its memory: what each has done it may do again, under the same id."""

    async def cast(house: House) -> None:
        async def answer(heard: Heard) -> str:
            return f"{heard.role}({' '.join(one.text for one in heard.answers)})"

        house.inside = [house.agent(name, answer) for name in ("a", "b", "c")]

    async def judge(house: House, deeds: list[str]) -> None:
        assert finals(house)[0].text == "c(a() b(a()))", deeds

    assert await sweep(tmp_path, MEMORY, Play(_with_roles(CHAIN), cast), judge) > 10


# -- with other settings than before

NO_TEAM = {"agents": {"a": {}, "b": {}, "c": {}}, "teams": {"other": {"agents": ["a"]}}}
ONE_GONE = {
    "agents": {"a": {}, "c": {}},
    "teams": {"house": {"agents": ["a"], "policy": "all", "combine": "by", "combined_by": "c"}},
}
NOBODY_NAMED: dict[str, Any] = {"agents": {}, "teams": {}, "app": ""}


async def _held(house: House, held: str, go_on: asyncio.Event) -> asyncio.Event:
    """The chain, of whom one does not answer until it may; set when it is at work."""
    at_work = asyncio.Event()

    async def answer(heard: Heard) -> str:
        name = heard.role
        if name == held:
            at_work.set()
            await go_on.wait()
        return f"{name}({' '.join(one.text for one in heard.answers)})"

    await house.work(*(house.agent(name, answer) for name in ("a", "b", "c")))
    return at_work


def _with_roles(settings: dict[str, Any]) -> dict[str, Any]:
    """Each is told its own name."""
    return {**settings, "agents": {name: {"role": name} for name in settings["agents"]}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("held", "after", "reply"),
    [
        ("b", NO_TEAM, "a() b(a())"),
        ("b", ONE_GONE, "c(a() b(a()))"),
        ("b", NOBODY_NAMED, "a() b(a())"),
        ("c", NO_TEAM, "c(a() b(a()))"),
        ("c", NOBODY_NAMED, "c(a() b(a()))"),
    ],
    ids=["no team", "agent gone", "nobody named", "no team to combine for", "nobody named to combine"],
)
async def test_what_was_asked_with_other_settings_comes_to_its_end(
    tmp_path: Path, nats: Any, held: str, after: dict[str, Any], reply: str
) -> None:
    go_on = asyncio.Event()
    async with House(tmp_path, nats.url) as house:
        at_work = await _held(house, held, go_on)
        kitchen = await house.board()
        async with house.gateway(orchestrator=_with_roles(CHAIN)):
            saying = asyncio.create_task(kitchen.say(SAID))
            await at_work.wait()
            await kitchen.told.first(ReplyShown)
        async with house.gateway(orchestrator=_with_roles(after)) as (works, _):
            go_on.set()
            shown = await kitchen.told.first(ReplyShown, final=True)
            assert (shown.text, shown.fallback, shown.error) == (reply, False, False)
            await until_idle(works)
            assert works.pipeline._questions.tracker.counters.unasked == 0
        await saying
        assert len(finals(house)) == 1
        nobody_was_asked_twice(house)


# -- one voice at two devices


@pytest.mark.slow
async def test_what_two_devices_have_heard_is_asked_once_also_over_a_restart(
    tmp_path: Path, nats: Any
) -> None:
    go_on, at_work = asyncio.Event(), asyncio.Event()

    async def answer(_heard: Heard) -> str:
        at_work.set()
        await go_on.wait()
        return "The light is on."

    settings = {
        "orchestrator": {"agents": {"a": {}}},
        "devices": {"rooms": dict.fromkeys(("kitchen", "kettle"), "Kitchen")},
    }
    async with House(tmp_path, nats.url) as house:
        await house.work(house.agent("a", answer))
        boards = [await house.board(name) for name in ("kitchen", "kettle")]
        async with house.gateway(**settings) as (works, _):
            saying = [asyncio.create_task(board.say(SAID)) for board in boards]
            await at_work.wait()
            await passes(lambda: works.pipeline.stats().asked == 2)
            await works.settled()
        async with house.gateway(**settings) as (works, _):
            go_on.set()
            for board in boards:
                shown = await board.told.first(ReplyShown, final=True)
                assert (shown.text, shown.fallback) == ("The light is on.", False)
            await until_idle(works)
        await asyncio.gather(*saying)
        assert len(house.asked) == 1


# -- what cannot be undone


async def _failed_with_nobody_to_undo(house: House, kitchen: Board, works: Works) -> None:
    """A team has failed, and who acted is gone before it was told."""
    left = asyncio.Event()

    async def act(_heard: Heard) -> str:
        return "It is on."

    async def fail(_heard: Heard) -> str:
        await left.wait()
        raise LookupError("no")

    async with house.working(house.agent("switch", act)):
        await house.work(house.agent("check", fail))
        await are_there(works, "switch", "check")
        saying = asyncio.create_task(kitchen.say(SAID))
        teams = works.pipeline._by_name._teams  # type: ignore[attr-defined]
        await passes(lambda: teams._leads)
        (lead,) = teams._leads.values()
        await passes(lambda: lead.work._members[0].state is MemberState.DONE)
    left.set()
    await saying
    await until_idle(works)


def _late(seconds: float) -> dict[str, Any]:
    return {"orchestrator": {**UNDOING, "late_seconds": seconds}}


async def _dead(works: Works) -> list[DeadLetterRow]:
    return [row async for row in works.journal.dead_letters()]


@pytest.mark.slow
async def test_what_nobody_undoes_is_one_dead_letter_also_after_a_restart_and_can_be_sent_again(
    tmp_path: Path, nats: Any
) -> None:
    async with House(tmp_path, nats.url) as house:
        kitchen = await house.board()
        async with house.gateway(**_late(300.0)) as (works, _):
            await _failed_with_nobody_to_undo(house, kitchen, works)
            assert not await _dead(works)
        async with house.gateway(**_late(0.2)) as (works, _):
            async with asyncio.timeout(PATIENCE):
                while not (dead := await _dead(works)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            (letter,) = dead
            assert (letter.topic, letter.reason) == (REQUESTS_TOPIC, UNDONE_NEVER)
        async with house.gateway(**_late(0.2)) as (works, _):
            await asyncio.sleep(0.5)
            assert await _dead(works) == dead, "it is one"
            await works.pipeline.carry_out(Verb.REPLAY, letter.number)
            assert house.undone == []
            await house.work(house.agent("switch", _never))
            await passes(lambda: len(house.undone) == 1)
            assert await _dead(works) == []
        (asked,) = [request_id for name, _, request_id in house.asked if name == "switch"]
        assert set(house.undone) == {("switch", asked)}


async def _never(_heard: Heard) -> str:
    raise AssertionError("asked again")


@pytest.mark.slow
async def test_what_the_broker_refuses_to_hand_on_to_be_undone_is_one_dead_letter(
    tmp_path: Path, nats: Any
) -> None:
    async with House(tmp_path, nats.url) as house:
        kitchen = await house.board()
        await _undoing(house)
        async with house.gateway(**_late(0.3)) as (works, _):
            works.broker.refused = b'"kind":"compensate"'  # type: ignore[attr-defined]
            await are_there(works, "switch", "check")
            await kitchen.say(SAID)
            await passes(lambda: works.pipeline._by_name._teams._over)  # type: ignore[attr-defined]
            await passes(lambda: not works.pipeline._by_name._teams._over)  # type: ignore[attr-defined]
            (letter,) = await _dead(works)
            assert letter.reason == "not today"
            works.broker.refused = b""  # type: ignore[attr-defined]
            await works.pipeline.carry_out(Verb.REPLAY, letter.number)
            await passes(lambda: len(house.undone) == 1)
            assert await _dead(works) == []


@pytest.mark.slow
async def test_what_could_not_be_undone_is_tried_again_when_somebody_says_so(
    tmp_path: Path, nats: Any
) -> None:
    async with House(tmp_path, nats.url) as house:
        kitchen = await house.board()
        house.cannot_undo = 1
        await _undoing(house)
        async with house.gateway(orchestrator=UNDOING) as (works, _):
            await are_there(works, "switch", "check")
            await kitchen.say(SAID)
            async with asyncio.timeout(PATIENCE):
                while not (dead := await _dead(works)):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            (letter,) = dead
            assert letter.reason == "the agent says: switch failed (LookupError)"
            await works.pipeline.carry_out(Verb.REPLAY, letter.number)
            await passes(lambda: len(house.undone) == 1)
            (lead,) = works.pipeline._by_name._teams._over.values()  # type: ignore[attr-defined]
            await passes(lambda: lead.work._members[0].state is MemberState.COMPENSATED)
            assert await _dead(works) == []


async def test_agents_answer_what_the_broker_refuses_to_tell_everybody(tmp_path: Path) -> None:
    """The transcript is a dead letter; its request and the turns after it are not concerned."""

    async def answer(_heard: Heard) -> str:
        return "A"

    async with House(tmp_path, MEMORY) as house:
        house.inside = [house.agent("a", answer)]
        kitchen = await house.board()
        async with house.gateway(orchestrator={"agents": {"a": {}}}) as (works, _):
            works.broker.refused_topic = RESULTS_TOPIC  # type: ignore[attr-defined]
            await are_there(works, "a")
            for _ in range(2):
                assert (await kitchen.say(SAID)).reply == "A"
            await until_idle(works)
            assert [letter.topic for letter in await _dead(works)] == [RESULTS_TOPIC] * 2
            assert not works.pipeline._by_name._teams._leads  # type: ignore[attr-defined]
