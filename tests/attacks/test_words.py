"""Words leave with whoever said them: out of every file, and out of what waits in memory.

Kitchen is ann's, attic is bob's, and neither is answered but by the test, so that answers wait as long as it wants.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import ClientSession

from firmware_bridge.simulator.user import TranscriptShown
from gateway.journal import visiting
from gateway.journal.dead_letters import undelivered
from gateway.journal.records import Verb
from gateway.journal.tables.tables import encode
from tests.attacks.castle import Castle, open_castle
from tests.gateway.journal.rows import request
from tests.record import PATIENCE, passes
from tests.system.house import pcm, text

pytestmark = pytest.mark.slow

USERS = {"kitchen": "ann", "attic": "bob", "witness": "carl"}
CONFIG = {
    "orchestrator": {"app": "tests.attacks.quiet_house:house", "timeout_seconds": 600},
    "devices": {"users": USERS},
    "journal": {"keep_audio": True},
}
ENVIRON = {"PYTHONPATH": str(Path(__file__).parents[2])}
SECRET = "rhubarb and custard"
SPOKEN = "u01"


@pytest.fixture
async def api(castle: Castle) -> AsyncIterator[Api]:
    async with Api(castle) as opened:
        yield opened


class Api:
    """What an operator does, and what is found afterwards."""

    def __init__(self, castle: Castle) -> None:
        self.castle = castle

    async def __aenter__(self) -> Self:
        self.client = ClientSession(headers={"Authorization": f"Bearer {self.castle._watch}"})
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.client.close()

    async def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        async with self.client.request(method, f"{self.castle.url}api/v1/{path}", **options) as response:
            body = await response.text()
            assert response.status == status, body
            return json.loads(body) if body else None

    async def erase(self, user_id: str = "ann") -> int:
        told = await self.call("DELETE", f"utterances?user_id={user_id}")
        return int(told["erased"])

    async def reply(self, heard: dict[str, Any], text: str, **more: Any) -> None:
        body = {
            "correlation_id": heard["correlation_id"], "session_id": heard["session_id"], "text": text,
            "agent": "house", "final": True, **more,
        }  # fmt: skip
        await self.call("POST", "replies", 202, json=body)

    async def said(self, device_id: str) -> dict[str, Any]:
        """What a device has just been heard to say."""
        path = f"utterances?device_id={device_id}&limit=1"
        page = await eventually(lambda: self.call("GET", path), lambda page: page["utterances"])
        found: dict[str, Any] = page["utterances"][0]
        return found

    def left(self, words: str) -> list[str]:
        """The files of the gateway in which these bytes stand."""
        wanted = words.encode()
        return [file.name for file in self.castle.folder.glob("journal.db*") if wanted in file.read_bytes()]


async def eventually(ask: Callable[[], Awaitable[Any]], is_it: Callable[[Any], object]) -> Any:
    """What is asked for, once it is as it is to be."""
    async with asyncio.timeout(PATIENCE):
        while not is_it(found := await ask()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    return found


async def speak_and_go(castle: Castle, name: str = "kitchen", **options: Any) -> None:
    """A board that says something, hears what was understood, and is gone."""
    async with castle.board(name, **options) as board:
        await board.connected()
        saying = asyncio.create_task(board.say(pcm(SPOKEN)))
        await board.told.first(TranscriptShown)
        saying.cancel()


async def gone(api: Api, name: str = "kitchen") -> None:
    """Wait until it is known to be away."""
    await eventually(
        lambda: api.call("GET", f"devices/{name}"), lambda device: device["state"] == "disconnected"
    )


async def test_of_a_board_that_left_nothing_stays(castle: Castle, api: Api) -> None:
    """Its answer waits for it; whoever erases it once has erased it."""
    await speak_and_go(castle)
    await gone(api)
    await api.reply(await api.said("kitchen"), SECRET)
    await passes(lambda: api.left(SECRET))
    assert await api.erase() >= 1
    assert api.left(SECRET) == []
    assert api.left(text(SPOKEN)) == []
    assert await api.erase() == 0
    assert (await api.call("GET", "utterances?user_id=ann"))["utterances"] == []


async def test_a_board_that_comes_back_is_not_told_what_was_erased(castle: Castle, api: Api) -> None:
    await speak_and_go(castle, boot=77)
    await gone(api)
    await api.reply(await api.said("kitchen"), SECRET)
    await passes(lambda: api.left(SECRET))
    await api.erase()
    async with castle.board("kitchen", boot=77) as again:
        await again.connected()
        await again.goodbye()
        assert SECRET not in repr(again.told.items)


async def test_a_question_that_is_open_is_over(castle: Castle, api: Api) -> None:
    """What is answered afterwards is told to nobody, and kept nowhere."""
    async with castle.board("kitchen") as board:
        await board.connected()
        saying = asyncio.create_task(board.say(pcm(SPOKEN)))
        await board.told.first(TranscriptShown)
        heard = await api.said("kitchen")
        await api.erase()
        said = await saying
        assert said.fallback or said.error
        async with api.client.post(
            f"{castle.url}api/v1/replies",
            json={**{k: heard[k] for k in ("correlation_id", "session_id")}, "text": SECRET, "final": True},
        ) as response:
            assert response.status in {202, 404, 409}
        await board.goodbye()
    await api.erase()
    assert api.left(SECRET) == []
    assert api.left(text(SPOKEN)) == []
    assert await api.erase() == 0


async def test_an_announcement_that_waits_is_erased(castle: Castle, api: Api) -> None:
    async with castle.board("kitchen") as board:
        await board.connected()
        await board.goodbye()
    await gone(api)
    await api.call("POST", "devices/kitchen/announcements", 202, json={"text": SECRET})
    assert await api.erase() >= 1
    assert api.left(SECRET) == []
    assert await api.erase() == 0
    async with castle.board("kitchen") as board:
        await board.connected()
        await board.goodbye()
        assert SECRET not in repr(board.told.items)


async def test_one_utterance_is_erased_with_its_answer_that_waits(castle: Castle, api: Api) -> None:
    await speak_and_go(castle)
    await gone(api)
    heard = await api.said("kitchen")
    await api.reply(heard, SECRET)
    await passes(lambda: api.left(SECRET))
    await api.call("DELETE", f"utterances/{heard['utterance_id']}", 204)
    assert api.left(SECRET) == []
    assert api.left(text(SPOKEN)) == []


@pytest.fixture
def dead_letter(castle: Castle) -> int:
    """The number of one with ann's words in it, put there as a gateway before this one would have."""
    row = undelivered(request("c_dead", text=SECRET), "its device has gone").letter
    with closing(sqlite3.connect(castle.folder / "journal.db", timeout=20)) as db, db:
        done = db.execute(
            "INSERT INTO dead_letters (kind, subject, user_id, correlation_id, size, record, put_away_at)"
            " VALUES (?, ?, 'ann', 'c_dead', 0, ?, ?)",
            (row.kind.value, row.subject, encode(row), time.time()),
        )
        return int(done.lastrowid or 0)


