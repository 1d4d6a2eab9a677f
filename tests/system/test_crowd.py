"""Twenty devices and more at once on two cores: nothing mixes, everything is bounded, nothing is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.contract.agents import REQUESTS_TOPIC
from gateway.contract.events import DeliveryEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import REPLIES_TOPIC, RESULTS_TOPIC
from gateway.orchestrators.sdk import Orchestrator
from tests.system.house import RECORDINGS, Board, House, running, text

pytestmark = pytest.mark.slow

ON_MQTT, ON_SERIAL = 20, 4
NAMES = list(RECORDINGS)[: ON_MQTT + ON_SERIAL]


def parrot() -> Orchestrator:
    """Says back who said what, so that whatever is mixed up shows."""
    orchestrator = Orchestrator("parrot", concurrency=64)

    @orchestrator.on_transcript
    async def answer(heard: Any) -> str:
        return f"{heard.device_id} said {heard.text}"

    return orchestrator


def crowd(house: House) -> list[Board]:
    return [
        house.board(f"board{n}", "mqtt" if n < ON_MQTT else "serial", speed=1.5) for n in range(len(NAMES))
    ]


async def test_a_crowd_speaks_at_once_and_each_gets_its_own_answer(house: Any, mosquitto: Any) -> None:
    async with house(mqtt=mosquitto.url, orchestrator={"app": ""}) as one:
        boards = crowd(one)

        async def take_part(board: Board, name: str) -> None:
            async with board:
                await board.connected()
                said = await board.say(RECORDINGS[name].path, end_on_silence=name[-1] in "02468")
                assert said.transcript == text(name)
                assert said.reply == f"{board.device_id} said {text(name)}"
                assert said.overrun_frames == 0
                await one.events.first(DeliveryEvent, device_id=board.device_id)

        with running(parrot().run(one.gateway.broker)):
            async with asyncio.TaskGroup() as tasks:
                for board, name in zip(boards, NAMES, strict=True):
                    tasks.create_task(take_part(board, name))
        _nothing_was_mixed(one)
        await one.idle()
        _nothing_was_lost(one)


def _nothing_was_mixed(house: House) -> None:
    """Each id belongs to one device, for every event and message that bears it."""
    said = {f"board{n}": text(name) for n, name in enumerate(NAMES)}
    owners: dict[str, str] = {}
    heard = house.events.of(TranscriptionEvent)
    replies = house.events.of(ReplyEvent)
    assert len(heard) == len(replies) == len(house.results.items) == len(NAMES)
    for item in (*heard, *replies, *house.events.of(DeliveryEvent), *house.results.items):
        for given in (item.session_id, item.utterance_id, item.correlation_id):
            assert owners.setdefault(given, item.device_id) == item.device_id
    assert len(owners) == 3 * len(NAMES)
    assert {event.device_id: event.text for event in heard} == said
    assert {result.device_id: result.text for result in house.results.items} == said
    assert all(event.text == f"{event.device_id} said {said[event.device_id]}" for event in replies)
    for message, result in zip(house.messages, house.results.items, strict=True):
        assert message.routing_key.device == result.device_id
        assert message.routing_key.session == result.session_id


def _nothing_was_lost(house: House) -> None:
    gateway = house.gateway
    for topic in gateway.broker.stats():
        assert (topic.dropped, topic.rejected, topic.buffered_messages) == (0, 0, 0)
    published = {topic.topic: topic.published for topic in gateway.broker.stats()}
    assert (published[RESULTS_TOPIC], published[REPLIES_TOPIC]) == (len(NAMES), len(NAMES))
    assert published[REQUESTS_TOPIC] == 0, "nobody is asked by name"
    hub = gateway.hub.stats()
    assert (hub.dropped, hub.slow_consumers, hub.refused) == (0, 0, 0)
    assert gateway.pipeline._questions.tracker.live == 0
    counters = gateway.pipeline._questions.tracker.counters
    assert (counters.done, counters.expired, counters.unknown) == (len(NAMES), 0, 0)
    fleet = gateway.bridge.counters
    assert (fleet.duplicate_ids, fleet.bad_ids, fleet.refused) == (0, 0, 0)
    for device in gateway.bridge.devices():
        assert (device.counters.lost_frames, device.counters.outbox_full) == (0, 0)
        assert device.counters.rejected == 0
