"""What the links tell their owner: plain facts about named devices, in order.

Everything here is immutable and knows no I/O. A device is named by ``device_id``; ``boot`` is the
random number it drew at power-on, and ``stream`` the cheap number it gave one stretch of audio, so
``(device_id, boot, stream)`` names a stretch of audio for ever. Audio is always PCM16
little-endian, mono, 16 kHz here, whatever the wire carried; positions are counted in its samples
from the start of the stream.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

SAMPLE_RATE = 16_000


class DeviceStatus(enum.IntEnum):
    """What a device may show its user (the STATUS frame's code)."""

    IDLE = 0
    LISTENING = 1
    TRANSCRIBING = 2
    THINKING = 3
    BUSY = 4
    ERROR = 5


class NoticeKind(enum.IntEnum):
    """What an EVENT frame reports."""

    BUTTON = 1
    WAKE_WORD = 2
    LEVEL = 3


@dataclass(frozen=True, slots=True)
class DeviceConnected:
    """A device has said HELLO and was welcomed.

    ``resumed`` is true when the same boot was known already (a cable replugged, a broker
    restarted, the other carrier taken): its streams go on. ``lost_frames`` is what its ring had
    overwritten in between. ``kind``: which firmware images are for it; ``max_payload``: it takes.
    """

    device_id: str
    boot: int
    link: str
    firmware: str
    ring_frames: int
    wants_partials: bool
    resumed: bool
    lost_frames: int
    kind: str = ""
    takes_images: bool = False
    max_payload: int = 2048


@dataclass(frozen=True, slots=True)
class DeviceDisconnected:
    """A device's carrier is gone or it fell silent. Its streams may still be resumed.

    ``moved_to``: the gateway at which it is now; empty: it is at none that is known.
    """

    device_id: str
    boot: int
    reason: str
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """A device begins a stretch of audio.

    ``end_on_silence`` false means push-to-talk: only the device's own stop (or the maximum
    length) ends the utterance. ``begun`` is the number of its AUDIO_START, the same when that comes
    again after a restart of the gateway; None: the stream is first heard in the middle.
    """

    device_id: str
    boot: int
    stream: int
    end_on_silence: bool
    begun: int | None = None


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """The next audio of a stream, in order, each sample exactly once.

    ``position`` is the stream position of ``pcm``'s first sample. ``lost_samples`` is the hole
    right before it that the device's ring no longer held (0 almost always).
    """

    device_id: str
    boot: int
    stream: int
    position: int
    pcm: bytes
    lost_samples: int = 0


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The device ended the stream itself (button released, its own endpointing).

    ``lost_samples`` is a hole at the very end of the stream, as in :class:`AudioReceived`.
    """

    device_id: str
    boot: int
    stream: int
    lost_samples: int = 0


@dataclass(frozen=True, slots=True)
class DeviceNotice:
    """A button, a wake word, a level: ``text`` is its UTF-8 detail, ``value`` its number."""

    device_id: str
    boot: int
    kind: NoticeKind
    value: int
    text: str


@dataclass(frozen=True, slots=True)
class RecordingFaulty:
    """What a device records cannot be understood as it is; ``reason`` follows its name. Empty: it can (again)."""

    device_id: str
    boot: int
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class DeviceLog:
    """Text a device printed: a LOG frame, or bytes outside frames on a serial line.

    ``device_id`` is None before the first HELLO on that line. ``level``: syslog severity, 0 to 7.
    """

    device_id: str | None
    link: str
    text: str
    level: int = 6


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A carrier (a serial port, an MQTT connection) came up, went away, or works badly.

    ``reason`` says why it is down and ``remedy`` what to do about it; both empty when it is up and well. ``passing``:
    it was found by a pattern and is not there any more, so that nobody misses it but the device that was on it.
    """

    link: str
    up: bool
    reason: str = ""
    remedy: str = ""
    passing: bool = False


@dataclass(frozen=True, slots=True)
class HelloRefused:
    """A device said HELLO and was not taken on. ``device_id`` is empty where that could not be read."""

    device_id: str
    link: str
    code: int
    """The FAULT's code."""
    reason: str
    remedy: str = ""
    """What people can do about it, where it is no matter of the code alone."""


@dataclass(frozen=True, slots=True)
class ImageAsked:
    """A device asks for a part of a firmware image; ``image``, ``offset`` and ``length`` are as it says."""

    device_id: str
    boot: int
    image: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class ImageTold:
    """A device tells how far it has come with a firmware image. ``state`` and ``reason``: as in UPDATE."""

    device_id: str
    boot: int
    image: int
    state: int
    reason: int
    offset: int
    text: str


LinkEvent: TypeAlias = (
    DeviceConnected
    | DeviceDisconnected
    | StreamStarted
    | AudioReceived
    | StreamStopped
    | DeviceNotice
    | RecordingFaulty
    | DeviceLog
    | LinkChanged
    | HelloRefused
    | ImageAsked
    | ImageTold
)
