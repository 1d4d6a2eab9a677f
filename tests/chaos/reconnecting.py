"""A bad network between us and a broker: how soon messages flow again once it is healed, and that none is lost.

Messages are published as the gateway's outbox does it: one after the other, under the same id until the
broker has confirmed it. A consumer on the same bad network takes them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable

from benchmarks.instruments.report import percentile
from gateway.broker.base import BrokerUnavailable, MessageBroker, RoutingKey
from gateway.broker.opening import open_broker
from gateway.contract.messages import new_id
from gateway.settings.broker import BrokerSettings
from tests.chaos.checker import Came, Line, check
from tests.chaos.network import BadNetwork, Spell, Trouble
from tests.chaos.outcome import Outcome
from tests.record import Record

KEY = RoutingKey("home", "kitchen", "session")
PAUSE_SECONDS = 0.01
HEALED_SECONDS = 30.0
"""Nothing that has not come by then is waited for."""


class Traffic:
    """A publisher and a consumer, each with a connection of its own through the network."""

    def __init__(self, url: str, topic: str, stream_replicas: int = 1) -> None:
        self.script: list[Line] = []
        self.came = Record()
        self._topic = topic
        settings = [
            BrokerSettings(url=url, client_id=name, stream_replicas=stream_replicas)
            for name in ("chaos-from", "chaos-to")
        ]
        self._publisher, self._consumer = (open_broker(url, one) for one in settings)
        self._stopping = False

    async def publish(self) -> None:
        """Until it is stopped."""
        for number in itertools.count():
            if self._stopping:
                return
            line = Line("kitchen", 0, number, f"message {number}")
            self.script.append(line)
            await _publish_until_confirmed(self._publisher, self._topic, line)
            await asyncio.sleep(PAUSE_SECONDS)

    async def consume(self, began: asyncio.Event) -> None:
        """For ever."""
        async with self._consumer.subscribe(self._topic, group="chaos") as messages:
            began.set()
            async for delivery in messages:
                message = delivery.message
                text = message.payload.decode()
                self.came(Came("kitchen", text, message.message_id, published=message.timestamp))
                await delivery.ack()

    async def connected(self) -> None:
        """Until the consumer's broker has its subscription: what is published before is not for it."""
        while not self._consumer.status.connected:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(PAUSE_SECONDS)

    async def flows(self) -> float:
        """Seconds until a message that is published from now on has arrived."""
        began, first = time.monotonic(), len(self.script)
        await self.came.until(lambda: _number(self.came.items[-1]) >= first, HEALED_SECONDS)
        return time.monotonic() - began

    async def all_came(self) -> None:
        """Stop publishing, and wait for the last one."""
        self._stopping = True
        texts = {line.text for line in self.script}
        await self.came.until(lambda: texts <= {came.text for came in self.came.items}, HEALED_SECONDS)

    async def close(self) -> None:
        await asyncio.gather(self._publisher.close(0.1), self._consumer.close(0.1))


async def scenario(url: str, port: int, weather: Iterable[Spell], *, seed: int) -> Outcome:
    """``url`` is a broker's that listens on ``port``; ``seed`` is only told."""
    outcome = Outcome(scenario="")
    began = time.monotonic()
    async with BadNetwork(port) as network:
        traffic = Traffic(url.replace(str(port), str(network.port)), new_id("t"))
        subscribed = asyncio.Event()
        consuming = asyncio.create_task(traffic.consume(subscribed))
        await subscribed.wait()
        publishing = asyncio.create_task(traffic.publish())
        took: dict[Trouble, list[float]] = {}
        try:
            await traffic.came.until(lambda: traffic.came.items)
            for spell in weather:
                took.setdefault(spell.trouble, []).append(
                    await _weather(network, traffic, spell, outcome, seed)
                )
            await traffic.all_came()
            await publishing
        except TimeoutError:
            outcome.fault(f"seed {seed}: messages did not flow within {HEALED_SECONDS:g} s")
        finally:
            publishing.cancel()
            consuming.cancel()
            await asyncio.gather(publishing, consuming, return_exceptions=True)
            await traffic.close()
        outcome.add(seed, {"consumer": check(traffic.script, traffic.came.items)})
    everything = [seconds for one in took.values() for seconds in one]
    outcome.figures = {
        "p50_s": round(percentile(everything, 50), 2),
        "p95_s": round(percentile(everything, 95), 2),
        **{f"max {trouble}_s": round(max(one), 2) for trouble, one in took.items()},
    }
    outcome.seconds = time.monotonic() - began
    return outcome


async def _weather(network: BadNetwork, traffic: Traffic, spell: Spell, outcome: Outcome, seed: int) -> float:
    await network.begin(spell.trouble)
    await asyncio.sleep(spell.seconds)
    await network.heal()
    outcome.times += 1
    try:
        return await traffic.flows()
    except TimeoutError:
        outcome.fault(f"seed {seed}: nothing flows {HEALED_SECONDS:g} s after {spell}")
        return HEALED_SECONDS


async def _publish_until_confirmed(broker: MessageBroker, topic: str, line: Line) -> None:
    message_id = new_id("m")
    while True:
        try:
            await broker.publish(topic, KEY, line.text.encode(), message_id=message_id)
        except BrokerUnavailable:
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


def _number(came: Came) -> int:
    return int(came.text.rpartition(" ")[2])
