"""Programs of version 0.1.0 go on unchanged: what they relied on is there, and what they said is understood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from firmware_bridge.simulator.user import ReplyShown
from gateway.broker.base import RoutingKey
from gateway.contract.events import (
    EVENT_KINDS,
    DeliveryEvent,
    ReplyEvent,
    decode_event,
    decode_first,
    decode_say,
    decode_subscribe,
)
from gateway.contract.messages import (
    DEAD_TOPIC,
    REPLIES_TOPIC,
    RESULTS_TOPIC,
    OrchestratorReply,
    TranscriptionMessage,
    decode_reply,
    decode_transcription,
    encode,
)
from gateway.web.api import openapi
from gateway.web.operations.table import OPERATIONS, PREFIX
from tests.gateway.contract import schema_1
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.record import passes
from tests.system.house import running
from transcription.transcriber import Word

RECORDED = Path(__file__).parent / "recorded"


def lines(name: str) -> list[bytes]:
    return (RECORDED / name).read_bytes().splitlines()


def example(name: str) -> bytes:
    return (RECORDED / "documents" / f"{name}.json").read_bytes()


TRANSCRIPTIONS = [example("messages-01"), example("messages-02"), *lines("transcriptions.jsonl")]
REPLIES = [*(example(f"messages-{number:02}") for number in range(4, 10)), *lines("replies.jsonl")]
EVENTS = [*(example(f"events-{number:02}") for number in range(4, 14)), *lines("events.jsonl")]


def holds(now: Any, then: Any) -> bool:
    """Whether all that was said then is said now; there may be more."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(
            name in now and holds(now[name], one) for name, one in then.items()
        )
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(holds, now, then))
    return bool(now == then) and isinstance(now, bool) is isinstance(then, bool)


# -- what was written then is read now


@pytest.mark.parametrize("payload", TRANSCRIPTIONS, ids=range(len(TRANSCRIPTIONS)))
def test_a_transcription_of_then_is_one_now(payload: bytes) -> None:
    message = decode_transcription(payload)
    assert message.schema == 1
    assert holds(json.loads(encode(message)), json.loads(payload))


@pytest.mark.parametrize("payload", REPLIES, ids=range(len(REPLIES)))
def test_a_reply_of_then_is_one_now(payload: bytes) -> None:
    assert holds(json.loads(encode(decode_reply(payload))), json.loads(payload))


@pytest.mark.parametrize("payload", EVENTS, ids=range(len(EVENTS)))
def test_an_event_of_then_is_one_now(payload: bytes) -> None:
    assert holds(json.loads(encode(decode_event(payload))), json.loads(payload))


def test_what_listeners_of_then_say_is_understood() -> None:
    assert decode_first(example("events-01")) == decode_subscribe(example("events-01"))
    assert decode_say(example("events-02")).text == "turn on the light"
    assert decode_first(example("events-03")) is not None


# -- what is written now is read by a program of then


@asynccontextmanager
async def tapped(works: Works, *topics: str) -> AsyncIterator[list[bytes]]:
    """All that is published there, as it travels."""
    payloads: list[bytes] = []

    async def tap(topic: str, ready: asyncio.Event) -> None:
        async with works.broker.subscribe(topic) as messages:
            ready.set()
            async for delivery in messages:
                payloads.append(delivery.message.payload)
                await delivery.ack()

    events = [asyncio.Event() for _ in topics]
    with running(*map(tap, topics, events)):
        await asyncio.gather(*(event.wait() for event in events))
        yield payloads


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "filtered": {"content": {"personal_data": "mask", "forbidden_words": ["16000"]}},
    "urgent": {"devices": {"priorities": {"devices": {"kitchen": "urgent"}}}},
}


