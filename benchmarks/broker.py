"""The memory broker: publish -> subscribe -> ack in one process, flat out and paced.

Latency is from just before ``publish`` to the delivery in the subscriber's hands, with 10,000
messages/s sent one by one on a timer. The messages are those of 1,000 sessions; they go to one
subscriber of everything, as in the gateway, or to 1,000 subscribers with a session and a task each,
where every message costs a change of task.
"""

from __future__ import annotations

import asyncio
import gc
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.instruments.report import Bar, Result, percentile
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import MessageBroker, RoutingKey, Subscription

TOPIC = "transcription.results"
RATE = 10_000
SESSIONS = 1_000
PADDING = bytes(400)  # a transcript's size


class Consumers:
    """Subscriptions that acknowledge everything and note when it came."""

    def __init__(self) -> None:
        self.received = 0
        self.latencies_ms: list[float] = []
        self._goal = 0
        self._reached = asyncio.Event()

    async def consume(self, subscription: Subscription) -> None:
        """Until the broker is closed."""
        async for delivery in subscription:
            (sent,) = struct.unpack_from("<d", delivery.message.payload)
            if sent:
                self.latencies_ms.append((time.perf_counter() - sent) * 1000)
            await delivery.ack()
            self.received += 1
            if self.received == self._goal:
                self._reached.set()

    async def reach(self, goal: int) -> None:
        """Until so many were received in all."""
        self._goal = goal
        if self.received < goal:
            self._reached.clear()
            await self._reached.wait()


@asynccontextmanager
async def consuming(broker: MessageBroker, patterns: list[str]) -> AsyncIterator[Consumers]:
    """A consumer for each pattern."""
    consumers = Consumers()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for pattern in patterns:
            subscription = await stack.enter_async_context(broker.subscribe(TOPIC, pattern))
            tasks.create_task(consumers.consume(subscription))
        yield consumers
        await broker.close()


KEYS = [RoutingKey("home", f"device-{i % 20}", f"s_{i}") for i in range(SESSIONS)]
UNSTAMPED = struct.pack("<d", 0.0) + PADDING


def patterns(subscribers: int) -> list[str]:
    """One subscription for everything, or one for each session."""
    return [""] if subscribers == 1 else [f"session.s_{i}" for i in range(SESSIONS)]


async def throughput(messages: int, subscribers: int) -> float:
    """Messages per second, flat out."""
    broker = MemoryBroker()
    async with consuming(broker, patterns(subscribers)) as consumers:
        began = time.perf_counter()
        for i in range(messages):
            await broker.publish(TOPIC, KEYS[i % SESSIONS], UNSTAMPED)
        await consumers.reach(messages)
        return messages / (time.perf_counter() - began)


async def paced_latencies(messages: int, subscribers: int) -> list[float]:
    """Milliseconds from publish to delivery at 10,000 messages/s."""
    broker = MemoryBroker()
    async with consuming(broker, patterns(subscribers)) as consumers:
        await asyncio.sleep(0.1)
        began = time.perf_counter()
        for i in range(messages):
            # A timer is coarser than the pace, so the last millisecond is spent going round the loop.
            while (ahead := began + i / RATE - time.perf_counter()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(ahead if ahead > 0.001 else 0)
            stamped = struct.pack("<d", time.perf_counter()) + PADDING
            await broker.publish(TOPIC, KEYS[i % SESSIONS], stamped)
        await consumers.reach(messages)
        return consumers.latencies_ms


async def memory_growth(messages: int) -> int:
    """Bytes held after ``messages`` more than before them, with 1,000 subscribers."""
    broker = MemoryBroker()
    tracemalloc.start()
    async with consuming(broker, patterns(SESSIONS)) as consumers:
        held = []
        for round_ in (1, 2):
            for i in range(messages):
                await broker.publish(TOPIC, KEYS[i % SESSIONS], UNSTAMPED)
            await consumers.reach(round_ * messages)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return held[1] - held[0]


def run(*, quick: bool) -> Result:
    flat_out = 50_000 if quick else 500_000
    paced = 5_000 if quick else 100_000
    metrics: dict[str, float | int | str] = {}
    bars = []
    for subscribers, who in ((1, "1 subscriber"), (SESSIONS, "1,000 subscribers")):
        rate = max(asyncio.run(throughput(flat_out, subscribers)) for _ in range(3))
        latencies = asyncio.run(paced_latencies(paced, subscribers))
        p99 = percentile(latencies, 99)
        metrics[f"messages_per_s, {who}"] = round(rate)
        metrics[f"latency_p50_ms at 10,000/s, {who}"] = percentile(latencies, 50)
        metrics[f"latency_p99_ms at 10,000/s, {who}"] = p99
        metrics[f"latency_max_ms at 10,000/s, {who}"] = max(latencies)
        if subscribers == 1:
            bars.append(Bar("publish -> subscribe -> ack", rate, 100_000, "at least", "messages/s"))
        bars.append(Bar(f"p99 latency at 10,000 messages/s, {who}", p99, 1.0, "at most", "ms"))
    metrics["memory_growth_bytes over 100,000 messages"] = asyncio.run(memory_growth(100_000))
    return Result(metrics, bars)
