"""All scenarios by name, at full length and as CI runs them."""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from tests.chaos import (
    agents_killed,
    boot_orders,
    broker_away,
    broker_outages,
    clusters,
    everybody_killed,
    gateway_killed,
    house_restarted,
    recognizers_killed,
    reconnecting,
    redis_away,
    standing_by,
)
from tests.chaos.brokers import BROKERS, WEAK, Broker, running
from tests.chaos.network import TROUBLES, spells
from tests.chaos.outcome import Outcome
from tests.chaos.verdict import Verdict
from tests.servers.mosquitto import Mosquitto

SEED = 7
LONGEST_SPELL = 4.0
JOURNAL_TESTS = ("tests/gateway/journal/test_crash.py", "tests/gateway/journal/test_full_disk.py")
ROOT = Path(__file__).resolve().parents[2]


async def kill_gateways(folder: Path, *, quick: bool) -> Outcome:
    """kill -9 of the gateway."""
    mosquitto = Mosquitto(folder).start()
    try:
        verdict = await gateway_killed.scenario(folder, mosquitto.url, kills=20 if quick else 200, seed=SEED)
    finally:
        mosquitto.kill()
    outcome = _outcome(verdict)
    outcome.scenario = "kill -9 of the gateway, at random"
    outcome.note = "memory broker; only journal and devices remain"
    return outcome


async def a_day_in_the_outbox(folder: Path, *, quick: bool) -> Outcome:
    """A broker inside the process that is away for a day."""
    return _outcome(await broker_away.scenario(folder, messages=8_640 if quick else 86_400))


def _outcome(verdict: Verdict) -> Outcome:
    outcome = Outcome(
        scenario=verdict.scenario, times=verdict.blows, spoken=verdict.spoken, lost=len(verdict.lost),
        doubled=len(verdict.doubled), wrong=len(verdict.wrong), seconds=verdict.seconds, note=verdict.figures,
    )  # fmt: skip
    for words in (*verdict.lost, *verdict.doubled, *verdict.wrong):
        outcome.fault(f"seed {SEED}: {words}")
    return outcome


async def kill_broker(broker: Broker, folder: Path, *, quick: bool) -> Outcome:
    """kill -9, SIGSTOP and restart of a broker under load."""
    with running(broker, folder) as (server, url, _):
        outcome = await broker_outages.scenario(folder, server, url, rounds=1 if quick else 10, seed=SEED)
    _judge_late(broker, outcome)
    outcome.scenario = f"kill -9, freeze and restart of {broker.name} under load"
    if broker.loses:
        outcome.note = f"it loses by itself: {broker.loses}"
    return outcome


async def bad_network(broker: Broker, folder: Path, *, quick: bool) -> Outcome:
    """A network that delays, dribbles, stalls, half-opens, cuts and resets."""
    count = len(TROUBLES) * (1 if quick else 12)
    weather = itertools.islice(spells(SEED, 0.3, LONGEST_SPELL), count)
    with running(broker, folder) as (_, url, port):
        outcome = await reconnecting.scenario(url, port, weather, seed=SEED)
    _judge_late(broker, outcome)
    outcome.scenario = f"a bad network before {broker.name}"
    outcome.note = "messages of a publisher that retries as the outbox does"
    return outcome


async def trouble_in_cluster(kind: str, folder: Path, *, quick: bool) -> Outcome:
    """Three servers of a broker at three hosts."""
    broker = BROKERS[kind]
    outcome = await clusters.scenario(folder, kind, rounds=1 if quick else 10, seed=SEED)
    _judge_late(broker, outcome)
    outcome.scenario = (
        f"{broker.name}, three servers: one killed, one cut off, a slow network that loses packets"
    )
    outcome.note = "hosts are network namespaces; all three are in the address"
    return outcome


def _judge_late(broker: Broker, outcome: Outcome) -> None:
    """What may come late is told beside the row; where nothing may, it is out of order."""
    if outcome.late and broker.late:
        outcome.figures["late"] = outcome.late
    elif outcome.late:
        outcome.out_of_order += outcome.late
        outcome.fault(f"{outcome.late} late, over a broker that keeps the order")


async def any_boot_order(folder: Path, *, quick: bool) -> Outcome:
    """Everything killed, then started in every order."""
    with running(BROKERS["redis"], folder) as (server, url, _):
        outcome = await boot_orders.scenario(folder, server, url, seed=SEED)
    outcome.scenario = "all killed, then broker, gateway and orchestrator started in every order"
    return outcome


async def kill_everybody(folder: Path, *, quick: bool) -> Outcome:
    """Recognizer, board, listener and orchestrator, in one run."""
    with running(BROKERS["redis"], folder) as (_, url, _port):
        outcome = await everybody_killed.scenario(folder, url, rounds=1 if quick else 10, seed=SEED)
    outcome.scenario = "recognizer, board, listener and orchestrator killed at random"
    outcome.note = f"{outcome.gone} answers or utterances died with their board's power"
    outcome.figures["answered late by another orchestrator"] = outcome.late
    return outcome


