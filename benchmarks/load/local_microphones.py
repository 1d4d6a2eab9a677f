"""Microphones of this machine, through PulseAudio: what they cost beside a gateway, and when their text is there.

Three virtual microphones hear what is played to them; the processes that listen count as the gateway's. When speech
ends, an independent program says that records the same microphone as fast as PulseAudio gives it; of a board
on a serial line it is when its last loud sample has been recorded. Both speak by turns to one gateway.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

import numpy as np
import psutil

from benchmarks.instruments.processes import GatewayProcess, gateway_process
from benchmarks.instruments.report import percentile
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import PseudoTerminal
from firmware_bridge.speech_files import read_wav, recordings, wav_file
from gateway.client.listener import Listener
from gateway.contract.events import Subscribe, TranscriptionEvent
from tests.servers.pulseaudio import NAMES, PulseAudio

MICROPHONES = len(NAMES)
UTTERANCES, QUICK_UTTERANCES = 12, 3
SETTLE_SECONDS = 6.0
"""Until all microphones are open, and until the gate has closed again."""
LOUD = 300
"""A sample beyond is speech."""
PATIENCE = 30.0
BOARD = "board"

Speak: TypeAlias = Callable[[Path], Awaitable[Callable[[], float]]]
"""Says a recording; what comes back tells when its speech had ended."""


class Costs(NamedTuple):
    """Percent of a core for each microphone, beyond what the gateway takes without any."""

    silent: float
    speaking: float


class Waits(NamedTuple):
    """From the end of speech to the text, the median in milliseconds."""

    microphone: float
    serial: float


def costs(seconds: float) -> Costs:
    """What they cost the gateway and its processes that listen; not the recognizer."""
    with _room(NAMES) as (room, settings), tempfile.TemporaryDirectory() as folder:
        with gateway_process(
            "transcription: {model: bundled}\ndevices: {mqtt: {embedded_port: 0}}\n"
        ) as gateway:
            alone = _load(gateway, seconds / 2)
        with gateway_process(settings, room.environment()) as gateway:
            time.sleep(SETTLE_SECONDS)
            silent = _load(gateway, seconds)
            speech = b"".join(read_wav(one.path) for one in recordings() if one.demo)
            enough = (speech * (2 + int(32_000 * seconds) // len(speech)))[: int(32_000 * (seconds + 10))]
            wav = Path(folder, "speech.wav")
            wav.write_bytes(wav_file(enough))
            for name in NAMES:
                room.play(name, wav)
            time.sleep(SETTLE_SECONDS / 2)
            speaking = _load(gateway, seconds)
        return Costs((silent - alone) / MICROPHONES, (speaking - alone) / MICROPHONES)


def waits(*, quick: bool) -> Waits:
    """A microphone and a board on a serial line say the same by turns."""
    said = [one.path for one in recordings() if one.demo][: QUICK_UTTERANCES if quick else UTTERANCES]
    with _room(NAMES[:1]) as (room, settings), tempfile.TemporaryDirectory() as folder:
        ports = f"  serial: {{ports: ['{folder}/tty*'], scan_seconds: 0.2}}\n"
        with gateway_process(settings + ports, room.environment()) as gateway:
            return asyncio.run(_take_turns(gateway, room, Path(folder, "tty"), said))


@contextmanager
def _room(names: tuple[str, ...]) -> Iterator[tuple[PulseAudio, str]]:
    """PulseAudio with these microphones, and a gateway's settings for them."""
    with tempfile.TemporaryDirectory(prefix="pulse-") as folder:
        room = PulseAudio(Path(folder)).start()
        try:
            for name in names:
                room.plug(name)
            microphones = ", ".join(f"mic-{i}: {{name: '{name}'}}" for i, name in enumerate(names))
            devices = f"devices:\n  mqtt: {{embedded_port: 0}}\n  microphones: {{{microphones}}}\n"
            yield room, f"transcription: {{model: bundled}}\n{devices}"
        finally:
            room.kill()


