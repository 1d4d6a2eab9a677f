"""[home-assistant] From the end of a command to "Turned on" in a real Home Assistant's pipeline, with real tiny.en.

Home Assistant 2025.4.4 (`make real`) with this gateway as its speech-to-text, added by its own form, and its own
agent. A recording is sent into a pipeline over its WebSocket API as fast as it is spoken. The bar counts from the byte
that ends the audio, as a satellite with a button sends it. Hands-free, Home Assistant 2025.4.4 waits for its own
0.7 s of silence, whatever the gateway has heard: that is measured too, without a bar.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.instruments.processes import gateway_process
from benchmarks.instruments.report import Bar, Result, percentile
from benchmarks.instruments.words import words
from firmware_bridge.speech_files import SpeechFile, read_wav, recordings
from tests.real.home_assistant import HomeAssistant, Owner, Spoken
from tests.real.things import HOME_ASSISTANT
from tests.real.weights import TINY_EN
from tests.servers.process import free_port

COMMAND = "turn on the living room fan"
SWITCH = "input_boolean.fan"
THREADS = 2
BAR_MS = 250.0


def run(*, quick: bool) -> Result:
    """Where either is missing, that is the result."""
    if missing := [thing.absence for thing in (HOME_ASSISTANT, TINY_EN) if not thing.here]:
        return Result({"not measured": "; ".join(missing)}, [])
    port, times = free_port(), 4 if quick else 40
    settings = (
        f"transcription: {{model: '{TINY_EN.place}', language: en, threads: {THREADS}}}\n"
        "devices: {mqtt: {embedded_port: 0}}\n"
        f"adapters: {{wyoming: {{listen: ['tcp://127.0.0.1:{port}'], zeroconf: false}}}}\n"
    )
    [recording] = [one for one in recordings() if one.text == COMMAND]
    with tempfile.TemporaryDirectory() as folder, gateway_process(settings):
        server = HomeAssistant(Path(folder)).start()
        try:
            pressed, free = asyncio.run(_command(server, port, recording, times))
        finally:
            server.stop()
    waits = [one.wait_ms for one in pressed]
    right = sum(words(one.text) == words(COMMAND) for one in pressed)
    done = sum(one.answer.startswith("Turned on") for one in pressed)
    return Result(
        metrics={
            "commands": times,
            "understood word by word": right,
            "carried out": done,
            "end of audio to answer, p50_ms": percentile(waits, 50),
            "end of audio to answer, p95_ms": percentile(waits, 95),
            "hands-free, end of speech to answer, p50_ms": percentile([one.wait_ms for one in free], 50),
        },
        bars=[
            Bar("end of audio to Turned on, p50", percentile(waits, 50), BAR_MS, "at most", "ms"),
            Bar("commands that were not carried out", times - done, 0, "at most"),
        ],
    )


async def _command(
    server: HomeAssistant, port: int, recording: SpeechFile, times: int
) -> tuple[list[Spoken], list[Spoken]]:
    """Said with a button, and hands-free; the first of all, which loads Home Assistant's sentences, does not count."""
    pcm = read_wav(recording.path)
    async with Owner.of(server) as owner:
        await owner.expose(SWITCH)
        await owner.add("wyoming", host="127.0.0.1", port=port)
        pipeline = await owner.pipeline("stt.earshot")
        await _said(owner, pipeline, pcm)
        pressed = [await _said(owner, pipeline, pcm) for _ in range(times)]
        free = [await _said(owner, pipeline, pcm, trailing=3.0) for _ in range(max(1, times // 4))]
    return pressed, free


async def _said(owner: Owner, pipeline: str, pcm: bytes, trailing: float = 0.0) -> Spoken:
    """The command, with the switch off before it."""
    await owner.post("/api/services/input_boolean/turn_off", entity_id=SWITCH)
    spoken = await owner.speak(pipeline, pcm, trailing=trailing)
    if spoken.answer:
        await owner.sees(SWITCH, "on")
    return spoken