async def test_a_dead_letter_that_is_purged_leaves_the_files(api: Api, dead_letter: int) -> None:
    assert api.left(SECRET)
    await api.call("DELETE", f"dead-letters/{dead_letter}", 204)
    assert api.left(SECRET) == []


async def test_a_dead_letter_that_a_command_purges_does_too(
    castle: Castle, api: Api, dead_letter: int
) -> None:
    visiting.ask(castle.folder / "journal.db", Verb.PURGE, [dead_letter])
    await passes(lambda: not api.left(SECRET))


async def test_a_dead_letter_goes_with_its_user(api: Api, dead_letter: int) -> None:
    assert await api.erase() >= 1
    assert api.left(SECRET) == []
    await api.call("GET", f"dead-letters/{dead_letter}", 404)


async def test_who_comes_later_hears_nothing_of_it(castle: Castle, api: Api) -> None:
    """Neither on the page's snapshot nor by resuming from the beginning."""
    await speak_and_go(castle)
    await gone(api)
    await api.reply(await api.said("kitchen"), SECRET)
    await passes(lambda: api.left(SECRET))
    await api.erase()
    epoch = (await api.call("GET", "health"))["epoch"]
    for cursor in ("", f"{epoch}:0"):
        headers = {"Last-Event-ID": cursor}
        async with api.client.get(f"{castle.url}events?users=ann", headers=headers) as stream:
            begun = await stream.content.readuntil(b"\n\n") + await stream.content.read(4096)
            assert SECRET.encode() not in begun
            assert text(SPOKEN).encode() not in begun


async def test_what_is_bobs_stays(castle: Castle, api: Api) -> None:
    await speak_and_go(castle, "attic")
    await api.erase()
    assert (await api.said("attic"))["text"] == text(SPOKEN)
    assert await api.erase("bob") >= 1
    assert api.left(text(SPOKEN)) == []


def family(pid: int) -> list[int]:
    """The process, and all that it has started."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [
        pid,
        *(one for file in threads for child in file.read_text().split() for one in family(int(child))),
    ]


async def test_no_core_is_ever_written(castle: Castle) -> None:
    """Of the gateway, and of whatever runs below it."""
    for pid in family(castle.process.pid):
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)


FORGETFUL = {
    "redact": {"privacy": {"redact": True}, "journal": {"keep_audio": True}},
    "no history": {"history": {"enabled": False}},
}


@pytest.fixture(params=FORGETFUL.values(), ids=FORGETFUL)
def forgetful(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Castle]:
    with open_castle(tmp_path, {**CONFIG, **request.param}, ENVIRON) as castle:
        yield castle


async def test_where_nothing_is_remembered_no_file_has_words(forgetful: Castle) -> None:
    """What was said and answered is gone from the tables and from their log soon after; what waits can be erased."""
    await forgetful.ready()
    await forgetful.witness_is_answered()
    async with Api(forgetful) as api:
        await passes(lambda: not api.left(text("u05")) and not api.left("As you wish."))
        await speak_and_go(forgetful)
        await passes(lambda: api.left(text(SPOKEN)))  # what waits for an answer has to
        assert await api.erase() >= 1
        assert api.left(text(SPOKEN)) == []
        assert await api.erase() == 0
    await forgetful.holds()


async def test_redaction_hides_how_an_orchestrator_fails_and_what_it_calls_itself(tmp_path: Path) -> None:
    with open_castle(tmp_path, {**CONFIG, "privacy": {"redact": True}}, ENVIRON) as castle:
        await castle.ready()
        async with Api(castle) as api, castle.board("kitchen") as board:
            await board.connected()
            async with api.client.get(f"{castle.url}events?kinds=reply,transcription") as stream:
                saying = asyncio.create_task(board.say(pcm(SPOKEN)))
                await board.told.first(TranscriptShown)
                heard = await api.said("kitchen")
                await api.reply(heard, SECRET, error=f"no {SECRET}", agent=f"{SECRET}!")
                await saying
                seen = b""
                while b"event: reply" not in seen or not seen.endswith(b"\n\n"):
                    seen += await stream.content.readany()
            assert SECRET.encode() not in seen
            shown = await api.said("kitchen")
            assert shown["reply"]["error"]
            assert SECRET not in repr(shown)
            await board.goodbye()
        await castle.holds()
