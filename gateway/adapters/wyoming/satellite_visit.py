"""One connection to a satellite, from its first word to its last: its sound in, and what it is told.

A satellite sends sound when it hears its wake word, when it hears speech, or always; which of these it does is its
own affair. A stretch of sound ends where it says so, where another begins, or when nothing has come for a moment;
where speech ends, the gateway finds. Whoever waits for a text that will not come is told an empty one, for by that
alone every version of the satellites' program goes back to its wake word.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Protocol

from firmware_bridge.alarm import Alarm
from firmware_bridge.link.device_end import FromGateway
from firmware_bridge.link.events import SAMPLE_RATE, DeviceStatus
from firmware_bridge.link.frames import Reply, Status, TranscriptText
from firmware_bridge.pacing import Allowance
from firmware_bridge.servers import in_words
from gateway.adapters.wyoming.events import (
    Detection,
    ErrorReport,
    PauseSatellite,
    PingEvent,
    PongEvent,
    RunPipeline,
    RunSatellite,
    SoundChunk,
    SoundForm,
    SoundStop,
    Synthesize,
    TranscriptResult,
    VoiceStarted,
    VoiceStopped,
    WyomingEvent,
)
from gateway.adapters.wyoming.info import Describe, Info, SatelliteInfo
from gateway.adapters.wyoming.way_back import WayBack
from gateway.adapters.wyoming.wire import Arrived, EventDecoder, MalformedEvent, WireError
from transcription.sound_files.pcm_stream import PcmFormat, PcmStream, UnknownPcm

READ_BYTES = 65_536
INFO_SECONDS = 5.0
"""Until it has said what it is."""
ACCEPTED_SECONDS = 1.0
"""Who has another server closes the connection at once; who has not done so by then listens to this one."""
PING_SECONDS = 5.0
UNHEARD_SECONDS = 15.0
"""One that answers pings and has said nothing for so long is gone; of others, TCP notices it."""
QUIET_SECONDS = 1.0
"""A stretch of sound of which nothing came for so long is over."""
NOTHING_SAID_SECONDS = 15.0
"""Who was woken and says nothing for so long is not listened to any more."""
PIECE_BYTES = 1_920
"""60 ms, as much as a frame of a device carries."""
FAST_SECONDS, FAST_RATE = 60.0, 2.0
"""So much sound may come at once, and so many seconds of it a second in the long run: it is a microphone."""
MOST_TEXT = 4_000
"""Characters that it is told at once."""


class NoSatellite(Exception):
    """What was dialled is none, or does not speak Wyoming."""


class Gone(Exception):
    """The connection is over, and why. ``at_once``: it was not accepted, as where somebody else has it already."""

    def __init__(self, reason: str, *, at_once: bool = False) -> None:
        super().__init__(reason)
        self.at_once = at_once


class Hearer(Protocol):
    """The device that a satellite is."""

    def accepted(self) -> None:
        """From now on it listens to this gateway."""

    def hear(self, pcm: bytes) -> None:
        """PCM16, mono, 16 kHz."""

    def hush(self) -> None:
        """It is quiet."""

    def woken(self, word: str) -> None:
        """It has heard its wake word."""


class SatelliteVisit:
    """To be made for each connection: ``begin``, then ``run``, which returns by raising."""

    def __init__(self, reader: asyncio.StreamReader, line: WayBack, hearer: Hearer) -> None:
        self._reader = reader
        self._line = line
        self._hearer = hearer
        self._loop = asyncio.get_running_loop()
        self._decoder = EventDecoder()
        self._heard_at = self._loop.time()
        self._speed = Allowance(FAST_SECONDS, FAST_RATE, self._heard_at)
        self._given = PcmFormat()
        self._stream: PcmStream | None = None
        self._quiet = Alarm(self._end_of_sound)
        self._word = ""
        self._asleep: int | None = None
        self._awaits_text = False
        self._nothing_said = Alarm(partial(self._tell_text, ""))
        self._pinging = Alarm(self._ping)
        self._accepting = Alarm(self._accept)
        self._is_accepted = False
        self._answers_pings = False

    # -- its life

    async def begin(self) -> SatelliteInfo:
        """What it is. Raises NoSatellite and Gone."""
        await self._send(Describe())
        try:
            async with asyncio.timeout(INFO_SECONDS):
                while True:
                    for arrived in await self._read():
                        if isinstance(arrived, Info):
                            return _satellite(arrived)
                        if isinstance(arrived, MalformedEvent) and arrived.kind == Info.kind:
                            raise NoSatellite(f"what it says of itself is not understood: {arrived.reason}")
        except TimeoutError:
            raise NoSatellite(f"it has not said in {INFO_SECONDS:.0f} s what it is") from None

    async def run(self) -> None:
        """Listen to it until it is gone. Raises Gone and NoSatellite."""
        await self._send(RunSatellite())
        self._accepting.set(self._loop.time() + ACCEPTED_SECONDS)
        self._ping()
        try:
            while True:
                for arrived in await self._read():
                    self._accept()
                    self._take(arrived)
                    await asyncio.sleep(0)  # others have their turn, however much has come at once
                left = self._speed.left(self._loop.time())
                await asyncio.sleep(max(0.0, -left / FAST_RATE))
                self._heard_at = self._loop.time()
        except asyncio.CancelledError:
            self._line.put(PauseSatellite())  # it need not send what nobody takes
            raise
        finally:
            self._end_of_sound()
            for alarm in (self._accepting, self._pinging, self._quiet, self._nothing_said):
                alarm.cancel()

    def _accept(self) -> None:
        if not self._is_accepted:
            self._is_accepted = True
            self._accepting.cancel()
            self._hearer.accepted()

    async def _read(self) -> list[Arrived]:
        try:
            async with asyncio.timeout_at(self._heard_at + UNHEARD_SECONDS if self._answers_pings else None):
                data = await self._reader.read(READ_BYTES)
        except TimeoutError:
            raise Gone(f"nothing was heard of it for {UNHEARD_SECONDS:.0f} s") from None
        except OSError as error:
            raise Gone(in_words(error), at_once=not self._is_accepted) from error
        if not data:
            raise Gone("it has closed the connection", at_once=not self._is_accepted)
        self._heard_at = self._loop.time()
        try:
            return list(self._decoder.feed(data))
        except WireError as error:
            raise NoSatellite(f"it does not speak Wyoming: {error}") from error

    def _ping(self) -> None:
        self._pinging.set(self._loop.time() + PING_SECONDS)
        self._line.put(PingEvent())

    async def _send(self, event: WyomingEvent) -> None:
        try:
            await self._line.send(event)
        except OSError as error:
            raise Gone(in_words(error) or "it does not read", at_once=not self._is_accepted) from error

    # -- what it says

    def _take(self, arrived: Arrived) -> None:
        match arrived:
            case SoundChunk(form, audio):
                self._hear(form, audio)
            case SoundStop():
                self._end_of_sound()
            case PingEvent(text):
                self._line.put(PongEvent(text))
            case PongEvent():
                self._answers_pings = True
            case Detection(name):
                self._word = name or ""
            case RunPipeline():
                self._begin(arrived)
            case MalformedEvent(kind, reason):
                self._line.put(ErrorReport(f"{kind}: {reason}"[:MOST_TEXT], "malformed"))
            case _:  # what it tells everybody, or what we do not know
                pass

    def _begin(self, pipeline: RunPipeline) -> None:
        """Another stretch of sound; behind its wake word, if it says that speech follows at once."""
        self._end_of_sound()
        if pipeline.start_stage == "asr":
            self._hearer.woken(pipeline.wake_word_name or self._word)
            self._awaits_text = True
            self._nothing_said.cancel()
            self._nothing_said.set(self._loop.time() + NOTHING_SAID_SECONDS)
        self._word = ""

    def _hear(self, form: SoundForm, audio: bytes) -> None:
        pcm = self._made_canonical(form, audio)
        self._speed.spend(len(pcm) / 2 / SAMPLE_RATE)
        self._hand_on(pcm)
        self._quiet.cancel()
        self._quiet.set(self._loop.time() + QUIET_SECONDS)

    def _made_canonical(self, form: SoundForm, audio: bytes) -> bytes:
        try:
            given = PcmFormat.of_width(form.rate, form.width, form.channels)
        except UnknownPcm as error:
            raise NoSatellite(f"its sound is of no use: {error}") from error
        if self._stream is None or given != self._given:
            self._given, self._stream = given, PcmStream(given)
        return self._stream.feed(audio)

    def _hand_on(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), PIECE_BYTES):
            self._hearer.hear(pcm[start : start + PIECE_BYTES])

    def _end_of_sound(self) -> None:
        if self._stream is not None:
            self._hand_on(self._stream.finish())
            self._stream = None
        self._hearer.hush()

    # -- what it is told

    def began_to_speak(self) -> None:
        """Somebody in front of it speaks."""
        self._nothing_said.cancel()
        self._line.put(VoiceStarted())

    def told(self, told: FromGateway) -> None:
        """What the gateway tells its device."""
        match told:
            case Status(header=header, status=status):
                self._status(header.stream, status)
            case TranscriptText(text=text):
                self._tell_text(text)
            case Reply(text=text, final=True, error=error, fallback=fallback):
                self._reply(text, failed=error or fallback)
            case _:
                pass

    def _status(self, stream: int, status: DeviceStatus) -> None:
        was_asleep = self._asleep == stream
        self._asleep = stream if status is DeviceStatus.IDLE else None
        match status:
            case DeviceStatus.LISTENING if was_asleep:
                self._line.put(Detection())  # the gateway has heard the wake word
            case DeviceStatus.TRANSCRIBING:
                self._awaits_text = True
                self._line.put(VoiceStopped())
            case DeviceStatus.ERROR:
                self._tell_text("")
            case _:
                pass

    def _tell_text(self, text: str) -> None:
        self._nothing_said.cancel()
        if self._awaits_text or text:
            self._awaits_text = False
            self._line.put(TranscriptResult(text[:MOST_TEXT]))

    def _reply(self, text: str, *, failed: bool) -> None:
        """It speaks no text of its own accord; what it does with one, a command in its settings says."""
        if failed:
            self._line.put(ErrorReport(text[:MOST_TEXT], "not-answered"))
        elif text:
            self._line.put(Synthesize(text[:MOST_TEXT]))


def _satellite(info: Info) -> SatelliteInfo:
    if info.satellite is None:
        raise NoSatellite("it is no satellite")
    return info.satellite
