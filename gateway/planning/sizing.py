"""How many of each part so many devices need, what breaks first as they become more, and what that costs. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec import Struct

from gateway.planning.costs import Costs, ModelCost
from gateway.planning.waiting import servers_for, wait_seconds

GATEWAY_DEVICES = 1_000
"""Sessions of one gateway as it is configured (``sessions.max_sessions``)."""
MOST_OF_A_LOOP = 0.7
"""Of its one core a gateway's or hub's process may be busy so much before people notice."""
MOST_OF_A_BROKER = 0.5
"""Of what a server has carried in a measurement."""
SHARE_IN_TIME = 0.95
MESSAGES = 8
"""Of one utterance through a pool: job, result, transcript, answer, and four events of the house."""
EVENTS = 4
"""That listeners get of one utterance: text, statuses, answer."""
WIRE_BYTES = 33_000
"""A second of speech as PCM, with its frames."""
LINK_BYTES = 100_000_000
"""A second, of a network of 1 Gbit/s with room to spare."""


class Workload(Struct, frozen=True, kw_only=True):
    """What there is to be done, in its busiest hour.

    ``duty``: of all time, the share in which a device is spoken to. ``seconds``: of an utterance, in the mean.
    ``wait_seconds``: 95 % of them shall wait no longer for a recognizer. ``listeners``: pages and programs;
    ``follows``: how many devices each follows.
    """

    devices: int
    duty: float
    seconds: float = 4.0
    wait_seconds: float = 0.2
    listeners: int = 0
    follows: int = 10

    @property
    def utterances(self) -> float:
        """A second, of all devices."""
        return self.devices * self.duty / self.seconds


class Box(Struct, frozen=True, kw_only=True):
    """A machine: cores, memory, how fast a core is beside that of the measurement, and what it costs a month."""

    cores: int = 4
    memory_gb: float = 8.0
    speed: float = 1.0
    price: float = 40.0


class HousePart(Struct, frozen=True, kw_only=True):
    """So many of one part: ``cores`` they keep busy, ``memory_gb`` they hold, ``boxes`` they fill; how full each is."""

    name: str
    count: int
    cores: float
    memory_gb: float = 0.0
    boxes: float
    busy: float
    because: str


class Sizing(Struct, frozen=True, kw_only=True):
    """The parts, what breaks first, and the price of a month."""

    parts: tuple[HousePart, ...]
    first: tuple[str, ...]
    boxes: int
    price: float
    wait_seconds: float
    """For a recognizer, of 95 %."""


def sizing(workload: Workload, costs: Costs, model: ModelCost, box: Box, broker: str) -> Sizing:
    """What it takes."""
    recognizers, wait = _recognizers(workload, model, costs.recognitions, box)
    parts = (
        _gateways(workload, costs, box),
        recognizers,
        _brokers(workload, costs, broker),
        *_hubs(workload, costs, box),
    )
    boxes = 1 if _fits_one_box(parts, box) else sum(math.ceil(part.boxes) for part in parts)
    return Sizing(
        parts=parts,
        first=tuple(_what_breaks(workload, parts, box)),
        boxes=boxes,
        price=boxes * box.price,
        wait_seconds=wait,
    )


def _fits_one_box(parts: tuple[HousePart, ...], box: Box) -> bool:
    """One of each, with cores to spare, and room in its memory."""
    cores, memory = sum(part.cores for part in parts), sum(part.memory_gb for part in parts)
    one_of_each = all(part.count == 1 for part in parts)
    return one_of_each and cores < MOST_OF_A_LOOP * box.cores and memory < box.memory_gb


def _gateways(workload: Workload, costs: Costs, box: Box) -> HousePart:
    audio = costs.silent_device * (1 - workload.duty) + costs.speaking_device * workload.duty
    cores = (workload.devices * audio + workload.utterances * costs.utterance) / box.speed
    needs = {
        f"one core each, busy to {MOST_OF_A_LOOP:.0%} at most": math.ceil(cores / MOST_OF_A_LOOP),
        f"{GATEWAY_DEVICES} sessions each (sessions.max_sessions)": math.ceil(
            workload.devices / GATEWAY_DEVICES
        ),
    }
    because, count = max(needs.items(), key=lambda need: need[1])
    memory = (count * costs.gateway_memory_mb + workload.devices * costs.device_memory_mb) / 1024
    busy = max(cores / count / MOST_OF_A_LOOP, workload.devices / count / GATEWAY_DEVICES)
    boxes = max(count / box.cores, memory / box.memory_gb)
    return HousePart(
        name="gateways",
        count=count,
        cores=cores,
        memory_gb=memory,
        boxes=boxes,
        busy=busy,
        because=because,
    )


def _recognizers(workload: Workload, model: ModelCost, each: float, box: Box) -> tuple[HousePart, float]:
    service = model.seconds(workload.seconds) / box.speed
    load = workload.utterances * each * service
    lanes = servers_for(load, service, workload.wait_seconds, SHARE_IN_TIME)
    count = math.ceil(lanes / box.cores)
    wait = wait_seconds(load, count * box.cores, service, SHARE_IN_TIME)
    boxes_each = max(1, math.ceil(model.memory_mb / 1024 / box.memory_gb))
    return HousePart(
        name="recognizers",
        count=count,
        cores=load,
        memory_gb=count * model.memory_mb / 1024,
        boxes=float(count * boxes_each),
        busy=load / (count * box.cores),
        because=f"{service:.2f} core seconds for {workload.seconds:g} s, {each:.1f} times each, {box.cores} at once",
    ), wait


def _brokers(workload: Workload, costs: Costs, broker: str) -> HousePart:
    rate = workload.utterances * MESSAGES
    can = costs.broker_messages[broker] * MOST_OF_A_BROKER
    needed = max(1, math.ceil(rate / can))
    count = needed if needed == 1 and workload.devices <= GATEWAY_DEVICES else max(3, needed)
    because = f"{rate:,.0f} messages/s; one has carried {costs.broker_messages[broker]:,.0f}"
    return HousePart(
        name=f"brokers ({broker})",
        count=count,
        cores=rate / costs.broker_messages[broker],
        boxes=float(count) if count > 1 else 0.25,
        busy=rate / can / needed,
        because=because if count == needed else f"{because}; three, so that one may die",
    )


def _hubs(workload: Workload, costs: Costs, box: Box) -> Iterator[HousePart]:
    if not workload.listeners:
        return
    events = workload.utterances * EVENTS
    deliveries = workload.listeners * min(1.0, workload.follows / workload.devices) * events
    cores = (deliveries + events) * costs.delivery / box.speed
    memory = workload.listeners * costs.listener_memory_mb / 1024
    count = max(1, math.ceil(cores / MOST_OF_A_LOOP), math.ceil(workload.listeners / GATEWAY_DEVICES))
    yield HousePart(
        name="hubs",
        count=count,
        cores=cores,
        memory_gb=memory,
        boxes=max(count / box.cores, memory / box.memory_gb),
        busy=max(cores / count / MOST_OF_A_LOOP, workload.listeners / count / GATEWAY_DEVICES),
        because=f"{deliveries:,.0f} events/s to listeners",
    )


def _what_breaks(workload: Workload, parts: tuple[HousePart, ...], box: Box) -> Iterator[str]:
    """The fullest first, and what more of them does not help."""
    for part in sorted(parts, key=lambda part: -part.busy):
        yield f"{part.name} are {part.busy:.0%} full"
    per_gateway = workload.devices * workload.duty * WIRE_BYTES / parts[0].count * box.cores
    if per_gateway > LINK_BYTES:
        yield f"the network of a gateway's box carries {per_gateway / 1e6:,.0f} MB/s: fewer gateways a box, or Opus"
