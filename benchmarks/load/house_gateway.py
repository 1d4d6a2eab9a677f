"""A gateway in a process of its own, to whose devices things happen at a pace: what is its hub's, and its house's.

``python -m benchmarks.load.house_gateway JSON``: ``name``, ``broker``, ``devices``, and ``port`` for one that serves
its own listeners. Lines on its standard input: ``rate 50`` (events a second), ``end``. At its end, or on SIGTERM, it
drains as a gateway does and prints which finals each device had, by its epoch.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import structlog
from msgspec import structs

from benchmarks.load.happenings import event
from benchmarks.load.house import gateway_here
from gateway.app import Gateway
from gateway.contract.events import HubEvent

UNLIMITED = {
    "connections": 10_000,
    "connections_per_address": 0,
    "requests_per_second": 0,
    "messages_per_second": 0,
    "megabytes_per_second": 0,
}


class Happening:
    """Events of these devices at the pace that was said last."""

    def __init__(self, gateway: Gateway, devices: list[str]) -> None:
        self.finals: dict[str, list[int]] = defaultdict(list)
        self.rate = 0.0
        self._gateway = gateway
        self._devices = devices
        self._number = 0

    async def run(self) -> None:
        """Until it is cancelled; late ones at once."""
        due = time.perf_counter()
        while True:
            if not self.rate:
                await asyncio.sleep(0.01)
                due = time.perf_counter()
                continue
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._publish()

    def _publish(self) -> None:
        number, self._number = self._number, self._number + 1
        turn, step = divmod(number, 4)
        device_id = self._devices[turn % len(self._devices)]
        happened: HubEvent = structs.replace(event(4 * turn + step), device_id=device_id)
        self._gateway.hub.publish(happened)
        if step >= 2:
            self.finals[device_id].append(self._gateway.hub.stats().published)


async def serve(wanted: dict[str, Any]) -> None:
    """The gateway, from its start to its end."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sections: dict[str, dict[str, Any]] = {}
    if wanted["broker"]:
        sections["broker"] = {"url": wanted["broker"], "client_id": wanted["name"]}
        sections["house"] = {"share": True}
    if wanted.get("port"):
        limits = {"max_listeners": 10_000, "limits": UNLIMITED}
        sections["web"] = {"enabled": True, "port": wanted["port"], **limits}
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    with tempfile.TemporaryDirectory() as folder:
        async with gateway_here(Path(folder), **sections) as gateway:
            happening = Happening(gateway, wanted["devices"])
            tasks = [asyncio.create_task(happening.run()), asyncio.create_task(obey(happening, end))]
            if gateway.sharing is not None:
                await gateway.sharing._ready.wait()  # noqa: SLF001
            print("ready", flush=True)
            await end.wait()
            for task in tasks:
                task.cancel()
    print(
        json.dumps({"epoch": gateway.hub.epoch, "finals": happening.finals, "cpu": time.process_time()}),
        flush=True,
    )


async def obey(happening: Happening, end: asyncio.Event) -> None:
    """What stands on standard input."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] == "rate":
            happening.rate = float(line[1])
        else:
            break
    end.set()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
