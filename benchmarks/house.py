"""[house] Four gateways and four hubs over one Redis: two thousand listeners, each following one of forty devices.

All are processes of their own, and two cores do everything: gateways, hubs, Redis (which writes to its disk each
second) and listeners. 200 events a second happen at the gateways, of four events two are final. After a while at rest
each hub is stopped and started again, the next one when it is ready, and then each gateway, under the same load;
listeners go on at the next hub. The same listeners at one gateway that is alone say what is added by the broker's way.
Unfiltered, a thousand listeners at one hub are compared with as many at a single hub without a broker (``[hub]``).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession

from benchmarks.hub import EVENTS_PER_SECOND, SETTLE_SECONDS, clients, crowd
from benchmarks.instruments.report import Bar, Result, percentile, scheduling
from benchmarks.load.house_gateway import UNLIMITED
from tests.servers.process import free_port
from tests.servers.redis import LAZY, Redis

GATEWAYS, HUBS = 4, 4
DEVICES = [f"device-{number}" for number in range(40)]
RATE = 200
"""Events a second in all."""
HUB_READY_SECONDS = 60.0
AT_REST, RESTARTING = "rest", "restart"
_LARGEST = 256 * 1024 * 1024
_PIPE = asyncio.subprocess.PIPE


class Process:
    """One of ours, obeyed by lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def say(self, line: str) -> None:
        """One line on its standard input."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n".encode())

    async def told(self) -> dict[str, Any]:
        """What it prints at its end."""
        assert self._process.stdout
        return dict(json.loads(await self._process.stdout.readline()))

    async def stop(self) -> None:
        """SIGTERM, as systemd does, and wait for the end."""
        self._process.send_signal(signal.SIGTERM)
        await self._process.wait()

    async def close(self) -> None:
        """Whatever is left."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


async def started(module: str, wanted: dict[str, Any]) -> Process:
    """One of ``benchmarks.load``, ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"benchmarks.load.{module}", json.dumps(wanted),
        stdin=_PIPE, stdout=_PIPE, limit=_LARGEST,
    )  # fmt: skip
    assert process.stdout
    assert await process.stdout.readline() == b"ready\n", f"{module} does not begin"
    return Process(process)


class TheHouse:
    """Gateways and hubs of one broker, as they come and go."""

    def __init__(self, broker: str, folder: Path) -> None:
        self.ports = [free_port() for _ in range(HUBS)]
        self.published: dict[str, dict[str, list[int]]] = defaultdict(dict)
        """The finals of each device, by epoch."""
        self._broker = broker
        self._folder = folder
        self._gateways: dict[int, Process] = {}
        self._hubs: dict[int, Process] = {}

    async def begin(self) -> None:
        """All of them."""
        await asyncio.gather(*(self._begin_gateway(number, 0) for number in range(GATEWAYS)))
        await asyncio.gather(*(self._begin_hub(number) for number in range(HUBS)))

    def rate(self, rate: float) -> None:
        """So many events a second from now on, in all."""
        for gateway in self._gateways.values():
            gateway.say(f"rate {rate / GATEWAYS}")

    async def restart_hub(self, number: int) -> None:
        """Stopped as systemd does, and started again."""
        await self._hubs[number].stop()
        await self._begin_hub(number)

    async def restart_gateway(self, number: int, rate: float) -> None:
        """The same."""
        await self._end_gateway(number)
        await self._begin_gateway(number, rate / GATEWAYS)

    async def end_gateways(self) -> None:
        """No more events; what there were is known."""
        for number in list(self._gateways):
            await self._end_gateway(number)

    async def close(self) -> None:
        """Everything."""
        for process in (*self._gateways.values(), *self._hubs.values()):
            await process.close()

    async def _begin_gateway(self, number: int, rate: float) -> None:
        devices = DEVICES[number::GATEWAYS]
        wanted = {"name": f"gateway-{number}", "broker": self._broker, "devices": devices}
        self._gateways[number] = await started("house_gateway", wanted)
        self._gateways[number].say(f"rate {rate}")

    async def _end_gateway(self, number: int) -> None:
        gateway = self._gateways.pop(number)
        gateway.say("end")
        told = await gateway.told()
        await gateway.close()
        for device_id, seqs in told["finals"].items():
            self.published[device_id][told["epoch"]] = seqs

    async def _begin_hub(self, number: int) -> None:
        port, folder = self.ports[number], self._folder / f"hub-{number}"
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        limits = {f"EARSHOT_WEB__LIMITS__{name.upper()}": str(value) for name, value in UNLIMITED.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "hub", "--broker", self._broker, "--port", str(port),
            "--name", f"hub-{number}", stderr=asyncio.subprocess.DEVNULL,
            env={
                **os.environ, **limits, "STATE_DIRECTORY": str(folder),
                "EARSHOT_WEB__MAX_LISTENERS": "4000", "EARSHOT_LOG__LEVEL": "error",
            },
        )  # fmt: skip
        self._hubs[number] = Process(process)
        await _answers(port)


async def _answers(port: int) -> None:
    """Once its hub is ready for listeners."""
    deadline = time.monotonic() + HUB_READY_SECONDS
    async with ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except ClientError:
                pass
            await asyncio.sleep(0.05)
    raise TimeoutError("a hub does not begin")


@asynccontextmanager
async def the_house() -> AsyncIterator[TheHouse]:
    """All of it on a Redis of its own."""
    with tempfile.TemporaryDirectory() as folder:
        redis = await asyncio.to_thread(Redis(Path(folder), keeps=LAZY).start)
        house = TheHouse(redis.url, Path(folder))
        try:
            await house.begin()
            yield house
        finally:
            await house.close()
            await asyncio.to_thread(redis.kill)


async def rolling(listeners: int, seconds: float) -> dict[str, Any]:
    """At rest for so long, then everything is started again, one after the other, under load."""
    async with the_house() as house, AsyncExitStack() as stack:
        ears = await started("house_ears", {"ports": house.ports, "count": listeners, "devices": DEVICES})
        stack.push_async_callback(ears.close)
        house.rate(RATE)
        await asyncio.sleep(SETTLE_SECONDS)
        ears.say(f"phase {AT_REST}")
        await asyncio.sleep(seconds)
        ears.say(f"phase {RESTARTING}")
        for number in range(HUBS):
            await house.restart_hub(number)
        for number in range(GATEWAYS):
            await house.restart_gateway(number, RATE)
        await asyncio.sleep(seconds / 2)
        house.rate(0)
        await asyncio.sleep(SETTLE_SECONDS)
        await house.end_gateways()
        await asyncio.sleep(SETTLE_SECONDS)
        ears.say("end")
        return {**await ears.told(), "published": house.published}


async def alone(listeners: int, seconds: float) -> list[float]:
    """The same listeners at one gateway without a broker: latencies in ms."""
    port = free_port()
    wanted = {"name": "alone", "broker": "", "devices": DEVICES, "port": port}
    gateway = await started("house_gateway", wanted)
    try:
        ears = await started("house_ears", {"ports": [port], "count": listeners, "devices": DEVICES})
        gateway.say(f"rate {RATE}")
        await asyncio.sleep(SETTLE_SECONDS)
        ears.say(f"phase {AT_REST}")
        await asyncio.sleep(seconds)
        ears.say("phase end")
        ears.say("end")
        told = await ears.told()
        await ears.close()
    finally:
        await gateway.close()
    return list(told["latencies_ms"][AT_REST])


async def unfiltered(listeners: int, seconds: float) -> float:
    """Deliveries a second of one hub over the broker, at [hub]'s pace."""
    async with the_house() as house, clients(house.ports[0], "/ws", listeners) as ears:
        house.rate(EVENTS_PER_SECOND)
        await asyncio.sleep(seconds)
        house.rate(0)
        await asyncio.sleep(SETTLE_SECONDS)
        report = await ears.report()
    return float(report["events"] / report["seconds"])


