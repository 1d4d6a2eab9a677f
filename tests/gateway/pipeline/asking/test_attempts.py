"""Transcripts over which gateways end: counted across them, and given up."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import Delivery, RoutingKey
from gateway.contract.messages import RESULTS_TOPIC, TranscriptionMessage, encode
from gateway.journal import Journal
from gateway.pipeline.asking.attempts import GIVEN_UP, MAX_ATTEMPTS, Attempts
from gateway.settings.journal import JournalSettings
from tests.gateway.orchestrators.test_sdk import transcript


async def delivered(name: str) -> tuple[Delivery, TranscriptionMessage]:
    heard, broker = transcript("words", name=name), MemoryBroker()
    async with broker.subscribe(RESULTS_TOPIC) as results:
        key = RoutingKey("ann", "kitchen", "s_1")
        await broker.publish(RESULTS_TOPIC, key, encode(heard), correlation_id=name)
        return await anext(results), heard


def journal(folder: Path) -> Journal:
    return Journal(JournalSettings(path=str(folder / "journal.db")))


async def test_what_outlived_too_many_gateways_is_a_dead_letter(tmp_path: Path) -> None:
    tried = []
    for _ in range(MAX_ATTEMPTS + 2):
        async with journal(tmp_path) as opened:
            attempts = Attempts(opened, lambda name: name == "c_new")
            for name in ("c_old", "c_old", "c_new"):  # again, while the same gateway runs: that counts once
                async with attempts.turn(*await delivered(name)) as may:
                    tried.append((name, may))
            letters = [letter async for letter in opened.dead_letters()]
    assert tried == [("c_old", True), ("c_old", True), ("c_new", True)] * MAX_ATTEMPTS + [
        ("c_old", False), ("c_old", False), ("c_new", True),
    ] * 2  # fmt: skip
    assert {letter.reason for letter in letters} == {GIVEN_UP}


async def test_from_the_second_time_on_each_is_tried_alone(tmp_path: Path) -> None:
    names = [f"c_{i}" for i in range(5)]
    for alone in (False, True):
        async with journal(tmp_path) as opened, AsyncExitStack() as stack:
            attempts = Attempts(opened, lambda _name: False)
            tasks = [
                asyncio.create_task(stack.enter_async_context(attempts.turn(*await delivered(name))))
                for name in names
            ]
            await asyncio.wait(tasks, return_when="FIRST_COMPLETED" if alone else "ALL_COMPLETED")
            await opened.scrub()  # behind all that they have written
            waiting = [task for task in tasks if not task.done()]
            assert len(waiting) == (4 if alone else 0)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_journal_that_cannot_be_written_keeps_nobody_from_answering(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with journal(tmp_path / "file") as opened:
        attempts = Attempts(opened, lambda _name: False)
        for _ in range(2 * MAX_ATTEMPTS):
            async with attempts.turn(*await delivered("c_old")) as may:
                assert may
