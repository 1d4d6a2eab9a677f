"""The serial link through a real pseudo-terminal: frames/s, and audio under mischief.

Another process writes AUDIO frames of 640 bytes of PCM16 (20 ms of speech) as fast as the terminal
takes them; a whole gateway side (serial link, decoder, link state, fleet, acknowledgements) turns
them into events. Then a simulated device speaks over a line that corrupts, drops and doubles 5 % of
its frames each, and every sample that arrives is compared with the one that was spoken. What goes over the line besides
audio is counted on the device's end in C.
"""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import random
import tempfile
import threading
import time
import tty
import zlib
from pathlib import Path

from benchmarks.instruments.report import Bar, Result
from firmware_bridge.bridge import Bridge
from firmware_bridge.link.events import AudioReceived, LinkEvent, StreamStopped
from firmware_bridge.link.frames import Audio, AudioStart, AudioStop, Codec, Header, Hello, Welcome
from firmware_bridge.link.framing import Noise, SerialDecoder, encode_serial
from firmware_bridge.link.link import GatewayEnd, LinkSettings
from firmware_bridge.settings import DeviceSettings, MqttSettings, SerialSettings
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import Mischief, PseudoTerminal
from tests.firmware_bridge.esp32 import jig

FRAME_SAMPLES = 320
PAYLOAD = random.Random(1).randbytes(2 * FRAME_SAMPLES)
RING = 2000


def run(*, quick: bool) -> Result:
    frames = 20_000 if quick else 100_000
    clean = asyncio.run(_flat_out(frames))
    up, down = _overhead(20 if quick else 200)
    seconds_of_speech = 20 if quick else 200
    rough = asyncio.run(_under_mischief(seconds_of_speech))
    return Result(
        metrics={
            "frames": frames,
            "frames_per_s": clean.frames_per_s,
            "megabytes_per_s": clean.frames_per_s * 2 * FRAME_SAMPLES / 1e6,
            "gateway_cpu_us_per_frame": clean.cpu_seconds / frames * 1e6,
            "times_real_time": clean.frames_per_s * FRAME_SAMPLES / 16_000,
            "bytes_beside_audio_percent, up, PCM16 of 20 ms": up,
            "bytes_beside_audio_percent, down meanwhile": down,
            **rough,
        },
        bars=[
            Bar("audio frames decoded in one process", clean.frames_per_s, 20_000, "at least", "frames/s"),
            Bar("bad frames accepted under mischief", rough["bad_frames_accepted"], 0, "at most", "frames"),
            Bar("bytes beside the audio, PCM16 of 20 ms", up, 5, "at most", "%"),
            Bar("samples lost that the ring held", rough["samples_wrong_or_lost"], 0, "at most", "samples"),
        ],
    )


class _Counting:
    """Counts audio events and folds their samples into one checksum."""

    def __init__(self) -> None:
        self.frames = 0
        self.checksum = 0
        self.began_at = 0.0
        self.began_cpu = 0.0
        self.cpu_seconds = 0.0
        self.frames_per_s = 0.0
        self.done = asyncio.Event()

    def __call__(self, event: LinkEvent) -> None:
        if isinstance(event, AudioReceived):
            if not self.frames:
                self.began_at, self.began_cpu = time.perf_counter(), time.process_time()
            self.frames += 1
            self.checksum = zlib.crc32(event.pcm, self.checksum)
        elif isinstance(event, StreamStopped):
            self.cpu_seconds = time.process_time() - self.began_cpu
            self.frames_per_s = (self.frames - 1) / (time.perf_counter() - self.began_at)
            self.done.set()


async def _flat_out(frames: int) -> _Counting:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    counting = _Counting()
    writer = multiprocessing.get_context("fork").Process(target=_write, args=(ours, frames))
    writer.start()
    async with Bridge(_settings(os.ttyname(theirs)), counting):
        await counting.done.wait()
    writer.terminate()
    writer.join()
    os.close(ours)
    os.close(theirs)
    expected = 0
    for _ in range(frames):
        expected = zlib.crc32(PAYLOAD, expected)
    if (counting.frames, counting.checksum) != (frames, expected):
        raise AssertionError("the audio that arrived is not the audio that was sent")
    return counting


def _write(terminal: int, frames: int) -> None:
    """The other process: a device that was welcomed and has much to say."""
    link = _greet(terminal)
    said = [encode_serial(AudioStart(Header(link=link, stream=1)))]
    said += [
        encode_serial(
            Audio(
                Header(link=link, stream=1, sequence=1 + number, timestamp=number * FRAME_SAMPLES),
                Codec.PCM16,
                PAYLOAD,
            )
        )
        for number in range(frames)
    ]
    end = Header(link=link, stream=1, sequence=1 + frames, timestamp=frames * FRAME_SAMPLES)
    said.append(encode_serial(AudioStop(end)))
    data = memoryview(b"".join(said))
    threading.Thread(target=_drain, args=(terminal,), daemon=True).start()
    while data:
        data = data[os.write(terminal, data[:65536]) :]
    threading.Event().wait()  # until it is terminated: a closed terminal would hang up


