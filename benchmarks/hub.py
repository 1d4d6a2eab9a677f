"""The hub: a thousand listeners at 100 events a second, one that stalls, and a hundred that break off and resume.

The gateway's web server and hub are in this process, the listeners in another: two cores do it all. Latency is
from ``publish`` to the bytes in the listener's process. The bare loop beside it is aiohttp's: one ``send_str`` after
the other, of the same events at the same pace. Of the saturated runs, the pace is as fast as they go.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiohttp import web
from msgspec import structs

from benchmarks.instruments.report import Bar, Result, percentile, scheduling
from benchmarks.load.happenings import event
from gateway.client.listener import Listener
from gateway.contract.events import ReplyEvent, TranscriptionEvent
from gateway.contract.messages import encode
from gateway.hub.hub import Hub
from gateway.observing.health import Health
from gateway.settings.web import WebLimitSettings, WebSettings
from gateway.web import Parts, WebServer

EVENTS_PER_SECOND = 100
SETTLE_SECONDS = 2.0
"""What is on its way when the last event is published has so long."""
_UNLIMITED = WebLimitSettings(
    connections=10_000, connections_per_address=10_000, requests_per_second=10_000, megabytes_per_second=1_000
)


def settings(**options: Any) -> WebSettings:
    """Room for everybody."""
    return WebSettings(**{"port": 0, "max_listeners": 2_000, "limits": _UNLIMITED, **options})


class Clients:
    """The process of the listeners."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def report(self) -> dict[str, Any]:
        """End them; what they got."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        return dict(json.loads(await self._process.stdout.read()))


@asynccontextmanager
async def clients(port: int, path: str, count: int) -> AsyncIterator[Clients]:
    """So many listeners, all of them listening."""
    command = [sys.executable, "-m", "benchmarks.load.hub_clients", str(port), path, str(count)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"ready\n", "the listeners could not connect"
        yield Clients(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def served(hub: Hub) -> AsyncIterator[int]:
    """The hub behind the gateway's web server; its port."""
    async with WebServer(Parts(hub.settings, hub, Health(hub.publish))) as server:
        yield int(server.url.rsplit(":", 1)[1].strip("/"))


class BareLoop:
    """aiohttp and nothing else: every event to every socket, one after the other."""

    def __init__(self) -> None:
        self._sockets: list[web.WebSocketResponse] = []

    @asynccontextmanager
    async def served(self) -> AsyncIterator[int]:
        """On a port."""
        application = web.Application()
        application.router.add_get("/bare", self._serve)
        runner = web.AppRunner(application)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener, backlog=2_000).start()
        yield listener.getsockname()[1]
        await runner.cleanup()

    async def publish(self, number: int) -> None:
        """To everybody, now."""
        text = encode(structs.replace(event(number), seq=number)).decode()
        for ws in self._sockets:
            await ws.send_str(text)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        self._sockets.append(ws)
        await ws.receive()
        return ws


async def paced(count: int, publish: Callable[[int], Awaitable[None]]) -> float:
    """Publish so many events at the pace, late ones at once; the seconds until the last was published."""
    began = time.perf_counter()
    for number in range(count):
        wait = began + number / EVENTS_PER_SECOND - time.perf_counter()
        await asyncio.sleep(max(0.0, wait))
        await publish(number)
    return time.perf_counter() - began


async def crowd(listeners: int, events: int) -> dict[str, Any]:
    """Everybody at the house's pace."""
    hub = Hub(settings(max_listeners=listeners))
    async with served(hub) as port, clients(port, "/ws", listeners) as ears:

        async def publish(number: int) -> None:
            hub.publish(event(number))

        cpu = time.process_time()
        await paced(events, publish)
        await asyncio.sleep(SETTLE_SECONDS)
        cpu = time.process_time() - cpu
        report = await ears.report()
        hub.close()
    return {**report, "rate": report["events"] / report["seconds"], "cpu": cpu / (events / EVENTS_PER_SECOND)}


async def bare(listeners: int, events: int) -> dict[str, Any]:
    """The same by a bare loop."""
    loop = BareLoop()
    async with loop.served() as port, clients(port, "/bare", listeners) as ears:
        cpu = time.process_time()
        seconds = await paced(events, loop.publish)
        await asyncio.sleep(SETTLE_SECONDS)
        cpu = time.process_time() - cpu
        report = await ears.report()
    return {**report, "rate": report["events"] / report["seconds"], "cpu": cpu / seconds}


async def stalled(listeners: int, events: int, *, one_stalls: bool) -> float:
    """The p99 of everybody who reads, in ms."""
    hub = Hub(settings())
    async with served(hub) as port:
        stuck = await asyncio.to_thread(connect_and_never_read, port) if one_stalls else None
        async with clients(port, "/ws", listeners - one_stalls) as ears:

            async def publish(number: int) -> None:
                hub.publish(event(number))

            await paced(events, publish)
            await asyncio.sleep(SETTLE_SECONDS / 4)
            report = await ears.report()
        if stuck is not None:
            stuck.close()
        hub.close()
    return percentile(report["latencies_ms"], 99)


