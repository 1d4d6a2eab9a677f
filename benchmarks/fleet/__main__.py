"""``python -m benchmarks.fleet load`` and ``soak``: a run of a whole fleet, its page and its figures; ``table``.

Without ``--duty``, ``load`` speaks as often as the capacity model says that this machine bears (docs/load.md), and half
as often before. What is written: ``FOLDER/load.html`` (one page), ``FOLDER/load.json`` beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.fleet.capacity import as_a_fleet, duty_at_capacity, filled, predicted, with_small
from benchmarks.fleet.courses import charts
from benchmarks.fleet.figures import Ran, load_bars, metrics_of, slope_per_hour, soak_bars
from benchmarks.fleet.house import ran, rooms
from benchmarks.fleet.page import page
from benchmarks.fleet.wanted import SLOW_SECONDS, UTTERANCE_SECONDS, FleetLoad, Phase
from benchmarks.instruments.report import Bar, machine, scheduling
from gateway.planning.costs import Costs, measured
from tests.real.weights import BASE, TINY_EN

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "fleet"
DOCUMENT = ROOT / "docs" / "load.md"
NIGHT_HOURS = 10.0
SOAK_WARM_UP_SECONDS = 300.0
SOAK_DUTY = 0.005
QUIET = 0.3
"""The load of a machine on which nobody else is at work."""
COMPRESSED = (
    "Compressed {:.0f} times: pauses between utterances, and how long late replies and hints are remembered, are so "
    "much shorter; audio goes as fast as the wire takes it; the history keeps 500 utterances. Not compressed: "
    "recognizing, heartbeats, retries, the sampler's 5 s, the journal's own timers. An hour of a slope is one of those "
    "hours."
)


def model_place(name: str) -> str:
    """Where its weights are here; ``bundled`` is everywhere."""
    places = {"tiny.en": TINY_EN, "base": BASE}
    if name == "bundled":
        return name
    if name not in places:
        return name  # a folder
    if not places[name].here:
        raise SystemExit(f"{name} is not here: `make real` fetches it, or say --model bundled")
    return str(places[name].place)


def wanted_load(said: argparse.Namespace) -> FleetLoad:
    """Half of the capacity, then all of it."""
    devices = said.serial + said.mqtt + said.websocket
    cores = max(1, len(os.sched_getaffinity(0)) - 1)  # one for those who speak and listen
    duty = said.duty or duty_at_capacity(
        with_small(measured()),
        said.model,
        cores,
        devices,
        seconds=UTTERANCE_SECONDS,
        listeners=said.listeners,
    )
    half = said.minutes * 30
    return FleetLoad(
        phases=(
            Phase(name="half", duty=duty / 2, seconds=half), Phase(name="capacity", duty=duty, seconds=half),
        ),
        serial=said.serial, mqtt=said.mqtt, websocket=said.websocket, listeners=said.listeners,
        model=model_place(said.model), first=said.first, seed=said.seed,
    )  # fmt: skip


def wanted_soak(said: argparse.Namespace) -> FleetLoad:
    """Hours as they are; or a night, compressed into them."""
    compressed = max(1.0, NIGHT_HOURS / said.hours) if said.night else 1.0
    seconds = said.hours * 3600
    warm_up = min(SOAK_WARM_UP_SECONDS, seconds / 3)
    return FleetLoad(
        phases=(Phase(name="soak", duty=said.duty or SOAK_DUTY, seconds=seconds - warm_up),),
        serial=said.serial, mqtt=said.mqtt, websocket=said.websocket, listeners=said.listeners,
        model=model_place(said.model), compressed=compressed, warm_up_seconds=warm_up, first=said.first, seed=said.seed,
    )  # fmt: skip


def costs_of_a_fleet() -> Costs:
    """Those of `earshot plan`, and of the gateway what the committed load has cost it at capacity."""
    found = msgspec.json.decode((RESULTS / "load.json").read_bytes())["predictions"]["capacity, gateway"]
    return as_a_fleet(with_small(measured()), found["measured"], found["predicted"])


def words(kind: str, wanted: FleetLoad, model: str, load_before: float) -> list[str]:
    """What was run, and where, for the reader of the figures."""
    cpu = machine()
    who = (
        f"{wanted.serial} devices on serial lines, {wanted.mqtt} on MQTT (Mosquitto), {wanted.websocket} on "
        f"WebSockets; {wanted.listeners} listeners; two agents over Redis, of whom one thinks for {SLOW_SECONDS} s and "
        f"answers every fourth device. The recognizer is real: {model}, one thread. Everything runs on this one "
        "machine, those who speak and listen, too."
    )
    others = ", so others were at work on it" if load_before > QUIET else ""
    where = (
        f"{cpu['cores']} cores of {cpu['cpu']}, Python {cpu['python']}, scheduling {scheduling()}; the machine's load "
        f"was {load_before:.1f} before it began{others}."
    )
    said = [who, where]
    if wanted.first:
        said.append(
            "Gateway and recognizer come before all other work (SCHED_RR): what others did says little of their waits, "
            "and devices, listeners, agents and brokers have what is left."
        )
    if wanted.compressed > 1.0:
        said.append(COMPRESSED.format(wanted.compressed))
    if kind == "soak":
        said.append(f"The first {wanted.warm_up_seconds:.0f} s are the warm-up, and count for nothing.")
    return said


def predictions(
    wanted: FleetLoad, model: str, columns: dict[str, dict[str, float | int | str]]
) -> dict[str, dict[str, float]]:
    """Cores that `earshot plan`'s costs say, beside those that were measured; none for a model that has none."""
    costs, found = measured(), {}
    if model not in costs.models or wanted.compressed > 1.0:
        return {}
    for name, column in columns.items():
        rate = float(column["utterances_per_s"])
        said = rate * float(column["mean speech_s"])
        delivered = float(column["events to listeners_per_s"])
        one = predicted(
            costs, model, devices=wanted.devices, said_seconds=said, utterances=rate, delivered=delivered
        )
        for who, cores in (("gateway", one.gateway), ("recognizer", one.recognizer)):
            if f"{who}, cores" in column:
                found[f"{name}, {who}"] = {"predicted": cores, "measured": float(column[f"{who}, cores"])}
    return found


