"""What is kept of a user: given to them whole, and erased with a report."""

from __future__ import annotations

import asyncio
import io
import json
import wave
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import effects as e
from gateway.journal.records import HistoryReply
from tests.gateway.journal.rows import dead, letter, remembered, request, turn, utterance
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.works import loud

PCM = loud(0.5)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Served]:
    """Words are remembered, and their sound."""
    async with open_served(tmp_path, journal_settings={"keep_audio": True}) as served:
        yield served


async def fill(served: Served, user: str, count: int = 3) -> None:
    """One of everything that is kept of a user, and so many utterances."""
    journal = served.works.journal
    for i in range(count):
        name = f"u_{user}_{i}"
        await journal.commit(
            e.Heard(utterance(name, start=i * 160, session=f"s_{user}", user_id=user, audio=PCM))
        )
        row = remembered(name, f"{user} says {i}", user_id=user)
        await journal.commit(e.Transcribed(name), e.Remembered(row))
    reply = HistoryReply(text="I did.", agent="home", text_to_reply_ms=30.0)
    await journal.commit(
        e.Answered(f"c_u_{user}_0", reply),
        e.TurnSaid(turn(f"c_t_{user}", f"{user} asked", user_id=user, device_id=f"board-{user}"), 5),
        e.Asked(request(f"c_r_{user}", user_id=user)),
        e.Queued(letter(journal.next_number(), topic="others", payload=b'{"a":1}', user_id=user)),
        e.Died(dead(f"m_{user}")),
    )  # fmt: skip


async def exported(served: Served, user: str) -> zipfile.ZipFile:
    async with served.raw("GET", f"api/v1/users/{user}/data") as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/zip"
        assert response.headers["Content-Disposition"] == f'attachment; filename="{user}.zip"'
        assert response.headers["Cache-Control"] == "no-store"
        archive = zipfile.ZipFile(io.BytesIO(await response.read()))
    assert archive.testzip() is None
    return archive


def lines(archive: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(name).splitlines()]


async def test_all_that_is_kept_of_a_user_and_nothing_of_others(kept: Served) -> None:
    for user in ("ann", "bob"):
        await fill(kept, user)
    archive = await exported(kept, "ann")
    assert [one["text"] for one in lines(archive, "utterances.jsonl")] == [
        "ann says 2",
        "ann says 1",
        "ann says 0",
    ]
    assert lines(archive, "utterances.jsonl")[2]["reply"]["text"] == "I did."
    assert lines(archive, "utterances.jsonl")[2] == await kept.get("/utterances/u_ann_0")
    assert [one["text"] for one in lines(archive, "conversations.jsonl")] == ["ann asked"]
    assert [one["correlation_id"] for one in lines(archive, "waiting.jsonl")] == ["c_r_ann"]
    assert [one["payload"] for one in lines(archive, "messages.jsonl")] == [{"a": 1}]
    for number in range(3):
        with wave.open(io.BytesIO(archive.read(f"audio/u_ann_{number}.wav"))) as sound:
            assert sound.readframes(sound.getnframes()) == PCM
    report = json.loads(archive.read("report.json"))
    assert report["user_id"] == "ann"
    assert report["counts"] == {
        "utterances": 3, "audio": 3, "unheard": 0, "conversations": 1, "waiting": 1, "messages": 1, "dead_letters": 0,
    }  # fmt: skip
    assert report["kept"]
    assert not any(b"bob" in archive.read(name) for name in archive.namelist())


async def test_more_than_a_page_of_it(kept: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.personal.export.PAGE", 4)
    await fill(kept, "ann", 11)
    archive = await exported(kept, "ann")
    assert len(lines(archive, "utterances.jsonl")) == 11
    assert sum(name.startswith("audio/") for name in archive.namelist()) == 11


async def test_of_somebody_unknown_there_is_nothing(kept: Served) -> None:
    archive = await exported(kept, "nobody")
    assert lines(archive, "utterances.jsonl") == []
    assert set(json.loads(archive.read("report.json"))["counts"].values()) == {0}


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "a b", "x" * 65, "%00"])
async def test_what_is_no_user_is_none(kept: Served, name: str) -> None:
    await kept.call("GET", f"/users/{name}/data", 422)


