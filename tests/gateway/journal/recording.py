"""``python -m tests.gateway.journal.recording``: the journal of a gateway of today, kept for those of tomorrow.

A real gateway with two boards: what one said was heard and answered; then the broker was away, nobody answered the
other, and the gateway was killed. Say it before the journal's version goes up; what a version before 2 wrote is no
more to be had. Each file was written by the code of its version.
"""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.journal.tables.schema import VERSION
from tests.system.house import RECORDINGS, board, text
from tests.system.process import run

FOLDER: Final = Path(__file__).with_name("recorded")
HEARD: Final = tuple(sorted(RECORDINGS, key=lambda name: RECORDINGS[name].path.stat().st_size)[:3])
"""What was said: twice at the kitchen's board, and what nobody answered at the attic's."""
TEXTS: Final = tuple(map(text, HEARD))


def recorded(version: int, into: Path) -> Path:
    """The journal of that version, in a file of one's own."""
    into.write_bytes(gzip.decompress((FOLDER / f"version-{version}.db.gz").read_bytes()))
    return into


async def record(folder: Path) -> Path:
    """The journal, as the gateway left it."""
    first, second, third = (RECORDINGS[name].path for name in HEARD)
    async with board(folder, "kitchen", speed=8) as kitchen, run(folder) as gateway:
        await kitchen.say(first)
        await kitchen.say(second)
        await asyncio.sleep(1.0)
        await gateway.kill()
    away = {"broker": {"url": "redis://127.0.0.1:1"}, "orchestrator": {"app": ""}}
    async with board(folder, "attic", speed=8) as attic, run(folder, **away) as gateway:
        unanswered = asyncio.create_task(attic.say(third))
        await asyncio.sleep(5.0)
        unheard = asyncio.create_task(attic.say(first))
        await asyncio.sleep(0.4)
        await gateway.kill()
        for saying in (unanswered, unheard):
            saying.cancel()
        await asyncio.gather(unanswered, unheard, return_exceptions=True)
    return folder / "journal.db"


def main() -> None:
    """Entry point."""
    with tempfile.TemporaryDirectory() as folder:
        journal, copy = asyncio.run(record(Path(folder))), Path(folder, "copy")
        with closing(sqlite3.connect(journal)) as db:
            db.execute("VACUUM INTO ?", (str(copy),))
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"version-{VERSION}.db.gz").write_bytes(gzip.compress(copy.read_bytes(), 9, mtime=0))


if __name__ == "__main__":
    main()
