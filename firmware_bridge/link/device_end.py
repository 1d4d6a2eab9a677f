"""The device's end of a link: the reference the C client and the simulator are held to. No I/O.

It keeps what it sent in a ring until the gateway calls it durable. Its owner feeds
:meth:`DeviceEnd.receive`, calls :meth:`DeviceEnd.tick` when :meth:`DeviceEnd.next_deadline` has
come, and after every call writes :meth:`DeviceEnd.outgoing` to the carrier.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from firmware_bridge.link.events import NoticeKind
from firmware_bridge.link.frames import (
    MAX_PAYLOAD,
    Ack,
    Audio,
    AudioStart,
    AudioStop,
    Challenge,
    Codec,
    DeviceFrame,
    Fault,
    FaultCode,
    Fetch,
    Header,
    Hello,
    Image,
    Log,
    Notice,
    Offer,
    Partial,
    Ping,
    Pong,
    Reply,
    Status,
    TranscriptText,
    Update,
    UpdateReason,
    UpdateState,
    Welcome,
    numbered_down,
    proof_of,
)
from firmware_bridge.link.framing import FrameRejected
from firmware_bridge.link.repeats import Repeats
from firmware_bridge.link.reply_texts import ReplyTexts
from firmware_bridge.link.states import DEVICE_TABLE, DeviceEndEvent, DeviceState, LinkStateError
from firmware_bridge.link.window import InOrderWindow, ReceiveWindow, SendWindow, distance

__all__ = ["DeviceCounters", "DeviceEnd", "DeviceState", "FromGateway", "LinkStateError"]

DOWN_CREDIT: Final = 32
"""Numbered frames the device takes ahead, and may have to put in order."""
DOWN_RING: Final = 256
"""The most frames a gateway keeps for a device; further off, its numbering is a new one."""
MAX_STREAMS: Final = 4
"""Streams that may be open at a time."""
MAX_BEST_EFFORT: Final = 16
"""LOG, FAULT and PONG frames that may wait for outgoing(); the newest are dropped."""
HELLO_AGAIN: Final = 0.25
"""Seconds until HELLO is said again; doubles up to HELLO_AGAIN_MAX."""
HELLO_AGAIN_MAX: Final = 8.0
ANSWERED_WITHIN: Final = 60_000
"""Milliseconds: what answers a HELLO from longer ago is a late one, however long the greeting has been going on."""
REFUSED_PAUSE: Final = 10.0
"""Seconds until a refused device says HELLO again."""
STOPPED_PAUSE: Final = 1.0
"""The same after SHUTTING_DOWN: the gateway is restarted more often than it is switched off."""
PING_IDLE: Final = 5.0
"""Seconds without anything sent until PING."""
PING_BLOCKED: Final = 1.0
"""The same, while frames wait for credit: the ACK that gave it may be lost."""
UNHEARD: Final = 15.0
"""Seconds without a word of the gateway until HELLO."""


_REFUSALS: Final = frozenset(
    {
        FaultCode.UNSUPPORTED_VERSION,
        FaultCode.DUPLICATE_ID,
        FaultCode.BAD_ID,
        FaultCode.REFUSED,
        FaultCode.SHUTTING_DOWN,
    }
)
_MASK: Final = 0xFFFFFFFF
_Inbox: TypeAlias = ReceiveWindow[DeviceFrame | FrameRejected] | InOrderWindow[DeviceFrame | FrameRejected]


@dataclass(slots=True)
class DeviceCounters:
    """What the device's end has seen so far."""

    overrun_frames: int = 0
    overrun_samples: int = 0
    sent: int = 0
    resent: int = 0
    received: int = 0
    duplicates: int = 0
    repeated: int = 0
    ignored: int = 0
    dropped: int = 0
    """LOG, PONG and others that are said once and found no room."""


@dataclass(slots=True)
class _Stream:
    end_on_silence: bool
    position: int = 0


