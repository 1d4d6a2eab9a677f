"""Whole recordings by OpenAI's interface: the same client for every server of it."""

from __future__ import annotations

import asyncio

import aiohttp

from benchmarks.load.speaking import PATIENCE, Heard
from firmware_bridge.speech_files import wav_file

_PATIENCE = aiohttp.ClientTimeout(total=PATIENCE)


async def post(url: str, pcm: bytes) -> Heard:
    """Have a recording transcribed by whatever serves the interface there; timed from the first byte to the text."""
    form = aiohttp.FormData({"model": "whisper-1", "language": "en"})
    form.add_field("file", wav_file(pcm), filename="speech.wav", content_type="audio/wav")
    now = asyncio.get_running_loop().time
    async with aiohttp.ClientSession(timeout=_PATIENCE) as session:
        began = now()
        async with session.post(f"{url}/v1/audio/transcriptions", data=form) as answer:
            answer.raise_for_status()
            text = (await answer.json())["text"]
        return Heard(str(text), 1000 * (now() - began))


async def say(port: int, pcm: bytes) -> Heard:
    """The same, to the server on that port."""
    return await post(f"http://127.0.0.1:{port}", pcm)