async def test_words_that_are_kept_from_everybody_are_not_given_either(tmp_path: Path) -> None:
    async with open_served(tmp_path, journal_settings={"keep_audio": True}) as served:
        await fill(served, "ann")
    async with open_served(tmp_path, privacy={"redact": True}) as served:
        archive = await exported(served, "ann")
        everything = b"".join(archive.read(name) for name in archive.namelist())
        for words in (b"ann says", b"ann asked", b"I did", b"RIFF"):
            assert words not in everything
        assert json.loads(archive.read("report.json"))["words"] is False


async def test_without_a_journal_there_is_nothing_to_give(tmp_path: Path) -> None:
    async with open_served(tmp_path, journal=None) as served:
        told = await served.call("GET", "/users/ann/data", 503)
        assert told["remedy"] == "set journal.enabled to true"


async def test_a_journal_that_fails_on_the_way_breaks_it_off(kept: Served) -> None:
    """Half of a ZIP file is none: nobody takes it for all."""
    await fill(kept, "ann")
    journal = kept.works.journal.path
    real = type(kept.works.journal.history).audio

    async def audio(history: Any, utterance_id: str) -> bytes | None:
        if utterance_id == "u_ann_1":
            history._path = journal.with_name("gone.db")
        return await real(history, utterance_id)

    type(kept.works.journal.history).audio = audio  # type: ignore[method-assign]
    try:
        with pytest.raises((Exception,), match=r"(?i)payload|connection|closed|zip"):
            await exported(kept, "ann")
    finally:
        type(kept.works.journal.history).audio = real  # type: ignore[method-assign]
        kept.works.journal.history._path = journal
    assert len(lines(await exported(kept, "ann"), "utterances.jsonl")) == 3


async def test_whoever_goes_away_in_the_middle_disturbs_nobody(kept: Served) -> None:
    await fill(kept, "ann", 30)
    for _ in range(3):
        async with kept.raw("GET", "api/v1/users/ann/data") as response:
            await response.content.read(10)
    await asyncio.sleep(0)
    assert len(lines(await exported(kept, "ann"), "utterances.jsonl")) == 30


async def test_what_is_erased_is_told_by_its_kind_and_what_is_left_elsewhere(
    kept: Served, tmp_path: Path
) -> None:
    for user in ("ann", "bob"):
        await fill(kept, user)
    copy, damaged = (tmp_path / f"journal.db.{end}" for end in ("version-3", "corrupt-20260102T030405Z-2"))
    before = tmp_path.with_name(f"{tmp_path.name}.before-20260102T030405Z")
    copy.write_bytes(b"old words")
    damaged.write_bytes(b"old words")
    before.mkdir()
    told = await kept.call("DELETE", "/utterances?user_id=ann")
    assert {key: told[key] for key in ("utterances", "unheard", "messages", "copies")} == {
        "utterances": 3, "unheard": 0, "messages": 1, "copies": 1,
    }  # fmt: skip
    assert told["requests"] == 2, "the open one, and the conversation's turn"
    assert told["erased"] == 6
    assert told["began_at"] <= told["ended_at"]
    assert not copy.exists()
    kept_at = {one["where"] for one in told["kept"]}
    assert {str(damaged), str(before), "audit.log"} <= kept_at
    assert all(one["remedy"] for one in told["kept"])
    assert set(json.loads((await exported(kept, "ann")).read("report.json"))["counts"].values()) == {0}
    assert len(lines(await exported(kept, "bob"), "utterances.jsonl")) == 3
    again = await kept.call("DELETE", "/utterances?user_id=ann")
    assert (again["erased"], again["copies"]) == (0, 0)


async def test_no_password_of_the_broker_is_in_a_report(tmp_path: Path) -> None:
    broker = {"url": "memory://"}
    async with open_served(tmp_path, broker=broker, devices={"users": {"kitchen": "ann"}}) as served:
        told = await served.call("DELETE", "/utterances?user_id=ann")
    assert any("kitchen" in one["what"] for one in told["kept"])
