"""What agents tell devices over the broker, whichever of several gateways knows the device."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.answering.announcing import Announcing
from gateway.broker.base import RoutingKey
from gateway.broker.opening import open_broker
from gateway.contract.agents import ANNOUNCEMENTS_TOPIC, AnnouncementMessage
from gateway.contract.messages import encode
from gateway.pipeline.telling import announcements
from gateway.settings.broker import BrokerSettings
from tests.gateway.works import Works, open_works
from tests.record import passes
from tests.servers.nats import Nats
from tests.system.house import running


async def publish(works: Works, text: str, agent: str = "laundry") -> None:
    message = AnnouncementMessage(device_id="kitchen", text=text, agent=agent, message_id=f"m_{text}")
    key = RoutingKey("laundry", "kitchen", "announcement")
    await works.broker.publish(ANNOUNCEMENTS_TOPIC, key, encode(message))


async def test_the_gateway_that_knows_the_device_tells_it_and_the_other_leaves_it(nats: Nats) -> None:
    async with AsyncExitStack() as stack:
        north, south = [
            await stack.enter_async_context(
                open_works(beside=open_broker(nats.url, BrokerSettings(url=nats.url, client_id=name)))
            )
            for name in ("north", "south")
        ]
        for works, group in ((north, "gateway-north"), (south, "gateway-south")):
            stack.push_async_callback(works.broker.close, 0.1)
            work = Announcing(works.broker, works.pipeline, group).run()
            stack.enter_context(running(work))
        kitchen = await stack.enter_async_context(north.board())
        await kitchen.connected()
        while await north.broker.readers(ANNOUNCEMENTS_TOPIC) < 2:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)
        await publish(south, "The washing is done.")
        await kitchen.told.first(ReplyShown, text="The washing is done.")
        await passes(lambda: all(_taken(works) == 1 for works in (north, south)))
        assert not [*north.broker.dead_letters(), *south.broker.dead_letters()]
        assert len(south.pipeline.announcements) == 0


def _reads(works: Works) -> bool:
    return any(row.topic == ANNOUNCEMENTS_TOPIC and row.subscriptions for row in works.broker.stats())


def _taken(works: Works) -> int:
    return sum(row.acknowledged for row in works.broker.stats() if row.topic == ANNOUNCEMENTS_TOPIC)


async def test_who_has_no_name_has_no_more_room_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "MAX_WAITING_OF_A_DEVICE", 2)
    async with open_works(devices={"rooms": {"kitchen": "Kitchen"}}) as works:
        with running(Announcing(works.broker, works.pipeline, "gateway").run()):
            await passes(lambda: _reads(works))
            for number in range(4):
                await publish(works, str(number), agent="")
            await passes(lambda: len(works.broker.dead_letters()) == 2)
            assert len(works.pipeline.announcements) == 2


async def test_nobody_is_told_before_it_is_known_to_be_new(tmp_path: Path) -> None:
    async with open_works(journal=tmp_path / "journal.db") as works, works.board() as kitchen:
        await kitchen.connected()
        telling = asyncio.create_task(
            works.pipeline.announcements.announce("kitchen", "home", "hello", "laundry", 60.0)
        )
        await asyncio.sleep(0)
        works.pipeline.announcements.expire()
        assert kitchen.told.of(ReplyShown) == []
        await telling
        await kitchen.told.first(ReplyShown, text="hello")