@pytest.mark.parametrize("parts", SETTINGS.values(), ids=SETTINGS)
async def test_a_program_of_then_hears_and_answers(parts: dict[str, Any]) -> None:
    """It needs every field that there was; it knows of no other, and copies two of them."""
    engine = Engine()
    engine.says = type(engine.says)("", "en", 0.9, 0.0, (Word("x", 0.0, 0.5, 0.8),), "e", "m", 1.0)
    async with (
        open_works(engine, **parts) as works,
        works.board() as kitchen,
        tapped(works, RESULTS_TOPIC) as results,
    ):
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await passes(lambda: len(results) == 1)
        heard = schema_1.heard(results[0])
        assert (heard.schema, heard.success, heard.is_final, heard.error) == (1, True, True, None)
        assert (heard.user_id, heard.device_id, heard.audio.seconds) == ("home", "kitchen", 1.0)
        payload = schema_1.answer(heard, "yes")
        key = RoutingKey(heard.user_id, heard.device_id, heard.session_id)
        await works.broker.publish(REPLIES_TOPIC, key, payload)
        said = await saying
        assert (said.transcript, said.reply) == (heard.text, "yes")
        assert len(kitchen.told.of(ReplyShown)) == 1
        await works.idle()


async def test_where_agents_are_named_a_program_of_then_still_hears() -> None:
    """Its answers do not count there: it was not asked, and the message says so in a field that it does not know."""
    async with (
        open_works(orchestrator={"agents": {"clerk": {}}, "timeout_seconds": 20}) as works,
        works.board() as kitchen,
        tapped(works, RESULTS_TOPIC) as results,
    ):
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await passes(lambda: len(results) == 1)
        heard = schema_1.heard(results[0])
        assert (heard.schema, heard.text, json.loads(results[0])["addressed"]) == (1, "16000", True)
        key = RoutingKey(heard.user_id, heard.device_id, heard.session_id)
        await works.broker.publish(REPLIES_TOPIC, key, schema_1.answer(heard, "yes"))
        await passes(lambda: works.pipeline._questions.tracker.counters.unasked == 1)
        assert kitchen.told.of(ReplyShown) == []
        saying.cancel()


async def test_a_program_of_then_understands_silence_failure_and_what_is_given_up() -> None:
    engine = Engine()
    engine.poison, engine.deadly = {16_000}, {32_000}
    async with (
        open_works(engine) as works,
        works.board() as kitchen,
        tapped(works, RESULTS_TOPIC) as results,
        tapped(works, DEAD_TOPIC) as dead,
    ):
        await kitchen.say(loud(1))
        await kitchen.say(loud(2))
        await kitchen.say(quiet(0.5), patience=0)
        await passes(lambda: len(results) == 3 and bool(dead))
        failed, died, silent = map(schema_1.heard, results)
        assert (failed.success, failed.text, bool(failed.error)) == (False, "", True)
        assert (died.success, died.text, bool(died.error)) == (False, "", True)
        assert (silent.success, silent.text, silent.error) == (True, "", None)
        letter = schema_1.given_up(dead[0])
        assert (letter.schema, letter.correlation_id) == (1, died.correlation_id)


def test_all_fields_of_then_are_there_under_their_names_with_their_types() -> None:
    """Also those that no run shows: an empty message has every one."""
    message = decode_transcription(example("messages-01"))
    assert schema_1.heard(encode(message)).text == message.text
    assert set(json.loads(example("messages-01"))) <= set(TranscriptionMessage.__struct_fields__)
    assert set(json.loads(example("messages-04"))) <= set(OrchestratorReply.__struct_fields__)


# -- replies of then, published as they were


RUN = [json.loads(payload) for payload in lines("replies.jsonl")]
BY_REQUEST = {one["correlation_id"]: one["session_id"] for one in RUN}


@pytest.mark.parametrize("correlation_id", BY_REQUEST)
async def test_replies_of_then_have_the_end_that_they_had(correlation_id: str) -> None:
    """All to one request, under the ids of one of now."""
    ours = [payload for payload in lines("replies.jsonl") if correlation_id.encode() in payload]
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        key = RoutingKey("home", "kitchen", heard.session_id)
        for payload in ours:
            payload = payload.replace(correlation_id.encode(), heard.correlation_id.encode())  # noqa: PLW2901
            payload = payload.replace(BY_REQUEST[correlation_id].encode(), heard.session_id.encode())  # noqa: PLW2901
            await works.broker.publish(REPLIES_TOPIC, key, payload)
        end = json.loads(ours[-1])
        event = await works.events.first(ReplyEvent, final=True)
        assert (event.text, event.error, event.agent) == (end["text"], end["error"], end["agent"])
        pieces = [one.text for one in works.events.of(ReplyEvent) if not one.final]
        assert pieces == [json.loads(payload)["text"] for payload in ours[:-1]]
        said = await saying
        assert said.reply == (end["text"] or said.reply)
        await works.idle()


