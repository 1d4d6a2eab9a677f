"""A relay in front of somebody's HTTP server: it notes when a question came, when the first word left, who hung up."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_WORD = re.compile(rb'"content": ?"[^"]')


@dataclass
class Question:
    """One POST, by this machine's monotonic clock; 0: not yet."""

    asked: float
    first_word: float = 0.0
    hung_up: float = 0.0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


class Relay:
    """``questions``, in their order; to be asked one after the other."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self.questions: list[Question] = []
        self.url = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        there, back = await asyncio.open_connection(*self._target)
        asked: list[Question] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                answering = tasks.create_task(_answer(there, writer, asked))
                while data := await _read(reader):
                    if data.startswith(b"POST "):
                        asked.append(Question(time.monotonic()))
                        self.questions.append(asked[-1])
                    back.write(data)
                for question in asked[-1:]:
                    question.hung_up = time.monotonic()
                    question.is_over.set()
                answering.cancel()
        except* ConnectionError:
            pass
        finally:
            for one in (writer, back):
                one.close()
                with suppress(ConnectionError):
                    await one.wait_closed()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Who hangs up with something unread resets the connection."""
    try:
        return await reader.read(65_536)
    except ConnectionError:
        return b""


async def _answer(there: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[Question]) -> None:
    while data := await there.read(65_536):
        if asked and not asked[-1].first_word and _WORD.search(data):
            asked[-1].first_word = time.monotonic()
        writer.write(data)
    writer.close()


@asynccontextmanager
async def relay(target: str) -> AsyncIterator[Relay]:
    """One, at ``url``."""
    one = Relay(target)
    server = await asyncio.start_server(one.take, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    one.url = f"http://{host}:{port}"
    try:
        yield one
    finally:
        server.close()
