"""Questions of programs: who speaks, and that every question has an end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.principals import LOCAL, Right
from gateway.adapters import asking
from gateway.adapters.asking import TOO_LATE, ProgramQuestions, longest_answer, speaker
from gateway.contract.messages import is_token
from gateway.pipeline.asking.typed_text import BadText
from gateway.pipeline.telling.witnesses import Answer, Grown
from gateway.settings.orchestrator import OrchestratorSettings
from tests.gateway.works import Works, open_works


def asking_of(works: Works, longest: float = 30.0) -> ProgramQuestions:
    return ProgramQuestions(works.pipeline.ask, lambda: longest)


@given(st.text(max_size=300), st.text(max_size=300))
def test_each_speaker_is_a_device_of_its_own(program: str, name: str) -> None:
    one, other = speaker(program, name), speaker(program, f"{name}.")
    assert is_token(one.own_device)
    assert one.own_device.startswith("web-")
    if len(name) < 200:
        assert one.own_device != other.own_device
    assert one.own_device != LOCAL.own_device
    assert one.owner == other.owner
    assert one.may(Right.SPEAK)
    assert not one.may(Right.REPLY)
    assert not one.sees(user_id="home", device_id="kitchen")


def test_the_longest_answer_is_the_most_patient_ones() -> None:
    settings = msgspec.convert(
        {
            "timeout_seconds": 3,
            "agents": {"a": {"timeout_seconds": 4}},
            "teams": {"t": {"agents": ["a"], "timeout_seconds": 60}},
        },
        OrchestratorSettings,
    )
    assert longest_answer(settings) == 60
    assert longest_answer(OrchestratorSettings()) == 30


async def test_what_two_say_is_in_two_conversations() -> None:
    async with open_works() as works:
        ask = asking_of(works)
        tasks = [
            asyncio.create_task(anext(ask.ask("hello", speaker("Home Assistant", name), "de")))
            for name in ("assist_satellite.kitchen", "assist_satellite.hall", "assist_satellite.kitchen")
        ]
        heard = [await works.result(number) for number in (1, 2, 3)]
        for one in heard:
            await works.reply(one, one.device_id)
        answers = [await task for task in tasks]
        kitchen, hall, again = [one.text for one in answers if isinstance(one, Answer)]
        assert kitchen == again != hall
        conversations = {one.device_id: one.conversation_id for one in heard}
        assert conversations[kitchen] != conversations[hall]
        assert {one.language for one in heard} == {"de"}
        await works.idle()


async def test_who_waits_too_long_is_told_so_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "GRACE_SECONDS", 0.0)
    async with open_works() as works:
        steps = asking_of(works, 0.1).ask("hello", speaker("Home Assistant"))
        first = asyncio.create_task(anext(steps))
        await works.reply(await works.result(), "Well, ", final=False)
        assert await first == Grown("Well, ")
        assert [one async for one in steps] == [Answer("", error=TOO_LATE)]
        assert works.pipeline.askers == 0


async def test_who_leaves_in_the_middle_leaves_nothing() -> None:
    async with open_works() as works:
        async with aclosing(asking_of(works).ask("hello", speaker("Home Assistant"))) as steps:
            first = asyncio.create_task(anext(steps))
            await works.reply(await works.result(), "Well, ", final=False)
            await first
        assert works.pipeline.askers == 0


async def test_what_cannot_be_said_raises() -> None:
    async with open_works() as works:
        with pytest.raises(BadText):
            await anext(asking_of(works).ask("", speaker("Home Assistant")))
