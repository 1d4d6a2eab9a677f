"""Programs ask: each is told its own answer, whatever listeners are shown, until it leaves."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.access.principals import LOCAL, Principal, Role
from gateway.contract.events import ReplyEvent
from gateway.orchestrators.answer import NotUnderstood, Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator
from gateway.pipeline import pipeline
from gateway.pipeline.asking.typed_text import BadText, CannotSay
from gateway.pipeline.erasing import Whose
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.pipeline.telling.askers import LEFT, Asker, Told
from gateway.pipeline.telling.witnesses import Answer, First, Grown, SignOfLife
from tests.gateway.works import Works, open_works
from tests.record import passes
from tests.system.house import running


async def told(works: Works, text: str = "hello", principal: Principal = LOCAL) -> list[Told]:
    async with works.pipeline.ask(text, principal) as asker:
        return [one async for one in asker]


def house() -> Orchestrator:
    """Answers each text as it says."""
    house = Orchestrator("house")

    @house.on_transcript
    async def answer(heard: Heard) -> str | Reply | None:
        match heard.text:
            case "slowly":
                await heard.progress("looking it up")
                await heard.say("One, ")
                await heard.interim("Perhaps two.")
                await heard.say("two, ")
                return "three."
            case "puzzle me":
                raise NotUnderstood("I do not know that.")
            case "fail":
                raise ValueError("a broken wire")
            case "silence":
                return None
        return Reply(f"You said {heard.text}", data={"device": heard.device_id})

    return house


async def test_each_step_of_an_answer_is_told() -> None:
    async with open_works() as works:
        async with works.pipeline.ask("hello", LOCAL) as asker:
            steps = aiter(asker)
            heard = await works.result()
            for number, fields in enumerate(
                (
                    {"progress": "looking"},
                    {"text": "One, "},
                    {"text": "Two.", "interim": True},
                    {"text": "Three. "},
                )
            ):
                await works.reply(
                    heard, **{"text": "", "final": False, "message_id": f"m_{number}", **fields}
                )
            wanted: list[Told] = [SignOfLife("looking"), Grown("One, "), First("Two."), Grown("Three. ")]
            seen: list[Told] = []
            for one in wanted[:2]:
                seen.append(await anext(steps))
                assert seen[-1] == one
            assert [await anext(steps), await anext(steps)] == wanted[2:]
            await works.reply(heard, "Four.", agent="ann", data={"a": 1}, message_id="m_4")
            assert [one async for one in steps] == [Answer("Four.", agent="ann", data={"a": 1})]
        await works.idle()


async def test_whoever_reads_nothing_costs_one_text() -> None:
    asker = Asker(UtteranceName("s_1", "ann", StreamName("web-ann", 0, 0), "u_1", "c_1"))
    for number in range(10_000):
        asker.grown(Grown("x"))
        asker.grown(SignOfLife(str(number)))
    assert len(asker._grown) == 10_000
    asker.grown(First("so far"))
    asker.grown(Grown("!"))
    asker.answered(Answer("all"))
    asker.answered(Answer("too late"))
    assert [one async for one in asker] == [
        First("so far"),
        Grown("!"),
        SignOfLife("9999"),
        Answer("all"),
    ]


async def test_an_orchestrator_answers_a_program() -> None:
    async with open_works() as works:
        with running(house().run(works.broker)):
            assert await told(works) == [
                Answer("You said hello", agent="house", data={"device": "web-local"})
            ]
            *_, end = await told(works, "slowly")
            assert isinstance(end, Answer)
            assert end.text.endswith("two, three.")
            (puzzled,) = await told(works, "puzzle me")
            assert (puzzled.text, puzzled.puzzled, puzzled.error) == ("I do not know that.", True, None)
            (failed,) = await told(works, "fail")
            assert failed.words == "Sorry, something went wrong."
            assert failed.error == "house failed (ValueError)"


@pytest.mark.parametrize("agents", [{}, {"house": {}}])
async def test_nobody_there_is_an_answer_too(agents: dict[str, Any]) -> None:
    settings = {"agents": agents, "timeout_seconds": 0.2, "patience_seconds": 0.1}
    async with open_works(orchestrator=settings) as works:
        *_, end = await told(works)
        assert isinstance(end, Answer)
        assert end.fallback
        assert end.text
        await works.idle()


async def test_named_agents_who_do_not_understand() -> None:
    async with open_works(orchestrator={"agents": {"house": {}}}) as works:
        with running(house().run(works.broker)):
            now = asyncio.get_running_loop().time
            await passes(
                lambda: bool(works.pipeline.agents and works.pipeline.agents.is_present("house", now()))
            )
            (puzzled,) = await told(works, "puzzle me")
            assert (puzzled.text, puzzled.puzzled) == ("I do not know that.", True)


async def test_words_kept_from_listeners_are_told_to_whoever_asked() -> None:
    async with open_works(privacy={"redact": True}) as works:
        with running(house().run(works.broker)):
            (answer,) = await told(works)
        assert answer.text == "You said hello"
        shown = await works.events.first(ReplyEvent)
        assert (shown.text, shown.data, shown.redacted) == ("", None, True)


async def test_each_program_is_told_its_own() -> None:
    async with open_works() as works:
        with running(house().run(works.broker)):
            ann, bob = (
                Principal(name=name, role=Role.LISTENER, devices=frozenset({f"web-{name}"}))
                for name in ("ann", "bob")
            )
            answers = await asyncio.gather(told(works, "one", ann), told(works, "two", bob))
        assert [[one.data for one in answer] for answer in answers] == [
            [{"device": "web-ann"}],
            [{"device": "web-bob"}],
        ]


async def test_who_leaves_is_told_nothing_more_and_its_question_ends_all_the_same() -> None:
    async with open_works() as works:
        async with works.pipeline.ask("hello", LOCAL):
            heard = await works.result()
        assert works.pipeline.askers == 0
        await works.reply(heard, "Too late for you.")
        assert (await works.events.first(ReplyEvent)).text == "Too late for you."
        await works.idle()


async def test_who_is_cancelled_has_left() -> None:
    async with open_works() as works:
        asking = asyncio.create_task(told(works))
        await works.result()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert works.pipeline.askers == 0


async def test_the_end_of_the_gateway_is_told() -> None:
    async with open_works() as works:
        asking = asyncio.create_task(told(works))
        await works.result()
    assert await asking == [Answer("", "gateway", LEFT)]


async def test_what_is_erased_is_answered_by_saying_so() -> None:
    async with open_works() as works:
        asking = asyncio.create_task(told(works))
        heard = await works.result()
        await works.pipeline.erasing.erase(Whose(correlation_id=heard.correlation_id))
        (end,) = await asking
        assert end.error
        await works.idle()


async def test_at_most_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MOST_ASKERS", 1)
    async with open_works() as works, works.pipeline.ask("hello", LOCAL):
        with pytest.raises(CannotSay, match="1 questions"):
            await told(works)


async def test_what_cannot_be_said_is_not_asked(tmp_path: Path) -> None:
    async with open_works(journal=tmp_path / "journal.db") as works:
        with pytest.raises(BadText):
            await told(works, "  ")
        assert works.pipeline.askers == 0
        await works.idle()