async def restart_house(kind: str, folder: Path, *, quick: bool, kill: bool = False) -> Outcome:
    """Two gateways, two hubs and two recognizers over one broker."""
    broker = BROKERS[kind]
    with running(broker, folder) as (_, url, _port):
        outcome = await house_restarted.scenario(folder, url, rounds=1 if quick else 5, seed=SEED, kill=kill)
    if not kill:
        _judge_late(broker, outcome)
    elif not outcome.lost and not outcome.wrong:
        outcome.faults.clear()
        outcome.note = (
            "no standby: what a killed gateway had not called durable may come twice, what it had late"
        )
    how = "killed" if kill else "restarted"
    outcome.scenario = (
        f"two gateways, two hubs and two recognizers over {broker.name}, {how} one after the other under load"
    )
    longest = outcome.figures["wait max_s"]
    if not (kill or quick) and longest > house_restarted.LONGEST_WAIT:
        outcome.fault(f"a device has waited {longest:g} s, and may {house_restarted.LONGEST_WAIT:g} s")
    return outcome


async def kill_hubs(kind: str, folder: Path, *, quick: bool) -> Outcome:
    """Two hubs of a house, three times each in a round; their listeners go on at the other one."""
    broker = BROKERS[kind]
    with running(broker, folder) as (_, url, _port):
        outcome = await house_restarted.scenario(
            folder, url, rounds=1 if quick else 5, seed=SEED, kill=True, parts=("hub",) * (1 if quick else 3)
        )
    _judge_late(broker, outcome)
    outcome.scenario = (
        f"the hubs of a house over {broker.name} killed in turn, their listeners at the other one"
    )
    return outcome


async def kill_agents(folder: Path, *, quick: bool) -> Outcome:
    """A team of three, the gateway and the broker, over two kinds of broker."""
    outcome = Outcome(
        scenario="a team of three agents, their gateway and their broker (NATS, RabbitMQ) killed at random"
    )
    for number, name in enumerate(("nats", "rabbitmq")):
        home = folder / name
        home.mkdir()
        with running(BROKERS[name], home) as (server, url, _):
            seed, rounds = SEED + 100 * number, 1 if quick else 5
            await agents_killed.scenario(home, server, url, outcome, rounds=rounds, seed=seed)
    outcome.note = f"{outcome.repeated} deeds done again by an agent that had died over them"
    return outcome


async def kill_recognizers(folder: Path, *, quick: bool) -> Outcome:
    """Recognizers on other machines, over three kinds of broker."""
    outcome = Outcome(
        scenario="recognizers on other machines killed in their work, over Redis, NATS, RabbitMQ"
    )
    for number, name in enumerate(("redis", "nats", "rabbitmq")):
        home = folder / name
        home.mkdir()
        with running(BROKERS[name], home) as (_, url, _port):
            await recognizers_killed.scenario(
                home, url, outcome, kills=5 if quick else 70, seed=SEED + number
            )
    outcome.note = f"the gateway has no engine; {outcome.repeated} done again, and taken once"
    return outcome


async def kill_the_first(folder: Path, *, quick: bool) -> Outcome:
    """A gateway with one that stands by."""
    outcome = await standing_by.scenario(folder, rounds=1 if quick else 8, seed=SEED)
    outcome.scenario = "a gateway with a standby killed, frozen, cut off from broker and boards, and back"
    outcome.note = (
        "two gateways, Redis and Mosquitto at hosts of their own; the place is given back each time"
    )
    return outcome


async def a_day_without(folder: Path, *, quick: bool) -> Outcome:
    """A broker that is away for a day."""
    messages = redis_away.DAY // (10 if quick else 1)
    with running(BROKERS["redis"], folder) as (server, url, _):
        outcome = await redis_away.scenario(folder, server, url, messages=messages)
    outcome.scenario = "Redis away for a day" if not quick else "Redis away for a tenth of a day"
    outcome.note = "outbox and journal; a message a second, told faster"
    return outcome


async def cut_journal(folder: Path, *, quick: bool) -> Outcome:
    """The journal cut at every byte of its log, a writer killed, a full disk: its tests, counted."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "--basetemp", str(folder / "pytest"), *JOURNAL_TESTS]
    tests = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    told, _ = await tests.communicate()
    passed = re.search(r"(\d+) passed", told.decode())
    outcome = Outcome(scenario="the journal's log cut at every byte; a full disk", note="the journal's tests")
    outcome.times = outcome.spoken = int(passed[1]) if passed else 0
    if tests.returncode:
        outcome.fault(told.decode()[-2000:])
    outcome.seconds = time.monotonic() - began
    return outcome


SCENARIOS: dict[str, Callable[..., Awaitable[Outcome]]] = {
    "gateway": kill_gateways,
    **{f"broker-{name}": partial(kill_broker, broker) for name, broker in BROKERS.items()},
    **{f"network-{name}": partial(bad_network, broker) for name, broker in BROKERS.items()},
    **{f"cluster-{kind}": partial(trouble_in_cluster, kind) for kind in clusters.CLUSTERS},
    "boot": any_boot_order,
    "everybody": kill_everybody,
    "agents": kill_agents,
    "recognizers": kill_recognizers,
    **{f"rolling-{kind}": partial(restart_house, kind) for kind in ("redis", "nats", "rabbitmq")},
    **{f"house-{kind}": partial(restart_house, kind, kill=True) for kind in ("redis", "nats")},
    **{f"hubs-{kind}": partial(kill_hubs, kind) for kind in ("redis", "nats", "rabbitmq")},
    "standby": kill_the_first,
    "day": a_day_in_the_outbox,
    "away": a_day_without,
    "journal": cut_journal,
    **{f"weak-{name}": partial(kill_broker, broker) for name, broker in WEAK.items()},
}
"""By the name they are asked for; ``weak-`` are allowed to lose something."""
