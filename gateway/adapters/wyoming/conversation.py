"""Whoever answers here, as a conversation agent of Home Assistant's: a text in, an answer out, as it grows.

An answer is told in pieces to who reads them (``handled-start``, ``-chunk``, ``-stop``) and as a whole to everybody
(``handled``); where an agent hands back what is to be done, Home Assistant is told that (``intent``) and does it. What
is not answered is ``not-handled``, with the words that a device would be told. Each device of Home Assistant's, or
where it names none each of its conversations, is a speaker of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec
import structlog

from gateway.access.principals import Principal
from gateway.adapters.asking import ProgramQuestions, speaker
from gateway.adapters.languages import spoken_language
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
from gateway.adapters.wyoming.info import EARSHOT, NAME, ArtifactModel, HandleProgram, IntentProgram
from gateway.contract.intents import WantedIntent, intents_of
from gateway.contract.messages import BadMessage
from gateway.pipeline.asking.typed_text import BadText, SayError
from gateway.pipeline.telling.askers import Told
from gateway.pipeline.telling.witnesses import Answer, First, Grown, SignOfLife

log = structlog.get_logger(__name__)

MOST_CONTEXT_BYTES = 4_096
"""Of what a client wants to have back; of more, it gets the ids alone."""
IDS = ("satellite_id", "device_id", "conversation_id")
"""What Home Assistant names a speaker by, the plainest first."""
UNFIT = "The answer could not be carried out."
"""In place of what an agent wanted done, and wrote in no form that can be."""

Send: TypeAlias = Callable[[WyomingEvent], Awaitable[None]]


def programs(version: str) -> tuple[HandleProgram, IntentProgram]:
    """What ``info`` says of it. No language is named: which are understood, only the agents know."""
    named: dict[str, Any] = {"name": NAME, "attribution": EARSHOT, "installed": True, "version": version}
    models = (ArtifactModel(**named, description="The agents behind the gateway", languages=()),)
    described: dict[str, Any] = {**named, "description": "Earshot's agents", "models": models}
    return (
        HandleProgram(**described, supports_handled_streaming=True, supports_home_control=True),
        IntentProgram(**described),
    )


def who_speaks(program: str, context: Context) -> Principal:
    """The satellite, the device or the conversation that a text is from, as a speaker of the program's."""
    ids = (str(value) for name in IDS if isinstance(value := (context or {}).get(name), str) and value)
    return speaker(program, next(ids, ""))


class ConversationAgent:
    """Answers texts. Nothing here is of one connection; who leaves cancels ``answer``."""

    def __init__(self, asking: ProgramQuestions) -> None:
        self._asking = asking

    async def answer(self, said: TranscriptResult | Recognize, program: str, send: Send) -> None:
        """All that is to be said to this text, for the one who sent it; ``program``: as people know it."""
        language = spoken_language(getattr(said, "language", None))
        told = self._asking.ask(said.text, who_speaks(program, said.context), language)
        answer = _Answer(_given_back(said.context), send, recognizes=isinstance(said, Recognize))
        try:
            async with aclosing(told) as steps:
                async for one in steps:
                    await answer.take(one)
        except BadText as error:
            await answer.refuse(str(error))
        except SayError as error:
            await send(ErrorReport(str(error), code="unavailable"))


class _Answer:
    """One answer on its way."""

    def __init__(self, context: Context, send: Send, *, recognizes: bool) -> None:
        """``recognizes``: it was asked what is to be done, so that nobody knows is said in that form."""
        self._context = context
        self._send = send
        self._recognizes = recognizes
        self._sent: str | None = None
        self._first = ""

    async def take(self, told: Told) -> None:
        """The next of it."""
        match told:
            case Grown(text):
                await self._say(text)
            case First(text):  # what has been said is said; what takes its place comes behind it
                await self._say(f"{text} ")
                self._sent, self._first = "", text
            case SignOfLife():  # Wyoming has no word for it
                pass
            case Answer():
                await self._end(told)

    async def refuse(self, text: str) -> None:
        """There is no answer."""
        refusal = NotRecognized if self._recognizes else NotHandled
        await self._send(refusal(text, self._context))

    async def _say(self, text: str) -> None:
        if not text:
            return
        if self._sent is None:
            self._sent = ""
            await self._send(HandledStart(self._context))
        self._sent += text
        await self._send(HandledChunk(text))

    async def _end(self, answer: Answer) -> None:
        streamed = self._sent is not None
        if answer.error is not None or answer.fallback or answer.puzzled:
            await self.refuse(answer.words)
        else:
            await self._fulfil(answer)
        if streamed:
            await self._send(HandledStop())

    async def _fulfil(self, answer: Answer) -> None:
        try:
            intents = intents_of(answer.data, answer.agents)
        except BadMessage as error:
            log.warning("intents of an agent cannot be carried out", agent=answer.agent, reason=str(error))
            await self.refuse(UNFIT)
            return
        if intents:
            await self._hand_back(intents, answer.text)
            return
        if self._sent is not None and (self._sent or answer.text != self._first):
            await self._say(_rest(self._sent, answer.text))
        await self._send(Handled(answer.text, self._context))

    async def _hand_back(self, intents: tuple[WantedIntent, ...], text: str) -> None:
        events = [_intent(one, self._context) for one in intents]
        if not any(one.text for one in events):
            events[0] = msgspec.structs.replace(events[0], text=_plain(text))
        if len(events) == 1:
            await self._send(events[0])
            return
        await self._send(IntentsStart(self._context))
        for event in events:
            await self._send(event)
        await self._send(IntentsStop(self._context))


def _rest(sent: str, whole: str) -> str:
    """What of the whole was not sent yet; all of it, where it is another."""
    return whole[len(sent) :] if whole.startswith(sent) else f" {whole}"


def _intent(wanted: WantedIntent, context: Context) -> Intent:
    slots = tuple(IntentEntity(name, value) for name, value in wanted.slots.items())
    return Intent(wanted.name, slots, _plain(wanted.text), context)


def _plain(text: str) -> str | None:
    """Home Assistant takes an intent's text for a template, whose braces would be worked out: words are words."""
    for brace in ("{{", "{%", "{#"):
        while brace in text:
            text = text.replace(brace, f"{{ {brace[1]}")
    return text or None


def _given_back(context: Context) -> Context:
    if not context:
        return None
    if len(msgspec.json.encode(context)) <= MOST_CONTEXT_BYTES:
        return context
    kept = {name: context[name] for name in IDS if isinstance(context.get(name), str)}
    return {name: value[: MOST_CONTEXT_BYTES // 8] for name, value in kept.items()}
