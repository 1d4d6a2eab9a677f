"""A broker that is away for a day: a message a second waits in the outbox, and goes out in order when it is back.

The day is told to the journal and the outbox as fast as they take it; nothing else of the gateway runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.instruments.memory import resident_mb
from gateway.broker.base import MessageBroker
from gateway.broker.opening import open_broker
from gateway.contract.messages import RESULTS_TOPIC, decode_transcription, encode
from gateway.journal import Journal
from gateway.journal.effects import Queued
from gateway.journal.records import LetterRow
from gateway.pipeline.asking.outbox import Outbox
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.settings.broker import BrokerSettings
from gateway.settings.journal import JournalSettings
from tests.chaos.broker_away import transcript
from tests.chaos.checker import Came, Line, check
from tests.chaos.outcome import Outcome
from tests.record import passes
from tests.servers.process import ServerProcess

DAY = 86_400
"""Messages."""
SESSIONS = 300
AT_ONCE = 256
DISK_MB, MEMORY_MB, DRAIN_SECONDS = 100.0, 20.0, 60.0
PATIENCE = 300.0


async def scenario(folder: Path, broker: ServerProcess, url: str, *, messages: int = DAY) -> Outcome:
    """``broker`` runs, and runs afterwards."""
    outcome = Outcome(scenario="", times=1)
    began = time.monotonic()
    settings = BrokerSettings(url=url, stream_messages=2 * DAY)
    reader = open_broker(url, settings)
    async with reader.subscribe(RESULTS_TOPIC, group="archive"):
        pass  # from now on the broker keeps messages for it
    await reader.close(0.1)
    await asyncio.to_thread(broker.kill)
    publisher = open_broker(url, settings)
    async with Journal(JournalSettings(path=str(folder / "journal.db"))) as journal:
        outbox = Outbox(publisher, journal, Unanswered())
        async with outbox:
            outbox.start()
            before = resident_mb()
            await _wait_out(journal, outbox, range(messages))
            outcome.figures["memory_mb"] = round(resident_mb() - before, 1)
            outcome.figures["disk_mb"] = round(_size_mb(folder), 1)
            await asyncio.to_thread(broker.start)
            outcome.figures["drain_s"] = await _drained(journal, outbox)
    await publisher.close(0.1)
    outcome.add(0, {"archive": check(_script(messages), await _read(url, settings, messages))})
    _hold_to_bars(outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


async def _wait_out(journal: Journal, outbox: Outbox, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, AT_ONCE):
        letters = [_letter(n, journal) for n in range(start, min(start + AT_ONCE, numbers.stop))]
        await asyncio.gather(*(journal.commit(Queued(letter)) for letter in letters))
        for letter in letters:
            outbox.put(letter, journaled=True)


def _letter(number: int, journal: Journal) -> LetterRow:
    session = f"s_{number % SESSIONS}"
    return LetterRow(
        number=journal.next_number(), message_id=f"m_{number}", topic=RESULTS_TOPIC, user_id="home",
        device_id="kitchen", session_id=session, payload=encode(transcript(number, session)),
        correlation_id=f"c_{number}",
    )  # fmt: skip


async def _drained(journal: Journal, outbox: Outbox) -> float:
    began = time.monotonic()
    await passes(lambda: not outbox.waiting, PATIENCE)
    while await journal.letters(0, 1):
        await passes(lambda: not outbox.waiting, PATIENCE)
    return round(time.monotonic() - began, 1)


async def _read(url: str, settings: BrokerSettings, messages: int) -> list[Came]:
    came: list[Came] = []
    reader: MessageBroker = open_broker(url, settings)
    async with asyncio.timeout(PATIENCE), reader.subscribe(RESULTS_TOPIC, group="archive") as archive:
        async for delivery in archive:
            message = delivery.message
            came.append(Came("kitchen", decode_transcription(message.payload).text, message.message_id))
            await delivery.ack()
            if len(came) == messages:
                break
    await reader.close(0.1)
    return came


def _script(messages: int) -> Iterator[Line]:
    return (
        Line("kitchen", number % SESSIONS, number, transcript(number, "s").text) for number in range(messages)
    )


def _size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.glob("journal.db*")) / 1e6


def _hold_to_bars(outcome: Outcome) -> None:
    bars = {"memory_mb": MEMORY_MB, "disk_mb": DISK_MB, "drain_s": DRAIN_SECONDS}
    for name, limit in bars.items():
        if outcome.figures[name] >= limit:
            outcome.fault(f"{name} is {outcome.figures[name]:g}, to be under {limit:g}")