def document(
    said: argparse.Namespace, wanted: FleetLoad, run: Ran, told: list[str], bars: list[Bar]
) -> dict[str, Any]:
    """What is kept of a run."""
    slow = frozenset(name for name, room in rooms(wanted).items() if room == "far")
    columns = {one.name: metrics_of(run, one, slow) for one in run.stretches}
    if said.kind == "soak":
        looks = run.looks_in(run.stretches[-1])
        for who in ("gateway", "recognizer"):
            hourly = slope_per_hour(looks, f"proportional {who}", compressed=run.compressed, scale=2**-20)
            columns["soak"] |= {
                f"memory at the end, {who}, MB": looks[-1].figures[f"memory {who}"] / 2**20,
                f"proportional memory, {who}, MB per hour": hourly,
            }
    return {
        "name": said.kind,
        "machine": machine(),
        "words": told,
        "wanted": msgspec.to_builtins(wanted) | {"model": said.model},
        "metrics": columns,
        "predictions": predictions(wanted, said.model, columns),
        "bars": [
            {"what": b.what, "value": b.value, "limit": b.limit, "sense": b.sense, "unit": b.unit, "ok": b.ok}
            for b in bars
        ],
    }


def main() -> int:
    """Entry point; exit status 1 when a bar was missed."""
    said = arguments().parse_args()
    if said.kind == "table":
        DOCUMENT.write_text(filled(DOCUMENT.read_text(), costs_of_a_fleet()))
        return 0
    wanted = wanted_load(said) if said.kind == "load" else wanted_soak(said)
    load_before = os.getloadavg()[0]
    began = time.time()
    run = asyncio.run(ran(wanted))
    bars = load_bars(run) if said.kind == "load" else soak_bars(run)
    told = words(said.kind, wanted, said.model, load_before)
    kept = document(said, wanted, run, told, bars)
    slow = frozenset(name for name, room in rooms(wanted).items() if room == "far")
    said.folder.mkdir(parents=True, exist_ok=True)
    title = f"Earshot under {said.kind}, {(time.time() - began) / 60:.0f} minutes"
    (said.folder / f"{said.kind}.html").write_text(
        page(title, told, bars, kept["metrics"], charts(run, slow))
    )
    (said.folder / f"{said.kind}.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n"
    )
    for bar in bars:
        print(
            f"{'ok    ' if bar.ok else 'MISSED'} {bar.what}: {bar.value:.3g} {bar.unit}, {bar.sense} {bar.limit:g}"
        )
    print(f"{said.folder / said.kind}.html")
    return 0 if all(bar.ok for bar in bars) else 1


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("load", "soak"):
        one = kinds.add_parser(kind)
        one.add_argument(
            "--duty", type=float, default=0.0, help="share of the time in which a device is spoken to"
        )
        one.add_argument("--devices-serial", dest="serial", type=int, default=20)
        one.add_argument("--devices-mqtt", dest="mqtt", type=int, default=200)
        one.add_argument("--devices-websocket", dest="websocket", type=int, default=20)
        one.add_argument("--listeners", type=int, default=200)
        one.add_argument(
            "--model", default="tiny.en" if kind == "load" else "bundled", help="bundled, tiny.en, base"
        )
        one.add_argument(
            "--first", action="store_true", help="gateway and recognizer before all other work (root)"
        )
        one.add_argument("--seed", type=int, default=1)
        one.add_argument("--folder", type=Path, default=RESULTS, help="where page and figures are written")
        if kind == "load":
            one.add_argument(
                "--minutes", type=float, default=6.0, help="half at half the duty, half at all of it"
            )
        else:
            one.add_argument("--hours", type=float, default=2.0, help="of real time")
            one.add_argument(
                "--night", action="store_true", help="a night's worth in these hours, compressed"
            )
    kinds.add_parser("table", help="rewrite the table of docs/load.md from the measured costs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
