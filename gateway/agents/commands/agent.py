"""The agent of kind commands: what was said is looked up, done and answered, in one language after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.agents.commands.book import CommandBook, Meant, can_fill
from gateway.agents.commands.book_on_disk import BookOnDisk
from gateway.agents.commands.deeds import MqttDeed
from gateway.agents.commands.filling import Filler, NothingThere, Values
from gateway.agents.commands.matching import TooMuchToTry
from gateway.agents.commands.means import OpenMeans
from gateway.agents.commands.reading import read_book
from gateway.agents.confirmation import Confirmations, Consent, is_a_persons
from gateway.agents.ready_made import Probed
from gateway.agents.tools.record import CallOutcome, write
from gateway.config.loading import ConfigError
from gateway.contract.messages import WantedHints
from gateway.orchestrators.answer import CannotAnswer, NotUnderstood, Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.orchestrator import AgentSettings

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
    """Raises BadOrchestrator where no file is named. What is wrong in it is told when it runs."""
    if not settings.commands.file:
        raise BadOrchestrator("name its file (commands.file)")
    answering = Orchestrator(
        name, timeout_seconds=settings.timeout_seconds, description=f"Commands of {settings.commands.file}"
    )
    agent = CommandsAgent(name, settings, token, answering)
    answering.on_transcript(agent.answer)
    answering.lifespan = agent.running
    return answering


async def probe(name: str, settings: AgentSettings, _token: str) -> Probed:
    """How many commands there are, and whether the broker is there that they publish to. Raises as a ProbeAgent."""
    try:
        book = await asyncio.to_thread(read_book, settings.commands)
    except ConfigError as error:
        raise BadOrchestrator(str(error)) from error
    if any(isinstance(deed, MqttDeed) for command in book.commands for deed in command.deeds):
        from gateway.agents.commands.mqtt_publisher import publisher  # noqa: PLC0415 - where it is wanted

        broker = publisher(name, settings.commands.mqtt)
        async with broker.running():
            await broker.look()
    return Probed(f"{len(book.commands)} commands in {', '.join(sorted(book.kinds))}")


class CommandsAgent:
    """Looks up what is said, does it, and says what came of it."""

    def __init__(self, name: str, settings: AgentSettings, token: str, answering: Orchestrator) -> None:
        """``answering``: told what is to be written down, and how this is; as it is when there is news."""
        self._answering = answering
        self._file = BookOnDisk(name, settings.commands, lambda *why: answering.on_ailing(name, *why))
        self._means = OpenMeans(name, settings, token)
        self._pending = Confirmations[Meant]()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """As long as it is asked."""
        async with self._means.running(), self._file.running():
            yield

    async def answer(self, heard: Heard) -> Reply:
        """What is said to it. Raises NotUnderstood and CannotAnswer."""
        book = await self._file.book()
        if book.hotwords:
            await heard.hints(WantedHints(hotwords=book.hotwords))
        asked = self._pending.answered(heard)
        if asked is not None and asked[0] is Consent.YES:
            return await self._done(book, asked[1], heard, confirmed=True)
        if asked is not None:
            write(self._answering.acted, heard, asked[1].command.name, CallOutcome.DECLINED)
        if asked is not None and asked[0] is Consent.NO:
            return Reply(
                _NOT_DONE.get(asked[1].language, _NOT_DONE["en"]), data=_data(asked[1], "refused"), acted=True
            )
        try:
            meant = book.understand(heard)
        except TooMuchToTry as error:
            raise CannotAnswer(
                "its patterns leave too much open", "give them fewer texts and options"
            ) from error
        if meant is None:
            texts = book.texts(book.not_understood, book.spoken_in(heard))
            raise NotUnderstood(_words(texts, Values(book.around(heard))))
        if meant.command.confirms:
            return self._ask_first(book, meant, heard)
        return await self._done(book, meant, heard, confirmed=False)

    def _ask_first(self, book: CommandBook, meant: Meant, heard: Heard) -> Reply:
        if not is_a_persons(heard):
            write(self._answering.acted, heard, meant.command.name, CallOutcome.REFUSED)
            raise CannotAnswer(
                f"{meant.command.name}: whoever speaks has to confirm it, and another agent asks for it",
                "have it said to this agent, which may be the first of a team",
            )
        question = self._question(book, meant)
        self._pending.ask(heard, question, meant)
        write(self._answering.acted, heard, meant.command.name, CallOutcome.ASKED)
        return Reply(question, data=_data(meant, "asked"), acted=True)

    @staticmethod
    def _question(book: CommandBook, meant: Meant) -> str:
        texts = book.texts(meant.command.questions, meant.language)
        return _words(texts, Values(meant.slots)) or f"{meant.slots['text'].words.rstrip('.!? ')}?"

    async def _done(self, book: CommandBook, meant: Meant, heard: Heard, *, confirmed: bool) -> Reply:
        command, outcome = meant.command, CallOutcome.CUT
        if confirmed:
            write(self._answering.acted, heard, command.name, CallOutcome.CONFIRMED)
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
                write(self._answering.acted, heard, command.name, outcome)
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


def _words(texts: tuple[Filler, ...], values: Values) -> str:
    """The first text for which all is there."""
    return next((one.fill(values.words) for one in texts if can_fill(one, values.slots)), "")


def _data(meant: Meant, state: str) -> dict[str, Any]:
    """For programs."""
    slots = {name: one.value for name, one in meant.said.items()}
    return {"command": meant.command.name, "slots": slots, "state": state}
