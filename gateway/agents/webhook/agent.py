"""The agent of kind webhook: what was heard is posted to somebody's program, which answers at once or later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec

from gateway.agents.http_peer import HttpPeer, PeerAnswer, PeerFailed
from gateway.agents.ready_made import Probed
from gateway.agents.tokens import secret_in
from gateway.agents.webhook.question import may_reply_later, question
from gateway.agents.webhook.streamed_answer import StreamedPieces, begins_a_stream
from gateway.agents.webhook.whole_answer import from_json, from_words
from gateway.contract.signature import signed
from gateway.orchestrators.answer import CannotAnswer, ComesLater, Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.orchestrator import AgentSettings

WHO = "the webhook"
MORE_SECONDS = 10.0
"""After an end, n8n's stream may go on with another node's, which may think first; one that hangs then has ended."""
_ACCEPTED = {
    "Accept": "application/json, text/event-stream, application/x-ndjson, text/plain;q=0.9, */*;q=0.1"
}
_LINES = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
_TEST = "/webhook-test/"
"""In addresses of n8n's that it answers at only once each time, while its editor is open."""


def orchestrator(name: str, settings: AgentSettings, token: str) -> Orchestrator:
    """The agent of that name. Raises BadOrchestrator."""
    how = settings.webhook
    secret = secret_in(how.secret_file) if how.secret_file else ""
    if how.token_signs:
        if not token:
            raise BadOrchestrator("token_signs: it needs the token that signs")
        secret, token = secret or token, ""
    peer = HttpPeer(WHO, settings.url, token=token, token_header=how.header, ca_file=settings.ca_file)
    agent = Orchestrator(
        name, timeout_seconds=settings.timeout_seconds, description=f"a webhook at {settings.url}"
    )
    agent.lifespan = peer.running
    agent.on_transcript(_Webhook(name, settings, peer, secret.encode()).answer)
    return agent


class _Webhook:
    def __init__(self, name: str, settings: AgentSettings, peer: HttpPeer, secret: bytes) -> None:
        self._name = name
        self._url = settings.url
        self._settings = settings.webhook
        self._peer = peer
        self._secret = secret

    async def answer(self, heard: Heard) -> Reply:
        """Raises NotUnderstood, CannotAnswer, and ComesLater."""
        try:
            return await self._asked_twice(heard)
        except PeerFailed as error:
            raise self._explained(error) from error
        except ComesLater:
            if not may_reply_later(heard):
                raise CannotAnswer(
                    "it answers later, and only the gateway waits", "have it answer at once"
                ) from None
            await heard.progress("it answers later")
            raise

    async def _asked_twice(self, heard: Heard) -> Reply:
        """Once more, where it wants to be left alone for a while and there is time for that."""
        try:
            return await self._asked(heard)
        except PeerFailed as error:
            wait = error.retry_after
            if wait is None or not error.never_began or wait > heard.seconds_left() / 2:
                raise
        await heard.progress("it has too much to do")
        await asyncio.sleep(wait)
        return await self._asked(heard)

    async def _asked(self, heard: Heard) -> Reply:
        how = self._settings
        asked = question(heard, self._name, self._url, replies_at=how.replies_at, turns=how.turns)
        body = msgspec.json.encode(asked)
        headers = signed(self._secret, time.time(), body) if self._secret else {}
        async with self._peer.post("", body, headers=_ACCEPTED | headers) as answer:
            return await _read(answer, heard)

    def _explained(self, error: PeerFailed) -> CannotAnswer:
        if error.status == 404 and _TEST in self._url:
            return CannotAnswer(
                f"{error.reason} (n8n's test address)",
                "write /webhook/ for /webhook-test/ in the agent's url, and make the workflow active",
            )
        if error.status == 404 and "/webhook/" in self._url:
            return CannotAnswer(error.reason, "make the workflow active, and see the agent's url")
        return error


async def _read(answer: PeerAnswer, heard: Heard) -> Reply:
    if answer.status == 202:
        raise ComesLater
    if answer.status == 204:
        return Reply("")
    kind = answer.content_type
    if kind == "text/event-stream":
        return await _streamed(_data(answer), heard)
    if kind in _LINES:
        return await _streamed(answer.lines(), heard)
    if kind.startswith("text/"):
        return from_words(await answer.text())
    return await _json(answer, heard)


async def _data(answer: PeerAnswer) -> AsyncIterator[str]:
    """Of each event; one whose kind says that it is the end is one."""
    async for event in answer.events():
        if event.kind == "error":
            yield msgspec.json.encode({"error": event.data}).decode()
        elif event.kind in ("end", "done"):
            yield event.data if event.data.startswith("{") else ""
            yield "[DONE]"
        else:
            yield event.data


async def _json(answer: PeerAnswer, heard: Heard) -> Reply:
    lines = answer.lines()
    first = ""
    async for line in lines:
        first += line
        if line.strip():
            break
    if begins_a_stream(first):
        return await _streamed(_after(first, lines), heard)
    text = "\n".join([first, *[line async for line in lines]])
    if not text.strip():
        return from_words(text)
    try:
        told = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        from_words(text)  # a web page is said to be one
        raise CannotAnswer("it answers with no JSON", "see that the agent's url is the one meant") from error
    return from_json(told)


async def _after(first: str, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for line in lines:
        yield line


async def _streamed(lines: AsyncIterator[str], heard: Heard) -> Reply:
    pieces = StreamedPieces()
    while not pieces.is_over:
        try:
            async with asyncio.timeout(MORE_SECONDS if pieces.is_whole else None):
                line = await anext(lines, None)
        except TimeoutError:
            break
        if line is None:
            break
        if line.strip() and (piece := pieces.take(line)):
            await heard.say(piece)
    if not pieces.is_whole:
        raise CannotAnswer(
            "its answer ends in the middle", "have it end its stream as docs/ready-made-agents.md says"
        )
    return pieces.last


async def probe(_name: str, settings: AgentSettings, token: str) -> Probed:
    """Whether somebody is there, whose certificate is good. Nothing is asked: that would begin a workflow.

    Raises BadOrchestrator and CannotAnswer.
    """
    orchestrator(_name, settings, token)
    if _TEST in settings.url:
        return Probed(
            "n8n's test address answers only while its editor listens", "write /webhook/ for /webhook-test/"
        )
    peer = HttpPeer(WHO, settings.url, ca_file=settings.ca_file)
    async with peer.running():
        try:
            async with peer.ask("OPTIONS", "", None, headers={}):
                pass
        except PeerFailed as error:
            if error.status < 400:
                raise
    return Probed("somebody is there; what it answers is not tried")