FromGateway: TypeAlias = Welcome | Status | Partial | TranscriptText | Reply | Fault | Offer | Image
"""What concerns the device's user; STATUS, TRANSCRIPT and REPLY in order, each once, also over a
restart of the gateway."""


class DeviceEnd:
    """One device, from power-on: its numbering, ring, streams and greeting."""

    def __init__(
        self,
        device_id: str,
        *,
        boot: int,
        ring_frames: int,
        firmware: str = "",
        wants_partials: bool = False,
        wants_pieces: bool = False,
        first_sequence: int = 0,
        max_payload: int = MAX_PAYLOAD,
        credit: int = DOWN_CREDIT,
        keeps_early: bool = True,
        kind: str = "",
        key: bytes = b"",
        takes_images: bool = False,
    ) -> None:
        """``ring_frames`` 0: nothing is kept; what cannot go out at once is overrun. ``max_payload``: it takes.

        ``credit``: numbered frames that it takes ahead, ``DOWN_CREDIT`` at most. ``keeps_early``: those that come
        before their turn are kept; without it they are asked for again, as a client with little memory does.
        ``key``: proves to a gateway that asks for it who this is. ``kind``, ``takes_images``: see Hello.
        """
        self.device_id = device_id
        self.boot = boot
        self.state = DeviceState.OFFLINE
        self.link = 0
        """The nonce of the link, once linked."""
        self.firmware, self.kind = firmware, kind
        self._max_payload = max_payload
        self._wants_partials = wants_partials
        self._wants_pieces = wants_pieces
        self._credit = min(credit, DOWN_CREDIT)
        self.replies = ReplyTexts(pieces=wants_pieces)
        """What to show of the replies that ``receive`` returns."""
        self._key, self._takes_images = key, takes_images
        self._proof = ""
        self._ring: SendWindow[DeviceFrame] = SendWindow(ring_frames, first_sequence)
        self._keeps_early = keeps_early
        self._inbox = self._receiving(0)
        self._duplicates_before = 0
        self._repeats = Repeats()
        self._durable = first_sequence
        self._streams: dict[int, _Stream] = {}
        self._last_stream = 0
        self._waiting: deque[AudioStart | AudioStop] = deque()
        self._best_effort: list[DeviceFrame] = []
        self._counters = DeviceCounters()
        self._now = 0.0
        self._greeting_since = 0
        self._hello_at = 0.0
        self._patience = HELLO_AGAIN
        self._heard_at = 0.0
        self._sent_at = 0.0

    @property
    def counters(self) -> DeviceCounters:
        """What this end has seen so far."""
        self._counters.duplicates = self._duplicates_before + self._inbox.duplicates
        self._counters.resent = self._ring.resent
        self._counters.repeated = self._repeats.dropped
        return self._counters

    @property
    def unacknowledged(self) -> int:
        """Frames the gateway has not acknowledged yet, waiting ones included."""
        return len(self._waiting) + distance(self._ring.acknowledged, self._ring.next)

    # -- the user's side

    def start_stream(self, *, end_on_silence: bool = True) -> int:
        """Begin a stretch of audio; returns its number.

        Raises LinkStateError beyond MAX_STREAMS, those included that wait for room as a whole.
        """
        if max(len(self._streams), len(self._waiting) // 2) >= MAX_STREAMS:
            raise LinkStateError(f"{MAX_STREAMS} streams are open or waiting already")
        number = self._last_stream = self._last_stream % 0xFFFF + 1
        self._streams[number] = _Stream(end_on_silence)
        self._keep_in_order(AudioStart(Header(stream=number), end_on_silence))
        return number

    def audio(self, stream: int, payload: bytes, samples: int, codec: Codec = Codec.PCM16) -> bool:
        """The next ``samples`` of a stream, coded. False: overrun, the stream has a hole there."""
        state = self._stream(stream)
        header = Header(stream=stream, timestamp=state.position & _MASK)
        state.position += samples
        if self._append(Audio(header, codec, payload, state.end_on_silence)):
            return True
        self._counters.overrun_samples += samples
        return False

    def skip(self, stream: int, samples: int) -> None:
        """So many samples of a stream were lost before they came here: a hole, counted as an overrun."""
        self._stream(stream).position += samples
        self._counters.overrun_samples += samples

    def stop_stream(self, stream: int) -> None:
        """The stream is over; never overrun, waits for room."""
        state = self._stream(stream)
        del self._streams[stream]
        self._keep_in_order(AudioStop(Header(stream=stream, timestamp=state.position & _MASK)))

    def notice(self, kind: NoticeKind, value: int = 0, text: str = "", stream: int = 0) -> bool:
        """Report a button, wake word or level. False: no room, counted."""
        return self._append(Notice(self._unnumbered()._replace(stream=stream), kind, value, text))

    def log(self, level: int, text: str) -> None:
        """Send a line of the log, best effort."""
        self._say(Log(self._unnumbered(), level, text))

    def ping(self) -> None:
        """Acknowledge what came, at once, and have the gateway answer with PONG; best effort."""
        self._say(Ping(self._unnumbered()))

    @property
    def is_quiet(self) -> bool:
        """Whether nobody speaks, and the gateway has all frames."""
        return not self._streams and not self.unacknowledged

    def fetch(self, image: int, offset: int, length: int) -> None:
        """Ask for a part of the image that was offered, best effort."""
        self._say(Fetch(self._unnumbered(), image, offset, length))

    def update(self, state: UpdateState, reason: UpdateReason, image: int, offset: int) -> None:
        """Tell how far an image has come, best effort."""
        self._say(Update(self._unnumbered(), state, reason, image, offset))

    # -- the carrier's side

    def hello(self, now: float) -> None:
        """A carrier is there: say HELLO until welcomed."""
        self._now = now
        self._greet(DeviceEndEvent.CARRIER)

    def carrier_lost(self) -> None:
        """The carrier is gone; the ring goes on filling until hello()."""
        self._move(DeviceEndEvent.CARRIER_LOST)
        self._ring.pause()
        self._best_effort.clear()

    def receive(self, frame: DeviceFrame | FrameRejected, now: float) -> list[FromGateway]:
        """Take what the decoder yielded; returns what concerns the user."""
        self._now = now
        header = frame.header
        if isinstance(frame, Welcome):
            return self._welcomed(frame)
        if isinstance(frame, Fault):
            return self._faulted(frame)
        if isinstance(frame, Challenge):
            return self._challenged(frame)
        if header is None or self.state is not DeviceState.LINKED or header.link != self.link:
            self._counters.ignored += 1
            return []
        return self._on_the_link(header, frame)

    def _on_the_link(self, header: Header, frame: DeviceFrame | FrameRejected) -> list[FromGateway]:
        self._heard_at = self._now
        self._ring.acknowledge(header.acknowledge, header.credit, self._now)
        self._flush()
        type_byte = frame.type_byte if isinstance(frame, FrameRejected) else frame.TYPE
        if type_byte is not None and numbered_down(type_byte):
            return self._in_order(header.sequence, frame)
        if isinstance(frame, Partial | Offer | Image):
            return [frame]
        if isinstance(frame, Ack):
            self._acknowledged(frame)
        elif isinstance(frame, Ping):
            self._say(Pong(header))
        return []

    def tick(self, now: float) -> None:
        """Do what is due: HELLO or PING again, acknowledge, resend."""
        self._now = now
        if self.state is DeviceState.REFUSED and now >= self._hello_at:
            self._greet(DeviceEndEvent.WAITED)
        elif self.state is DeviceState.LINKED:
            if now >= self._heard_at + UNHEARD:
                self._greet(DeviceEndEvent.UNHEARD)
            elif not self._ring.tick(now):
                self._inbox.acknowledge_by(now)  # it is gone: the ACK says what is still held
            elif now >= self._ping_at():
                self._say(Ping(self._unnumbered()))

    def next_deadline(self, now: float) -> float | None:
        """When to call tick() next; None while offline."""
        if self.state is DeviceState.OFFLINE:
            return None
        if self.state is not DeviceState.LINKED:
            return max(now, self._hello_at)
        deadlines = (
            self._heard_at + UNHEARD,
            self._ping_at(),
            self._ring.resend_at,
            self._inbox.acknowledge_at,
            self._inbox.ask_at,
        )
        return max(now, min(deadline for deadline in deadlines if deadline is not None))

    def outgoing(self) -> list[DeviceFrame]:
        """The frames to put on the wire now, in order, within the gateway's credit. Drains."""
        if self.state is DeviceState.GREETING and self._now >= self._hello_at:
            self._hello_at = self._now + self._patience
            self._patience = min(2 * self._patience, HELLO_AGAIN_MAX)
            if (self._milliseconds() - self._greeting_since) & _MASK > ANSWERED_WITHIN:
                self._greeting_since = (self._milliseconds() - ANSWERED_WITHIN) & _MASK
            hello, self._proof = self._hello(), ""
            return [hello]
        if self.state is not DeviceState.LINKED:
            return []
        self._flush()
        out: list[DeviceFrame] = []
        for sequence, resent, frame in self._ring.take(self._now):
            self._counters.sent += 1
            out.append(replace(frame, header=self._stamped(frame.header, sequence=sequence, resent=resent)))
        out += [replace(frame, header=self._stamped(frame.header)) for frame in self._best_effort]
        self._best_effort.clear()
        missing = self._inbox.ask(self._now)
        due = self._inbox.acknowledge_at
        if missing or (due is not None and due <= self._now):
            out.append(Ack(self._stamped(self._unnumbered()), self._ring.oldest, missing))
        if out:
            self._sent_at = self._now
            self._inbox.acknowledged()
        return out

    # -- inside

    def _move(self, event: DeviceEndEvent) -> None:
        state = DEVICE_TABLE.get((self.state, event))
        if state is None:
            raise LinkStateError(f"{event.value} while {self.state.value}, device {self.device_id}")
        self.state = state

    def _greet(self, event: DeviceEndEvent) -> None:
        self._move(event)
        self._ring.pause()
        self._hello_at = self._now
        self._patience = HELLO_AGAIN
        self._greeting_since = self._milliseconds()

    def _hello(self) -> Hello:
        ring = self._ring
        return Hello(
            Header(credit=self._credit, acknowledge=self._inbox.expected, timestamp=self._milliseconds()),
            self.device_id,
            self.boot,
            self.firmware,
            ring.capacity,
            ring.next,
            ring.oldest,
            self._durable,
            self._max_payload,
            self._wants_partials,
            self._wants_pieces,
            self._takes_images,
            self.kind,
            self._proof,
        )

    def _receiving(self, expected: int) -> _Inbox:
        if self._keeps_early:
            return ReceiveWindow(expected, DOWN_CREDIT)
        return InOrderWindow(expected, DOWN_RING)

    def _challenged(self, frame: Challenge) -> list[FromGateway]:
        """Say HELLO again, at once, with the proof. Without a key a HELLO says no more than before."""
        early = distance(self._greeting_since, frame.header.timestamp) < 0
        if self.state is not DeviceState.GREETING or frame.boot != self.boot or early or not self._key:
            self._counters.ignored += 1
            return []
        self._proof = proof_of(self._key, frame, self.device_id)
        self._hello_at = self._now
        return []

    def _welcomed(self, frame: Welcome) -> list[FromGateway]:
        """Go on from where the gateway says, unless the WELCOME is another's or an old one."""
        early = distance(self._greeting_since, frame.header.timestamp) < 0
        if self.state is not DeviceState.GREETING or frame.boot != self.boot or early:
            self._counters.ignored += 1
            return []
        if distance(frame.resume_from, self._ring.next) < 0:
            # The gateway has had more of this boot than there is: the number was drawn before.
            self.boot = random.getrandbits(32)
            self._hello_at = self._now
            return []
        self._move(DeviceEndEvent.WELCOME)
        is_another = not 0 <= distance(frame.down_next, self._inbox.expected) <= DOWN_RING
        if is_another or self.link != frame.header.link:
            self.replies.forget()
        self.link = frame.header.link
        self._heard_at = self._sent_at = self._now
        self._ring.rewind(frame.resume_from, frame.header.credit)
        if is_another:
            self._duplicates_before += self._inbox.duplicates
            self._inbox = self._receiving(frame.down_next)  # of the gateway: it numbers anew
        self._flush()
        return [frame]

    def _faulted(self, frame: Fault) -> list[FromGateway]:
        """Only what answers this device counts: its link, or while greeting its boot."""
        header = frame.header
        linked = self.state is DeviceState.LINKED and header.link == self.link
        greeting = (
            self.state is DeviceState.GREETING and not header.link and header.timestamp in (self.boot, 0)
        )
        if not linked and not greeting:
            self._counters.ignored += 1
            return []
        if frame.code is FaultCode.SAY_HELLO and linked:
            self._greet(DeviceEndEvent.SAY_HELLO)
        elif frame.code in _REFUSALS:
            self._move(DeviceEndEvent.REFUSAL)
            self._ring.pause()
            stopped = frame.code is FaultCode.SHUTTING_DOWN
            self._hello_at = self._now + (STOPPED_PAUSE if stopped else REFUSED_PAUSE)
        return [frame]

    def _acknowledged(self, frame: Ack) -> None:
        """What is durable may be forgotten, what is missing goes again as far as it is held."""
        if distance(self._durable, frame.durable) > 0:
            self._durable = frame.durable
            self._ring.forget(frame.durable)
        if not self._ring.request(frame.missing):
            self._inbox.acknowledge_by(self._now)

    def _in_order(self, sequence: int, frame: DeviceFrame | FrameRejected) -> list[FromGateway]:
        frames = self._inbox.accept(sequence, frame, self._now)
        self._counters.received += len(frames)
        told = [one for one in frames if isinstance(one, Status | TranscriptText | Reply)]
        return [one for one in told if self._repeats.is_new(one)]

    def _stream(self, number: int) -> _Stream:
        stream = self._streams.get(number)
        if stream is None:
            raise LinkStateError(f"stream {number} is not open")
        return stream

    def _keep_in_order(self, frame: AudioStart | AudioStop) -> None:
        """A start or a stop is never overrun: it waits, and so does all after it."""
        self._waiting.append(frame)
        self._flush()

    def _append(self, frame: Audio | Notice) -> bool:
        self._flush()
        if self._waiting or self._ring.room <= 0:
            self._counters.overrun_frames += 1
            return False
        self._ring.append(frame)
        return True

    def _flush(self) -> None:
        while self._waiting and self._ring.room > 0:
            self._ring.append(self._waiting.popleft())

    def _say(self, frame: DeviceFrame) -> None:
        if len(self._best_effort) < MAX_BEST_EFFORT:
            self._best_effort.append(frame)
        else:
            self._counters.dropped += 1

    def _ping_at(self) -> float:
        return self._sent_at + (PING_BLOCKED if self._ring.blocked else PING_IDLE)

    def _milliseconds(self) -> int:
        return int(self._now * 1000) & _MASK

    def _unnumbered(self) -> Header:
        return Header(timestamp=self._milliseconds())

    def _stamped(self, header: Header, *, sequence: int = 0, resent: bool = False) -> Header:
        return header._replace(
            link=self.link,
            credit=self._credit,
            sequence=sequence,
            acknowledge=self._inbox.expected,
            resent=resent,
        )
