"""``kill -9`` of the gateway at random moments, while boards on pseudo-terminals and MQTT speak.

The memory broker and the built-in orchestrator die with it; only the journal and the devices remain.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.journal import Journal
from gateway.settings.journal import JournalSettings
from tests.chaos.verdict import Verdict, judge, judge_ids
from tests.system.house import RECORDINGS, Board, board, text
from tests.system.process import run

SCENARIO = "kill -9 of the gateway"
BOARDS = 3
LONGEST_LIFE = 4.0
"""Seconds after its start at which a gateway is killed at the latest."""
PATIENCE = 150.0
PAUSE = 0.4
"""Seconds between an answer and the next sentence, at most."""

SETTINGS = {
    "transcription": {"isolation": "process", "threads": 1},
    # An answer may take as long as several gateways live.
    "orchestrator": {"timeout_seconds": 120.0, "patience_seconds": 120.0},
}


async def scenario(folder: Path, mqtt: str, *, kills: int, seed: int) -> Verdict:
    """Kill so many gateways one after the other on one journal; then let the last one finish."""
    verdict = Verdict(SCENARIO)
    chance = random.Random(seed)
    began = time.monotonic()
    over = asyncio.Event()
    async with speaking(folder, mqtt, verdict, chance, over) as speakers:
        while verdict.blows < kills:
            async with run(folder, mqtt, **SETTINGS) as gateway:
                # Also at its first breath, while it takes up what the one before left.
                await asyncio.sleep(chance.choice((0.0, chance.uniform(0, LONGEST_LIFE))))
                await gateway.kill()
                verdict.blows += 1
        async with run(folder, mqtt, **SETTINGS) as gateway:
            over.set()
            await asyncio.gather(*speakers)
            await gateway.terminate()
    verdict.seconds = time.monotonic() - began
    await look_into_the_journal(folder, verdict)
    return verdict


@asynccontextmanager
async def speaking(
    folder: Path, mqtt: str, verdict: Verdict, chance: random.Random, over: asyncio.Event
) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Boards that say one sentence after the other until it is over."""
    async with AsyncExitStack() as stack:
        boards = [
            await stack.enter_async_context(
                board(
                    folder, f"board{n}", mqtt if n % 2 else "", boot=chance.getrandbits(32), ring_frames=4000
                )
            )
            for n in range(BOARDS)
        ]
        speakers = [
            asyncio.create_task(speak(one, verdict, random.Random(chance.random()), over)) for one in boards
        ]
        try:
            yield speakers
        finally:
            for task in speakers:
                task.cancel()
        judge_ids(verdict, boards)


async def speak(one: Board, verdict: Verdict, chance: random.Random, over: asyncio.Event) -> None:
    """Sentence after sentence, each judged when it is answered."""
    for count in itertools.count():
        name = chance.choice(list(RECORDINGS))
        said = await one.say(RECORDINGS[name].path, patience=PATIENCE)
        judge(verdict, one, said, text(name))
        if over.is_set() and count > 0:
            return
        await asyncio.sleep(chance.uniform(0, PAUSE))


async def look_into_the_journal(folder: Path, verdict: Verdict) -> None:
    """Nothing is left in it: no speech, no message, no answer, and nothing that died."""
    async with Journal(JournalSettings(path=str(folder / "journal.db"))) as journal:
        verdict.lost += [f"{row.utterance_id} without a text" async for row in journal.utterances()]
        verdict.lost += [f"{row.message_id} unpublished" for row in await journal.letters(0, 100)]
        verdict.lost += [f"{row.correlation_id} undelivered" async for row in journal.requests() if row.due]
        verdict.wrong += [f"{row.subject}: {row.reason}" async for row in journal.dead_letters()]
        if journal.state.reason:
            verdict.wrong.append(journal.state.reason)
