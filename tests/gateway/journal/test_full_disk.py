"""A disk without room: a state with a remedy, told to whoever commits, and made good when there is room again."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from gateway.journal import Journal, JournalState, NotDurable
from gateway.journal import effects as e
from gateway.journal.backlog import Backlog
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter, utterance
from tests.system.house import passes

MEGABYTE = 1024 * 1024
AUDIO = bytes(100_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """What a full disk does to writes, for those who may not mount one. Python ignores SIGXFSZ."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@asynccontextmanager
async def opened(folder: Path, on_state: Callable[[JournalState], None]) -> AsyncIterator[Journal]:
    async with Journal(JournalSettings(path=str(folder / "journal.db")), on_state=on_state) as journal:
        yield journal


async def fill(journal: Journal) -> list[str]:
    """Speech until there is no room; what was promised."""
    kept: list[str] = []
    for i in range(100):
        try:
            await journal.commit(e.Heard(utterance(f"u_{i}", start=i, audio=AUDIO)))
        except NotDurable:
            return kept
        kept.append(f"u_{i}")
    raise AssertionError("the disk is too large")


async def names(journal: Journal) -> list[str]:
    return [row.utterance_id async for row in journal.utterances()]


@pytest.mark.slow
async def test_a_full_disk_is_told_and_made_good(small_disk: Path) -> None:
    states: list[JournalState] = []
    async with opened(small_disk, states.append) as journal:
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(3 * MEGABYTE))
        kept = await fill(journal)
        assert kept
        assert (journal.state.durable, journal.state.reason) == (False, "the disk is full")
        assert await names(journal) == kept, "what was promised can be read"
        for i in range(200, 203):
            with pytest.raises(NotDurable):
                await journal.commit(e.Queued(letter(i, payload=AUDIO)))
        ballast.unlink()
        await passes(lambda: journal.state.durable)
        assert await names(journal) == [*kept, f"u_{len(kept)}"], "the refused one was not forgotten"
        assert [row.number for row in await journal.letters(0, 10)] == [200, 201, 202]
        assert journal.stats().counters.given_up == 0
    assert [state.durable for state in states] == [True, False, True]
    async with opened(small_disk, states.append) as journal:
        assert len(await names(journal)) == len(kept) + 1


@pytest.mark.slow
async def test_a_disk_that_is_full_at_the_start_is_a_state(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(8 * MEGABYTE))
    async with opened(small_disk, lambda _state: None) as journal:
        assert not journal.state.durable
        with pytest.raises(NotDurable):
            await journal.commit(e.Queued(letter(1)))
        ballast.unlink()
        await passes(lambda: journal.state.durable)
        assert [row.number for row in await journal.letters(0, 10)] == [1]


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="what a limit does elsewhere is not known")
@pytest.mark.slow
async def test_a_write_that_fails_is_a_state_too(tmp_path: Path) -> None:
    async with opened(tmp_path, lambda _state: None) as journal:
        await journal.commit(e.Queued(letter(1)))
        with no_file_longer_than(300_000):
            kept = await fill(journal)
            assert not journal.state.durable
            assert journal.state.remedy
            assert await names(journal) == kept
        await passes(lambda: journal.state.durable)
        assert await names(journal) == [*kept, f"u_{len(kept)}"]


def test_what_waits_for_the_disk_is_bounded_and_counted() -> None:
    backlog = Backlog(max_bytes=1000)
    assert backlog.add((e.Published(1), e.Published(2))) == 0
    assert backlog.add((e.Published(3),)) == 0
    assert backlog.add((e.Published(4),)) == 2, "the oldest commit had two"
    assert list(backlog) == [(e.Published(3),), (e.Published(4),)]
    assert backlog.add((e.Heard(utterance(audio=bytes(5000))),)) == 3, "it is too large itself"
    assert (len(backlog), backlog.bytes) == (0, 0)