def missed(report: dict[str, Any]) -> tuple[int, int, int]:
    """Finals that were published and not heard; heard twice; and listeners that had to begin anew."""
    lacking = doubled = anew = 0
    for device_id, finals, snapshots in report["ears"]:
        anew += snapshots - 1
        for epoch, seqs in report["published"].get(device_id, {}).items():
            heard = finals.get(epoch, [])
            lacking += len(set(seqs) - set(heard))
            doubled += len(heard) - len(set(heard))
    return lacking, doubled, anew


async def measure(*, quick: bool) -> Result:
    """All of it."""
    listeners, seconds = (200, 4.0) if quick else (2_000, 20.0)
    one = await alone(listeners, seconds)
    report = await rolling(listeners, seconds)
    lacking, doubled, anew = missed(report)
    rest, restart = report["latencies_ms"][AT_REST], report["latencies_ms"][RESTARTING]
    ears = 200 if quick else 1_000
    single = await crowd(ears, int(EVENTS_PER_SECOND * seconds / 2))
    shared = await unfiltered(ears, seconds / 2)
    finals = sum(len(seqs) for epochs in report["published"].values() for seqs in epochs.values())
    added = percentile(rest, 95) - percentile(one, 95)
    metrics: dict[str, float | int | str] = {
        "listeners": listeners,
        "events_per_s": RATE,
        "finals published": finals,
        "connections that went on at another hub": report["moves"],
        "listeners that had to begin anew": anew,
        "at one gateway alone, p50_ms": percentile(one, 50),
        "at one gateway alone, p95_ms": percentile(one, 95),
        "over the broker, p50_ms": percentile(rest, 50),
        "over the broker, p95_ms": percentile(rest, 95),
        "over the broker, p99_ms": percentile(rest, 99),
        "while hubs and gateways are started again, p50_ms": percentile(restart, 50),
        "while hubs and gateways are started again, p99_ms": percentile(restart, 99),
        "unfiltered, one hub of the house, delivered_per_s": round(shared),
        "unfiltered, a single hub, delivered_per_s": round(single["rate"]),
        "scheduling": scheduling(),
    }
    return Result(
        metrics,
        [
            Bar("finals missed through a rolling restart of 4 hubs and 4 gateways", lacking, 0, "at most"),
            Bar("finals doubled", doubled, 0, "at most"),
            Bar("added by the broker's way, p95", added, 20, "at most", "ms"),
            Bar(
                "unfiltered, a hub's deliveries/s, of a single hub's",
                shared / single["rate"],
                0.8,
                "at least",
                "x",
            ),
        ],
    )


def run(*, quick: bool) -> Result:
    return asyncio.run(measure(quick=quick))
