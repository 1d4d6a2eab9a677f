"""[devices] What a device costs the gateway's process: connected and silent, and streaming speech.

Twenty devices in a process of their own, on serial lines and then on MQTT. All the speech goes through
voice activity and segmenter, which run in the gateway's process and are in the figures; the recognizer
and the MQTT broker have their own and are not. What the gateway itself takes without a device is in them, and
so is a listener that watches the levels of all of them, as the page does. Then three virtual microphones of the
gateway's own machine, with the processes that listen to them, and when their text is there beside a serial device's.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import Bar, Result
from benchmarks.load import local_microphones
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import DeviceWire, Mqtt, PseudoTerminal
from firmware_bridge.speech_files import read_wav, recordings
from gateway.client.listener import Listener
from gateway.contract.events import Subscribe

DEVICES = 20
SECONDS = 30.0
QUICK_SECONDS = 4.0
SETTLE_SECONDS = 1.0
"""Until what connecting and beginning cost is over."""


def run(*, quick: bool) -> Result:
    seconds = QUICK_SECONDS if quick else SECONDS
    metrics: dict[str, float | int | str] = {"devices": DEVICES, "seconds": seconds}
    bars = []
    for carrier in ("serial", "mqtt"):
        alone, silent, speaking = _measure(carrier, seconds)
        metrics[f"{carrier}, gateway without devices, core_%"] = alone
        metrics[f"{carrier}, all silent, core_%"] = silent
        metrics[f"{carrier}, all speaking, core_%"] = speaking
        bars += [
            Bar(f"{carrier}: a silent device", silent / DEVICES, 0.5, "at most", "% of a core"),
            Bar(f"{carrier}: a speaking device", speaking / DEVICES, 3.0, "at most", "% of a core"),
        ]
    local = local_microphones.measure(seconds, alone, quick=quick)
    metrics["local microphones"] = local_microphones.MICROPHONES
    metrics["speech to text, serial, p50_ms"] = local.text_of_board
    metrics["speech to text, local microphone, p50_ms"] = local.text_of_microphone
    as_soon = local.text_of_board + local_microphones.EAR_MS
    bars += [
        Bar("local microphone: silent, with its process", local.silent, 0.5, "at most", "% of a core"),
        Bar("local microphone: speaking, with its process", local.speaking, 3.0, "at most", "% of a core"),
        Bar(
            "local microphone: text as soon as of a serial device",
            local.text_of_microphone,
            as_soon,
            "at most",
            "ms",
        ),
    ]
    return Result(metrics, bars)


def _measure(carrier: str, seconds: float) -> tuple[float, float, float]:
    """Percent of a core that the gateway takes: without devices, with silent and with speaking ones."""
    with tempfile.TemporaryDirectory() as folder:
        settings = (
            "transcription: {model: bundled}\n"
            f"devices: {{mqtt: {{embedded_port: 0}}, serial: {{ports: ['{folder}/tty*'], scan_seconds: 0.2}}}}\n"
        )
        with gateway_process(settings) as gateway:
            alone = _load(gateway, seconds / 2)
            with _devices(carrier, gateway, folder) as devices:
                silent = _load(gateway, seconds)
                devices.send(seconds + 2 * SETTLE_SECONDS)
                speaking = _load(gateway, seconds)
            return alone, silent, speaking


def _load(gateway: GatewayProcess, seconds: float) -> float:
    """What its process took of one core over so long, in percent; not what its children took."""
    process = psutil.Process(gateway.pid)
    time.sleep(SETTLE_SECONDS)
    began, before = time.perf_counter(), process.cpu_times()
    time.sleep(seconds)
    took, after = time.perf_counter() - began, process.cpu_times()
    return 100 * (after.user + after.system - before.user - before.system) / took


@contextmanager
def _devices(carrier: str, gateway: GatewayProcess, folder: str) -> Iterator[Connection]:
    """Devices in a process of their own, all welcome; they speak for as many seconds as they are sent."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_live, args=(carrier, gateway, folder, theirs))
    process.start()
    try:
        if not ours.poll(60):
            raise RuntimeError("the devices were not welcomed within a minute")
        ours.recv()
        yield ours
    finally:
        process.terminate()
        process.join()


def _live(carrier: str, gateway: GatewayProcess, folder: str, orders: Connection) -> None:
    asyncio.run(_connect_and_speak(carrier, gateway, folder, orders))


async def _watch(url: str) -> None:
    async with Listener(url, Subscribe(levels=True)) as listener:
        async for _event in listener:
            pass


async def _connect_and_speak(carrier: str, gateway: GatewayProcess, folder: str, orders: Connection) -> None:
    def wire(number: int) -> DeviceWire:
        return (
            PseudoTerminal(Path(folder, f"tty{number}"))
            if carrier == "serial"
            else Mqtt(gateway.mqtt_url_of(name(number)), name(number))
        )

    def name(number: int) -> str:
        return f"device-{number:02}"

    async with AsyncExitStack() as stack:
        devices = [
            await stack.enter_async_context(SimulatedDevice(name(number), wire(number)))
            for number in range(DEVICES)
        ]
        await asyncio.gather(*(device.connected() for device in devices))
        orders.send("welcome")
        seconds = await asyncio.to_thread(orders.recv)
        speech = b"".join(read_wav(one.path) for one in recordings() if one.demo)
        enough = (speech * (1 + int(32_000 * seconds) // len(speech)))[: 2 * int(16_000 * seconds)]
        watching = asyncio.create_task(_watch(gateway.url))
        await asyncio.gather(*(device.say(enough) for device in devices))
        watching.cancel()