# -- events of now, for a listener of then


async def test_events_of_now_fit_the_schema_of_then() -> None:
    validator = Draft202012Validator(json.loads((RECORDED / "events.schema.json").read_bytes()))
    transcription = {"partials": {"every_ms": 200, "share": 1.0}}
    async with open_works(transcription=transcription) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        await works.reply(heard, "one ", final=False, message_id="m_1")
        await works.reply(heard, "one two", message_id="m_2")
        await saying
        await works.pipeline.announcements.announce("kitchen", "home", "Dinner.", "clock", 60)
        await kitchen.told.first(ReplyShown, text="Dinner.")
        await works.idle()
        await works.events.first(DeliveryEvent)
        events = [json.loads(encode(event)) for event in works.events.items]
    for event in events:
        validator.validate(event)
    assert {"transcription", "reply", "status", "delivery", "device"} <= {event["type"] for event in events}


@pytest.mark.parametrize("payload", EVENTS, ids=range(len(EVENTS)))
def test_an_event_keeps_its_fields_in_the_schema_of_then(payload: bytes) -> None:
    validator = Draft202012Validator(json.loads((RECORDED / "events.schema.json").read_bytes()))
    validator.validate(json.loads(encode(decode_event(payload))))


def test_no_kind_of_event_is_gone() -> None:
    assert {json.loads(payload)["type"] for payload in EVENTS} - {"snapshot", "said", "error"} <= set(
        EVENT_KINDS
    )


# -- the HTTP API, which is version 1 as it was


THEN: dict[str, Any] = json.loads((RECORDED / "openapi.json").read_bytes())
CALLS = [(path, method) for path, operations in THEN["paths"].items() for method in operations]


def now() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(encode_document())
    return described


def encode_document() -> str:
    return json.dumps(openapi.document(OPERATIONS, "", PREFIX))


def resolved(schema: Any, document: dict[str, Any]) -> Any:
    reference = schema.get("$ref", "") if isinstance(schema, dict) else ""
    return document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def lost(then: Any, now: Any, documents: tuple[dict[str, Any], dict[str, Any]], *, asked: bool) -> list[str]:
    """What an answer has no more, or a request needs that it did not need (``asked``); depth first."""
    then, now = resolved(then, documents[0]), resolved(now, documents[1])
    if not isinstance(then, dict) or "properties" not in then:
        return [] if then.get("type") == now.get("type") else [f"{then.get('type')} is {now.get('type')}"]
    gone = [name for name in then["properties"] if name not in now["properties"]]
    if asked:
        gone += [f"{name} is needed" for name in set(now.get("required", ())) - set(then.get("required", ()))]
    else:
        gone += [
            f"{name} may be missing" for name in set(then.get("required", ())) - set(now.get("required", ()))
        ]
    for name in then["properties"].keys() & now["properties"].keys():
        if then["properties"][name] != then:
            inner = lost(then["properties"][name], now["properties"][name], documents, asked=asked)
            gone += [f"{name}: {one}" for one in inner]
    return gone


@pytest.mark.parametrize(("path", "method"), CALLS)
def test_an_operation_of_then_is_one_now(path: str, method: str) -> None:
    document = now()
    before, after = THEN["paths"][path][method], document["paths"][path][method]
    documents = (THEN, document)
    assert after["operationId"] == before["operationId"]
    assert after.get("x-right") == before.get("x-right")
    parameters = {(one["name"], one["in"]): one for one in after.get("parameters", ())}
    for one in before.get("parameters", ()):
        assert parameters.pop((one["name"], one["in"]))["required"] == one["required"]
    assert not [one for one in parameters.values() if one["required"]]
    for status, answer in before["responses"].items():
        assert status in after["responses"]
        for media, content in answer.get("content", {}).items():
            schema = after["responses"][status]["content"][media]["schema"]
            assert lost(content["schema"], schema, documents, asked=False) == []
    for media, content in before.get("requestBody", {}).get("content", {}).items():
        schema = after["requestBody"]["content"][media]["schema"]
        assert lost(content["schema"], schema, documents, asked=True) == []
