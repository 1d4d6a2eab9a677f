"""An agent of kind openai: what was heard is put to a language model, which may use tools, and what it says is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import structlog

from gateway.agents.confirmation import Confirmations, Consent
from gateway.agents.http_peer import HttpPeer
from gateway.agents.openai import prompt
from gateway.agents.openai.endpoint import WHO, ChatEndpoint, ContextTooShort, ServerPatience
from gateway.agents.openai.prompt import Message
from gateway.agents.openai.stream import Completion
from gateway.agents.openai.token_budget import TokenBudget
from gateway.agents.openai.tool_calls import ToolCall
from gateway.agents.openai.voice import Voice
from gateway.agents.ready_made import Probed
from gateway.agents.tools.asking_first import left
from gateway.agents.tools.belt import AnswerCalls, Belt, ToConfirm, has_failed, shortened
from gateway.agents.tools.record import CallOutcome, write
from gateway.agents.tools.sources import sources
from gateway.agents.tools.tool import Tool, ToolSource
from gateway.orchestrators.answer import CannotAnswer, Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator
from gateway.settings.agents.openai import ChatSettings
from gateway.settings.orchestrator import AgentSettings

log = structlog.get_logger(__name__)

GOES_ON = "..."
"""Said where the model was cut off by its limit."""
DONE = "OK."
"""Said where a model has used tools, and says nothing of it."""
_CUT_OFF = ("length", "content_filter")
"""What has ended so has no calls that could be trusted to be whole."""
WARM_UP_SECONDS = 120.0
LEAST_RESULT_BYTES = 300
SLOW_SECONDS = 3.0
"""To a first word: nobody likes to wait for longer."""


def orchestrator(name: str, settings: AgentSettings, token: str) -> Orchestrator:
    """That agent. Raises BadOrchestrator."""
    made = Orchestrator(
        name, timeout_seconds=settings.timeout_seconds, description=f"a language model at {settings.url}"
    )
    agent = ChatAgent(made, settings, token, list(sources(name, settings.openai.tools)))
    made.lifespan = agent.running
    made.on_transcript(agent.answer)
    return made


async def probe(_name: str, settings: AgentSettings, token: str) -> Probed:
    """Whether its server and its model are there; with warm_up, how long to its first word. Raises CannotAnswer."""
    peer = HttpPeer(WHO, settings.url, token=token, ca_file=settings.ca_file)
    async with peer.running():
        endpoint = ChatEndpoint(peer, settings.openai)
        models = await endpoint.models()
        model = await endpoint.model()
        if models and not {model, f"{model}:latest"} & {*models}:
            names = ", ".join(models[:8])
            raise CannotAnswer(f"it has no model {model}", f"load it there, or take one of {names}")
        if not settings.openai.warm_up:
            return Probed(f"{model} is there")
        seconds = await first_word(endpoint, settings.openai, {})
    if seconds > SLOW_SECONDS:
        remedy = "take a smaller model, set openai.reasoning_effort: none, or keep it loaded at its server"
        return Probed(f"{model} takes {seconds:.1f} s to its first word", remedy)
    return Probed(f"{model} is warm: {seconds:.2f} s to its first word")


@dataclass(slots=True)
class _Talk:
    """One answer: what the model has been told so far, and what came of it."""

    heard: Heard
    messages: list[Message]
    calls: AnswerCalls
    voice: Voice
    done: dict[tuple[str, str, str], str] = field(default_factory=dict)
    rounds: int = 0
    has_acted: bool = False
    """Whether any tool was called for, or anything was asked about: such an answer is not given again from a cache."""


class _Unconfirmed(NamedTuple):
    """A call that is done after a yes, and what the model has been told so far."""

    tool: str
    arguments: Mapping[str, Any]
    messages: list[Message]


class ChatAgent:
    """Stateless but for what waits to be confirmed, and for what its tokens have cost."""

    def __init__(
        self, orchestrator: Orchestrator, settings: AgentSettings, token: str, tools: Sequence[ToolSource]
    ) -> None:
        self._orchestrator = orchestrator
        self._settings = settings.openai
        self._peer = HttpPeer(WHO, settings.url, token=token, ca_file=settings.ca_file)
        self._budget = TokenBudget(self._settings.tokens_per_hour, self._settings.tokens_per_day)
        self._endpoint = ChatEndpoint(self._peer, self._settings, with_usage=self._budget.is_set)
        self._belt = Belt(self._settings.tools, tools)
        self._to_confirm: Confirmations[_Unconfirmed] = Confirmations(
            seconds=self._settings.tools.confirm_seconds
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as it answers."""
        async with self._peer.running(), self._belt.running():
            warming = asyncio.create_task(self._make_ready(), name="warm up")
            try:
                yield
            finally:
                warming.cancel()
                await asyncio.wait({warming})

    async def answer(self, heard: Heard) -> Reply:
        """What the model says to it; most of it has travelled before. Raises CannotAnswer."""
        answered = self._to_confirm.answered(heard)  # whatever becomes of it, the question is over
        if limit := self._budget.exhausted(asyncio.get_running_loop().time()):
            raise CannotAnswer(f"the model {limit}", "wait, or see openai.tokens_per_hour and tokens_per_day")
        if answered is None:
            return await self._begin(heard)
        said, waiting = answered
        if said is Consent.YES:
            return await self._confirmed(heard, waiting)
        write(self._orchestrator.acted, heard, waiting.tool, CallOutcome.DECLINED)
        if said is Consent.NO:
            return Reply(left(heard.language), acted=True)
        return await self._begin(heard)

    # -- one answer

    async def _begin(self, heard: Heard) -> Reply:
        talk = self._talk(heard, self._told(heard, self._settings.turns))
        try:
            return await self._go_on(talk)
        except ContextTooShort:
            if talk.rounds > 1 or talk.voice.said or not heard.conversation:
                raise
        return await self._go_on(self._talk(heard, self._told(heard, 0)))

    async def _confirmed(self, heard: Heard, waiting: _Unconfirmed) -> Reply:
        talk = self._talk(heard, waiting.messages)
        talk.has_acted = True
        write(self._orchestrator.acted, heard, waiting.tool, CallOutcome.CONFIRMED)
        result = await talk.calls.call(waiting.tool, waiting.arguments, confirmed=True)
        for message in talk.messages:
            if message.get("content") is None and message["role"] == "tool":
                message["content"] = result
        try:
            return await self._go_on(talk)
        except CannotAnswer as error:
            if talk.voice.said or has_failed(result):
                raise
            log.warning("a model says nothing of what was done after a yes", reason=error.reason)
            return Reply(
                DONE, acted=True
            )  # no failure, for which another would be asked, or it said once more

    async def _go_on(self, talk: _Talk) -> Reply:
        """Ask the model, and do what it calls for, until it has said what it has to say."""
        tools = self._belt.offered()
        while True:
            talk.rounds += 1
            completion = await self._asked(talk, tools if talk.rounds <= self._settings.tools.rounds else {})
            calls = completion.calls.all()
            rest = await talk.voice.end_part()
            if not calls or completion.finish in _CUT_OFF:
                return replace(self._ended(talk, completion, rest), acted=talk.has_acted)
            if talk.rounds > self._settings.tools.rounds:
                raise CannotAnswer("the model calls tools without an end", "see openai.tools.rounds")
            if rest:
                await talk.heard.say(rest)
            talk.messages.append(
                {"role": "assistant", "content": None, "tool_calls": [call.said() for call in calls]}
            )
            if asked := await self._do(talk, calls):
                return Reply(f" {asked}" if talk.voice.said else asked, acted=True)

    async def _asked(self, talk: _Talk, tools: Mapping[str, Tool]) -> Completion:
        completion = Completion()
        heard = talk.heard
        more = {"tools": prompt.functions(list(tools.values()))} if tools else {}
        try:
            await self._endpoint.complete(
                completion,
                talk.messages,
                talk.voice.take,
                ServerPatience(heard.seconds_left, heard.progress),
                **more,
            )
        finally:
            self._pay(talk, completion)
        return completion

    def _ended(self, talk: _Talk, completion: Completion, rest: str) -> Reply:
        if completion.finish == "content_filter":
            raise CannotAnswer("the model's content filter stopped its answer")
        if completion.finish == "length":
            if not talk.voice.said:
                raise CannotAnswer(
                    "the model used up its tokens before it said a word",
                    "raise openai.max_tokens, or set openai.reasoning_effort: none",
                )
            return Reply(rest.rstrip() + GOES_ON, data={"finish_reason": "length"})
        if not talk.voice.said:
            if not talk.has_acted:
                raise CannotAnswer("the model says nothing")
            return Reply(DONE)
        return Reply(rest)

    # -- tools

    async def _do(self, talk: _Talk, calls: list[ToolCall]) -> str:
        """Each call in turn; what came of it is for the model. The question, where one is to be confirmed first."""
        asked = ""
        talk.has_acted = True
        for call in calls:
            name = (call.id, call.name, call.arguments)
            result: str | None = talk.done.get(name)
            if asked:
                result = "Error: not done: something else is to be confirmed first."
            elif result is None:
                try:
                    result = await talk.calls.call(call.name, call.parsed())
                except ToConfirm as to_confirm:
                    asked = to_confirm.question
                    self._keep(talk, asked, call)
                else:
                    talk.done[name] = result
            if result is not None:
                result = shortened(result, self._bytes_left(talk))
            talk.messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        return asked

    def _keep(self, talk: _Talk, asked: str, call: ToolCall) -> None:
        waiting = _Unconfirmed(call.name, call.parsed() or {}, talk.messages)
        self._to_confirm.ask(talk.heard, asked, waiting)

    def _bytes_left(self, talk: _Talk) -> int:
        """Of the model's context, for what a tool gives."""
        spent = sum(prompt.cost(str(message)) for message in talk.messages)
        left = self._settings.context_tokens - self._settings.max_tokens - self._tools_cost() - spent
        return max(LEAST_RESULT_BYTES, 3 * left)

    # -- what it is told, and what it costs

    def _talk(self, heard: Heard, messages: list[Message]) -> _Talk:
        return _Talk(
            heard,
            messages,
            AnswerCalls(self._belt, heard, self._orchestrator.acted),
            Voice(heard.say, plain=self._settings.plain),
        )

    def _told(self, heard: Heard, turns: int) -> list[Message]:
        settings = self._settings
        now = time.strftime("%A, %Y-%m-%d %H:%M")
        tokens = settings.context_tokens - settings.max_tokens - self._tools_cost()
        system = prompt.system_prompt(settings.prompt, heard, now)
        return prompt.messages(system, heard, turns=turns, tokens=tokens)

    def _more(self, tools: Mapping[str, Tool]) -> Mapping[str, Any]:
        return {"tools": prompt.functions(list(tools.values()))} if tools else {}

    def _tools_cost(self) -> int:
        tools = self._belt.offered()
        return prompt.cost(str(prompt.functions(list(tools.values())))) if tools else 0

    def _pay(self, talk: _Talk, completion: Completion) -> None:
        if not self._budget.is_set:
            return
        told = sum(prompt.cost(str(message.get("content") or "")) for message in talk.messages)
        tokens = completion.tokens or told + completion.characters // 3
        self._budget.spend(tokens, asyncio.get_running_loop().time())

    # -- at start

    async def _make_ready(self) -> None:
        """Its name is known, and the model loaded, when somebody speaks; what fails here is asked for again then."""
        try:
            await self._endpoint.model()
            if self._settings.warm_up:
                seconds = await first_word(self._endpoint, self._settings, self._more(self._belt.offered()))
                log.info("the model is warm", first_word_seconds=round(seconds, 2))
        except CannotAnswer as error:
            log.warning("the model is not ready", reason=error.reason, remedy=error.remedy)


async def first_word(endpoint: ChatEndpoint, settings: ChatSettings, more: Mapping[str, Any]) -> float:
    """Seconds until the model says a word; then its server has read what it is always told. Raises CannotAnswer."""
    clock = asyncio.get_running_loop().time
    began = clock()
    heard_at: list[float] = []

    async def note(text: str) -> None:
        if text.strip() and not heard_at:
            heard_at.append(clock())

    async def nobody(_words: str) -> None:
        pass

    patience = ServerPatience(lambda: WARM_UP_SECONDS - (clock() - began), nobody)
    begins = settings.prompt.partition("{")[0].strip()
    system: list[Message] = [{"role": "system", "content": begins}] if begins else []
    with suppress(TimeoutError):
        async with asyncio.timeout(WARM_UP_SECONDS):
            await endpoint.complete(
                Completion(), [*system, {"role": "user", "content": "Say: ready."}], note, patience, **more
            )
    if not heard_at:
        raise CannotAnswer("the model says nothing")
    return heard_at[0] - began
