"""How many devices one box bears, by model and cores: `earshot plan`'s reckoning, asked the other way round. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, structs

from gateway.planning.costs import Costs
from gateway.planning.sizing import GATEWAY_DEVICES, Box, Workload, sizing

MODELS = {"tiny": "tiny.en", "base": "base"}
"""What is measured of each size."""
SMALL_BESIDE_BASE = 3.2
"""Times what base takes: the ratio of their operations for one second of speech (the encoder of small has 12 layers of
768, of base 6 of 512, both over the same frames; decoding counts for less). Reckoned, not measured."""
SMALL_MEMORY_MB = 620.0
"""Of int8 weights (244 million) and what the engine takes."""
MOST = GATEWAY_DEVICES


class Capacity(Struct, frozen=True, kw_only=True):
    """What one box bears. ``devices``: at that duty; ``because``: what is full then."""

    model: str
    cores: int
    duty: float
    devices: int
    because: str


def with_small(costs: Costs) -> Costs:
    """The costs, and what small takes, reckoned from base."""
    if "base" not in costs.models or "small" in costs.models:
        return costs
    base = costs.models["base"]
    small = structs.replace(
        base,
        utterance_seconds=SMALL_BESIDE_BASE * base.utterance_seconds,
        second_seconds=SMALL_BESIDE_BASE * base.second_seconds,
        memory_mb=SMALL_MEMORY_MB,
    )
    return structs.replace(costs, models={**costs.models, "small": small})


def fits(workload: Workload, costs: Costs, model: str, box: Box) -> bool:
    """Whether all of it is in one box, with three tenths of its cores to spare, and waits are short."""
    plan = sizing(workload, costs, costs.models[model], box, "redis")
    return plan.boxes == 1 and all(part.count == 1 for part in plan.parts)


def capacity(
    costs: Costs, model: str, cores: int, duty: float, *, seconds: float, listeners: int
) -> Capacity:
    """The most devices that fit one box of so many cores."""
    box = Box(cores=cores)

    def workload(devices: int) -> Workload:
        return Workload(devices=devices, duty=duty, seconds=seconds, listeners=listeners)

    devices = most(lambda count: fits(workload(count), costs, model, box), MOST)
    return Capacity(
        model=model,
        cores=cores,
        duty=duty,
        devices=devices,
        because=_because(workload(devices + 1), costs, model, box),
    )


def duty_at_capacity(
    costs: Costs, model: str, cores: int, devices: int, *, seconds: float, listeners: int
) -> float:
    """The most that so many devices may be spoken to on one box: a share, in steps of a thousandth; at least one."""
    box = Box(cores=cores)

    def workload(thousandths: int) -> Workload:
        return Workload(devices=devices, duty=thousandths / 1000, seconds=seconds, listeners=listeners)

    return max(1, most(lambda step: fits(workload(step), costs, model, box), 1000)) / 1000


def most(fits_so_many: Callable[[int], bool], limit: int) -> int:
    """The largest number, up to the limit, that fits; what is larger than one that does not fit does not fit either."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits_so_many(middle) else (low, middle - 1)
    return low


def _because(workload: Workload, costs: Costs, model: str, box: Box) -> str:
    if workload.devices > MOST:
        return f"{MOST} sessions of a gateway"
    plan = sizing(workload, costs, costs.models[model], box, "redis")
    several = [part.name for part in plan.parts if part.count > 1]
    return several[0] if several else f"cores: {sum(part.cores for part in plan.parts):.2f} of {box.cores}"
