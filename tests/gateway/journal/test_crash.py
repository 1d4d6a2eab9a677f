"""The plug is pulled: a writer killed at any moment, and a log cut at any byte. What was promised is there."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.journal import Journal, JournalState
from gateway.journal import effects as e
from gateway.journal.tables.reading import Reader
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter, request, utterance

WRITER = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from gateway.journal import Journal, JournalState
from gateway.journal import effects as e
from gateway.journal.tables.reading import Reader
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter, request, utterance

async def exchange(journal, i):
    await journal.commit(e.Heard(utterance(f"u_{i}", start=i, audio=bytes(20_000))))
    print("heard", i, flush=True)
    number = journal.next_number()
    queued = e.Queued(letter(number, message_id=f"m_{i}"))
    await journal.commit(e.Transcribed(f"u_{i}"), queued, e.Asked(request(f"c_{i}")))
    print("queued", i, flush=True)
    if i % 3 == 0:
        await journal.commit(e.Published(number))
        print("published", i, flush=True)

async def main():
    async with Journal(JournalSettings(path=sys.argv[1])) as journal:
        print("ready", flush=True)
        for i in range(0, 100_000, 4):
            await asyncio.gather(*(exchange(journal, i + k) for k in range(4)))

asyncio.run(main())
"""
ROOT = Path(__file__).parents[3]


def killed_while_writing(path: Path, after_lines: int) -> dict[str, set[int]]:
    """Have a process write until it has promised so much, kill it; everything it promised."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(ROOT)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
        lines = [writer.stdout.readline() for _ in range(after_lines)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()  # what it said before it was gone
    promised: dict[str, set[int]] = {"heard": set(), "queued": set(), "published": set()}
    for line in lines:
        if line.endswith("\n"):
            word, i = line.split()
            promised[word].add(int(i))
    return promised


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_what_a_killed_gateway_promised_is_there(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "journal.db"
    promised = await asyncio.to_thread(killed_while_writing, path, random.Random(seed).randrange(1, 250))
    async with Journal(JournalSettings(path=str(path))) as journal:
        waiting = {int(row.utterance_id[2:]) async for row in journal.utterances()}
        asked = {int(row.correlation_id[2:]) async for row in journal.requests()}
        letters = {int(row.message_id[2:]): row.number for row in await journal.letters(0, 100_000)}
        assert journal.state.durable
        assert not journal.state.reason
        assert promised["heard"] <= waiting | asked
        assert not waiting & asked, "an utterance and what came of it are one commit"
        assert promised["queued"] <= asked
        assert asked - set(letters) <= {i for i in asked if i % 3 == 0}, "nothing else was published"
        assert not promised["published"] & set(letters)
        assert journal.next_number() > max(letters.values(), default=0)


STEPS = 3
"""Commits in the log that is cut."""


@pytest.fixture
async def uncut(tmp_path: Path) -> AsyncIterator[Path]:
    """A journal whose whole story is in its write-ahead log, as a killed gateway leaves it. Its pages are small."""
    live, copy = tmp_path / "live", tmp_path / "copy"
    live.mkdir()
    copy.mkdir()
    db = sqlite3.connect(live / "journal.db")
    db.executescript("PRAGMA page_size = 512; VACUUM; CREATE TABLE t (c); DROP TABLE t")
    db.close()
    async with Journal(JournalSettings(path=str(live / "journal.db"))) as journal:
        await journal.ask(lambda ledger: ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        for i in range(STEPS):
            await journal.commit(
                e.Queued(letter(i + 1)), e.Asked(request(f"c_{i}")), e.Heard(utterance(f"u_{i}", start=i))
            )
        for name in ("journal.db", "journal.db-wal"):
            shutil.copy(live / name, copy / name)
    yield copy
    shutil.rmtree(copied(copy, b"").parent)


MEMORY = Path("/dev/shm")


def copied(uncut: Path, log: bytes) -> Path:
    """The journal as it would be with this log. It is the same file each time."""
    folder = MEMORY if MEMORY.is_dir() else uncut
    path = folder / f"earshot-test-{os.getpid()}" / "next.db"
    path.parent.mkdir(exist_ok=True)
    path.with_name("next.db-shm").unlink(missing_ok=True)
    shutil.copyfile(uncut / "journal.db", path)
    path.with_name("next.db-wal").write_bytes(log)
    return path


def commits_in(path: Path) -> int:
    """How many there are, all of them whole."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous = OFF")  # thousands of times
        reader = Reader(db)
        counts = [len(read(0, 100)) for read in (reader.letters, reader.requests, reader.utterances)]
    finally:
        db.close()
    assert len(set(counts)) == 1, f"half a commit: {counts}"
    return counts[0]


@pytest.mark.slow
def test_a_log_cut_at_any_byte_keeps_every_commit_before_the_cut(uncut: Path) -> None:
    log = (uncut / "journal.db-wal").read_bytes()
    assert len(log) < 64 * 1024
    before = 0
    for cut in range(len(log) + 1):
        found = commits_in(copied(uncut, log[:cut]))
        assert before <= found <= STEPS, f"cut at {cut}"
        before = found
    assert before == STEPS


@pytest.mark.slow
async def test_a_gateway_starts_on_a_log_that_was_cut(uncut: Path) -> None:
    log = (uncut / "journal.db-wal").read_bytes()
    for cut in range(0, len(log) + 1, 997):
        path = copied(uncut, log[:cut])
        kept = commits_in(path)
        async with Journal(JournalSettings(path=str(path))) as journal:
            assert await journal.commit(e.Queued(letter(1000)))
            assert len(await journal.letters(0, 100)) == kept + 1
            assert journal.state == JournalState(durable=True)


@pytest.mark.slow
def test_a_log_with_a_flipped_byte_loses_only_what_comes_after_it(uncut: Path) -> None:
    log = (uncut / "journal.db-wal").read_bytes()
    for place in random.Random(3).sample(range(32, len(log)), 60):
        flipped = log[:place] + bytes([log[place] ^ 0x40]) + log[place + 1 :]
        whole = commits_in(copied(uncut, log[:place]))
        assert commits_in(copied(uncut, flipped)) == whole
