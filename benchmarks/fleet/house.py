"""Everything of a run, put together: servers, gateway, agents, listeners, devices, each in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
from msgspec import Struct

from benchmarks.fleet.devices import DevicesWanted, Spoken
from benchmarks.fleet.figures import Ran, Stretch
from benchmarks.fleet.scraping import Scraper
from benchmarks.fleet.wanted import FAR, SLOW_SECONDS, FleetLoad
from benchmarks.hub import clients
from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.load.house_gateway import UNLIMITED
from tests.servers.mosquitto import Mosquitto
from tests.servers.redis import LAZY, Redis

AGENTS = {"near": 0.0, "far": SLOW_SECONDS}
"""Each by its room, and how long it thinks."""
CONNECTED_SECONDS = 120.0
LATE_SECONDS, HINTS_SECONDS = 300.0, 60.0
"""As the gateway has them when nothing is said."""
_LARGEST = 256 * 1024 * 1024
_PIPE = asyncio.subprocess.PIPE


class Servers(Struct, frozen=True):
    """Redis carries the messages, Mosquitto what MQTT devices say."""

    redis: str
    mqtt: str


def names(wanted: FleetLoad) -> tuple[tuple[str, ...], ...]:
    """Of the serial devices, those on MQTT, and those on a WebSocket."""
    return tuple(
        tuple(f"{kind}-{number:03}" for number in range(count))
        for kind, count in (("serial", wanted.serial), ("mqtt", wanted.mqtt), ("web", wanted.websocket))
    )


def rooms(wanted: FleetLoad) -> dict[str, str]:
    """Of each device: every fourth of a carrier is in that of the slow agent."""
    return {
        name: "far" if number % FAR == FAR - 1 else "near"
        for kind in names(wanted)
        for number, name in enumerate(kind)
    }


def settings(wanted: FleetLoad, servers: Servers, folder: str) -> str:
    """The gateway's configuration. Partial texts are off: they take only what is left."""
    document: dict[str, Any] = {
        "transcription": {"model": wanted.model, "language": "en", "threads": 1, "partials": {"every_ms": 0}},
        "broker": {"url": servers.redis, "keep_for_groups": []},  # both agents have a name
        "devices": {
            "max_devices": wanted.devices + 10,
            "rooms": rooms(wanted),
            "serial": {"ports": [f"{folder}/tty-*"], "scan_seconds": 0.2},
            "mqtt": {"url": servers.mqtt},
        },
        "orchestrator": {
            "agents": {name: {"rooms": [name]} for name in AGENTS},
            "late_seconds": LATE_SECONDS / wanted.compressed,
        },
        "sessions": {"hints_seconds": HINTS_SECONDS / wanted.compressed},
        "web": {"port": 0, "max_listeners": wanted.listeners + 50, "limits": UNLIMITED},
    }
    if wanted.compressed > 1.0:
        document["history"] = {"utterances": 500}  # so that old ones go while somebody looks
    return "\n".join(f"{name}: {msgspec.json.encode(section).decode()}" for name, section in document.items())


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Real ones, with their files there."""
    redis, mosquitto = Redis(folder, keeps=LAZY), Mosquitto(folder)
    try:
        yield Servers(redis.start().url, mosquitto.start().url)
    finally:
        mosquitto.stop()
        redis.stop()


class Speakers:
    """The process of the devices."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.spoken: list[Spoken] = []
        self._process = process

    def duty(self, duty: float) -> None:
        """They speak for that share of the time from now on."""
        self._say(f"duty {duty}")

    async def read(self) -> None:
        """All that is told, until its end."""
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            self.spoken.append(msgspec.json.decode(line, type=Spoken))

    async def end(self) -> None:
        """Nobody begins; those who wait have their answers."""
        self._say("end")
        await self._process.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n".encode())


@asynccontextmanager
async def speakers(
    wanted: FleetLoad, gateway: GatewayProcess, mqtt_url: str, folder: str
) -> AsyncIterator[Speakers]:
    """All devices, welcome and silent."""
    serial, mqtt, websocket = names(wanted)
    order = DevicesWanted(
        serial=serial, mqtt=mqtt, websocket=websocket, serial_folder=folder, mqtt_url=mqtt_url,
        web_url=gateway.url, compressed=wanted.compressed, seed=wanted.seed,
    )  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.fleet.devices", msgspec.json.encode(order).decode()]
    process = await asyncio.create_subprocess_exec(*command, stdin=_PIPE, stdout=_PIPE, limit=_LARGEST)
    assert process.stdout
    try:
        async with asyncio.timeout(CONNECTED_SECONDS):
            assert await process.stdout.readline() == b"ready\n", "the devices could not connect"
        yield Speakers(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def agents(redis: str) -> AsyncIterator[None]:
    """Both; they register by themselves."""
    module = "benchmarks.fleet.agent"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", module, name, redis, str(seconds))
        for name, seconds in AGENTS.items()
    ]
    try:
        yield
    finally:
        for process in processes:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def put_first(pid: int) -> None:
    """It and its children, with their threads, and those that they start later. Raises PermissionError."""
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        for thread in process.threads():
            os.sched_setscheduler(thread.id, os.SCHED_RR, os.sched_param(1))


async def ran(wanted: FleetLoad, tell: Callable[[str], None] = print) -> Ran:
    """The whole run, from the start of the servers to their end."""
    with (
        tempfile.TemporaryDirectory() as folder,
        servers(Path(folder)) as there,
        gateway_process(settings(wanted, there, folder), mqtt_url=there.mqtt) as gateway,
    ):
        if wanted.first:
            put_first(gateway.pid)
        tell(f"gateway at {gateway.url}; {wanted.devices} devices, {wanted.listeners} listeners, 2 agents")
        return await _at_work(wanted, gateway, there, folder, tell)


async def _at_work(
    wanted: FleetLoad, gateway: GatewayProcess, there: Servers, folder: str, tell: Callable[[str], None]
) -> Ran:
    scraper = Scraper(gateway.url)
    stretches = []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(agents(there.redis))
        port = int(gateway.url.rpartition(":")[2])
        ears = (
            await stack.enter_async_context(clients(port, "/ws", wanted.listeners))
            if wanted.listeners
            else None
        )
        devices = await stack.enter_async_context(speakers(wanted, gateway, there.mqtt, folder))
        reading, scraping = asyncio.create_task(devices.read()), asyncio.create_task(scraper.run())
        devices.duty(wanted.phases[0].duty)
        await asyncio.sleep(wanted.warm_up_seconds)
        for phase in wanted.phases:
            tell(f"{phase.name}: spoken to for {phase.duty:.2%} of the time, {phase.seconds:.0f} s")
            devices.duty(phase.duty)
            begin = time.time()
            await asyncio.sleep(phase.seconds)
            stretches.append(Stretch(name=phase.name, duty=phase.duty, begin=begin, end=time.time()))
        await devices.end()
        await reading
        scraping.cancel()
        await scraper.look()
        heard = await ears.report() if ears is not None else {}
    return Ran(
        stretches=tuple(stretches), looks=tuple(scraper.looks), spoken=tuple(devices.spoken),
        listeners={"events": heard.get("events", 0), "closed": heard.get("closed", 0)},
        scrape_failures=scraper.failures, compressed=wanted.compressed,
    )  # fmt: skip
