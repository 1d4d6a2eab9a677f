"""Words into the gateway over HTTP: a listener's, an orchestrator's, and announcements to devices."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.contract.events import DeliveryEvent, DeviceEvent, ReplyEvent
from gateway.pipeline.telling import announcements
from tests.gateway.web.api.served import Served, open_served
from tests.gateway.works import loud, open_works
from tests.record import passes
from transcription.transcriber import Hints


async def test_a_listener_says_something_and_is_answered(served: Served) -> None:
    said = await served.call("POST", "/say", 202, json={"text": " what time is it "})
    heard = await served.works.result()
    assert (heard.text, heard.correlation_id) == ("what time is it", said["correlation_id"])
    assert (heard.session_id, heard.device_id) == (said["session_id"], said["device_id"])
    await served.works.reply(heard, "late")
    answer = await served.works.events.first(ReplyEvent)
    assert (answer.text, answer.correlation_id) == ("late", said["correlation_id"])
    await served.works.settled()
    (found,) = (await served.get("/utterances"))["utterances"]
    assert (found["text"], found["reply"]["text"]) == ("what time is it", "late")


async def test_what_is_said_may_tell_its_language_and_how_the_listener_is_heard_from_then_on(
    served: Served,
) -> None:
    hints = {"language": "de", "hotwords": "Aoife", "word_timestamps": True}
    await served.call("POST", "/say", 202, json={"text": "hallo", "hints": hints})
    assert (await served.works.result(1)).language == "de"
    async with served.works.board("web-local") as microphone:
        saying = asyncio.create_task(microphone.say(loud(1)))
        await served.works.reply(await served.works.result(2), "yes")
        await saying
    assert served.works.engine.hints == [Hints("de", "", "Aoife", word_timestamps=True)]
    await served.call("POST", "/say", 202, json={"text": "hello", "hints": {"language": "auto"}})
    assert (await served.works.result(3)).language == ""
    await served.call("POST", "/say", 202, json={"text": "hello", "hints": None})
    assert (await served.works.result(4)).language == ""


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"text": ""}, "text"),
        ({"text": "   "}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"text": "x" * 4001}, "text"),
        ({"text": 7}, "text"),
        ({}, ""),
        ({"text": "a", "to": "b"}, ""),
        ({"text": "a", "hints": "de"}, "hints"),
        ({"text": "a", "hints": {"language": "German"}}, "hints.language"),
        ({"text": "a", "hints": {"prompt": "x" * 1001}}, "hints.prompt"),
        (["text"], ""),
    ],
)
async def test_what_cannot_be_said_is_told_where(served: Served, body: object, place: str) -> None:
    told = await served.call("POST", "/say", 422, json=body)
    assert [error["place"] for error in told["errors"]] == [place]


@pytest.mark.parametrize(
    ("raw", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"text": "\xff"}', "application/json", 400),
        (b'{"text": "\\ud800"}', "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b'{"text": "a"}', "text/plain", 415),
        (b'{"text": "a"}', "multipart/form-data", 415),
        (b'{"text": "' + b"a" * 70_000 + b'"}', "application/json", 413),
    ],
)
async def test_a_body_that_is_no_json_is_refused(served: Served, raw: bytes, kind: str, status: int) -> None:
    await served.call("POST", "/say", status, data=raw, headers={"Content-Type": kind})


async def test_a_body_that_never_says_how_long_it_is_has_its_bound_too(served: Served) -> None:
    async def endless() -> object:
        while True:
            yield b" " * 10_000

    headers = {"Content-Type": "application/json"}
    with suppress(OSError):  # it may be cut off while it is still sending
        await served.call("POST", "/say", 413, data=endless(), headers=headers)
    assert await served.get("/health")


# -- answers


async def test_an_orchestrator_answers_over_http(served: Served) -> None:
    async with served.works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await served.works.result()
        ids = {"correlation_id": heard.correlation_id, "session_id": heard.session_id}
        piece = await served.call("POST", "/replies", 202, json={**ids, "text": "It is ", "final": False})
        assert piece["durability"] == "memory"
        await served.call("POST", "/replies", 202, json={**ids, "text": "It is on.", "agent": "web"})
        said = await saying
        assert said.reply == "It is on."
        late = await served.call("POST", "/replies", 202, json={**ids, "text": "too late"})
        assert late["message_id"]
        shown = await served.works.events.first(ReplyEvent, late=True)
        assert shown.text == "too late"


async def test_an_answer_to_nothing_or_of_another_session_is_refused(served: Served) -> None:
    await served.call("POST", "/replies", 404, json={"correlation_id": "c_9", "session_id": "s_9"})
    await served.call("POST", "/replies", 422, json={"correlation_id": "c_9"})
    async with served.works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await served.works.result()
        forged = {"correlation_id": heard.correlation_id, "session_id": "s_other", "text": "no"}
        told = await served.call("POST", "/replies", 422, json=forged)
        assert told["errors"][0]["place"] == "session_id"
        await served.works.reply(heard, "yes")
        assert (await saying).reply == "yes"


# -- announcements


async def visit(served: Served) -> None:
    """The kitchen is there, and gone again."""
    async with served.works.board():
        await served.works.events.first(DeviceEvent, state="connected")
    await served.works.events.first(DeviceEvent, state="disconnected")


async def test_a_device_that_is_there_is_told_at_once_and_the_listeners_too(served: Served) -> None:
    async with served.works.board() as kitchen:
        await served.works.events.first(DeviceEvent, state="connected")
        path = "/devices/kitchen/announcements"
        told = await served.call("POST", path, 202, json={"text": "Dinner is ready."})
        shown = await kitchen.told.first(ReplyShown)
        assert (shown.text, shown.stream, shown.final) == ("Dinner is ready.", 0, True)
        assert shown.correlation_id == told["correlation_id"]
        event = await served.works.events.first(ReplyEvent)
        assert (event.text, event.session_id, event.correlation_id) == (
            "Dinner is ready.", "", told["correlation_id"],
        )  # fmt: skip
        delivered = await served.works.events.first(DeliveryEvent)
        assert delivered.correlation_id == told["correlation_id"]
        assert len(served.works.pipeline.announcements) == 0
        await served.works.settled()
        (kept,) = (await served.get("/utterances"))["utterances"]
        assert (kept["announcement"], kept["text"], kept["reply"]["text"]) == (True, "", "Dinner is ready.")
        assert kept["speech_to_reply_ms"] == delivered.speech_to_reply_ms
        assert not [row async for row in served.works.journal.requests() if row.due]


async def test_one_that_is_away_is_told_when_it_comes_also_by_the_next_gateway(tmp_path: Path) -> None:
    rooms = {"rooms": {"kitchen": "Kitchen"}}
    async with open_served(tmp_path, devices=rooms) as served:
        for text in ("one", "two"):
            await served.call("POST", "/devices/kitchen/announcements", 202, json={"text": text})
    async with open_works(journal=tmp_path / "journal.db", devices=rooms) as works:
        assert len(works.pipeline.announcements) == 2
        async with works.board() as kitchen:
            await kitchen.told.first(ReplyShown, text="two")
            assert [one.text for one in kitchen.told.of(ReplyShown)] == ["one", "two"]
            await works.events.first(DeliveryEvent, count=2)
            await works.settled()
    async with open_works(journal=tmp_path / "journal.db", devices=rooms) as works:
        assert len(works.pipeline.announcements) == 0


async def test_a_device_that_was_switched_off_meanwhile_gets_it_all_the_same(served: Served) -> None:
    await visit(served)
    await served.call("POST", "/devices/kitchen/announcements", 202, json={"text": "later"})
    async with served.works.board() as again:
        assert (await again.told.first(ReplyShown)).text == "later"


async def test_one_that_comes_too_late_is_not_told(served: Served) -> None:
    await visit(served)
    body = {"text": "now or never", "keep_seconds": 0.01}
    await served.call("POST", "/devices/kitchen/announcements", 202, json=body)
    await passes(lambda: len(served.works.pipeline.announcements) == 0)
    await served.works.settled()
    assert not [row async for row in served.works.journal.requests() if row.due]


async def test_so_many_wait_for_a_device_and_no_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "MAX_WAITING_OF_A_DEVICE", 2)
    await visit(served)
    path = "/devices/kitchen/announcements"
    for status in (202, 202, 429):
        told = await served.call("POST", path, status, json={"text": "x"})
    assert told["remedy"]


@pytest.mark.parametrize(
    ("device", "body", "status"),
    [
        ("attic", {"text": "hello"}, 404),
        ("kitchen", {"text": ""}, 422),
        ("kitchen", {"text": " "}, 422),
        ("kitchen", {"text": "a", "keep_seconds": 0}, 422),
        ("kitchen", {"text": "a", "keep_seconds": 1e9}, 422),
        ("kit..chen", {"text": "a"}, 422),
    ],
)
async def test_what_cannot_be_announced(served: Served, device: str, body: object, status: int) -> None:
    async with served.works.board():
        await served.works.events.first(DeviceEvent, state="connected")
        await served.call("POST", f"/devices/{device}/announcements", status, json=body)
