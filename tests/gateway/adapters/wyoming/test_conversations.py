"""Programs ask over Wyoming, by the client of the reference, read as Home Assistant 2026.11 does; and hostile ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from wyoming.asr import Transcript
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled
from wyoming.info import Describe, HandleProgram, Info, IntentProgram
from wyoming.intent import Intent, IntentsStart, IntentsStop, NotRecognized, Recognize

from gateway.adapters.asking import ProgramQuestions
from gateway.adapters.wyoming import conversations
from gateway.adapters.wyoming.conversation import ConversationAgent
from gateway.adapters.wyoming.conversations import ConversationService
from gateway.adapters.wyoming.server import WyomingServer
from gateway.orchestrators.answer import NotUnderstood, Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator
from tests.gateway.adapters.wyoming.programs import client, read, say, served
from tests.gateway.works import Works, open_works
from tests.record import PATIENCE, passes
from tests.system.house import open_house, running

house = Orchestrator("house")
CONTEXT = {"conversation_id": "01J", "device_id": "d1", "satellite_id": "assist_satellite.kitchen"}


@house.on_transcript
async def answer(heard: Heard) -> str | Reply | None:
    match heard.text:
        case "slowly":
            await heard.progress("looking it up")
            await heard.say("One, ")
            return "two."
        case "what?":
            raise NotUnderstood("I do not know that.")
        case "light":
            slots = {"name": "lamp", "domain": ["light"]}
            return Reply("The lamp is on.", data={"intents": [{"name": "HassTurnOn", "slots": slots}]})
        case "lights":
            wanted = [
                {"name": "HassTurnOn", "slots": {"name": name}, "text": f"{name}."} for name in ("a", "b")
            ]
            return Reply("", data={"intents": wanted})
        case "fail":
            raise ValueError("a broken wire")
        case "again":
            return f"Before that: {[turn.text for turn in heard.conversation]}, in {heard.language}."
        case "never":
            await asyncio.sleep(60)
    return f"You said {heard.text}."


@dataclass
class Result:
    """What Home Assistant makes of an answer: words to say, or an error of that code; what it carries out."""

    speech: str = ""
    code: str = ""
    intents: tuple[Intent, ...] = ()


async def processed(server: WyomingServer, text: str, language: str = "en", **context: Any) -> Result:
    """As `components/wyoming/conversation.py` of Home Assistant 2026.11 asks and reads."""
    async with client(server) as program:
        await program.write_event(Transcript(text, context=context or CONTEXT, language=language).event())
        several, intents = False, []
        while True:
            event = await read(program)
            if Error.is_type(event.type):
                return Result(Error.from_event(event).text, "unknown")
            if IntentsStart.is_type(event.type):
                several = True
            elif Intent.is_type(event.type):
                intents.append(Intent.from_event(event))
                if not several:
                    break
            elif IntentsStop.is_type(event.type):
                break
            elif NotRecognized.is_type(event.type):
                return Result(NotRecognized.from_event(event).text or "", "no_intent_match")
            elif Handled.is_type(event.type):
                return Result(Handled.from_event(event).text or "")
            elif NotHandled.is_type(event.type):
                return Result(NotHandled.from_event(event).text or "", "failed_to_handle")
        return Result(intents=tuple(intents))


@asynccontextmanager
async def answering(**parts: Any) -> AsyncIterator[tuple[Works, WyomingServer]]:
    """A gateway whose house answers, and its server."""
    async with open_works(**parts) as works:
        agent = ConversationAgent(ProgramQuestions(works.pipeline.ask, lambda: 30.0))
        service = ConversationService(agent, works.health.mishaps, version="1.2.3")
        async with served(works, services=[service]) as server:
            with running(house.run(works.broker)):
                if works.pipeline.agents is not None:
                    await passes(
                        lambda: works.pipeline.agents.is_present("house", asyncio.get_running_loop().time())
                    )  # type: ignore[union-attr]
                yield works, server


async def test_what_it_is_home_assistant_reads() -> None:
    async with answering() as (_, server), client(server) as program:
        await program.write_event(Describe().event())
        info = Info.from_event(await read(program, "info"))
    (intent,), (handle,) = info.intent, info.handle
    assert isinstance(intent, IntentProgram)
    assert isinstance(handle, HandleProgram)
    assert (intent.name, intent.installed, handle.installed) == ("Earshot", True, True)
    assert handle.supports_handled_streaming
    assert handle.supports_home_control
    assert {language for model in intent.models for language in model.languages} == set(), "all of them"


@pytest.mark.parametrize("agents", [{}, {"house": {}}])
async def test_home_assistant_asks(agents: dict[str, Any]) -> None:
    async with answering(orchestrator={"agents": agents}) as (works, server):
        assert await processed(server, "hello") == Result("You said hello.")
        assert await processed(server, "slowly") == Result("One, two.")
        assert await processed(server, "what?") == Result("I do not know that.", "failed_to_handle")
        assert await processed(server, "fail") == Result("Sorry, something went wrong.", "failed_to_handle")
        assert await processed(server, " ") == Result("there is nothing to say", "failed_to_handle")
        (light,) = (await processed(server, "light")).intents
        assert (light.name, light.text, light.context) == ("HassTurnOn", "The lamp is on.", CONTEXT)
        assert {one.name: one.value for one in light.entities} == {"name": "lamp", "domain": ["light"]}
        both = (await processed(server, "lights")).intents
        assert [(one.entities[0].value, one.text) for one in both] == [("a", "a."), ("b", "b.")]
        await works.idle()


async def test_conversations_are_kept_apart() -> None:
    async with answering(orchestrator={"agents": {"house": {}}}) as (_, server):
        for text, conversation in (("hello", "1"), ("good morning", "2")):
            await processed(server, text, conversation_id=conversation)
        one = await processed(server, "again", "de-DE", conversation_id="1")
        other = await processed(server, "again", "pt_BR", conversation_id="2")
        assert one == Result("Before that: ['hello'], in de.")
        assert other == Result("Before that: ['good morning'], in pt.")


async def test_an_answer_is_heard_as_it_grows() -> None:
    async with answering() as (_, server), client(server) as program:
        await program.write_event(Transcript("slowly", context=CONTEXT).event())
        kinds, pieces = [], []
        while not kinds or not HandledStop.is_type(kinds[-1]):
            event = await read(program)
            kinds.append(event.type)
            if HandledChunk.is_type(event.type):
                pieces.append(HandledChunk.from_event(event).text)
            elif HandledStart.is_type(event.type):
                assert HandledStart.from_event(event).context == CONTEXT
        assert "".join(pieces) == "One, two."
        assert (kinds[0], kinds[-2:]) == ("handled-start", ["handled", "handled-stop"])


async def test_recognize() -> None:
    async with answering() as (_, server), client(server) as program:
        for text, kind in (("hello", "handled"), ("what?", "not-recognized"), ("light", "intent")):
            await program.write_event(Recognize(text, CONTEXT).event())
            assert (await read(program)).type == kind


async def test_nobody_there() -> None:
    async with open_works(orchestrator={"timeout_seconds": 0.1}) as works:
        agent = ConversationAgent(ProgramQuestions(works.pipeline.ask, lambda: 0.1))
        services = [ConversationService(agent, works.health.mishaps, version="1")]
        async with served(works, services=services) as server:
            result = await processed(server, "hello")
            assert result.code == "failed_to_handle"
            assert result.speech


@pytest.mark.slow
async def test_a_whole_gateway_is_asked_where_its_settings_say_so(tmp_path: Path, free_tcp_port: int) -> None:
    wyoming: dict[str, Any] = {"listen": [f"tcp://127.0.0.1:{free_tcp_port}"], "zeroconf": False}
    for wanted in (False, True):
        parts = {"adapters": {"wyoming": {**wyoming, "conversation": wanted}}}
        async with open_house(tmp_path, **parts) as house:
            await passes(lambda h=house: "wyoming" in h.gateway.health.report().components)
            program = AsyncTcpClient("127.0.0.1", free_tcp_port, read_timeout=PATIENCE)
            async with program:
                await program.write_event(Describe().event())
                info = Info.from_event(await read(program, "info"))
                assert (len(info.asr), len(info.handle), len(info.intent)) == (1, wanted, wanted)
                await program.write_event(Transcript("turn on the light").event())
                if wanted:
                    assert (await read(program, "handled")).data["text"].startswith("Demo: ")


# -- hostile ones


async def test_questions_on_one_connection_are_answered_in_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversations, "MOST_WAITING", 4)
    async with answering() as (_, server), client(server) as program:
        for number in range(4):
            await program.write_event(Transcript(f"{number}").event())
        for number in range(4):
            assert Handled.from_event(await read(program)).text == f"You said {number}."
        for _ in range(5):
            await program.write_event(Transcript("never").event())
        assert Error.from_event(await read(program)).code == "busy"


async def test_who_leaves_before_the_answer_leaves_nothing() -> None:
    async with answering() as (works, server):
        for _ in range(3):
            async with client(server) as program:
                await program.write_event(Transcript("never").event())
                await passes(lambda: works.pipeline.askers == 1)
            await passes(lambda: works.pipeline.askers == 0)
        assert await processed(server, "hello", conversation_id="another") == Result("You said hello.")
        assert not works.health.mishaps.latest


@pytest.mark.parametrize(
    "event",
    [
        Event("transcript", {}),
        Event("transcript", {"text": 7}),
        Event("transcript", {"text": None}),
        Event("transcript", {"text": "x", "context": "y"}),
        Event("transcript", {"text": "x" * 5_000}),
        Event("transcript", {"text": "a\x00b"}),
        Event("transcript", {"text": "a", "context": {"a": [[[[{}]]]] * 100, "device_id": 7}}),
        Event("transcript", {"text": "a", "language": "x" * 5_000}, bytes(100_000)),
        Event("recognize", {"text": []}),
        Event("handled", {"text": "hello"}),
        Event("intent", {"name": "x"}),
    ],
)
async def test_nonsense_is_refused_and_the_next_is_answered(event: Event) -> None:
    async with answering() as (works, server), client(server) as program:
        await program.write_event(event)
        await program.write_event(Transcript("hello").event())
        kinds = set[str]()
        while "You said hello." not in str((last := await read(program)).data):
            kinds.add(last.type)
        assert kinds <= {"error", "not-handled", "handled"}
        assert not works.health.mishaps.latest


async def test_many_at_once_are_each_told_their_own() -> None:
    async with answering() as (works, server):
        texts = [f"number {number}" for number in range(20)]
        results = await asyncio.gather(*(processed(server, text, conversation_id=text) for text in texts))
        assert [one.speech for one in results] == [f"You said {text}." for text in texts]
        assert works.pipeline.askers == 0


async def test_who_reads_nothing_keeps_nobody_waiting() -> None:
    async with answering() as (works, server):
        silent = AsyncTcpClient("127.0.0.1", server.places[0].port)
        await silent.connect()
        with contextlib.suppress(ConnectionError):
            question = b'{"type":"transcript","data":{"text":"hello","context":{"a":"%b"}}}\n' % (
                b"x" * 3_000
            )
            for _ in range(50):
                await say(silent, question)
        assert await processed(server, "hello", conversation_id="another") == Result("You said hello.")
        await silent.disconnect()
        await passes(lambda: works.pipeline.askers == 0)
