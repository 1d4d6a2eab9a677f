"""What a simulated device and its user see: reports, and the course of one utterance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeAlias

from firmware_bridge.link.events import DeviceStatus
from firmware_bridge.link.frames import FaultCode, Reply, TranscriptText

# What a simulated device reports. ``at`` is the event loop's time, in seconds.


@dataclass(frozen=True, slots=True)
class WireChanged:
    """The device's wire came up or broke."""

    device_id: str
    at: float
    up: bool


@dataclass(frozen=True, slots=True)
class WireMissing:
    """There is no wire (yet), and why; it is tried again."""

    device_id: str
    at: float
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Linked:
    """The gateway welcomed the device."""

    device_id: str
    at: float


@dataclass(frozen=True, slots=True)
class StreamBegan:
    """The device begins to speak."""

    device_id: str
    at: float
    stream: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The last sample of speech was recorded (silence may follow)."""

    device_id: str
    at: float
    stream: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StatusShown:
    """The gateway said what the device may show."""

    device_id: str
    at: float
    stream: int
    status: DeviceStatus


@dataclass(frozen=True, slots=True)
class PartialShown:
    """What was understood so far; its beginning, ``stable``, will not change any more."""

    device_id: str
    at: float
    stream: int
    text: str
    stable: str = ""


@dataclass(frozen=True, slots=True)
class TranscriptShown:
    """What was understood."""

    device_id: str
    at: float
    stream: int
    correlation_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ReplyShown:
    """The answer, as far as it has come, in place of what was shown of it; ``final``: all of it."""

    device_id: str
    at: float
    stream: int
    correlation_id: str
    text: str
    final: bool
    fallback: bool
    error: bool


@dataclass(frozen=True, slots=True)
class FaultShown:
    """The gateway refused something."""

    device_id: str
    at: float
    code: FaultCode
    message: str


Report: TypeAlias = (
    WireChanged
    | WireMissing
    | Linked
    | StreamBegan
    | SpeechEnded
    | StatusShown
    | PartialShown
    | TranscriptShown
    | ReplyShown
    | FaultShown
)


@dataclass(slots=True)
class SpokenUtterance:
    """One utterance as its speaker saw it; times as in reports, None: it did not come."""

    stream: int
    stopped_at: float | None = None
    status: DeviceStatus | None = None
    status_at: float | None = None
    """The first status after the end of speech."""
    correlation_id: str = ""
    transcript: str | None = None
    transcript_at: float | None = None
    reply: str | None = None
    reply_at: float | None = None
    fallback: bool = False
    error: bool = False
    overrun_frames: int = 0
    """Frames that did not fit into the device's ring."""


class SpokenStream:
    """One stream that is spoken or waits for its answer."""

    def __init__(self, stream: int) -> None:
        self.utterance = SpokenUtterance(stream)
        self.heard_out = asyncio.Event()
        """The gateway has found the end of the speech."""
        self.answered = asyncio.Event()
        self.is_lost = False

    def lose(self) -> None:
        """The device restarts: nobody waits for an answer to this any more."""
        self.is_lost = True
        self.answered.set()

    def show_status(self, status: DeviceStatus, now: float) -> None:
        """The gateway said what it is doing."""
        utterance = self.utterance
        if status not in (DeviceStatus.LISTENING, DeviceStatus.BUSY):
            self.heard_out.set()
        if utterance.stopped_at is not None and utterance.status_at is None:
            utterance.status, utterance.status_at = status, now

    def show_transcript(self, frame: TranscriptText, now: float) -> None:
        """The gateway said what it understood."""
        self.heard_out.set()
        utterance = self.utterance
        utterance.correlation_id = frame.correlation_id
        utterance.transcript, utterance.transcript_at = frame.text, now

    def show_reply(self, reply: Reply, now: float) -> None:
        """The answer, with all of its text so far."""
        utterance = self.utterance
        utterance.reply, utterance.reply_at = reply.text, now
        utterance.fallback, utterance.error = reply.fallback, reply.error
        if reply.final:
            self.answered.set()
