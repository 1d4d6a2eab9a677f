"""Recordings as speech over HTTP: what is said in one is published, answered and remembered as a device's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.access.principals import Role
from gateway.contract.events import DeliveryEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import TranscriptionMessage
from gateway.pipeline import recorded_speech
from gateway.pipeline.content.port import KEPT_BACK
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.api.served import Served, open_served, speech
from tests.gateway.web.house import bearer
from tests.gateway.works import Engine, Works, loud, quiet
from tests.record import passes
from tests.system.house import running
from tests.transcription.recordings import wav
from transcription.transcriber import Hints

USERS = {"users": {"kitchen": "ann", "attic": "bob"}}
PATH = "/devices/kitchen/speech"
HEADERS = {"Content-Type": "audio/wav"}


async def speak(
    served: Served, body: Any, status: int = 200, query: str = "", path: str = PATH, **headers: str
) -> Any:
    return await served.call("POST", path + query, status, data=body, headers={**HEADERS, **headers})


async def answer_all(works: Works) -> None:
    """An orchestrator that repeats what it hears."""
    for number in range(1, 1_000):
        heard = await works.result(number)
        if heard.text:
            await works.reply(heard, f"you said {heard.text}")


@asynccontextmanager
async def house(folder: Path, **parts: Any) -> AsyncIterator[Served]:
    async with open_served(folder, **{"devices": USERS, **parts}) as served:
        with running(answer_all(served.works)):
            yield served


@pytest.fixture
async def answered(tmp_path: Path) -> AsyncIterator[Served]:
    async with house(tmp_path) as served:
        yield served


class Dripping:
    """A body that comes in parts: the first at once, each other when it is told."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts
        self._go = asyncio.Semaphore(0)

    def go(self) -> None:
        self._go.release()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number, part in enumerate(self._parts):
            if number:
                await self._go.acquire()
            yield part


async def test_each_utterance_in_it_is_an_utterance_of_the_device(answered: Served) -> None:
    works = answered.works
    told = await speak(answered, speech(1.0, 2.0), query="?wait=40")
    assert (told["device_id"], told["user_id"]) == ("kitchen", "ann")
    first, second = told["utterances"]
    assert (first["state"], second["state"]) == ("answered", "answered")
    assert first["start"] < first["end"] <= second["start"] < second["end"] <= told["seconds"]
    assert [one["reply"]["text"] for one in (first, second)] == [
        f"you said {one['text']}" for one in (first, second)
    ]
    published = works.results.of(TranscriptionMessage)
    assert [one.correlation_id for one in published] == [first["correlation_id"], second["correlation_id"]]
    assert {(one.device_id, one.user_id, one.session_id) for one in published} == {
        ("kitchen", "ann", told["session_id"])
    }
    assert published[0].conversation_id == published[1].conversation_id != ""
    for kind in (TranscriptionEvent, ReplyEvent):
        assert [one.correlation_id for one in works.events.of(kind, device_id="kitchen")] == [
            first["correlation_id"],
            second["correlation_id"],
        ]
    await works.settled()
    found = (await answered.get("/utterances"))["utterances"]
    assert [one["utterance_id"] for one in found] == [second["utterance_id"], first["utterance_id"]]
    assert [one["reply"]["text"] for one in found] == [second["reply"]["text"], first["reply"]["text"]]
    await works.idle()


async def test_who_does_not_wait_gets_the_ids_by_which_the_answers_will_come(tmp_path: Path) -> None:
    async with open_served(tmp_path, devices=USERS) as served:
        served.works.engine.go.clear()
        told = await speak(served, speech(1.0), 202)
        (part,) = told["utterances"]
        assert (part["state"], part["text"], part["reply"]) == ("transcribing", "", None)
        served.works.engine.go.set()
        heard = await served.works.result()
        assert (heard.correlation_id, heard.utterance_id) == (part["correlation_id"], part["utterance_id"])
        await served.works.reply(heard, "yes")
        await served.works.events.first(ReplyEvent, correlation_id=part["correlation_id"])


async def test_who_waits_in_vain_is_told_how_far_it_got(tmp_path: Path) -> None:
    async with open_served(tmp_path, devices=USERS) as served:
        (part,) = (await speak(served, speech(1.0), 202, "?wait=0.1"))["utterances"]
        assert part["state"] in {"transcribing", "thinking"}
    async with open_served(tmp_path, devices=USERS, orchestrator={"timeout_seconds": 0.2}) as served:
        (part,) = (await speak(served, speech(1.0), 200, "?wait=40"))["utterances"]
        assert (part["state"], part["reply"]["fallback"], part["reply"]["agent"]) == (
            "unanswered",
            True,
            "gateway",
        )


