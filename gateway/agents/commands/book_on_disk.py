"""The commands' file as long as the agent runs: read at its start, and again when it is another.

A wrong file changes nothing, and the log says what is wrong with it; where there was none before, the agent cannot
answer until it is right. Nobody notices a change: what is being done goes on by the book in which it was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import structlog

from gateway.agents.commands.book import CommandBook
from gateway.agents.commands.reading import file_of, read_book
from gateway.config.loading import ConfigError
from gateway.orchestrators.answer import CannotAnswer
from gateway.settings.agents.commands import CommandsSettings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often it is looked whether the file is another."""
REMEDY = "correct the file; earshot check-config lists every mistake"

_Version: TypeAlias = tuple[int, int, int]


class BookOnDisk:
    """Of the agent of that name. ``ailing``: told why there is no book, and what helps; twice nothing: there is one."""

    def __init__(self, name: str, settings: CommandsSettings, ailing: Callable[[str, str], None]) -> None:
        self._name = name
        self._settings = settings
        self._ailing = ailing
        self._looked = asyncio.Event()
        self._version: _Version | None = None
        self._book: CommandBook | None = None
        self._reason = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as anything is looked up."""
        watching = asyncio.create_task(self._watch(), name=f"commands of {self._name}")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait({watching})

    async def book(self) -> CommandBook:
        """The newest that is right. Raises CannotAnswer where none was."""
        await self._looked.wait()
        if self._book is None:
            raise CannotAnswer(self._reason, REMEDY)
        return self._book

    async def _watch(self) -> None:
        while True:
            version = await asyncio.to_thread(_version, file_of(self._settings))
            if version != self._version or not self._looked.is_set():
                if version is not None or self._book is None:  # away for the moment: editors do that
                    await self._read()
                self._version = version
                self._looked.set()
            await asyncio.sleep(LOOK_SECONDS)

    async def _read(self) -> None:
        had = self._book
        try:
            self._book = await asyncio.to_thread(read_book, self._settings)
        except ConfigError as error:
            then = "the old ones go on" if had else "there are none"
            for problem in error.problems:
                text = f"the commands are wrong, {then}"
                log.error(text, agent=self._name, problem=str(problem))  # noqa: TRY400 - it says all
            if had is None:
                self._reason = f"its commands are wrong ({str(error.problems[0]).splitlines()[0]})"
                self._ailing(self._reason, REMEDY)
        else:
            log.info("commands read", agent=self._name, commands=len(self._book.commands))
            if had is None and self._reason:
                self._ailing("", "")


def _version(file: Path) -> _Version | None:
    """By which it is seen that the file is another; None: it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
