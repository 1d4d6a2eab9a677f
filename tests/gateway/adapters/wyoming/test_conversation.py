"""The conversation agent's events, told to a program that only notes them: what answer becomes what, in which order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.adapters.asking import ProgramQuestions
from gateway.adapters.wyoming.conversation import (
    MOST_CONTEXT_BYTES,
    UNFIT,
    ConversationAgent,
    programs,
    who_speaks,
)
from gateway.adapters.wyoming.events import (
    Context,
    ErrorReport,
    Handled,
    HandledChunk,
    HandledStart,
    HandledStop,
    Intent,
    IntentEntity,
    IntentsStart,
    IntentsStop,
    NotHandled,
    NotRecognized,
    Recognize,
    TranscriptResult,
    WyomingEvent,
)
from gateway.adapters.wyoming.info import Info
from gateway.adapters.wyoming.wire import encode
from tests.gateway.works import Works, open_works

CONTEXT = {"conversation_id": "01J", "satellite_id": "assist_satellite.kitchen"}


class Program:
    """Somebody who asks, and notes what comes."""

    def __init__(self, works: Works, said: TranscriptResult | Recognize) -> None:
        self.told: list[WyomingEvent] = []
        agent = ConversationAgent(ProgramQuestions(works.pipeline.ask, lambda: 30.0))
        self.asking = asyncio.create_task(agent.answer(said, "Home Assistant", self._note))

    async def _note(self, event: WyomingEvent) -> None:
        assert encode(event)
        self.told.append(event)


async def answered(
    *replies: dict[str, Any], context: Context = None, text: str = "hello"
) -> list[WyomingEvent]:
    """What is told of these replies."""
    async with open_works() as works:
        program = Program(works, TranscriptResult(text, "en-US", context))
        heard = await works.result()
        for number, reply in enumerate(replies, 1):
            await works.reply(heard, **{"text": "", "message_id": f"m_{number}", **reply})
            await asyncio.sleep(0)
        await program.asking
        await works.idle()
        return program.told


async def test_a_whole_answer() -> None:
    assert await answered({"text": "It is noon."}, context=CONTEXT) == [Handled("It is noon.", CONTEXT)]


async def test_an_answer_in_pieces() -> None:
    pieces = [{"text": "One, ", "final": False}, {"text": "two.", "final": False}, {}]
    start, *chunks, whole, stop = await answered(*pieces, context=CONTEXT)
    assert (start, whole, stop) == (HandledStart(CONTEXT), Handled("One, two.", CONTEXT), HandledStop())
    assert "".join(one.text for one in chunks if isinstance(one, HandledChunk)) == "One, two."


async def test_what_the_last_reply_adds_is_the_last_piece() -> None:
    told = await answered({"text": "One, ", "final": False}, {"text": "One, two."})
    assert [one.text for one in told if isinstance(one, HandledChunk | Handled)] == [
        "One, ",
        "two.",
        "One, two.",
    ]


async def test_a_first_answer_is_said_and_the_better_one_behind_it() -> None:
    told = await answered({"text": "Let me see.", "final": False, "interim": True}, {"text": "Nine."})
    assert told == [
        HandledStart(),
        HandledChunk("Let me see. "),
        HandledChunk("Nine."),
        Handled("Nine."),
        HandledStop(),
    ]


async def test_a_first_answer_that_stays_is_not_said_twice() -> None:
    told = await answered({"text": "Nine.", "final": False, "interim": True}, {"text": "Nine."})
    assert told == [HandledStart(), HandledChunk("Nine. "), Handled("Nine."), HandledStop()]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ({"text": "I do not know that.", "understood": False}, NotHandled("I do not know that.")),
        ({"error": "it is broken"}, NotHandled("Sorry, something went wrong.")),
        ({"text": "The lamp is gone.", "error": "no lamp"}, NotHandled("The lamp is gone.")),
    ],
)
async def test_no_answer(reply: dict[str, Any], told: WyomingEvent) -> None:
    assert await answered(reply) == [told]
    start, chunk, refusal, stop = await answered({"text": "Well, ", "final": False}, reply)
    assert (start, chunk, stop) == (HandledStart(), HandledChunk("Well, "), HandledStop())
    assert refusal == (told if reply.get("text") else NotHandled("Well, ")), "as a device is told it"


async def test_nobody_there() -> None:
    async with open_works(orchestrator={"timeout_seconds": 0.1}) as works:
        program = Program(works, TranscriptResult("hello"))
        await program.asking
        (told,) = program.told
        assert isinstance(told, NotHandled)
        assert told.text


async def test_what_is_asked_as_recognize_is_refused_in_its_form() -> None:
    async with open_works() as works:
        program = Program(works, Recognize("hello", CONTEXT))
        await works.reply(await works.result(), "What?", understood=False)
        await program.asking
        assert program.told == [NotRecognized("What?", CONTEXT)]


async def test_what_is_nothing_to_say_is_not_handled() -> None:
    async with open_works() as works:
        program = Program(works, TranscriptResult(" "))
        await program.asking
        assert program.told == [NotHandled("there is nothing to say")]


async def test_a_gateway_that_stops_says_so() -> None:
    async with open_works() as works:
        works.pipeline._hearing.close()
        program = Program(works, TranscriptResult("hello"))
        await program.asking
        assert program.told == [ErrorReport("the gateway is stopping", "unavailable")]


# -- intents


def handing_back(*intents: dict[str, Any], text: str = "Done.") -> dict[str, Any]:
    return {"text": text, "data": {"intents": list(intents)}}


async def test_one_intent() -> None:
    told = await answered(
        handing_back({"name": "HassTurnOn", "slots": {"name": "lamp", "domain": ["light"]}}), context=CONTEXT
    )
    slots = (IntentEntity("name", "lamp"), IntentEntity("domain", ("light",)))
    assert told == [Intent("HassTurnOn", slots, "Done.", CONTEXT)]


async def test_several_intents() -> None:
    told = await answered(handing_back({"name": "A", "text": "First."}, {"name": "B"}), context=CONTEXT)
    assert told == [
        IntentsStart(CONTEXT),
        Intent("A", (), "First.", CONTEXT),
        Intent("B", (), None, CONTEXT),
        IntentsStop(CONTEXT),
    ]


async def test_intents_behind_pieces() -> None:
    told = await answered({"text": "Yes, ", "final": False}, handing_back({"name": "A"}))
    assert told == [HandledStart(), HandledChunk("Yes, "), Intent("A", (), "Done."), HandledStop()]


async def test_words_are_no_template() -> None:
    told = await answered(handing_back({"name": "A", "text": "{{{ states('x') }} {% if %} {# #}"}))
    (intent,) = told
    assert isinstance(intent, Intent)
    assert intent.text is not None
    assert not any(brace in intent.text for brace in ("{{", "{%", "{#"))
    assert await answered(handing_back({"name": "A"}, text="{{ 1 }}")) == [Intent("A", (), "{ { 1 }}")]


async def test_intents_in_no_form_are_not_carried_out() -> None:
    assert await answered(handing_back({"name": "no name"})) == [NotHandled(UNFIT)]


async def test_intents_of_an_agent_that_failed_are_not_carried_out() -> None:
    told = await answered({**handing_back({"name": "A"}, text="No."), "error": "no lamp"})
    assert told == [NotHandled("No.")]


# -- who speaks, and what is given back


@pytest.mark.parametrize(
    ("context", "same_as"),
    [
        ({"conversation_id": "2", "device_id": "d", "satellite_id": "s"}, {"satellite_id": "s"}),
        ({"conversation_id": "2", "device_id": "d"}, {"device_id": "d"}),
        ({"conversation_id": "2"}, {"conversation_id": "2", "device_id": None}),
        ({"conversation_id": ["2"], "device_id": 7}, None),
        ({}, None),
    ],
)
def test_whose_words_they_are(context: Context, same_as: Context) -> None:
    assert who_speaks("Home Assistant", context) == who_speaks("Home Assistant", same_as)
    assert who_speaks("Home Assistant", context) != who_speaks("another", same_as)


async def test_of_a_huge_context_the_ids_come_back() -> None:
    huge = {**CONTEXT, "more": "x" * MOST_CONTEXT_BYTES, "device_id": 7}
    (told,) = await answered({"text": "Yes."}, context=huge)
    assert told == Handled("Yes.", CONTEXT)


def test_what_it_says_of_itself() -> None:
    handle, intent = programs("1.2.3")
    assert handle.installed
    assert handle.supports_handled_streaming
    assert handle.supports_home_control
    assert intent.installed
    assert encode(Info(handle=(handle,), intent=(intent,)))
