"""Simulated devices that speak recordings to a gateway, and what they wait for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks.instruments.processes import GatewayProcess
from benchmarks.instruments.report import percentile
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import Mqtt

PATIENCE = 60.0
"""Seconds after which a text that has not come will not come."""


class Heard(Struct, frozen=True):
    """A text, and the milliseconds from the last sample of the speech until its speaker had it."""

    text: str
    wait_ms: float


def settings(model: Path, *, threads: int, context: int | str) -> str:
    """A gateway's configuration (YAML) for that model, to speak to over MQTT."""
    return (
        f"transcription: {{engine: faster-whisper, model: {model}, threads: {threads}, context: {context}}}\n"
        "devices: {mqtt: {embedded_port: 0}}"
    )


@contextlib.asynccontextmanager
async def device(gateway: GatewayProcess, name: str, *, speed: float = 1.0) -> AsyncIterator[SimulatedDevice]:
    """A device that the gateway has welcomed."""
    async with SimulatedDevice(name, Mqtt(gateway.mqtt_url_of(name), name), speed=speed) as one:
        await one.connected()
        yield one


async def say(one: SimulatedDevice, pcm: bytes) -> Heard:
    """Push to talk: speak, release the button, wait for text and reply."""
    said = await one.say(pcm, patience=PATIENCE)
    if said.transcript is None or said.transcript_at is None or said.stopped_at is None:
        raise RuntimeError(f"{one.device_id} had no text within {PATIENCE} s")
    return Heard(said.transcript, 1000 * (said.transcript_at - said.stopped_at))


def waits(who: str, heard: Sequence[Heard]) -> dict[str, float | int | str]:
    """The metrics of how long they waited."""
    times = [one.wait_ms for one in heard]
    return {
        f"{who}, p50_ms": percentile(times, 50),
        f"{who}, p95_ms": percentile(times, 95),
        f"{who}, longest_ms": max(times),
    }
