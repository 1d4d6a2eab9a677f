"""A gateway that dies and one that stands by for it: two processes, one broker, one board on MQTT."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from firmware_bridge.simulator.user import TranscriptShown
from gateway.broker.opening import open_broker
from gateway.contract.messages import RESULTS_TOPIC, decode_transcription
from gateway.settings.broker import BrokerSettings
from tests.chaos.balancer import BalancedWire, Balancer
from tests.record import Record, passes
from tests.servers.mosquitto import Mosquitto
from tests.servers.process import free_port
from tests.servers.redis import Redis
from tests.system.house import RECORDINGS, Board, board, pcm, running, text
from tests.system.process import Running, run

pytestmark = pytest.mark.slow

KITCHEN, ATTIC = "kitchen", "attic"
SAID = sorted(RECORDINGS)
TAKEN_OVER_SECONDS = 10.0


class Row:
    """The two gateways' parts: where each lies and is reached, and what a subscriber of the broker gets."""

    def __init__(self, folder: Path, redis: Redis, mosquitto: Mosquitto) -> None:
        self.folder = folder
        self.redis, self.mosquitto = redis, mosquitto
        self.ports = {name: free_port() for name in (KITCHEN, ATTIC)}
        self.results = Record()
        self.is_subscribed = asyncio.Event()
        for name in self.ports:
            (folder / name).mkdir()

    def gateway(self, name: str) -> Any:
        """``earshot run``, until it is ready or stands by."""
        house: dict[str, Any] = {"name": name, "has_standby": True}
        if name == ATTIC:
            house = {"name": name, "standby_for": KITCHEN}
        return run(
            self.folder / name,
            self.mosquitto.url,
            broker={"url": self.redis.url, "client_id": name, "lease_seconds": 2.0},
            house=house,
            orchestrator={"timeout_seconds": 1},
            web={"port": self.ports[name]},
            devices={"serial": {"ports": [f"{self.folder}/usb-*"]}},
        )

    def board(self) -> Board:
        return board(self.folder, "bell", self.mosquitto.url, ring_frames=4000)

    @asynccontextmanager
    async def board_on(self, carrier: str) -> AsyncIterator[Board]:
        """On a cable that both see, or behind a balancer between the two."""
        if carrier == "serial":
            async with board(self.folder, "bell", ring_frames=4000) as bell:
                yield bell
            return
        async with Balancer([f"http://127.0.0.1:{port}/" for port in self.ports.values()]) as balancer:
            await passes(lambda: balancer.ready)
            async with Board("bell", BalancedWire(balancer), ring_frames=4000) as bell:
                yield bell

    async def ready(self, name: str) -> tuple[int, str]:
        """What its /readyz says."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.ports[name]}/readyz") as answer,
        ):
            return answer.status, await answer.text()

    async def came(self, *names: str) -> None:
        """All of them, each once, in order; a message that comes again under its own id is the same."""
        said = [text(name) for name in names]
        await self.results.until(lambda: len(self._texts()) >= len(said))
        assert self._texts() == said

    def _texts(self) -> list[str]:
        return list({one.message_id: one.text for one in self.results.items}.values())

    async def subscribe(self) -> None:
        broker = open_broker(self.redis.url, BrokerSettings(url=self.redis.url, client_id="witness"))
        try:
            async with broker.subscribe(RESULTS_TOPIC, group="witness") as results:
                self.is_subscribed.set()
                async for delivery in results:
                    self.results(decode_transcription(delivery.message.payload))
                    await delivery.ack()
        finally:
            await broker.close(0.1)


@pytest.fixture
def row(tmp_path: Path) -> Iterator[Row]:
    redis, mosquitto = Redis(tmp_path).start(), Mosquitto(tmp_path).start()
    try:
        yield Row(tmp_path, redis, mosquitto)
    finally:
        mosquitto.kill()
        redis.kill()


@asynccontextmanager
async def both(row: Row) -> AsyncIterator[tuple[Running, Running]]:
    async with AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(row.gateway(KITCHEN))
        attic = await stack.enter_async_context(row.gateway(ATTIC))
        stack.enter_context(running(row.subscribe()))
        await row.is_subscribed.wait()
        yield kitchen, attic


async def says(one: Board, name: str) -> None:
    """A sentence, until its text is back, and the board need not keep it."""
    await one.say(pcm(name), patience=0)
    await one.told.first(TranscriptShown, text=text(name))
    await passes(lambda: one.end._ring.oldest == one.end._ring.next)


async def test_a_standby_takes_the_devices_of_a_gateway_that_was_killed(row: Row) -> None:
    async with both(row) as (kitchen, attic), row.board() as bell:
        assert attic.logged("standing by")
        status, told = await row.ready(ATTIC)
        assert status == 503
        assert KITCHEN in told
        await kitchen.logs("standby is healthy")
        await says(bell, SAID[0])
        await row.came(SAID[0])
        await kitchen.kill()
        killed_at = asyncio.get_running_loop().time()
        await says(bell, SAID[1])
        assert asyncio.get_running_loop().time() - killed_at < TAKEN_OVER_SECONDS
        assert (await row.ready(ATTIC))[0] == 200
        async with row.gateway(KITCHEN) as back:
            assert back.logged("standing by"), "it finds its place taken"
            await says(bell, SAID[2])
            await back.logs("the place is free, and taken over")
            assert attic.logged("the place is given back")
            await says(bell, SAID[3])
            await row.came(*SAID[:4])
            assert (await row.ready(ATTIC))[0] == 503


async def test_a_gateway_that_was_frozen_finds_that_it_has_been_replaced(row: Row) -> None:
    async with both(row) as (kitchen, attic), row.board() as bell:
        await says(bell, SAID[0])
        kitchen.stop(signal.SIGSTOP)
        await says(bell, SAID[1])
        assert attic.logged("the place is free, and taken over")
        kitchen.stop(signal.SIGCONT)
        await kitchen.logs("standing by")
        await says(bell, SAID[2])
        await row.came(*SAID[:3])


@pytest.mark.parametrize("carrier", ["serial", "websocket"])
async def test_also_those_on_a_cable_that_both_see_and_on_websockets(row: Row, carrier: str) -> None:
    async with both(row) as (kitchen, attic), row.board_on(carrier) as bell:
        await kitchen.logs("standby is healthy")
        await says(bell, SAID[0])
        killed_at = asyncio.get_running_loop().time()
        await kitchen.kill()
        await says(bell, SAID[1])
        assert asyncio.get_running_loop().time() - killed_at < TAKEN_OVER_SECONDS
        assert attic.logged("the place is free, and taken over")
        await row.came(*SAID[:2])


async def test_one_that_is_stopped_hands_over_at_once(row: Row) -> None:
    async with both(row) as (kitchen, attic), row.board() as bell:
        await says(bell, SAID[0])
        assert await kitchen.terminate() == 0
        await says(bell, SAID[1])
        await attic.logs("the place is free, and taken over")
        await row.came(*SAID[:2])


async def test_a_broker_that_is_away_makes_nobody_take_over(row: Row) -> None:
    """Nobody can say whose the place is: devices keep what they say, and nothing is heard twice."""
    async with both(row) as (kitchen, attic), row.board() as bell:
        await says(bell, SAID[0])
        await row.came(SAID[0])
        row.redis.kill()
        await kitchen.logs("broker is degraded")
        saying = asyncio.create_task(bell.say(pcm(SAID[1]), patience=0))
        await asyncio.sleep(TAKEN_OVER_SECONDS)
        assert not attic.logged("the place is free, and taken over")
        row.redis.start()
        await saying
        await row.came(*SAID[:2])