async def test_a_device_that_is_there_gets_the_answer_as_it_gets_an_announcement(answered: Served) -> None:
    async with answered.works.board("kitchen") as board:
        await board.connected()
        (part,) = (await speak(answered, speech(1.0), query="?wait=40"))["utterances"]
        shown = await board.told.first(ReplyShown)
        assert (shown.text, shown.stream, shown.final) == (part["reply"]["text"], 0, True)
        await answered.works.events.first(DeliveryEvent, correlation_id=part["correlation_id"])
        assert not board.told.of(TranscriptShown), "it has said nothing"
        await answered.works.idle()


async def test_a_device_that_goes_on_speaking_is_no_other_for_it(answered: Served) -> None:
    """While a recording comes, its device says HELLO and speaks, and its owner types: each is heard."""
    works, body = answered.works, speech(1.0, 1.5)
    dripping = Dripping(body[:48_000], body[48_000:])
    putting = asyncio.create_task(speak(answered, dripping, query="?wait=40"))
    await passes(works.pipeline.sessions)
    async with works.board("kitchen") as board:
        said = await board.say(loud(0.5))
        assert said.reply == f"you said {said.transcript}"
        dripping.go()
        told = await putting
        await works.idle()
    assert [one["state"] for one in told["utterances"]] == ["answered", "answered"]


async def test_ones_own_device_may_be_typed_for_while_a_recording_of_it_comes(answered: Served) -> None:
    body = speech(1.0)
    dripping = Dripping(body[:100], body[100:])
    putting = asyncio.create_task(
        speak(answered, dripping, path="/devices/web-local/speech", query="?wait=40")
    )
    await passes(answered.works.pipeline.sessions)
    await answered.call("POST", "/say", 202, json={"text": "hello"})
    dripping.go()
    (part,) = (await putting)["utterances"]
    assert part["state"] == "answered"
    await answered.works.idle()


async def test_where_nobody_speaks_nothing_is_said(answered: Served) -> None:
    told = await speak(answered, wav(quiet(3)))
    assert (told["utterances"], told["seconds"]) == ([], 3.0)
    assert not answered.works.results.items
    assert (await answered.get("/utterances"))["utterances"] == []
    await answered.works.idle()


async def test_what_is_not_understood_is_silent_or_failed(tmp_path: Path) -> None:
    engine = Engine()
    async with house(tmp_path, engine=engine) as served:
        (first,) = (await speak(served, speech(1.0), query="?wait=40"))["utterances"]
        engine.poison = {int(first["text"])}
        (second,) = (await speak(served, speech(1.0), query="?wait=40"))["utterances"]
        assert (second["state"], second["text"]) == ("failed", "")
        assert second["error"] == f"{first['text']} are too many"
        await served.works.idle()


@pytest.mark.parametrize("body", [b"", b"hello", b"?" * 20_000])
async def test_what_is_no_recording_says_nothing(answered: Served, body: bytes) -> None:
    told = await speak(answered, body, 422)
    assert [one["place"] for one in told["errors"]] == ["body"]
    await answered.works.idle()


async def test_what_is_said_before_a_recording_turns_out_too_long_is_said(tmp_path: Path) -> None:
    async with house(tmp_path, web={"uploads": {"seconds": 5}}) as served:
        told = await speak(served, speech(1.0, 1.0, 1.0, 1.0), 413)
        heard = await served.works.result()
        assert f"utterances before that are said, in the session {heard.session_id}" in told["detail"]
        await served.works.idle()


async def test_a_wire_that_breaks_leaves_what_was_complete(answered: Served) -> None:
    dripping = Dripping(speech(1.0, 1.0)[:-20_000], b"")
    putting = asyncio.create_task(speak(answered, dripping))
    await answered.works.result()
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    await answered.works.idle()
    assert len(answered.works.results.of(TranscriptionMessage)) == 1


@pytest.mark.parametrize(
    ("role", "scope", "device", "status"),
    [
        (Role.DEVICE, {"devices": ("kitchen",)}, "kitchen", 200),
        (Role.OPERATOR, {}, "kitchen", 200),
        (Role.OPERATOR, {"users": ("ann",)}, "kitchen", 200),
        (Role.LISTENER, {}, "web-sam", 200),
        (Role.LISTENER, {"users": ("ann",)}, "web-sam-tablet", 200),
        (Role.OPERATOR, {}, "web-sam", 200),
        (Role.DEVICE, {"devices": ("kitchen",)}, "attic", 404),
        (Role.DEVICE, {"devices": ("kitchen",)}, "web-sam", 404),
        (Role.OPERATOR, {"users": ("ann",)}, "attic", 404),
        (Role.OPERATOR, {"devices": ("attic",)}, "kitchen", 404),
        (Role.LISTENER, {}, "kitchen", 404),
        (Role.LISTENER, {"devices": ("kitchen",)}, "kitchen", 404),
        (Role.LISTENER, {}, "web-samantha", 404),
        (Role.ORCHESTRATOR, {}, "kitchen", 403),
        (Role.OPERATOR, {}, "nobody", 404),
        (Role.OPERATOR, {}, "web-ann", 404),
    ],
)
async def test_who_may_stream_as_a_device_may_put_a_recording_as_it(
    tmp_path: Path, role: Role, scope: dict[str, Any], device: str, status: int
) -> None:
    async with open_served(tmp_path, devices=USERS, web={"require_token": True}) as served:
        token = bearer(Keyring(tmp_path).token("sam", role=role, **scope))
        told = await speak(served, wav(quiet(1)), status, path=f"/devices/{device}/speech", **token)
        if status == 200:
            users = {"kitchen": "ann", "web-sam": "home", "web-sam-tablet": "ann"}
            assert (told["device_id"], told["user_id"]) == (device, users[device])


