"""Many people who type to the gateway, each with a token, a connection and a conversation of their own."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct, field

from benchmarks.load.parrot import said_back
from gateway.access.principals import Role
from gateway.access.private_files import write_private
from gateway.access.token_text import digest, new_text
from gateway.access.tokens import FILE, UNSIGNED, Token
from gateway.client.credentials import Introduction
from gateway.client.listener import Listener
from gateway.contract.events import ErrorEvent, ReplyEvent

PATIENCE = 10.0
"""Seconds after which an answer that has not come will not come."""


def make_tokens(folder: Path, count: int) -> list[str]:
    """A token for each of them, who sees nothing but their own; the gateway of this folder knows them from now on."""
    texts = [new_text() for _ in range(count)]
    now = time.time()
    tokens = [
        Token(
            token_id=f"t_{secrets.token_hex(16)}",
            name=f"chat{number}",
            role=Role.LISTENER,
            digest=digest(text),
            made_at=now,
            expires_at=now + 86_400,
            users=(f"chat{number}",),
            key=UNSIGNED,
        )
        for number, text in enumerate(texts)
    ]
    data = msgspec.json.encode(tokens)
    write_private(folder / FILE, data, cramped=data)
    return texts


class Chats(Struct):
    """What became of all turns: milliseconds from the text on its way to the first answer, and what went wrong."""

    waits_ms: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    conversations: dict[str, int] = field(default_factory=dict)


class Chat:
    """One of them."""

    def __init__(self, number: int, listener: Listener, chats: Chats) -> None:
        self.number = number
        self._listener = listener
        self._chats = chats
        self._said: dict[str, float] = {}
        self._before = "-"
        self._turns = 0

    async def say(self) -> None:
        """The next turn."""
        self._turns += 1
        text = f"{self.number}.{self._turns}"
        self._said[text] = time.monotonic()
        await self._listener.say(text)

    async def listen(self) -> None:
        """Until cancelled."""
        async for event in self._listener:
            if isinstance(event, ErrorEvent):
                self._chats.wrong.append(f"{event.code}: {event.reason}")
            elif isinstance(event, ReplyEvent):
                self._answered(event)

    def unanswered(self) -> int:
        """Turns that nobody has answered."""
        return len(self._said)

    def _answered(self, reply: ReplyEvent) -> None:
        chats, text = self._chats, reply.text.rpartition(" ")[2]
        said_at = self._said.pop(text, None)
        right = said_back(text, reply.conversation_id, self._before)
        owner = chats.conversations.setdefault(reply.conversation_id, self.number)
        if said_at is None or reply.error or reply.fallback or reply.text != right or owner != self.number:
            chats.wrong.append(f"{self.number} after {self._before!r}: {reply}")
            return
        self._before = text
        chats.waits_ms.append(1000 * (time.monotonic() - said_at))


@asynccontextmanager
async def chatting(url: str, tokens: Sequence[str]) -> AsyncIterator[tuple[Chats, list[Chat]]]:
    """All of them, connected and listening."""
    chats = Chats()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        listeners = [
            await stack.enter_async_context(Listener(url, introduction=Introduction(token=token)))
            for token in tokens
        ]
        everybody = [Chat(number, listener, chats) for number, listener in enumerate(listeners)]
        listening = [tasks.create_task(one.listen()) for one in everybody]
        yield chats, everybody
        for task in listening:
            task.cancel()


async def talk(everybody: Sequence[Chat], turns: int, per_second: float) -> None:
    """One after the other, whether those before have their answers or not; until all have, or never will."""
    began = time.monotonic()
    for number in range(turns):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        await everybody[number % len(everybody)].say()
    deadline = time.monotonic() + PATIENCE
    while any(one.unanswered() for one in everybody) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
