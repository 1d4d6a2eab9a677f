"""A small fleet for some seconds: real servers, a real gateway, real speech, everybody answered."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from benchmarks.fleet import __main__ as program
from benchmarks.fleet.devices import Pace
from benchmarks.fleet.figures import load_bars, metrics_of
from benchmarks.fleet.house import Servers as FleetServers
from benchmarks.fleet.house import names, ran, rooms, settings
from benchmarks.fleet.scraping import figures
from benchmarks.fleet.wanted import FleetLoad, Phase
from gateway.config.loading import load_config
from tests.servers.mosquitto import MOSQUITTO
from tests.servers.process import needs
from tests.servers.redis import REDIS

SMALL = FleetLoad(
    phases=(Phase(name="half", duty=0.5, seconds=4.0), Phase(name="capacity", duty=1.0, seconds=4.0)),
    serial=2, mqtt=4, websocket=2, listeners=5, warm_up_seconds=1.0,
)  # fmt: skip


async def test_a_small_fleet_is_heard_and_answered_and_everything_is_counted() -> None:
    needs(REDIS, MOSQUITTO)
    told: list[str] = []
    run = await ran(SMALL, told.append)
    assert [one.name for one in run.stretches] == ["half", "capacity"]
    assert {one.carrier for one in run.spoken} == {"serial", "mqtt", "websocket"}
    assert {one.outcome for one in run.spoken} == {"answered"}
    assert run.listeners["closed"] == 0
    assert run.listeners["events"] > 5 * len(run.spoken)
    slow = {name for name, room in rooms(SMALL).items() if room == "far"}
    thought = [one.reply_ms for one in run.spoken if one.device in slow and one.reply_ms is not None]
    assert min(thought, default=2_000) > 1_400
    last = run.looks[-1].figures
    assert max(look.figures.get("devices", 0) for look in run.looks) == 8
    assert last["listeners"] == 5
    assert last["utterances heard"] == len(run.spoken)
    assert {"memory gateway", "memory recognizer", "tasks", "queue asked", "lag +Inf"} <= last.keys()
    counts = metrics_of(run, run.stretches[1], frozenset(slow))
    assert counts["lost"] == 0
    assert counts["utterances without an answer"] == 0
    assert [bar.what for bar in load_bars(run) if bar.unit != "ms"] == [
        "half: lost",
        "half: utterances without an answer",
        "capacity: lost",
        "capacity: utterances without an answer",
    ]


def test_every_fourth_of_a_carrier_is_in_the_room_of_the_slow_agent() -> None:
    serial, mqtt, websocket = names(SMALL)
    assert (len(serial), len(mqtt), len(websocket)) == (2, 4, 2)
    assert [name for name, room in rooms(SMALL).items() if room == "far"] == ["mqtt-003"]


@pytest.mark.parametrize("compressed", [1.0, 20.0])
def test_the_gateway_takes_the_settings_of_a_run(tmp_path: Path, compressed: float) -> None:
    wanted = FleetLoad(phases=SMALL.phases, compressed=compressed)
    file = tmp_path / "config.yaml"
    file.write_text(
        settings(wanted, FleetServers("redis://127.0.0.1:1", "mqtt://127.0.0.1:2"), str(tmp_path))
    )
    config = load_config(file, {})
    assert config.devices.max_devices >= 240
    assert config.web.max_listeners >= 200
    assert config.orchestrator.late_seconds == 300 / compressed


EXPOSITION = """\
# HELP earshot_process_resident_memory_bytes Resident memory.
# TYPE earshot_process_resident_memory_bytes gauge
earshot_process_resident_memory_bytes{process="gateway"} 100
earshot_process_resident_memory_bytes{process="recognizer"} 50
# HELP earshot_mishaps Pieces of work.
# TYPE earshot_mishaps counter
earshot_mishaps_total{work="a"} 1
earshot_mishaps_total{work="b"} 2
# HELP earshot_event_loop_lag_seconds Late.
# TYPE earshot_event_loop_lag_seconds histogram
earshot_event_loop_lag_seconds_bucket{le="0.005"} 7
earshot_event_loop_lag_seconds_bucket{le="+Inf"} 8
earshot_event_loop_lag_seconds_sum 1
earshot_event_loop_lag_seconds_count 8
# HELP earshot_other Of no interest.
# TYPE earshot_other gauge
earshot_other 1
"""


def test_what_metrics_say_are_figures_by_label_or_their_sum() -> None:
    assert figures(EXPOSITION) == {
        "memory gateway": 100, "memory recognizer": 50, "mishaps": 3, "lag 0.005": 7, "lag +Inf": 8,
    }  # fmt: skip


async def test_a_pace_is_silence_until_it_is_said_and_ends_for_everybody_who_waits() -> None:
    pace = Pace()
    waits = [asyncio.create_task(pace.turn(random.Random(n), 1.0, time.monotonic())) for n in range(3)]
    await asyncio.sleep(0)
    assert not any(wait.done() for wait in waits)
    pace.change(1_000.0)
    assert await asyncio.gather(*waits) == [True] * 3
    late = asyncio.create_task(pace.turn(random.Random(1), 1e9, time.monotonic()))
    await asyncio.sleep(0)
    pace.end()
    assert await late is False
    assert await pace.turn(random.Random(1), 1.0, 0.0) is False


def test_a_load_is_half_of_its_capacity_first_and_then_all_of_it() -> None:
    said = program.arguments().parse_args(
        ["load", "--minutes", "2", "--model", "bundled", "--devices-mqtt", "50"]
    )
    wanted = program.wanted_load(said)
    assert [(one.name, one.seconds) for one in wanted.phases] == [("half", 60), ("capacity", 60)]
    assert wanted.phases[0].duty == wanted.phases[1].duty / 2
    assert (wanted.devices, wanted.compressed) == (90, 1.0)


def test_a_night_is_compressed_into_the_hours_there_are_and_hours_are_not() -> None:
    hours = program.wanted_soak(program.arguments().parse_args(["soak"]))
    assert (hours.compressed, hours.phases[0].seconds + hours.warm_up_seconds) == (1.0, 7200)
    night = program.wanted_soak(program.arguments().parse_args(["soak", "--night", "--hours", "0.5"]))
    assert (night.compressed, night.phases[0].seconds + night.warm_up_seconds) == (20.0, 1800)
    assert any("Compressed 20 times" in line for line in program.words("soak", night, "bundled", 0.0))
