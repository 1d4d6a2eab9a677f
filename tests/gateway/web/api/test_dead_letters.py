"""Dead letters and models over HTTP."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.journal import effects as e
from gateway.journal.dead_letters import not_transcribed, refused
from gateway.journal.records import LetterKind
from tests.gateway.journal.rows import dead, letter, utterance
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.works import loud
from tests.record import passes


async def fill(served: Served) -> None:
    """A message (1), an utterance (2), an answer (3)."""
    journal = served.works.journal
    message = letter(0, payload=b'{"text": "secret"}', topic="house.notes")
    await journal.commit(refused(message, "not understood"))
    row = utterance(audio=loud(1), end=16_000, facts=FACTS)
    await journal.commit(e.Heard(row))
    await journal.commit(*not_transcribed(row, "the engine died"))
    await journal.commit(e.Died(dead("c_9", kind=LetterKind.ANSWER)))


FACTS = b'{"speech_end":16000,"has_speech":true,"end_reason":"stop"}'


async def test_they_are_listed_and_shown(served: Served) -> None:
    await fill(served)
    page = await served.get("/dead-letters?limit=2")
    assert [(one["number"], one["kind"]) for one in page["dead_letters"]] == [
        (1, "incoming"),
        (2, "utterance"),
    ]
    assert "secret" not in str(page)
    rest = await served.get(f"/dead-letters?limit=2&after={page['next']}")
    assert [one["number"] for one in rest["dead_letters"]] == [3]
    assert rest["next"] is None
    whole = await served.get("/dead-letters/1")
    assert whole["contents"]["payload"] == {"text": "secret"}
    assert whole["reason"] == "not understood"
    spoken = await served.get("/dead-letters/2")
    assert "audio" not in spoken["contents"]
    assert (await served.get("/dead-letters/3"))["contents"] == {}


async def test_a_message_is_published_again_and_speech_is_transcribed_again(served: Served) -> None:
    await fill(served)
    await served.call("POST", "/dead-letters/2/replay", 204)
    heard = await served.works.result()
    assert (heard.utterance_id, heard.text) == ("u_1", "16000")
    await served.call("POST", "/dead-letters/1/replay", 204)
    await served.works.settled()
    assert [one["number"] for one in (await served.get("/dead-letters"))["dead_letters"]] == [3]
    await passes(lambda: served.works.pipeline.stats().unpublished == 0)


async def test_one_is_forgotten(served: Served) -> None:
    await fill(served)
    await served.call("DELETE", "/dead-letters/3", 204)
    await served.call("DELETE", "/dead-letters/3", 404)
    await served.get("/dead-letters/3", 404)


async def test_an_answer_cannot_come_back(served: Served) -> None:
    await fill(served)
    assert "whose device has gone" in (await served.call("POST", "/dead-letters/3/replay", 409))["detail"]
    assert len((await served.get("/dead-letters"))["dead_letters"]) == 3


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/dead-letters/99", 404),
        ("/dead-letters/0", 404),
        ("/dead-letters/-1", 422),
        ("/dead-letters/first", 422),
        ("/dead-letters/99999999999999999999999", 422),
        ("/dead-letters?after=-1", 422),
        ("/dead-letters?limit=0", 422),
    ],
)
async def test_a_wrong_number(served: Served, path: str, status: int) -> None:
    await served.get(path, status)


async def test_words_are_kept_back_where_they_are_kept_from_everybody(tmp_path: Path) -> None:
    async with open_served(tmp_path, privacy={"redact": True}) as served:
        await fill(served)
        assert (await served.get("/dead-letters/1"))["contents"] is None


async def test_without_a_journal_there_are_none(tmp_path: Path) -> None:
    async with open_served(tmp_path, journal=None) as served:
        assert (await served.get("/dead-letters", 503))["remedy"] == "set journal.enabled to true"


async def test_models_are_listed_with_what_is_at_work(served: Served) -> None:
    await served.works.ready()
    told = await served.get("/models")
    assert told["running"]["phase"] == "ready"
    assert told["running"]["engine"] == "counting"
    models = {one["name"]: one for one in told["models"]}
    assert models["bundled"]["configured"]
    assert models["bundled"]["origin"] == "bundled"
    assert "tiny.en" in models


async def test_who_touched_them_is_written_down(served: Served, tmp_path: Path) -> None:
    await fill(served)
    await served.get("/dead-letters/1")
    await served.call("POST", "/dead-letters/1/replay", 204)
    await served.call("DELETE", "/dead-letters/3", 204)
    await served.call("DELETE", "/dead-letters/99", 404)
    lines = [msgspec.json.decode(line) for line in (tmp_path / "audit.log").read_bytes().splitlines()]
    assert [(line["event"], line["method"], line["path"], line["name"]) for line in lines] == [
        ("changed by an operator", "POST", "/api/v1/dead-letters/1/replay", "local"),
        ("changed by an operator", "DELETE", "/api/v1/dead-letters/3", "local"),
    ]
    assert "secret" not in (tmp_path / "audit.log").read_text()
