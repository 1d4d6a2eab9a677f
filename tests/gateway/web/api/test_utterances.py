"""The history over HTTP: found, shown, played and erased."""

from __future__ import annotations

import asyncio
import io
import wave
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.events import Subscribe, TranscriptionEvent
from gateway.contract.messages import TranscriptionMessage
from gateway.journal import effects as e
from gateway.journal.of_house import PageKey
from gateway.journal.records import HistoryReply
from gateway.web.api.cursors import from_cursor, from_house_cursor, to_cursor, to_house_cursor
from gateway.web.entrance.problems import Problem
from tests.gateway.journal.rows import remembered, utterance
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.works import Engine, loud
from tests.record import passes

PCM = loud(0.5)


async def fill(served: Served, count: int = 3) -> None:
    """``u_1`` and so on, all with their audio, the first with an answer."""
    journal = served.works.journal
    for i in range(1, count + 1):
        name = f"u_{i}"
        await journal.commit(e.Heard(utterance(name, start=i * 160, audio=PCM)))
        await journal.commit(e.Transcribed(name), e.Remembered(remembered(name, f"say number {i}")))
    reply = HistoryReply(text="I did.", agent="home", text_to_reply_ms=30.0)
    await journal.commit(e.PublishedIn("c_u_1", 2.0), e.Answered("c_u_1", reply))
    await journal.commit(e.HandedOver("c_u_1", 470.0))


def names(page: Any) -> list[str]:
    return [one["utterance_id"] for one in page["utterances"]]


async def test_a_turn_is_found_with_all_that_the_page_needs(served: Served) -> None:
    async with served.works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await served.works.result()
        await served.works.reply(heard, "yes", agent="home")
        await saying
        await served.works.idle()
    await served.works.settled()
    found = await served.get("/utterances")
    assert found["next"] is None
    (one,) = found["utterances"]
    assert set(one) == {
        "utterance_id", "session_id", "user_id", "device_id", "correlation_id", "spoken_at", "text", "success",
        "error", "language", "confidence", "audio", "timings", "publish_ms", "reply", "speech_to_reply_ms",
        "has_audio", "redacted", "announcement", "conversation_id", "flags", "gateway",
    }  # fmt: skip
    transcript = await served.works.events.first(TranscriptionEvent)
    assert one["spoken_at"] == transcript.spoken_at, "who listens and who reads it later see the same time"
    assert (one["text"], one["session_id"], one["has_audio"]) == ("16000", heard.session_id, True)
    assert one["conversation_id"] == heard.conversation_id == transcript.conversation_id
    assert names(await served.get("/utterances", params={"conversation_id": heard.conversation_id})) == names(
        found
    )
    assert names(await served.get("/utterances", params={"conversation_id": "v_other"})) == []
    assert set(one["audio"]) == {"seconds", "gaps", "lost_ms", "end_reason", "clipped_ms"}
    assert set(one["timings"]) == {"endpoint_ms", "queue_ms", "recognize_ms", "text_ms"}
    assert one["reply"].items() >= {"text": "yes", "agent": "home", "error": None, "fallback": False}.items()
    assert one["reply"]["text_to_reply_ms"] > 0
    assert one["speech_to_reply_ms"] > 0
    assert await served.get(f"/utterances/{one['utterance_id']}") == one


async def test_pages_lead_from_one_to_the_next(served: Served) -> None:
    await fill(served, 5)
    seen, before = [], ""
    while before is not None:
        page = await served.get("/utterances", params={"limit": 2, "before": before})
        seen.append(names(page))
        before = page["next"]
    assert seen == [["u_5", "u_4"], ["u_3", "u_2"], ["u_1"]]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"q": "NUMBER 2"}, ["u_2"]),
        ({"q": "did"}, ["u_1"]),
        ({"q": "nothing like it"}, []),
        ({"user_id": "ann"}, ["u_3", "u_2", "u_1"]),
        ({"user_id": "bob"}, []),
        ({"device_id": "kitchen", "session_id": "s_1", "limit": "1"}, ["u_3"]),
    ],
)
async def test_it_is_searched(served: Served, params: dict[str, str], found: list[str]) -> None:
    await fill(served)
    assert names(await served.get("/utterances", params=params)) == found


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("before=x", "before"),
        ("before=AAAAAAAAAAA", "before"),
        ("before=" + "A" * 65, "before"),
        ("user_id=a/b", "user_id"),
        ("device_id=", "device_id"),
        ("q=" + "x" * 201, "q"),
        ("wanted=1", "wanted"),
    ],
)
async def test_a_question_that_is_wrong_is_told_where(served: Served, query: str, place: str) -> None:
    told = await served.get(f"/utterances?{query}", 422)
    assert [error["place"] for error in told["errors"]] == [place]
    assert told["errors"][0]["message"]


@pytest.mark.parametrize("path", ["/utterances/u_9", "/utterances/u_9/audio"])
async def test_what_is_not_there_is_not_found(served: Served, path: str) -> None:
    assert "no such" in (await served.get(path, 404))["detail"]
    await served.call("DELETE", "/utterances/u_9", 404)


