"""The chat endpoint: asked for one completion, which is said as it streams, within the time that there is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from gateway.agents.http_peer import HttpPeer, PeerAnswer, PeerFailed
from gateway.agents.openai.prompt import Message
from gateway.agents.openai.stream import BadCompletion, Completion
from gateway.orchestrators.answer import CannotAnswer
from gateway.settings.agents.openai import ChatSettings

WHO = "the model's server"
BUSY, LOADING = 429, 503
PAUSE_SECONDS = 1.0
"""Between questions to a server that does not say how long it wants to be left alone."""
SPARE_SECONDS = 1.0
"""Nothing is waited for that would leave less to answer in."""
AFTER_THE_END_SECONDS = 0.05
"""What comes after the end of an answer (its cost, the end of the stream) is waited for so long."""
_TOO_LONG = re.compile(r"context|too (?:long|large|many tokens)|maximum.{0,40}token", re.IGNORECASE)
_OTHER_LIMIT = "max_completion_tokens"


class ContextTooShort(CannotAnswer):
    """What was put to the model is more than it takes, says its server."""

    def __init__(self) -> None:
        super().__init__(
            "what was said is more than the model takes at once",
            "give the model a longer context at its server, or correct openai.context_tokens",
        )


class ServerPatience(NamedTuple):
    """How long may be waited for a server that is not ready, and who is told that it is waited for."""

    seconds_left: Callable[[], float]
    told: Callable[[str], Awaitable[None]]


class ChatEndpoint:
    """``peer`` is to be running."""

    def __init__(self, peer: HttpPeer, settings: ChatSettings, *, with_usage: bool = False) -> None:
        self._peer = peer
        self._settings = settings
        self._with_usage = with_usage
        self._model = settings.model
        self._limit = "max_tokens"

    async def model(self) -> str:
        """The settings', or the first that the server names. Raises CannotAnswer."""
        if not self._model:
            names = await self.models()
            if not names:
                raise CannotAnswer(f"{WHO} has no model", "load one there, or name it in openai.model")
            self._model = names[0]
        return self._model

    async def models(self) -> list[str]:
        """All that the server names. Raises PeerFailed."""
        async with self._peer.get("/models") as answer:
            found = await answer.json()
        listed = found.get("data") if isinstance(found, dict) else None
        names = [one.get("id") for one in listed or () if isinstance(one, dict)]
        return [name for name in names if isinstance(name, str) and name]

    async def complete(
        self,
        completion: Completion,
        messages: list[Message],
        say: Callable[[str], Awaitable[None]],
        patience: ServerPatience,
        **more: Any,
    ) -> None:
        """One answer: each text of it is said. Raises CannotAnswer for what is none, or did not end well."""
        try:
            async with self._asked(messages, patience, more) as answer:
                await _read(answer, completion, say)
            await say(completion.end())
        except BadCompletion as error:
            if _TOO_LONG.search(str(error)) and not completion.characters:
                raise ContextTooShort from error
            raise CannotAnswer(f"{WHO} {error}") from error

    @asynccontextmanager
    async def _asked(
        self, messages: list[Message], patience: ServerPatience, more: dict[str, Any]
    ) -> AsyncIterator[PeerAnswer]:
        async with AsyncExitStack() as stack:
            waited, again = 0, False
            while True:
                body = await self._body(messages, more)
                try:
                    answer = await stack.enter_async_context(self._peer.post("/chat/completions", body))
                    break
                except PeerFailed as failed:
                    if self._is_about_the_limit(failed):
                        continue
                    if failed.hung_up and not again:  # with a kept connection: to ask twice costs tokens only
                        again = True
                        continue
                    if _is_too_long(failed):
                        raise ContextTooShort from failed
                    await _wait(failed, waited, patience)
                    waited += 1
            yield answer

    async def _body(self, messages: list[Message], more: dict[str, Any]) -> dict[str, Any]:
        settings = self._settings
        body: dict[str, Any] = {
            "model": await self.model(),
            "messages": messages,
            "stream": True,
            self._limit: settings.max_tokens,
        }
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.reasoning_effort:
            body["reasoning_effort"] = settings.reasoning_effort
        if self._with_usage:
            body["stream_options"] = {"include_usage": True}
        return body | more

    def _is_about_the_limit(self, failed: PeerFailed) -> bool:
        """Newer models of OpenAI's own know ``max_tokens`` by another name only, and say so."""
        if failed.status != 400 or _OTHER_LIMIT not in failed.reason or self._limit == _OTHER_LIMIT:
            return False
        self._limit = _OTHER_LIMIT
        return True


def _is_too_long(failed: PeerFailed) -> bool:
    return failed.status in (400, 413, 422, 500) and _TOO_LONG.search(failed.reason) is not None


async def _wait(failed: PeerFailed, waited: int, patience: ServerPatience) -> None:
    """For a server that says that it is busy, once; for one that is not ready, as long as there is time.

    Raises the failure for anything else, and where that would take too long.
    """
    may_wait = failed.status == LOADING or (failed.status == BUSY and not waited)
    pause = PAUSE_SECONDS if failed.retry_after is None else failed.retry_after
    if not may_wait or pause > patience.seconds_left() - SPARE_SECONDS:
        if failed.status == LOADING:
            raise CannotAnswer(
                f"{WHO} is not ready: {failed.reason.removeprefix(WHO).strip()}",
                "wait until its model is loaded",
            ) from failed
        raise failed
    await patience.told(
        "the model is being loaded" if failed.status == LOADING else "the model has much to do"
    )
    await asyncio.sleep(pause)


async def _read(answer: PeerAnswer, completion: Completion, say: Callable[[str], Awaitable[None]]) -> None:
    """Raises PeerFailed and BadCompletion."""
    if answer.content_type != "text/event-stream":  # it does not stream
        await say(completion.take(msgspec.json.encode(await answer.json()).decode()))
        return
    events = answer.events()
    while True:
        try:
            async with asyncio.timeout(AFTER_THE_END_SECONDS if completion.finish else None):
                event = await anext(events, None)
        except (TimeoutError, PeerFailed):
            if completion.finish:
                return
            raise
        if event is None:
            return
        await say(completion.take(event.data))
