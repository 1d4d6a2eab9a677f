"""The journal: what it costs a transcript to be on the disk before the broker has it, and rows per second.

Latency is from the transcript being ready to the broker's receipt: one commit of four effects (the
utterance done and remembered, the message queued, the request registered), then the outbox and the memory broker, which
takes no time of its own. The disk is that of the folder it runs in.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path

from benchmarks.instruments.report import Bar, Result, percentile
from gateway.broker.backends.memory import MemoryBroker
from gateway.contract.messages import AudioFacts, Timings
from gateway.journal import Journal
from gateway.journal.effects import Asked, Heard, Queued, Remembered, Transcribed
from gateway.journal.records import HistoryRow, LetterRow, RequestRow, UtteranceRow
from gateway.pipeline.asking.outbox import Fate, Outbox, Posted
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.settings.journal import JournalSettings

TOPIC = "transcription.results"
PAYLOAD = random.Random(1).randbytes(750)  # a transcript's size, at its worst for packing
AUDIO = bytes(2 * 16_000 * 2)  # two seconds
PAUSE_SECONDS = 0.005


def letter(number: int) -> LetterRow:
    """A message as the gateway queues it."""
    return LetterRow(
        number=number, message_id=f"m_{number}", topic=TOPIC, user_id="home", device_id="kitchen",
        session_id="s_1", payload=PAYLOAD, correlation_id=f"c_{number}",
    )  # fmt: skip


def request(number: int) -> RequestRow:
    """The request beside it."""
    return RequestRow(
        correlation_id=f"c_{number}", session_id="s_1", user_id="home", device_id="kitchen", boot=1, stream=1,
        utterance_id=f"u_{number}", asked_at=0.0, deadline=0.0, message=PAYLOAD,
    )  # fmt: skip


def remembered(number: int) -> HistoryRow:
    """What the history keeps of it."""
    return HistoryRow(
        utterance_id=f"u_{number}", correlation_id=f"c_{number}", session_id="s_1", user_id="home",
        device_id="kitchen", spoken_at=0.0, text="turn on the light in the kitchen", success=True, error=None,
        language="en", confidence=0.9, audio=AudioFacts(seconds=2.0), timings=Timings(text_ms=400.0),
    )  # fmt: skip


def utterance(number: int) -> UtteranceRow:
    """Two seconds of speech."""
    return UtteranceRow(
        utterance_id=f"u_{number}", correlation_id=f"c_{number}", session_id="s_1", user_id="home",
        device_id="kitchen", boot=1, stream=1, start=number, end=number + 1, heard_at=0.0, audio=AUDIO,
    )  # fmt: skip


class Receipts:
    """Hands on each receipt, as soon as it is there, to whoever waits for it."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def __call__(self, fate: Fate) -> None:
        """The broker has it, or it would be no measurement."""
        assert isinstance(fate, Posted), fate
        self.came.set()


async def latencies(journal: Journal, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of single utterances: speech complete to durable, and transcript ready to receipt."""
    broker, receipts = MemoryBroker(), Receipts()
    durable, published = [], []
    async with Outbox(broker, journal, Unanswered(), receipts) as outbox:
        outbox.start()
        for _ in range(count):
            number = journal.next_number()
            began = time.perf_counter()
            await journal.commit(Heard(utterance(number)))
            durable.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(PAUSE_SECONDS)
            receipts.came.clear()
            began = time.perf_counter()
            row = letter(number)
            done = (Transcribed(f"u_{number}"), Queued(row), Remembered(remembered(number)))
            await journal.commit(*done, Asked(request(number)))
            outbox.put(row, journaled=True)
            await receipts.came.wait()
            published.append((time.perf_counter() - began) * 1000)
    await broker.close()
    return durable, published


async def single_rate(journal: Journal, count: int) -> float:
    """Rows per second, each waited for."""
    began = time.perf_counter()
    for _ in range(count):
        await journal.commit(Queued(letter(journal.next_number())))
    return count / (time.perf_counter() - began)


async def grouped_rate(journal: Journal, count: int) -> float:
    """Rows per second, 256 at a time."""
    began = time.perf_counter()
    for _ in range(count // 256):
        rows = [Queued(letter(journal.next_number())) for _ in range(256)]
        await asyncio.gather(*(journal.commit(row) for row in rows))
    return count // 256 * 256 / (time.perf_counter() - began)


async def measure(folder: Path, *, quick: bool) -> Result:
    """All of it, on one journal."""
    settings = JournalSettings(path=str(folder / "journal.db"), outbox_messages=10_000_000)
    async with Journal(settings) as journal:
        durable, published = await latencies(journal, 100 if quick else 2_000)
        single = await single_rate(journal, 200 if quick else 5_000)
        grouped = await grouped_rate(journal, 2_560 if quick else 102_400)
        written = (folder / "journal.db").stat().st_size
        rows = journal.stats().counters.commits
    p50, p99 = percentile(published, 50), percentile(published, 99)
    metrics: dict[str, float | int | str] = {
        "transcript ready -> receipt p50_ms": p50,
        "transcript ready -> receipt p99_ms": p99,
        "transcript ready -> receipt max_ms": max(published),
        "2 s of speech -> durable p50_ms": percentile(durable, 50),
        "2 s of speech -> durable p99_ms": percentile(durable, 99),
        "rows_per_s, one by one": round(single),
        "rows_per_s, 256 at a time": round(grouped),
        "bytes per queued message": round(written / max(1, rows)),
    }
    return Result(
        metrics,
        [
            Bar("transcript ready -> broker's receipt, p50", p50, 5.0, "at most", "ms"),
            Bar("transcript ready -> broker's receipt, p99", p99, 50.0, "at most", "ms"),
        ],
    )


def run(*, quick: bool) -> Result:
    with tempfile.TemporaryDirectory(prefix="earshot-journal-", dir=".") as folder:
        return asyncio.run(measure(Path(folder), quick=quick))
