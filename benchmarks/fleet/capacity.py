"""How many devices one box bears, by model and cores: `earshot plan`'s reckoning, asked the other way round. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, structs

from benchmarks.fleet.wanted import UTTERANCE_SECONDS
from gateway.planning.costs import Costs
from gateway.planning.sizing import GATEWAY_DEVICES, Box, Workload, sizing

MODELS = ("tiny.en", "base", "small")
CORES = (1, 2, 4, 8)
DUTIES = (0.01, 0.05)
LISTENERS = 20
BEGIN, END = "<!-- capacity: python -m benchmarks.fleet table -->", "<!-- /capacity -->"
SMALL_BESIDE_BASE = 3.1
"""Times what base takes. Measured with the bundled model in both stock sizes, which compute as much as OpenAI's
(``inflated_model``), in contexts of 10.24 s: 75 and 230 core ms for a command."""
SMALL_MEMORY_MB = 450.0
"""What base takes, and 195 MB that the larger of the two took more."""
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


def as_a_fleet(costs: Costs, measured: float, predicted: float) -> Costs:
    """The costs, with those of the gateway as much larger as a whole fleet has cost it than they had said."""
    times = max(1.0, measured / predicted)
    return structs.replace(
        costs,
        speaking_device=costs.speaking_device * times,
        utterance=costs.utterance * times,
        delivery=costs.delivery * times,
    )


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


def table(costs: Costs) -> str:
    """The model's answers for the sizes that people have, as Markdown."""
    head = "| model | at a duty of | " + " | ".join(f"{n} core{'s' * (n > 1)}" for n in CORES) + " |"
    rows = [
        f"| {model} | {duty:.0%} | " + " | ".join(_bears(costs, model, cores, duty) for cores in CORES) + " |"
        for model in MODELS
        for duty in DUTIES
    ]
    return "\n".join([head, "|---|---|" + "---:|" * len(CORES), *rows])


def filled(text: str, costs: Costs) -> str:
    """A document whose table is made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(costs)}\n{END}{after}"


def _bears(costs: Costs, model: str, cores: int, duty: float) -> str:
    found = capacity(costs, model, cores, duty, seconds=UTTERANCE_SECONDS, listeners=LISTENERS)
    return f"{found.devices:,}" if found.devices < MOST else f"{MOST:,} or more"


class Prediction(Struct, frozen=True, kw_only=True):
    """Cores that the costs say a run takes."""

    gateway: float
    recognizer: float


def predicted(
    costs: Costs, model: str, *, devices: int, said_seconds: float, utterances: float, delivered: float
) -> Prediction:
    """``said_seconds``: of speech; utterances; events to listeners: each a second, by all devices."""
    audio = costs.silent_device * (devices - said_seconds) + costs.speaking_device * said_seconds
    each = costs.models[model].seconds(said_seconds / utterances) if utterances else 0.0
    return Prediction(
        gateway=audio + utterances * costs.utterance + delivered * costs.delivery,
        recognizer=utterances * costs.recognitions * each,
    )


def _because(workload: Workload, costs: Costs, model: str, box: Box) -> str:
    if workload.devices > MOST:
        return f"{MOST} sessions of a gateway"
    plan = sizing(workload, costs, costs.models[model], box, "redis")
    several = [part.name for part in plan.parts if part.count > 1]
    return several[0] if several else f"cores: {sum(part.cores for part in plan.parts):.2f} of {box.cores}"