def _load(gateway: GatewayProcess, seconds: float) -> float:
    """What the gateway and the processes that listen take of one core over so long, in percent."""
    own = psutil.Process(gateway.pid)
    processes = [own, *(one for one in own.children() if "microphones.capture" in " ".join(one.cmdline()))]

    def spent() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in processes)

    began, before = time.perf_counter(), spent()
    time.sleep(seconds)
    return 100 * (spent() - before) / (time.perf_counter() - began)


async def _take_turns(gateway: GatewayProcess, room: PulseAudio, port: Path, said: list[Path]) -> Waits:
    texts: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
    async with (
        Listener(gateway.url, Subscribe()) as listener,
        SimulatedDevice(BOARD, PseudoTerminal(port)) as board,
        _Ear(room, NAMES[0]) as ear,
    ):
        watching = asyncio.create_task(_watch(listener, texts))
        await board.connected()
        await asyncio.sleep(SETTLE_SECONDS)
        heard: dict[str, list[float]] = {BOARD: [], "mic-0": []}
        for recording in said:
            for device_id, speak in ((BOARD, _by_board(board)), ("mic-0", _in_the_room(room, ear))):
                ended = await speak(recording)
                name, at = await asyncio.wait_for(texts.get(), PATIENCE)
                if name != device_id or not texts.empty():
                    raise RuntimeError(f"a text of {name}, where {device_id} has spoken")
                heard[device_id].append(1000 * (at - ended()))
                await asyncio.sleep(1.0)
        watching.cancel()
    return Waits(percentile(heard["mic-0"], 50), percentile(heard[BOARD], 50))


async def _watch(listener: Listener, texts: asyncio.Queue[tuple[str, float]]) -> None:
    async for event in listener:
        if isinstance(event, TranscriptionEvent):
            texts.put_nowait((event.device_id, time.perf_counter()))


def _by_board(board: SimulatedDevice) -> Speak:
    async def speak(recording: Path) -> Callable[[], float]:
        samples = np.frombuffer(await asyncio.to_thread(read_wav, recording), np.int16)
        silence_behind = (len(samples) - 1 - _last_loud(samples)) / 16_000
        loop = asyncio.get_running_loop()
        spoken = await board.say(samples.tobytes(), end_on_silence=True, patience=PATIENCE)
        assert spoken.stopped_at is not None
        ended = spoken.stopped_at - silence_behind + time.perf_counter() - loop.time()
        return lambda: ended

    return speak


def _in_the_room(room: PulseAudio, ear: _Ear) -> Speak:
    async def speak(recording: Path) -> Callable[[], float]:
        await asyncio.to_thread(room.play, NAMES[0], recording)
        return lambda: ear.loud_at

    return speak


def _last_loud(samples: np.ndarray) -> int:
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > LOUD)
    return int(loud[-1]) if len(loud) else -1


class _Ear:
    """Records a microphone beside the gateway; ``loud_at``: when the last loud sample was there."""

    def __init__(self, room: PulseAudio, name: str) -> None:
        self.loud_at = 0.0
        self._room = room
        self._name = name

    async def __aenter__(self) -> Self:
        self._recorder = await asyncio.create_subprocess_exec(
            "/usr/bin/parec", f"--device={self._name.replace(' ', '_')}.monitor", "--raw", "--format=s16le",
            "--rate=16000", "--channels=1", "--latency-msec=10",
            stdout=asyncio.subprocess.PIPE, env={**os.environ, **self._room.variables},
        )  # fmt: skip
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._recorder.kill()
        await self._recorder.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._recorder.stdout
        while data := await self._recorder.stdout.read(64 * 1024):
            now = time.perf_counter()
            samples = np.frombuffer(data[: len(data) // 2 * 2], np.int16)
            last = _last_loud(samples)
            if last >= 0:
                self.loud_at = now - (len(samples) - 1 - last) / 16_000
