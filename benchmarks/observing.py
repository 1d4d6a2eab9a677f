"""[idle] What measuring costs: 20 silent devices and /metrics each 5 s, a scrape with 250 devices, of throughput."""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.instruments.memory import cpu_seconds
from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import Bar, Result, percentile
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import Mqtt
from gateway.contract.events import DeliveryEvent, ReplyEvent, StatusEvent, TranscriptionEvent
from gateway.contract.messages import AudioFacts, Timings
from gateway.observing.machine.sampler import SAMPLE_SECONDS, Sampler
from gateway.observing.metrics.waits import Waits
from gateway.planning.costs import measured

SILENT = 20
MANY = 250
SCRAPE_SECONDS = 5.0
EVENTS_OF_AN_UTTERANCE = 12
"""Statuses, partials, a text, a reply in pieces, a delivery: as many as listeners are shown."""
NAMES: dict[str, Any] = {"session_id": "s", "user_id": "u", "device_id": "d"}


def run(*, quick: bool) -> Result:
    """A gateway process; devices in this one. Shares are of one core, of the gateway's process."""
    seconds = 15.0 if quick else 120.0
    settings = f"transcription: {{engine: 'off'}}\ndevices: {{mqtt: {{embedded_port: 0}}, max_devices: {MANY + 10}}}\n"
    with gateway_process(settings) as gateway:
        alone, scraped = asyncio.run(_idle(gateway, seconds))
    with gateway_process(settings) as gateway:
        scrapes = asyncio.run(_scrapes(gateway, 40 if quick else 200))
    throughput = asyncio.run(_share_of_throughput())
    worst = percentile(scrapes, 95)
    return Result(
        metrics={
            "silent_devices": SILENT,
            "share_without_scrapes": alone,
            "share_with_scrapes": scraped,
            "scraped_devices": MANY,
            "scrape_ms_p50": percentile(scrapes, 50),
            "scrape_ms_p95": worst,
            "share_of_throughput": throughput,
        },
        bars=[
            Bar(f"of one core, {SILENT} silent devices, /metrics each 5 s", 100 * scraped, 1, "at most", "%"),
            Bar(f"/metrics answers with {MANY} devices, p95", worst, 20, "at most", "ms"),
            Bar("of throughput that metrics cost", 100 * throughput, 2, "at most", "%"),
        ],
    )


async def _idle(gateway: GatewayProcess, seconds: float) -> tuple[float, float]:
    async with contextlib.AsyncExitStack() as stack:
        await _connect(stack, gateway, SILENT)
        await asyncio.sleep(5.0)
        alone = await _share(gateway, seconds, scrape=False)
        return alone, await _share(gateway, seconds, scrape=True)


async def _share(gateway: GatewayProcess, seconds: float, *, scrape: bool) -> float:
    before, began = cpu_seconds(gateway.pid), time.monotonic()
    while time.monotonic() - began < seconds:
        if scrape:
            await asyncio.to_thread(_scrape, gateway)
        await asyncio.sleep(SCRAPE_SECONDS)
    return (cpu_seconds(gateway.pid) - before) / (time.monotonic() - began)


async def _scrapes(gateway: GatewayProcess, times: int) -> list[float]:
    """Milliseconds of each."""
    async with contextlib.AsyncExitStack() as stack:
        await _connect(stack, gateway, MANY)
        await asyncio.sleep(5.0)
        return [await asyncio.to_thread(_scrape, gateway) for _ in range(times)]


async def _connect(stack: contextlib.AsyncExitStack, gateway: GatewayProcess, count: int) -> None:
    for number in range(count):
        device_id = f"device-{number:03}"
        wire = Mqtt(gateway.mqtt_url_of(device_id), device_id)
        device = await stack.enter_async_context(SimulatedDevice(device_id, wire))
        await device.connected()


def _scrape(gateway: GatewayProcess) -> float:
    began = time.perf_counter()
    with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10) as answer:
        answer.read()
    return 1000 * (time.perf_counter() - began)


async def _share_of_throughput() -> float:
    """What events cost of an utterance's time in the gateway, and looking at the machine of a core that is full."""
    waits, rounds = Waits(), 2_000
    events = _events()
    began = time.process_time()
    for _ in range(rounds):
        for event in events:
            waits.note(event)
    of_events = (time.process_time() - began) / rounds / measured().utterance
    sampler = Sampler(Path.cwd())
    began = time.process_time()
    for _ in range(20):
        await sampler.look()
    return of_events + (time.process_time() - began) / 20 / SAMPLE_SECONDS


def _events() -> list[StatusEvent | TranscriptionEvent | ReplyEvent | DeliveryEvent]:
    ids: dict[str, Any] = {**NAMES, "utterance_id": "u_1", "correlation_id": "c_1"}
    statuses = [StatusEvent(**NAMES, status="listening") for _ in range(EVENTS_OF_AN_UTTERANCE - 3)]
    text = TranscriptionEvent(
        **ids, text="on", success=True, error=None, language="en", confidence=1.0, audio=AudioFacts(seconds=1.0),
        timings=Timings(endpoint_ms=300, queue_ms=1, recognize_ms=100, text_ms=401),
    )  # fmt: skip
    reply = ReplyEvent(**ids, text="done", final=True, text_to_reply_ms=100.0, publish_ms=1.0)
    return [*statuses, text, reply, DeliveryEvent(**ids, speech_to_reply_ms=600.0)]
