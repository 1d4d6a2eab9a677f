"""Whatever is logged about an utterance on its way says which it is, in whichever task and thread."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from gateway.broker.base import BrokerError
from gateway.contract.messages import RESULTS_TOPIC, TranscriptionMessage
from gateway.observing.log import configure
from gateway.pipeline.asking.endings import Endings
from gateway.settings.log import LogSettings
from tests.gateway.works import Engine, Works, loud, open_works
from tests.record import passes
from transcription.names_in_log import NAMED
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

log = structlog.get_logger(__name__)
Line = MutableMapping[str, Any]


@pytest.fixture
def logged() -> Iterator[list[Line]]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines


class Talkative(Engine):
    """Logs in the recognizer's thread."""

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        log.warning("the engine is at it", samples=len(utterance.samples))
        return super().transcribe(utterance, hints)


def ids(heard: TranscriptionMessage) -> dict[str, str]:
    return {name: getattr(heard, name) for name in NAMED}


def of(line: Line) -> dict[str, str]:
    return {name: line[name] for name in NAMED if name in line}


def lines(logged: list[Line], event: str) -> list[Line]:
    return [line for line in logged if line["event"] == event]


async def said_to_end(works: Works, board: Any, seconds: float, number: int) -> TranscriptionMessage:
    saying = asyncio.create_task(board.say(loud(seconds)))
    heard = await works.result(number)
    await works.reply(heard, "Done.")
    await saying
    return heard


async def test_the_engines_thread_the_turn_and_the_delivery_name_the_utterance(logged: list[Line]) -> None:
    async with open_works(engine=Talkative()) as works, works.board() as kitchen:
        heard = await said_to_end(works, kitchen, 1, 1)
        await works.idle()
    [finished] = [line for line in lines(logged, "the engine is at it") if "correlation_id" in line]
    assert of(finished) == ids(heard)
    [delivered] = lines(logged, "reply delivered")
    assert of(delivered) == ids(heard)
    [whole] = lines(logged, "utterance")
    assert of(whole) == ids(heard)


async def test_a_failing_utterance_names_itself_and_not_the_one_beside_it(logged: list[Line]) -> None:
    engine = Talkative()
    engine.poison = {16_000}
    async with (
        open_works(engine=engine) as works,
        works.board("kitchen") as kitchen,
        works.board("hall") as hall,
    ):
        bad = asyncio.create_task(kitchen.say(loud(1)))
        failed = await works.result(1)
        await bad
        good = await said_to_end(works, hall, 2, 2)
    failures = lines(logged, "utterance failed")
    assert failures
    assert of(failures[-1]) == ids(failed)
    assert ids(good)["device_id"] not in str(failures)


async def test_a_reply_that_goes_wrong_is_named_by_the_gateways_own_record(
    logged: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumbles(*_: object) -> None:
        raise ZeroDivisionError("a mistake of our own")

    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result(1)
        with monkeypatch.context() as broken:
            broken.setattr(Endings, "end", stumbles)
            await works.reply(heard, "Done.")
            await passes(lambda: lines(logged, "something went wrong inside the gateway"))
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
    [line] = lines(logged, "something went wrong inside the gateway")
    assert of(line) == ids(heard)
    assert line["work"] == "a reply"


async def test_the_outbox_names_each_message_and_inherits_no_ids_of_who_put_one_first(
    logged: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its task begins in whichever turn has something to publish, and goes on with those of others."""
    held = asyncio.Event()
    async with open_works() as works:
        publish: Any = works.broker.publish

        async def refuses(topic: str, *args: Any, **named: Any) -> Any:
            if topic != RESULTS_TOPIC:
                return await publish(topic, *args, **named)
            await held.wait()
            raise BrokerError("it does not like it")

        monkeypatch.setattr(works.broker, "publish", refuses)
        async with works.board("kitchen") as kitchen, works.board("hall") as hall:
            saying = [asyncio.create_task(one.say(loud(1))) for one in (kitchen, hall)]
            await passes(lambda: works.pipeline.stats().unpublished == 2)
            held.set()
            await passes(lambda: len(lines(logged, "message refused by the broker")) == 2)
            for one in saying:
                one.cancel()
            await asyncio.gather(*saying, return_exceptions=True)
    refused = lines(logged, "message refused by the broker")
    assert {line["device_id"] for line in refused} == {"kitchen", "hall"}
    assert len({line["correlation_id"] for line in refused}) == 2
    assert len({line["session_id"] for line in refused}) == 2
    assert not any(
        "utterance_id" in line for line in refused
    )  # a letter does not say; no turn's is taken for it


def test_what_a_library_says_in_a_bound_context_has_the_ids_too() -> None:
    stream = io.StringIO()
    configure(LogSettings(format="json"), stream, {})
    with structlog.contextvars.bound_contextvars(correlation_id="c_1"):
        logging.getLogger("somebody").warning("cannot")
    assert json.loads(stream.getvalue())["correlation_id"] == "c_1"
