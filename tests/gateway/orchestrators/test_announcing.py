"""Text for a device outside any turn: from a handler, after its answer, and from outside of any."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import Subscription
from gateway.contract.agents import ANNOUNCEMENTS_TOPIC, AnnouncementMessage, decode_announcement
from gateway.orchestrators.sdk import BadOrchestrator, Heard, Orchestrator
from tests.gateway.orchestrators.played import running, soon


async def announced(told: Subscription) -> tuple[AnnouncementMessage, str]:
    delivery = await soon(anext(told))
    await delivery.ack()
    message = decode_announcement(delivery.message.payload)
    key = delivery.message.routing_key
    assert (key.user, key.device, key.session) == ("laundry", message.device_id, "announcement")
    assert (message.agent, delivery.message.message_id) == ("laundry", message.message_id)
    assert message.timestamp > 1.7e9
    return message, delivery.message.headers.get("traceparent", "")


async def test_a_handler_tells_its_device_or_another_and_later_too() -> None:
    house, broker, over = Orchestrator("laundry"), MemoryBroker(), asyncio.Event()
    later: list[asyncio.Task[None]] = []

    async def when_done(heard: Heard) -> None:
        await over.wait()
        await heard.announce("The washing is done.", keep_seconds=60)

    @house.on_transcript
    async def answer(heard: Heard) -> str:
        await heard.announce("Somebody washes.", device_id="office")
        later.append(asyncio.create_task(when_done(heard)))
        return "I tell you when it is done."

    async with broker.subscribe(ANNOUNCEMENTS_TOPIC) as told, running(house, broker=broker) as gateway:
        await gateway.ask("laundry", "wash")
        reply = await gateway.reply()
        first, trace = await announced(told)
        assert (first.device_id, first.text, first.keep_seconds) == ("office", "Somebody washes.", 86_400)
        assert trace == reply.traceparent
        over.set()
        last, _ = await announced(told)
        assert (last.device_id, last.text, last.keep_seconds) == ("kitchen", "The washing is done.", 60)


async def test_an_orchestrator_tells_a_device_by_itself_while_it_runs() -> None:
    house, broker = Orchestrator("laundry"), MemoryBroker()

    @house.on_transcript
    async def answer(_heard: Heard) -> None:
        return None

    with pytest.raises(BadOrchestrator, match="runs"):
        await house.announce("too early", device_id="kitchen")
    async with broker.subscribe(ANNOUNCEMENTS_TOPIC) as told, running(house, broker=broker):
        await house.announce("The washing is done.", device_id="kitchen")
        assert (await announced(told))[0].text == "The washing is done."
    with pytest.raises(BadOrchestrator, match="runs"):
        await house.announce("too late", device_id="kitchen")


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": "x" * 70_000},
        {"device_id": "no device"},
        {"keep_seconds": 0},
        {"keep_seconds": 1e9},
    ],
)
async def test_what_would_be_refused_at_the_other_end_is_refused_here(wrong: dict[str, Any]) -> None:
    house = Orchestrator("laundry")

    @house.on_transcript
    async def answer(_heard: Heard) -> None:
        return None

    async with running(house):
        with pytest.raises(ValueError, match=r".+"):
            await house.announce(**({"text": "done", "device_id": "kitchen"} | wrong))
