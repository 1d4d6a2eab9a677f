"""Just enough of WhisperLive's WebSocket protocol to have speech transcribed.

WhisperLive works out what it has again and again, sends each text it finds, and does not say of one that it is
the whole; told END_OF_AUDIO, it drops what it has not heard yet. So the client here stays, and
believes a text that comes twice after the last packet of audio. What is timed flatters the server: the wait
is over when that text comes for the first time after that packet, as if the client had known.
"""

from __future__ import annotations

import asyncio
import json
import math
from uuid import uuid4

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from benchmarks.load.speaking import Heard
from firmware_bridge.link.events import SAMPLE_RATE

RULE = "from the last packet of audio to the first message after it with the text that the next one repeats"
CHUNK_SAMPLES = 320
SILENT_SECONDS = 30.0
"""So long without a message, and nothing was heard: the server sends none then, and none of speech that it gave
up because a batch took longer than 30 s. That long is then what the speaker waited."""


async def say(port: int, pcm: bytes, *, speed: float = 1.0) -> Heard:
    """Stream PCM16 at ``speed`` times real time to the server on that port, and wait for the text."""
    now = asyncio.get_running_loop().time
    async with ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{port}") as socket:
        await socket.send_json({"uid": str(uuid4()), "task": "transcribe", "model": "", **_OPTIONS})
        while json.loads(await socket.receive_str(timeout=SILENT_SECONDS)).get("message") != "SERVER_READY":
            pass
        settled = Settled()
        reading = asyncio.create_task(_read(socket, settled))
        try:
            began = now()
            for start in range(0, len(pcm), 2 * CHUNK_SAMPLES):
                chunk = pcm[start : start + 2 * CHUNK_SAMPLES]
                if speed != math.inf:  # each chunk when its last sample is there
                    await asyncio.sleep(began + (start + len(chunk)) / 2 / SAMPLE_RATE / speed - now())
                await socket.send_bytes(chunk)
            settled.stop(now())
            await reading
        finally:
            reading.cancel()
        return settled.heard()


_OPTIONS = {"language": "en", "use_vad": False, "audio_format": "int16"}


class Settled:
    """Which text is believed, and since when. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._stopped = self._since = math.inf

    def stop(self, at: float) -> None:
        """The last packet of audio was sent."""
        self._stopped = self._since = at

    def hear(self, text: str, at: float) -> bool:
        """A message; whether its text is believed now."""
        if at < self._stopped:
            return False
        if text == self._text:
            return True
        self._text, self._since = text, at
        return False

    def heard(self) -> Heard:
        """What was heard, the empty text when there was no message."""
        if self._text is None:
            return Heard("", 1000 * SILENT_SECONDS)
        return Heard(self._text, 1000 * (self._since - self._stopped))


async def _read(socket: ClientWebSocketResponse, settled: Settled) -> None:
    """Until a text is believed, the server hangs up, or has been silent for too long."""
    now = asyncio.get_running_loop().time
    while True:
        try:
            async with asyncio.timeout(SILENT_SECONDS):  # receive's own begins anew with each ping
                message = await socket.receive()
        except TimeoutError:
            return
        if message.type is not WSMsgType.TEXT:
            return
        segments = json.loads(message.data).get("segments", [])
        if segments and settled.hear(" ".join(one["text"].strip() for one in segments), now()):
            return
