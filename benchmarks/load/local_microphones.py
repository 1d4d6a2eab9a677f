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
UTTERANCES, QUICK_UTTERANCES = 16, 1
SETTLE_SECONDS = 2.0
"""Until what opening a microphone costs is over."""
EAR_MS = 10.0
"""So exactly is it known when speech in the room had ended: the ear gets sound in pieces of so long."""
LOUD = 300
"""A sample beyond is speech."""
PATIENCE = 30.0
BOARD = "board"

Speak: TypeAlias = Callable[[Path], Awaitable[Callable[[], float]]]
"""Says a recording; what comes back tells when its speech had ended."""


class Figures(NamedTuple):
    """What was measured.

    ``silent``, ``speaking``: percent of a core for each microphone, beyond what the gateway takes without any; its
    processes that listen are in it, the recognizer's is not. The others: from the end of speech to the text, the median
    in milliseconds.
    """

    silent: float
    speaking: float
    text_of_microphone: float
    text_of_board: float


def measure(seconds: float, alone: float, *, quick: bool) -> Figures:
    """``alone``: percent of a core that a gateway takes without devices."""
    said = [one.path for one in recordings() if one.demo][: QUICK_UTTERANCES if quick else UTTERANCES]
    with (
        tempfile.TemporaryDirectory() as folder,
        _room() as room,
        gateway_process(_settings(folder), room.environment()) as gateway,
    ):
        _wait_for_microphones(gateway)
        silent = _load(gateway, seconds)
        waits = asyncio.run(_take_turns(gateway, room, Path(folder, "tty"), said))
        speech = b"".join(read_wav(one.path) for one in recordings() if one.demo)
        wav = Path(folder, "speech.wav")
        wav.write_bytes(wav_file((speech * 10)[: int(32_000 * (seconds + 10))]))
        for name in NAMES:
            room.play(name, wav)
        time.sleep(SETTLE_SECONDS)
        speaking = _load(gateway, seconds)
    return Figures((silent - alone) / MICROPHONES, (speaking - alone) / MICROPHONES, *waits)


@contextmanager
def _room() -> Iterator[PulseAudio]:
    """PulseAudio with all microphones plugged in."""
    with tempfile.TemporaryDirectory(prefix="pulse-") as folder:
        room = PulseAudio(Path(folder)).start()
        try:
            for name in NAMES:
                room.plug(name)
            yield room
        finally:
            room.kill()


def _settings(folder: str) -> str:
    microphones = ", ".join(f"mic-{i}: {{name: '{name}'}}" for i, name in enumerate(NAMES))
    return (
        "transcription: {model: bundled}\n"
        f"devices:\n  mqtt: {{embedded_port: 0}}\n  microphones: {{{microphones}}}\n"
        f"  serial: {{ports: ['{folder}/tty*'], scan_seconds: 0.2}}\n"
    )


def _wait_for_microphones(gateway: GatewayProcess) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(_listening(gateway)) < MICROPHONES:
        if time.monotonic() > deadline:
            raise RuntimeError("the microphones were not open in time")
        time.sleep(0.1)
    time.sleep(SETTLE_SECONDS)


def _listening(gateway: GatewayProcess) -> list[psutil.Process]:
    """The processes that listen."""
    return [one for one in psutil.Process(gateway.pid).children() if "Listen" in " ".join(one.cmdline())]


def _load(gateway: GatewayProcess, seconds: float) -> float:
    """What the gateway and the processes that listen take of one core over so long, in percent."""
    processes = [psutil.Process(gateway.pid), *_listening(gateway)]

    def spent() -> float:
        return sum(sum(one.cpu_times()[:2]) for one in processes)

    began, before = time.perf_counter(), spent()
    time.sleep(seconds)
    return 100 * (spent() - before) / (time.perf_counter() - began)


async def _take_turns(
    gateway: GatewayProcess, room: PulseAudio, port: Path, said: list[Path]
) -> tuple[float, float]:
    texts: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
    async with (
        Listener(gateway.url, Subscribe()) as listener,
        SimulatedDevice(BOARD, PseudoTerminal(port)) as board,
        _Ear(room, NAMES[0]) as ear,
    ):
        watching = asyncio.create_task(_watch(listener, texts))
        await board.connected()
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
    return percentile(heard["mic-0"], 50), percentile(heard[BOARD], 50)


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
            "--rate=16000", "--channels=1", f"--latency-msec={EAR_MS:.0f}",
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
