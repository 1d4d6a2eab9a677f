"""[status] How soon a device hears that its speech has ended, with twenty devices speaking."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.instruments.processes import gateway_process
from benchmarks.instruments.report import Bar, Result, percentile
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.user import SpokenUtterance
from firmware_bridge.simulator.wires import Mqtt, PseudoTerminal
from firmware_bridge.speech_files import SpeechFile, recordings

DEVICES = 20
ON_SERIAL = 4
"""So many of them on serial lines, the others on MQTT."""
STAGGER_SECONDS = 0.25
"""People do not all begin in the same instant."""


def run(*, quick: bool) -> Result:
    """A gateway process of its own; twenty devices in this one, all speaking most of the time."""
    with tempfile.TemporaryDirectory() as folder:
        terminals = [Path(folder, f"tty{number}") for number in range(ON_SERIAL)]
        settings = (
            "transcription: {model: bundled}\n"
            f"devices: {{mqtt: {{embedded_port: 0}}, serial: {{ports: ['{folder}/tty*'], scan_seconds: 0.2}}}}\n"
        )
        with gateway_process(settings) as gateway:
            said = asyncio.run(_converse(gateway.mqtt_url_of, terminals, rounds=1 if quick else 4))
    status = [
        1000 * (s.status_at - s.stopped_at)
        for _, s in said
        if s.stopped_at is not None and s.status_at is not None
    ]
    text = [
        1000 * (s.transcript_at - s.stopped_at)
        for _, s in said
        if s.stopped_at is not None and s.transcript_at is not None
    ]
    right = sum(s.transcript == recording.text for recording, s in said)
    return Result(
        metrics={
            "devices": DEVICES,
            "utterances": len(said),
            "utterances_right": right,
            "utterances_answered": sum(s.reply is not None for _, s in said),
            "status_ms_p50": percentile(status, 50),
            "status_ms_p95": percentile(status, 95),
            "status_ms_worst": max(status),
            "text_ms_p50": percentile(text, 50),
            "text_ms_p95": percentile(text, 95),
        },
        bars=[
            Bar(
                "status reaches the device after its speech ends, p95",
                percentile(status, 95),
                200,
                "at most",
                "ms",
            ),
            Bar(
                "utterances without a status, a transcript or the right words",
                len(said) - right,
                0,
                "at most",
            ),
        ],
    )


async def _converse(
    mqtt_url_of: Callable[[str], str], terminals: list[Path], *, rounds: int
) -> list[tuple[SpeechFile, SpokenUtterance]]:
    spoken = [recording for recording in recordings() if recording.demo]
    said: list[tuple[SpeechFile, SpokenUtterance]] = []

    async def talk(number: int, device: SimulatedDevice) -> None:
        await device.connected()
        await asyncio.sleep(number * STAGGER_SECONDS)
        for turn in range(rounds):
            recording = spoken[(number + 7 * turn) % len(spoken)]
            said.append((recording, await device.say(recording.path)))

    async with contextlib.AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(_device(number, mqtt_url_of, terminals))
            for number in range(DEVICES)
        ]
        async with asyncio.TaskGroup() as tasks:
            for number, device in enumerate(devices):
                tasks.create_task(talk(number, device))
    return said


def _device(number: int, mqtt_url_of: Callable[[str], str], terminals: list[Path]) -> SimulatedDevice:
    device_id = f"device-{number:02}"
    if number < len(terminals):
        return SimulatedDevice(device_id, PseudoTerminal(terminals[number]))
    return SimulatedDevice(device_id, Mqtt(mqtt_url_of(device_id), device_id))
