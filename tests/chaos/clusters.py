"""A broker of three servers at three hosts: one killed, one cut off from the others, a slow network that loses packets.

Messages are published and taken as in :mod:`tests.chaos.reconnecting`, by programs that know all three.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.instruments.report import percentile
from gateway.contract.messages import new_id
from tests.chaos.checker import check
from tests.chaos.outcome import Outcome
from tests.chaos.reconnecting import HEALED_SECONDS, Traffic
from tests.servers.network.clusters import Cluster, nats_cluster, rabbit_cluster
from tests.servers.network.hosts import Hosts, Weather

NAMES = ("one", "two", "three")
SLOW = Weather(delay_seconds=0.02, jitter_seconds=0.01, loss=0.02)
TROUBLE_SECONDS = 1.0
BLOWS = ("killed", "cut off", "slow")
CLUSTERS: dict[str, Callable[[Path, Hosts, Sequence[str]], Cluster]] = {
    "nats": nats_cluster,
    "rabbitmq": rabbit_cluster,
}


async def scenario(folder: Path, kind: str, *, rounds: int, seed: int) -> Outcome:
    """Each blow once in a round, each at another server."""
    outcome = Outcome(scenario="")
    began = time.monotonic()
    chance = random.Random(seed)
    with Hosts(*NAMES) as hosts, CLUSTERS[kind](folder, hosts, NAMES) as cluster:
        traffic = Traffic(cluster.url, new_id("t"), stream_replicas=len(NAMES))
        took: dict[str, list[float]] = {}
        async with _flowing(traffic, outcome, seed):
            for blow in (blow for _ in range(rounds) for blow in chance.sample(BLOWS, len(BLOWS))):
                await _strike(blow, chance.choice(NAMES), hosts, cluster)
                outcome.times += 1
                took.setdefault(blow, []).append(await traffic.flows())
        outcome.add(seed, {"consumer": check(traffic.script, traffic.came.items)})
    everything = [seconds for one in took.values() for seconds in one]
    outcome.figures = {
        "p50_s": round(percentile(everything, 50), 2),
        **{f"max {blow}_s": round(max(one), 2) for blow, one in took.items()},
    }
    outcome.seconds = time.monotonic() - began
    return outcome


@asynccontextmanager
async def _flowing(traffic: Traffic, outcome: Outcome, seed: int) -> AsyncIterator[None]:
    subscribed = asyncio.Event()
    consuming = asyncio.create_task(traffic.consume(subscribed))
    await subscribed.wait()
    await traffic.connected()
    publishing = asyncio.create_task(traffic.publish())
    try:
        await traffic.came.until(lambda: traffic.came.items, HEALED_SECONDS)
        yield
        await traffic.all_came()
        await publishing
    except TimeoutError:
        outcome.fault(f"seed {seed}: messages did not flow within {HEALED_SECONDS:g} s")
    finally:
        publishing.cancel()
        consuming.cancel()
        await asyncio.gather(publishing, consuming, return_exceptions=True)
        await traffic.close()


async def _strike(blow: str, name: str, hosts: Hosts, cluster: Cluster) -> None:
    member = next(member for member in cluster.members if member.host == name)
    match blow:
        case "killed":
            member.kill()
            await asyncio.sleep(TROUBLE_SECONDS)
            await asyncio.to_thread(member.start)
        case "cut off":
            hosts.part({name})
            await asyncio.sleep(TROUBLE_SECONDS)
        case _:
            hosts.turn(SLOW)
            await asyncio.sleep(TROUBLE_SECONDS)
    hosts.heal()
