"""One answer while it is being given: what was said so far, and the tools to say more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from gateway.contract.agents import AgentAnswer
from gateway.contract.messages import DATA_BYTES, WantedHints, encode_data
from gateway.orchestrators.announcing import announcement
from gateway.orchestrators.answer import Reply
from gateway.orchestrators.heard import TurnOver
from gateway.orchestrators.other_agents import OtherAgents
from gateway.orchestrators.post import Letter, Post
from gateway.orchestrators.replies import Replies
from gateway.process.stopwatch import OnStep, timed_items

TEXT_CHARACTERS = 1024 * 1024
"""Of an answer in all; one that has more would be refused at the other end."""

OTHERS_SHARE = 0.9
"""Of the time that is left, another agent has so much: who asked it can still say something when that is over."""


class Speaking:
    """``Tools`` of one inquiry; ``due``: until when an answer is waited for, by the loop's clock."""

    def __init__(self, replies: Replies, post: Post, others: OtherAgents, due: float) -> None:
        self.due = due
        self._replies = replies
        self._post = post
        self._others = others
        self._said: list[str] = []
        self._characters = 0
        self._interim: str | None = None
        self._hints: WantedHints | None = None
        self._data: dict[str, Any] = {}
        self._acted = False
        self._over = False

    def seconds_left(self) -> float:
        """As ``Heard``'s, and never below 0."""
        return max(0.0, self.due - asyncio.get_running_loop().time())

    async def say(self, text: str) -> None:
        """As ``Heard``'s. Raises ValueError when the answer grows too long."""
        self._go_on()
        piece = self._replies.piece(text)
        self._characters += len(text)
        if self._characters > TEXT_CHARACTERS:
            raise ValueError(f"an answer has at most {TEXT_CHARACTERS} characters")
        self._said.append(text)
        await self._post.offer(piece)

    async def interim(self, text: str) -> None:
        """As ``Heard``'s."""
        self._go_on()
        whole = self._replies.piece(text, interim=True)
        self._interim = text
        await self._post.offer(whole)

    async def progress(self, text: str) -> None:
        """As ``Heard``'s."""
        self._go_on()
        await self._post.offer(self._replies.piece("", progress=text))

    async def hints(self, hints: WantedHints) -> None:
        """As ``Heard``'s."""
        self._go_on()
        self._hints = hints

    async def attach(self, data: dict[str, Any]) -> None:
        """As ``Heard``'s."""
        self._go_on()
        together = {**self._data, **data}
        if len(encode_data(together)) > DATA_BYTES:
            raise ValueError(f"data has at most {DATA_BYTES} bytes as JSON")
        self._data = together

    async def announce(self, text: str, device_id: str | None, keep_seconds: float) -> None:
        """As ``Heard``'s; also after the end."""
        self._acted = True
        heard = self._replies.inquiry.heard
        letter = announcement(self._replies.agent, device_id or heard.device_id, text, keep_seconds)
        await self._post.send(
            letter._replace(correlation_id=heard.correlation_id, traceparent=heard.traceparent)
        )

    async def ask(self, agent: str, text: str | None, seconds: float | None) -> AgentAnswer:
        """As ``Heard``'s."""
        self._go_on()
        self._acted = True  # or the other has: nobody knows
        left = self.seconds_left() * OTHERS_SHARE
        inquiry = self._replies.inquiry
        seconds = left if seconds is None else min(seconds, left)
        return await self._others.ask(inquiry.heard, inquiry.key, agent, text, seconds)

    async def say_all(self, pieces: AsyncIterator[str], on_step: OnStep) -> None:
        """Each as it comes; what the broker does not take meanwhile is in the whole."""
        try:
            async for piece in timed_items(pieces, on_step):
                await self.say(piece)
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    def ended(self, reply: Reply | None) -> Letter | None:
        """What there is to say in all; None: nothing was."""
        self._over = True
        if reply is None:
            if not (self._said or self._interim is not None or self._data or self._hints):
                return None
            reply = Reply()
        return self._replies.end(self._whole(reply))

    def cut(self) -> None:
        """Nothing more may be said."""
        self._over = True

    def _whole(self, reply: Reply) -> Reply:
        text = reply.text
        if isinstance(text, str):  # else it is refused as what it is
            text = "".join([*self._said, text]) or self._interim or ""
        data = reply.data
        if self._data and (data is None or isinstance(data, dict)):
            data = {**self._data, **(data or {})}
        hints = reply.hints if reply.hints is not None else self._hints
        return Reply(text, hints, data, reply.confidence, reply.understood, reply.acted or self._acted)

    def _go_on(self) -> None:
        if self._over:
            raise TurnOver("the answer has ended: nothing more can be said to it")