def connect_and_never_read(port: int) -> socket.socket:
    """A listener that has stopped reading, with as small a buffer as the system gives."""
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(("127.0.0.1", port))
    stuck.sendall(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        + b'\x81\x94\x00\x00\x00\x00{"type":"subscribe"}'
    )
    return stuck


class Resumer:
    """A listener whose connection breaks now and then: which finals it got, in order."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.breaks = 0

    async def run(self, port: int, ready: asyncio.Event) -> None:
        """Listen until cancelled."""
        async with Listener(f"http://127.0.0.1:{port}/") as self.listener:
            async for heard in self.listener:
                ready.set()
                if isinstance(heard, TranscriptionEvent) or (isinstance(heard, ReplyEvent) and heard.final):
                    self.seqs.append(heard.seq)

    def cut(self) -> None:
        """As a lost network does: no goodbye."""
        ws = self.listener._socket  # noqa: SLF001
        if ws is not None and (connection := ws.get_extra_info("socket")) is not None:
            connection.shutdown(socket.SHUT_RDWR)
            self.breaks += 1


async def resumes(listeners: int, breaks: int) -> tuple[int, int, int]:
    """How often it really broke, and how many finals were missed and doubled."""
    chance = random.Random(5)
    hub = Hub(settings())
    async with served(hub) as port, asyncio.TaskGroup() as tasks:
        ears = [Resumer() for _ in range(listeners)]
        ready = [asyncio.Event() for _ in ears]
        running = [tasks.create_task(ear.run(port, event)) for ear, event in zip(ears, ready, strict=True)]
        await asyncio.gather(*(event.wait() for event in ready))

        async def publish(number: int) -> None:
            hub.publish(event(number))
            if sum(ear.breaks for ear in ears) < breaks and number % 4 == 0:
                chance.choice(ears).cut()

        events = 8 * breaks
        await paced(events, publish)
        finals = [number + 1 for number in range(events) if number % 4 >= 2]
        deadline = time.monotonic() + 10.0
        while any(ear.seqs[-1:] != finals[-1:] for ear in ears) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for task in running:
            task.cancel()
        hub.close()
    missed = sum(len(set(finals) - set(ear.seqs)) for ear in ears)
    doubled = sum(len(ear.seqs) - len(set(ear.seqs)) for ear in ears)
    return sum(ear.breaks for ear in ears), missed, doubled


async def measure(*, quick: bool) -> Result:
    """All of it."""
    listeners, events = (200, 200) if quick else (1_000, 1_000)
    ours = await crowd(listeners, events)
    theirs = await bare(listeners, events)
    finals = sum(number % 4 >= 2 for number in range(events))
    missed = sum(finals - got for got in ours["finals"])
    calm = await stalled(50, events, one_stalls=False)
    beside = await stalled(50, events, one_stalls=True)
    breaks, lost, doubled = await resumes(20, 20 if quick else 100)
    p95 = percentile(ours["latencies_ms"], 95)
    ratio = ours["rate"] / theirs["rate"]
    metrics: dict[str, float | int | str] = {
        "listeners": listeners,
        "events_per_s": EVENTS_PER_SECOND,
        "delivered_per_s": round(ours["rate"]),
        "delivered_per_s, bare aiohttp loop": round(theirs["rate"]),
        "publish -> listener p50_ms": percentile(ours["latencies_ms"], 50),
        "publish -> listener p95_ms": p95,
        "publish -> listener p99_ms": percentile(ours["latencies_ms"], 99),
        "publish -> listener p95_ms, bare aiohttp loop": percentile(theirs["latencies_ms"], 95),
        "gateway's share of a core": ours["cpu"],
        "gateway's share of a core, bare aiohttp loop": theirs["cpu"],
        "50 listeners, p99_ms": calm,
        "50 listeners of whom one stalls, p99_ms": beside,
        "connections broken and resumed": breaks,
        "scheduling": scheduling(),
    }
    return Result(
        metrics,
        [
            Bar("finals missed by 1,000 listeners", missed, 0, "at most"),
            Bar("delivered events/s, of a bare aiohttp loop's", ratio, 0.8, "at least", "x"),
            Bar("publish -> the listener's socket, p95", p95, 200, "at most", "ms"),
            Bar(
                "one of 50 stalls: p99 of the others, above the run without it",
                beside - calm,
                10,
                "at most",
                "ms",
            ),
            Bar("finals missed in 100 disconnects", lost, 0, "at most"),
            Bar("finals doubled in 100 disconnects", doubled, 0, "at most"),
        ],
    )


def run(*, quick: bool) -> Result:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return asyncio.run(measure(quick=quick))
