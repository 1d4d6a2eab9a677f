"""The audio of one device: open streams, their positions and codecs, and what of it is durable.

Gets the device's frames in order, each once, and turns them into events. No I/O.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from firmware_bridge.link.clock_drift import ClockDrift
from firmware_bridge.link.codecs import CodecError, Decoder, decoder_for
from firmware_bridge.link.events import (
    AudioReceived,
    LinkEvent,
    RecordingFaulty,
    StreamStarted,
    StreamStopped,
)
from firmware_bridge.link.frames import Audio, AudioStart, AudioStop, Codec
from firmware_bridge.link.recording_faults import RecordingFault, RecordingFaults
from firmware_bridge.link.window import distance

MAX_OPEN_STREAMS: Final = 8
"""Streams one device may have open; one more ends the oldest."""
MAX_STREAMS: Final = 64
"""Streams remembered until their audio is durable."""
MAX_UNSETTLED: Final = 16_384
"""Frames remembered until they are durable (a device's ring rarely holds more)."""
STOP_LOST: Final = 2.0
"""Seconds without audio after which a stream that lost frames has lost its stop too."""

QUIET_SECONDS: Final = 0.3
"""Whoever had sent nothing for so long, and could have, begins a stream as it is spoken."""

_MASK: Final = 0xFFFFFFFF


@dataclass(slots=True, eq=False)
class _Stream:
    """``end``: the position expected next, not wrapped. ``settled``: audio before it is durable."""

    number: int
    end: int
    heard_at: float
    faults: RecordingFaults
    settled: int = -1
    stopped: bool = False
    frames_lost: bool = False
    codec: Codec | None = None
    decoder: Decoder | None = None
    drift: ClockDrift = field(default_factory=ClockDrift)


class AudioStreams:
    """The streams of one boot of one device.

    ``first``: the number of the first frame that will come; :attr:`durable` starts there.
    ``on_bad_audio`` hears of audio that cannot be decoded; its samples become part of a hole.
    """

    def __init__(
        self, device_id: str, boot: int, *, first: int, ring_frames: int, on_bad_audio: Callable[[str], None]
    ) -> None:
        self.durable = first
        """Every frame before this number is durable or not needed any more."""
        self._device_id = device_id
        self._boot = boot
        self._on_bad_audio = on_bad_audio
        self._streams: dict[int, _Stream] = {}
        self._unsettled: deque[tuple[int, _Stream | None, int]] = deque()
        self._most_unsettled = max(1, min(ring_frames, MAX_UNSETTLED))
        self._heard_any = False
        self._lost_any = False
        self._drift_ppm: float | None = None
        self._fault: RecordingFault | None = None
        self._sent_at = -math.inf
        self._is_behind = False

    def greeted(self, now: float) -> None:
        """The device may send what it has kept."""
        self._sent_at = now

    def given_credit(self) -> None:
        """The device had to keep what it recorded, and may send it from now on."""
        self._is_behind = True

    def start(self, frame: AudioStart, now: float) -> list[LinkEvent]:
        """AUDIO_START; a number that is still open is ended first."""
        number = frame.header.stream
        stream = self._streams.get(number)
        events: list[LinkEvent] = self._end(stream) if stream and not stream.stopped else []
        begun = frame.header.sequence
        is_live = not self._is_behind and now - self._sent_at >= QUIET_SECONDS
        events += self._open(
            number,
            frame.header.timestamp,
            now,
            end_on_silence=frame.end_on_silence,
            begun=begun,
            is_live=is_live,
        )
        self._sent_at, self._is_behind = now, False
        self.passed(frame.header.sequence)
        return events

    def audio(self, frame: Audio, now: float) -> list[LinkEvent]:
        """AUDIO, of a stream that need not have been started: its start may be lost or long ago."""
        header = frame.header
        stream = self._streams.get(header.stream)
        events: list[LinkEvent] = []
        if stream is None or stream.stopped:
            begin = self._begin(stream, header.timestamp)
            events = self._open(header.stream, begin, now, end_on_silence=frame.end_on_silence)
            stream = self._streams[header.stream]
        self._heard_any = True
        stream.heard_at = self._sent_at = now
        stream.frames_lost = False
        lost = distance(stream.end & _MASK, header.timestamp)
        try:
            pcm = self._decode(stream, frame, lost)
        except CodecError as error:
            self._on_bad_audio(str(error))
            self.passed(header.sequence)
            return events
        position = stream.end + lost
        stream.end = position + len(pcm) // 2
        stream.drift.heard(stream.end, now)
        self._remember(header.sequence, stream)
        events.append(AudioReceived(self._device_id, self._boot, header.stream, position, pcm, lost))
        stream.faults.look(pcm, frame.codec, stream.drift)
        if stream.faults.fault is not self._fault:
            events += self._judge(stream.faults)
        return events

    def stop(self, frame: AudioStop, now: float) -> list[LinkEvent]:
        """AUDIO_STOP; its timestamp tells of a hole at the end."""
        header = frame.header
        stream = self._streams.get(header.stream)
        events: list[LinkEvent] = []
        if stream is None or stream.stopped:
            begin = self._begin(stream, header.timestamp)
            events = self._open(header.stream, begin, now, end_on_silence=False)
            stream = self._streams[header.stream]
        lost = max(0, distance(stream.end & _MASK, header.timestamp))
        stream.end += lost
        events += self._end(stream, lost)
        self._remember(header.sequence, stream)
        return events

    @property
    def drift_ppm(self) -> float | None:
        """How fast the device's clock is, by the last of its streams that was long enough; None: none was."""
        for stream in reversed(self._streams.values()):
            if (ppm := stream.drift.ppm) is not None:
                return ppm
        return self._drift_ppm

    def _judge(self, faults: RecordingFaults) -> list[LinkEvent]:
        """What is wrong with what it records, once each time that this changes."""
        fault = faults.fault
        if fault == self._fault or (fault is None and not faults.is_fine):
            return []
        self._fault = fault
        reason, remedy = ("", "") if fault is None else (fault.reason, fault.remedy)
        return [RecordingFaulty(self._device_id, self._boot, reason, remedy)]

    def passed(self, sequence: int) -> None:
        """A frame that is durable by having been received: everything that is not audio."""
        self._heard_any = True
        if self._unsettled:
            self._remember(sequence, None)
        else:
            self.durable = (sequence + 1) & _MASK

    def lost(self) -> None:
        """Frames were given up: the stop of any open stream may be among them."""
        self._lost_any = True
        for stream in self._streams.values():
            stream.frames_lost = not stream.stopped

    def settle(self, number: int, position: int) -> bool:
        """Audio of stream ``number`` before ``position`` is durable. True: so are more frames."""
        stream = self._streams.get(number)
        if stream is None or position <= stream.settled:
            return False
        stream.settled = position
        before = self.durable
        self._advance()
        return self.durable != before

    def tick(self, now: float) -> list[LinkEvent]:
        """End the streams whose stop must have been lost."""
        events: list[LinkEvent] = []
        for stream in list(self._streams.values()):
            if stream.frames_lost and now >= stream.heard_at + STOP_LOST:
                events += self._end(stream)
        return events

    def next_deadline(self) -> float | None:
        """When tick() has something to do."""
        waiting = [stream.heard_at for stream in self._streams.values() if stream.frames_lost]
        return min(waiting) + STOP_LOST if waiting else None

    def _begin(self, stopped: _Stream | None, timestamp: int) -> int:
        """Where a stream began whose start was not received."""
        if stopped and distance(stopped.end & _MASK, timestamp) >= 0:
            return stopped.end  # it was ended here too early
        if self._heard_any and self._lost_any:
            return 0  # it began after this end did: what came before was lost
        return timestamp  # it was under way already: what came before is not ours

    def _open(
        self,
        number: int,
        position: int,
        now: float,
        *,
        end_on_silence: bool,
        begun: int | None = None,
        is_live: bool = False,
    ) -> list[LinkEvent]:
        events: list[LinkEvent] = []
        opened = [stream for stream in self._streams.values() if not stream.stopped]
        if len(opened) >= MAX_OPEN_STREAMS:
            events = self._end(opened[0])
        self._streams.pop(number, None)
        if len(self._streams) >= MAX_STREAMS:
            del self._streams[next(iter(self._streams))]
        self._streams[number] = _Stream(number, position, now, RecordingFaults(is_live=is_live))
        return [*events, StreamStarted(self._device_id, self._boot, number, end_on_silence, begun)]

    def _end(self, stream: _Stream, lost: int = 0) -> list[LinkEvent]:
        stream.stopped = True
        stream.frames_lost = False
        stream.decoder = None
        ppm = stream.drift.ppm
        self._drift_ppm = self._drift_ppm if ppm is None else ppm
        return [StreamStopped(self._device_id, self._boot, stream.number, lost)]

    def _decode(self, stream: _Stream, frame: Audio, lost: int) -> bytes:
        if lost < 0:
            raise CodecError(f"position {frame.header.timestamp} of stream {stream.number} was had already")
        if stream.decoder is None or stream.codec is not frame.codec:
            stream.decoder = decoder_for(frame.codec)
            stream.codec = frame.codec
        return stream.decoder.decode(frame.payload)

    def _remember(self, sequence: int, stream: _Stream | None) -> None:
        if len(self._unsettled) >= self._most_unsettled:
            self._unsettled.popleft()  # the device has long overwritten it
        end = stream.end if stream else 0
        self._unsettled.append(((sequence + 1) & _MASK, stream, end))
        if stream is None or end <= stream.settled:
            self._advance()

    def _advance(self) -> None:
        """Move the durable mark over what is settled at the head."""
        unsettled = self._unsettled
        while unsettled:
            after, stream, end = unsettled[0]
            if stream is not None and end > stream.settled:
                break
            self.durable = after
            unsettled.popleft()
            if stream is not None and stream.stopped and end >= stream.end:
                self._forget(stream)

    def _forget(self, stream: _Stream) -> None:
        if self._streams.get(stream.number) is stream:
            del self._streams[stream.number]