async def test_a_device_that_nobody_knows_is_told_with_a_remedy(answered: Served) -> None:
    told = await speak(answered, speech(1.0), 404, path="/devices/kichten/speech")
    assert "devices.known" in told["remedy"]


async def test_a_device_that_was_revoked_says_nothing(answered: Served) -> None:
    answered.works.register.file.approve("kitchen")
    answered.works.register.file.revoke("kitchen")
    await answered.works.register.look()
    told = await speak(answered, speech(1.0), 409)
    assert told["detail"] == "kitchen was revoked"


async def test_a_recording_is_behind_what_devices_say_unless_its_device_is_urgent(tmp_path: Path) -> None:
    engine, urgent = Engine(), {"devices": {"attic": "urgent"}}
    async with open_served(tmp_path, engine, devices={**USERS, "priorities": urgent}) as served:
        first = await _order(served, "kitchen", waiting=1)
        assert first == ["hall", "kitchen"]
        assert await _order(served, "attic", waiting=2) == ["attic", "hall"]


async def _order(served: Served, device: str, *, waiting: int) -> list[str]:
    """Who was transcribed when: a recording of the device, and what the hall says after it."""
    works, engine = served.works, served.works.engine
    works.results.items.clear()
    engine.go.clear()
    engine.at_work.clear()
    async with works.board("hall") as hall, works.board("study") as study:
        holding = asyncio.create_task(study.say(loud(0.5)))
        await engine.working()
        await speak(served, speech(1.0), 202, path=f"/devices/{device}/speech")
        saying = asyncio.create_task(hall.say(loud(0.7)))
        await passes(lambda: works.recognizer.waiting == waiting)
        engine.go.set()
        for number in range(1, 4):
            await works.reply(await works.result(number), "yes")
        await asyncio.gather(holding, saying)
        await works.idle()
    published = [one.device_id for one in works.results.of(TranscriptionMessage)]
    return [name for name in published if name != "study"]


async def test_it_is_heard_as_its_device_is_unless_it_says_otherwise(tmp_path: Path) -> None:
    hints = {"devices": {"kitchen": {"language": "de", "prompt": "Guten Tag"}}}
    async with house(tmp_path, transcription=hints) as served:
        await speak(served, speech(1.0), query="?wait=40")
        await speak(served, speech(1.0), query="?wait=40&language=fr&hotwords=Aoife")
        assert served.works.engine.hints == [Hints("de", "Guten Tag", ""), Hints("fr", "Guten Tag", "Aoife")]


async def test_whoever_sent_it_gets_the_words_that_listeners_do_not(tmp_path: Path) -> None:
    async with house(tmp_path, privacy={"redact": True}) as served:
        (part,) = (await speak(served, speech(1.0), query="?wait=40"))["utterances"]
        assert part["reply"]["text"] == f"you said {part['text']}" != "you said "
        assert {one.text for one in served.works.events.of(TranscriptionEvent)} == {""}
        await served.works.settled()
        (found,) = (await served.get("/utterances"))["utterances"]
        assert (found["text"], found["redacted"]) == ("", True)


async def test_the_word_in_between_is_spoken_about_it(tmp_path: Path) -> None:
    async with house(tmp_path, content={"forbidden_words": ["you said"]}) as served:
        (part,) = (await speak(served, speech(1.0), query="?wait=40"))["utterances"]
        text = part["text"]
        assert (part["reply"]["text"], part["reply"]["flags"]) == (f"*** {text}", ["forbidden_words"])
    rules = {"forbidden_words": [text], "forbidden": "drop"}
    async with house(tmp_path, content=rules, journal=None) as served:
        (part,) = (await speak(served, speech(1.0), query="?wait=40"))["utterances"]
        assert (part["state"], part["text"], part["error"]) == ("failed", "", KEPT_BACK)
        told = await speak(served, speech(1.0), path="/transcriptions", query="?publish=true")
        assert (told["text"], told["segments"][0]["error"]) == ("", KEPT_BACK)