async def test_audio_is_played_whole_and_in_parts(served: Served) -> None:
    await fill(served, 1)
    async with served.raw("GET", "api/v1/utterances/u_1/audio") as response:
        assert (response.status, response.content_type) == (200, "audio/wav")
        whole = await response.read()
    with wave.open(io.BytesIO(whole)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(1 << 20) == PCM
    for wanted, part in (
        ("0-9", whole[:10]),
        ("100-", whole[100:]),
        ("-7", whole[-7:]),
        ("5-99999999", whole[5:]),
    ):
        async with served.raw(
            "GET", "api/v1/utterances/u_1/audio", headers={"Range": f"bytes={wanted}"}
        ) as response:
            assert response.status == 206, wanted
            assert await response.read() == part, wanted
            begin = len(whole) - 7 if wanted == "-7" else int(wanted.split("-")[0])
            assert response.headers["Content-Range"] == f"bytes {begin}-{begin + len(part) - 1}/{len(whole)}"


@pytest.mark.parametrize(
    ("wanted", "status"), [("bytes=99999999-", 416), ("rows=1-2", 200), ("bytes=b-a", 200)]
)
async def test_a_range_that_cannot_be_had(served: Served, wanted: str, status: int) -> None:
    await fill(served, 1)
    async with served.raw("GET", "api/v1/utterances/u_1/audio", headers={"Range": wanted}) as response:
        assert response.status == status
        if status == 416:
            assert response.headers["Content-Range"].startswith("bytes */")


async def test_one_utterance_is_erased(served: Served) -> None:
    await fill(served)
    await served.call("DELETE", "/utterances/u_2", 204)
    assert names(await served.get("/utterances")) == ["u_3", "u_1"]
    await served.get("/utterances/u_2/audio", 404)
    await served.call("DELETE", "/utterances/u_2", 404)


async def test_all_of_a_user_is_erased(served: Served) -> None:
    await fill(served, 120)
    await served.works.journal.commit(e.Remembered(remembered("u_bob", "mine", user_id="bob")))
    told = await served.call("DELETE", "/utterances", 422)
    assert told["errors"] == [{"place": "", "message": "Object missing required field `user_id`"}]
    assert (await served.call("DELETE", "/utterances?user_id=ann"))["erased"] == 120
    assert names(await served.get("/utterances")) == ["u_bob"]
    assert (await served.call("DELETE", "/utterances?user_id=ann"))["erased"] == 0


@pytest.mark.parametrize("keep_audio", [False, True])
async def test_speech_that_has_no_text_yet_never_gets_one(tmp_path: Path, *, keep_audio: bool) -> None:
    engine = Engine()
    engine.go.clear()
    async with open_served(tmp_path, engine, journal_settings={"keep_audio": keep_audio}) as served:
        async with served.works.board() as kitchen, served.works.board("hall") as hall:
            said = [asyncio.create_task(board.say(loud(1))) for board in (kitchen, hall)]
            await engine.working()
            await passes(lambda: served.works.pipeline.stats().turns == 2)
            told = await served.call("DELETE", "/utterances?user_id=home")
            assert (told["erased"], told["unheard"]) == (2, 2)
            for course in await asyncio.gather(*said):
                assert (course.transcript, course.error) == (None, True)
            engine.go.set()
            more = asyncio.create_task(kitchen.say(loud(2)))
            await served.works.reply(await served.works.result(), "yes")
            assert (await more).transcript == "32000"
        await served.works.settled()
        assert [one.text for one in served.works.results.of(TranscriptionMessage)] == ["32000"]
        assert names(await served.get("/utterances")) == [served.works.results.items[0].utterance_id]
        assert [row async for row in served.works.journal.utterances()] == []


async def test_speech_that_a_gateway_before_left_without_a_text_is_erased_too(tmp_path: Path) -> None:
    engine = Engine()
    engine.go.clear()
    async with (
        open_served(tmp_path, engine) as served,
        served.works.board() as kitchen,
        served.works.board("hall") as hall,
    ):
        said = [asyncio.create_task(board.say(loud(1))) for board in (kitchen, hall)]
        await passes(lambda: served.works.pipeline.stats().turns == 2)
        await served.works.journal.commit(e.Heard(utterance("u_none", user_id="home", audio=b"unreadable")))
        for one in said:
            one.cancel()
    engine.at_work.clear()
    async with open_served(tmp_path, engine) as served:
        await engine.working()
        assert (await served.call("DELETE", "/utterances?user_id=home"))["erased"] == 3
        engine.go.set()
        await served.works.idle()
        await served.works.settled()
        assert served.works.results.of(TranscriptionMessage) == []
        assert [row async for row in served.works.journal.utterances()] == []


async def test_what_is_erased_is_shown_to_no_listener_who_comes_later(served: Served) -> None:
    async with served.works.board() as kitchen:
        for said in ("yes", "no"):
            saying = asyncio.create_task(kitchen.say(loud(1)))
            await served.works.reply(await served.works.result(2 if said == "no" else 1), said)
            await saying
        await served.works.idle()
        await served.works.settled()
    hub = served.works.hub
    resume = Subscribe(epoch=hub.epoch, seq=0)

    async def seen() -> list[str]:
        texts = []
        for subscribe in (Subscribe(), resume):
            with hub.attach(subscribe) as outbox:
                texts.append((await anext(outbox)).text if not subscribe.epoch else "")
                while outbox.pending or outbox._first:
                    texts.append((await anext(outbox)).text)
        return texts

    assert any('"yes"' in text for text in await seen())
    newest, oldest = (await served.get("/utterances"))["utterances"]
    await served.call("DELETE", f"/utterances/{oldest['utterance_id']}", 204)
    left = await seen()
    assert not any('"yes"' in text or oldest["correlation_id"] in text for text in left)
    assert any('"no"' in text for text in left)
    await served.call("DELETE", f"/utterances?user_id={newest['user_id']}")
    assert not any('"no"' in text or '"16000"' in text for text in await seen())


async def test_without_a_journal_it_says_so_and_what_to_do(tmp_path: Path) -> None:
    async with open_served(tmp_path, journal=None) as served:
        told = await served.get("/utterances", 503)
        assert (told["detail"], told["remedy"]) == (
            "there is no history without a journal", "set journal.enabled to true",
        )  # fmt: skip


async def test_switched_off_it_says_so_too(tmp_path: Path) -> None:
    async with open_served(tmp_path, history={"enabled": False}) as served:
        assert (await served.get("/utterances", 503))["remedy"] == "set history.enabled to true"
        await served.works.journal.commit(e.Remembered(remembered("u_1")))  # of the time before
        await served.get("/utterances/u_1", 503)
        assert (await served.call("DELETE", "/utterances?user_id=ann"))["erased"] == 1


async def test_words_of_the_time_before_redaction_are_kept_back(tmp_path: Path) -> None:
    async with open_served(tmp_path, journal_settings={"keep_audio": True}) as served:
        await fill(served)
    async with open_served(tmp_path, privacy={"redact": True}) as served:
        found = (await served.get("/utterances"))["utterances"]
        assert {(one["text"], one["redacted"], one["has_audio"]) for one in found} == {("", True, False)}
        assert found[-1]["reply"]["text"] == ""
        await served.get("/utterances/u_1/audio", 404)
        assert "nobody can look for them" in (await served.get("/utterances?q=number", 503))["detail"]


@given(st.integers(1, (1 << 62) - 1))
def test_a_cursor_leads_back(number: int) -> None:
    assert from_cursor(to_cursor(number)) == number
    assert to_cursor(number).isascii()


@given(st.one_of(st.text(max_size=20), st.binary(max_size=9).map(lambda raw: raw.hex())))
def test_what_is_no_cursor_is_refused_or_one_that_was_given(text: str) -> None:
    with suppress(Problem):
        number = from_cursor(text)
        assert (to_cursor(number) if number else "") == text


NUMBERS = st.integers(min_value=0, max_value=(1 << 62) - 1)


@given(NUMBERS, NUMBERS)
def test_a_cursor_of_the_house_leads_back_and_is_none_of_one_gateways(spoken: int, tie: int) -> None:
    cursor = to_house_cursor(PageKey(spoken, tie))
    assert from_house_cursor(cursor) == PageKey(spoken, tie)
    assert len(cursor) <= 64
    assert cursor.isascii()
    with pytest.raises(Problem):
        from_cursor(cursor)


@given(st.integers(min_value=1, max_value=(1 << 62) - 1))
def test_a_cursor_of_one_gateway_is_none_of_the_houses(number: int) -> None:
    assert from_house_cursor(to_cursor(number)) is None


@given(st.text(max_size=64))
def test_what_is_no_cursor_of_the_house_is_none_or_one_that_was_given(text: str) -> None:
    key = from_house_cursor(f"h{text}")
    assert key is None or to_house_cursor(key) == f"h{text}"


@pytest.mark.parametrize("text", ["h", "h" * 64, "h" + "_" * 22, "hAAAA", "h" + "A" * 21 + "="])
async def test_a_cursor_that_nobody_gave_is_refused(served: Served, text: str) -> None:
    await served.call("GET", "/utterances", 422, params={"before": text})


async def test_a_cursor_of_the_house_at_a_gateway_that_shares_none_is_refused(served: Served) -> None:
    await fill(served)
    await served.call("GET", "/utterances", 422, params={"before": to_house_cursor(PageKey(5, 7))})


async def test_a_gateway_that_shares_nothing_shows_all_that_there_is(served: Served) -> None:
    await fill(served)
    page = await served.get("/utterances")
    assert page["whole"] is True
    assert {one["gateway"] for one in page["utterances"]} == {""}
