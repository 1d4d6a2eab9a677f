"""The agent of kind commands: what was said is looked up, done and answered, in one language after the other.

The file is looked at again every second; a wrong one changes nothing, and the log says what is wrong with it. Nobody
notices a change: what is being done goes on by the book in which it was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from gateway.agents.commands.book import CommandBook, Meant, can_fill
from gateway.agents.commands.filling import Filler, NothingThere, Values
from gateway.agents.commands.means import OpenMeans
from gateway.agents.commands.reading import file_of, read_book
from gateway.agents.confirmation import Confirmations, Consent
from gateway.agents.tools.record import CallOutcome, Record, write
from gateway.config.loading import ConfigError
from gateway.contract.messages import WantedHints
from gateway.orchestrators.answer import CannotAnswer, NotUnderstood, Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.orchestrator import AgentSettings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
"""How often it is looked whether the file is another."""

_NOT_DONE = {
    "en": "All right, I will not.",
    "de": "Gut, dann nicht.",
    "fr": "D'accord, je ne le fais pas.",
    "es": "De acuerdo, no lo hago.",
    "it": "Va bene, non lo faccio.",
    "nl": "Goed, dan niet.",
    "pt": "Está bem, não faço.",
}


def orchestrator(name: str, settings: AgentSettings, token: str) -> Orchestrator:
    """Raises BadOrchestrator, with every mistake in its file."""
    answering = Orchestrator(
        name, timeout_seconds=settings.timeout_seconds, description=f"Commands of {settings.commands.file}"
    )
    agent = CommandsAgent(name, settings, token, lambda **facts: answering.acted(**facts))  # noqa: PLW0108 - it is set later
    answering.on_transcript(agent.answer)
    answering.lifespan = agent.running
    return answering


class CommandsAgent:
    """Looks up what is said, does it, and says what came of it."""

    def __init__(self, name: str, settings: AgentSettings, token: str, record: Record) -> None:
        """``record``: told of what is to be written down."""
        if not settings.commands.file:
            raise BadOrchestrator("name its file (commands.file)")
        self._name = name
        self._record = record
        self._settings = settings.commands
        self._means = OpenMeans(name, settings, token)
        self._pending = Confirmations[Meant]()
        try:
            self._version = _version(file_of(self._settings))
            self._book = read_book(self._settings)
        except (ConfigError, RuntimeError) as error:
            raise BadOrchestrator(str(error)) from error

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as it is asked."""
        async with self._means.running():
            watching = asyncio.create_task(self._watch(), name=f"commands of {self._name}")
            try:
                yield
            finally:
                watching.cancel()
                await asyncio.wait({watching})

    async def answer(self, heard: Heard) -> Reply:
        """What is said to it. Raises NotUnderstood and CannotAnswer."""
        book = self._book
        if book.hotwords:
            await heard.hints(WantedHints(hotwords=book.hotwords))
        asked = self._pending.answered(heard)
        if asked is not None and asked[0] is Consent.YES:
            return await self._done(book, asked[1], heard, confirmed=True)
        if asked is not None:
            write(self._record, heard, asked[1].command.name, CallOutcome.DECLINED)
        if asked is not None and asked[0] is Consent.NO:
            return Reply(_NOT_DONE.get(asked[1].language, _NOT_DONE["en"]), data=_data(asked[1], "refused"))
        meant = book.understand(heard)
        if meant is None:
            texts = book.texts(book.not_understood, book.spoken_in(heard))
            raise NotUnderstood(_words(texts, Values(book.around(heard))))
        if meant.command.confirms:
            self._pending.ask(heard, meant)
            write(self._record, heard, meant.command.name, CallOutcome.ASKED)
            return Reply(self._question(book, meant), data=_data(meant, "asked"))
        return await self._done(book, meant, heard, confirmed=False)

    @staticmethod
    def _question(book: CommandBook, meant: Meant) -> str:
        texts = book.texts(meant.command.questions, meant.language)
        return _words(texts, Values(meant.slots)) or f"{meant.slots['text'].words.rstrip('.!? ')}?"

    async def _done(self, book: CommandBook, meant: Meant, heard: Heard, *, confirmed: bool) -> Reply:
        command, outcome = meant.command, CallOutcome.CUT
        if confirmed:
            write(self._record, heard, command.name, CallOutcome.CONFIRMED)
        try:
            text = await self._carried_out(book, meant)
            outcome = CallOutcome.DONE
        except CannotAnswer as error:
            outcome = CallOutcome.FAILED
            raise CannotAnswer(f"{command.name}: {error.reason}", error.remedy) from error
        except NothingThere as error:
            outcome = CallOutcome.FAILED
            raise CannotAnswer(f"{command.name}: there is no {error} in the answer") from error
        finally:
            if command.audited:
                write(self._record, heard, command.name, outcome)
        return Reply(text, data=_data(meant, "done"), confidence=1.0, acted=bool(command.deeds))

    async def _carried_out(self, book: CommandBook, meant: Meant) -> str:
        """What is said when all is done. Raises CannotAnswer and NothingThere."""
        command, values = meant.command, Values(meant.slots)
        for deed in command.deeds:
            came = await deed.do(values, self._means)
            values = values._replace(reply=came) if deed.answers else values
        texts = book.texts(command.replies, meant.language)
        ready = [one for one in texts if can_fill(one, meant.slots)]
        return ready[next(command.turn) % len(ready)].fill(values.words) if ready else ""

    # -- its file

    async def _watch(self) -> None:
        file = file_of(self._settings)
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            version = await asyncio.to_thread(_version, file)
            if version in (self._version, None):  # away for the moment: editors do that
                continue
            self._version = version
            try:
                self._book = await asyncio.to_thread(read_book, self._settings)
            except ConfigError as error:
                for problem in error.problems:
                    log.error(  # noqa: TRY400 - it says all
                        "the commands are wrong, the old ones go on", agent=self._name, problem=str(problem)
                    )
            else:
                log.info("commands read again", agent=self._name, commands=len(self._book.commands))


def _version(file: Path) -> tuple[int, int, int] | None:
    """By which it is seen that the file is another; None: it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _words(texts: tuple[Filler, ...], values: Values) -> str:
    """The first text for which all is there."""
    return next((one.fill(values.words) for one in texts if can_fill(one, values.slots)), "")


def _data(meant: Meant, state: str) -> dict[str, Any]:
    """For programs."""
    slots = {name: one.value for name, one in meant.said.items()}
    return {"command": meant.command.name, "slots": slots, "state": state}