async def test_what_is_erased_while_it_is_transcribed_is_told_to_nobody(tmp_path: Path) -> None:
    engine = Engine()
    async with house(tmp_path, engine=engine) as served:
        engine.go.clear()
        putting = asyncio.create_task(speak(served, speech(1.0), query="?wait=40"))
        await engine.working()
        erasing = asyncio.create_task(served.call("DELETE", "/utterances?user_id=ann"))
        (part,) = (await putting)["utterances"]
        assert (part["state"], part["text"], part["reply"]) == ("failed", "", None)
        engine.go.set()
        assert (await erasing)["erased"] == 1
        await served.works.idle()


async def test_of_what_is_erased_while_its_answer_is_awaited_no_words_are_told(tmp_path: Path) -> None:
    async with open_served(tmp_path, devices=USERS) as served:
        putting = asyncio.create_task(speak(served, speech(1.0), query="?wait=40"))
        await served.works.result()
        await served.call("DELETE", "/utterances?user_id=ann")
        (part,) = (await putting)["utterances"]
        assert (part["state"], part["text"], part["error"]) == ("failed", "", "it was erased")


async def test_no_more_of_one_recording_are_asked_about_than_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_speech, "MOST_OPEN", 2)
    async with open_served(tmp_path, devices=USERS) as served:
        works = served.works
        putting = asyncio.create_task(speak(served, speech(*[0.5] * 4), query="?wait=40"))
        for number in range(1, 5):
            heard = await works.result(number)
            assert len(works.results.items) <= number + 1
            (session,) = works.pipeline.sessions()
            assert len(session.turns) <= 2
            await works.reply(heard, "yes")
        assert [one["state"] for one in (await putting)["utterances"]] == ["answered"] * 4


async def test_with_the_recognizer_switched_off_nothing_is_taken(tmp_path: Path) -> None:
    async with open_served(tmp_path, devices=USERS, transcription={"engine": "off"}) as served:
        told = await speak(served, speech(1.0), 503)
        assert "switched off" in told["detail"]


async def test_a_gateway_that_stops_says_so(answered: Served) -> None:
    body = speech(1.0, 1.0)
    dripping = Dripping(body[:100], body[100:])
    putting = asyncio.create_task(speak(answered, dripping, 503))
    await passes(answered.works.pipeline.sessions)
    await answered.works.pipeline.drain(0.2)
    dripping.go()
    assert (await putting)["detail"] == "the gateway is stopping"
    assert (await speak(answered, speech(1.0), 503))["detail"] == "the gateway is stopping"


async def test_without_a_journal_it_is_published_when_that_is_told(tmp_path: Path) -> None:
    async with open_served(tmp_path, devices=USERS, journal=None) as served:
        (part,) = (await speak(served, speech(1.0), 202))["utterances"]
        assert part["state"] == "thinking"
        assert part["text"] != ""


class TestPublished:
    """A transcription that asks to be published, as its caller's own words."""

    async def test_it_is_told_and_published(self, answered: Served) -> None:
        told = await speak(
            answered, speech(1.0, 2.0), path="/transcriptions", query="?publish=true&language=de"
        )
        await answered.works.result(2)  # the subscriber may be a step behind whoever is told
        published = answered.works.results.of(TranscriptionMessage)
        assert [one.text for one in published] == [one["text"] for one in told["segments"]]
        assert {(one.device_id, one.session_id) for one in published} == {("web-local", told["session_id"])}
        assert told["text"] == " ".join(one.text for one in published)
        await answered.works.events.first(ReplyEvent, count=2, device_id="web-local", final=True)

    async def test_without_asking_it_is_not(self, answered: Served) -> None:
        told = await speak(answered, speech(1.0), path="/transcriptions")
        assert told["session_id"] == ""
        assert not answered.works.results.items

    async def test_in_other_forms_too(self, answered: Served) -> None:
        async with answered.raw(
            "POST", "api/v1/transcriptions?publish=true&format=text", data=speech(1.0), headers=HEADERS
        ) as response:
            assert (response.status, response.content_type) == (200, "text/plain")
            assert (await response.text()).strip() == (await answered.works.result()).text

    async def test_by_a_token_it_is_its_user_who_speaks(self, tmp_path: Path) -> None:
        async with open_served(tmp_path, web={"require_token": True}) as served:
            token = bearer(Keyring(tmp_path).token("tablet", users=("anna",)))
            await speak(served, speech(1.0), path="/transcriptions", query="?publish=true", **token)
            heard = await served.works.result()
            assert (heard.device_id, heard.user_id) == ("web-tablet", "anna")
