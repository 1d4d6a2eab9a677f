"""A broker that is away for a day, with a transcript every second: what that costs, and how fast it is made good.

The journal and the outbox are the gateway's; the broker is the memory broker, which first refuses
everything and then takes it. Whoever subscribes to it compares.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections import defaultdict
from pathlib import Path
from typing import Any

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerUnavailable, Durability, Receipt
from gateway.contract.messages import (
    RESULTS_TOPIC,
    AudioFacts,
    RecognizerFacts,
    Timings,
    TranscriptionMessage,
    new_id,
)
from gateway.journal import Journal
from gateway.journal.effects import Queued
from gateway.pipeline.asking.outbox import Fate, Outbox, Refused
from gateway.pipeline.asking.rows import letter_row
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.settings.journal import JournalSettings
from tests.chaos.verdict import Verdict
from transcription.priority import Priority

SCENARIO = "the broker away for a day"
SESSIONS = 1_000
AT_ONCE = 256
DISK_MB, MEMORY_MB, DRAIN_SECONDS = 100, 20, 60
"""The bars, for a whole day."""


class Away(MemoryBroker):
    """Out of reach until it is back; then it confirms with what a good broker on the network does."""

    back = False

    async def publish(self, *arguments: Any, **options: Any) -> Receipt:
        if not self.back:
            raise BrokerUnavailable("out of reach")
        receipt = await super().publish(*arguments, **options)
        return Receipt(receipt.message_id, Durability.FSYNC)


def transcript(number: int, session_id: str) -> TranscriptionMessage:
    """As long as they are."""
    timings = Timings(endpoint_ms=701.2, queue_ms=1.3, recognize_ms=85.1, text_ms=789.5)
    return TranscriptionMessage(
        session_id=session_id, user_id="home", device_id=f"device-{number % 20}", timestamp=time.time(),
        text=f"set the thermostat in the living room to {number} degrees", success=True, language="en",
        message_id=new_id("m"), correlation_id=new_id("c"), utterance_id=new_id("u"), confidence=0.93,
        audio=AudioFacts(seconds=2.345), timings=timings,
        recognizer=RecognizerFacts(engine="faster-whisper", model="base.en", context_ms=7680.0),
    )  # fmt: skip


async def scenario(folder: Path, *, messages: int) -> Verdict:
    """Queue so many while the broker is away, then let it come back."""
    verdict = Verdict(SCENARIO, blows=1, spoken=messages)
    began = time.monotonic()
    broker, taken = Away(), defaultdict[str, list[str]](list)
    sent = defaultdict[str, list[str]](list)
    settings = JournalSettings(path=str(folder / "journal.db"))
    async with Journal(settings) as journal, Outbox(broker, journal, Unanswered(), _never_refused) as outbox:
        outbox.start()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        await _queue(messages, journal, outbox)
        gc.collect()
        memory = (tracemalloc.get_traced_memory()[0] - before) / 1e6
        tracemalloc.stop()
        for letter in await journal.letters(0, messages):
            sent[letter.session_id].append(letter.message_id)
        disk = sum(file.stat().st_size for file in folder.iterdir()) / 1e6  # noqa: ASYNC240
        drained = await _drain(broker, taken, messages)
        await journal.commit()
    verdict.lost = [f"{m}" for s in sent for m in sorted(set(sent[s]) - set(taken[s]))]
    verdict.doubled = [s for s in sent if len(taken[s]) > len(set(taken[s]))]
    verdict.wrong = [f"{s} is out of order" for s in sent if not verdict.lost and taken[s] != sent[s]]
    share = messages / 86_400
    verdict.figures = f"{disk:.0f} MB of disk, {memory:.1f} MB of memory, drained in {drained:.0f} s"
    for what, value, bar in (("disk", disk, DISK_MB), ("drain", drained, DRAIN_SECONDS)):
        if value > max(10.0, bar * share):
            verdict.wrong.append(f"{what}: {value:.0f}, at most {bar} for a day")
    if memory > MEMORY_MB:
        verdict.wrong.append(f"{memory:.1f} MB of memory, at most {MEMORY_MB}")
    verdict.seconds = time.monotonic() - began
    return verdict


async def _queue(messages: int, journal: Journal, outbox: Outbox) -> None:
    """As the gateway does."""
    for start in range(0, messages, AT_ONCE):
        rows = []
        for number in range(start, min(start + AT_ONCE, messages)):
            message = transcript(number, f"s_{number % SESSIONS}")
            rows.append(
                letter_row(
                    RESULTS_TOPIC,
                    message,
                    journal.next_number(),
                    "orchestrator.replies",
                    priority=Priority.NORMAL,
                )
            )
        await asyncio.gather(*(journal.commit(Queued(row)) for row in rows))
        for row in rows:
            outbox.put(row, journaled=True)


async def _drain(broker: Away, taken: dict[str, list[str]], messages: int) -> float:
    """Seconds until the last message is in a subscriber's hands."""
    async with broker.subscribe(RESULTS_TOPIC) as results:
        broker.back = True
        began = time.monotonic()
        count = 0
        async for delivery in results:
            taken[delivery.message.routing_key.session].append(delivery.message.message_id)
            await delivery.ack()
            count += 1
            if count == messages:
                return time.monotonic() - began
    raise AssertionError("the broker was closed")


def _never_refused(fate: Fate) -> None:
    assert not isinstance(fate, Refused), fate