def _greet(terminal: int) -> int:
    """Say HELLO until there is a WELCOME; the link's nonce."""
    decoder = SerialDecoder()
    hello = encode_serial(Hello(Header(credit=16), "bench", 1, "benchmark", RING, 0, 0, 0))
    os.set_blocking(terminal, False)
    while True:
        os.write(terminal, hello)
        time.sleep(0.1)
        try:
            data = os.read(terminal, 65536)
        except BlockingIOError:
            continue
        for frame in decoder.feed(data):
            if isinstance(frame, Welcome):
                os.set_blocking(terminal, True)
                return frame.header.link


def _drain(terminal: int) -> None:
    """Take the gateway's acknowledgements off the line."""
    while os.read(terminal, 65536):
        pass


def _overhead(seconds: int) -> tuple[float, float]:
    """What the library in C writes besides the audio, and the gateway meanwhile, both in percent of the audio's bytes.

    From HELLO on, on a line that loses nothing; every frame is 20 ms of noise, which has no more zeros than speech.
    """
    device = jig.Device("bench", boot=1, ring_frames=RING)
    gateway: GatewayEnd | None = None
    now, audio, up, down = 10.0, 0, 0, 0
    device.hello(now)
    decoder = SerialDecoder()
    stream = device.start_stream()
    for _ in range(50 * seconds):
        now += 0.02
        device.audio(stream, random.Random(audio).randbytes(len(PAYLOAD)), FRAME_SAMPLES)
        audio += len(PAYLOAD)
        written = device.poll(now)
        up += len(written)
        for frame in decoder.feed(written):
            if isinstance(frame, Hello):
                settings = LinkSettings(credit_frames=256)
                gateway = GatewayEnd(frame, carrier="bench", settings=settings, now=now)
            elif gateway is not None and not isinstance(frame, Noise):
                for event in gateway.receive(frame, now):
                    if isinstance(event, AudioReceived):
                        gateway.settle(stream, event.position + FRAME_SAMPLES)
        if gateway is not None:
            gateway.tick(now)
            for frame in gateway.outgoing():
                down += len(encode_serial(frame))
                device.receive(frame, now)
    return 100 * (up - audio) / audio, 100 * down / audio


async def _under_mischief(seconds: int) -> dict[str, float]:
    spoken = random.Random(2).randbytes(2 * 16_000 * seconds)
    bad, wrong, arrived = 0, 0, 0
    done = asyncio.Event()

    def on_event(event: LinkEvent) -> None:
        nonlocal bad, wrong, arrived
        match event:
            case AudioReceived():
                expected = spoken[2 * event.position :][: len(event.pcm)]
                bad += event.pcm != expected
                wrong += event.lost_samples
                arrived += len(event.pcm) // 2
                bridge.settle(event.device_id, event.boot, event.stream, event.position + len(event.pcm) // 2)
            case StreamStopped():
                wrong += event.lost_samples
                done.set()

    with tempfile.TemporaryDirectory() as folder:
        bridge = Bridge(_settings(f"{folder}/usb-*"), on_event)
        wire = PseudoTerminal(Path(folder) / "usb-device")
        mischief = Mischief(seed=3, corrupt=0.05, drop=0.05, duplicate=0.05)
        device = SimulatedDevice("bench", wire, mischief=mischief, ring_frames=RING, speed=math.inf)
        async with bridge, device:
            await device.connected()
            began = time.perf_counter()
            saying = asyncio.create_task(device.say(spoken, patience=0))
            await done.wait()
            elapsed = time.perf_counter() - began
            await saying
            (info,) = bridge.devices()
            return {
                "frames_corrupted": device.mischief.corrupted,
                "frames_dropped": device.mischief.dropped,
                "frames_duplicated": device.mischief.duplicated,
                "frames_resent": device.end.counters.resent,
                "duplicates_refused": info.counters.duplicates,
                "bad_frames_accepted": bad,
                "samples_wrong_or_lost": wrong + len(spoken) // 2 - arrived,
                "times_real_time_under_mischief": seconds / elapsed,
            }


def _settings(port: str) -> DeviceSettings:
    return DeviceSettings(
        serial=SerialSettings(ports=(port,), scan_seconds=0.1),
        mqtt=MqttSettings(url=""),
        credit_frames=4096,
        silence_seconds=60,
    )
