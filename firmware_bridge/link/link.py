"""The gateway's end of a device link: numbers, acknowledgements, resends, resume. No I/O.

Its owner feeds :meth:`GatewayEnd.receive` what a decoder yields, calls :meth:`GatewayEnd.tick` when
:meth:`GatewayEnd.next_deadline` has come, and after every call writes :meth:`GatewayEnd.outgoing`
to the carrier. Time is ``now``: seconds of a monotonic clock.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields, replace
from typing import Final

from firmware_bridge.link.events import (
    DeviceConnected,
    DeviceDisconnected,
    DeviceLog,
    DeviceNotice,
    DeviceStatus,
    ImageAsked,
    ImageTold,
    LinkEvent,
)
from firmware_bridge.link.frame_outbox import FrameOutbox
from firmware_bridge.link.frames import (
    MAX_PAYLOAD,
    Ack,
    Audio,
    AudioStart,
    AudioStop,
    DeviceFrame,
    Fault,
    FaultCode,
    Fetch,
    FrameType,
    Header,
    Hello,
    Image,
    Log,
    Notice,
    Offer,
    Ping,
    Pong,
    Reply,
    Update,
    Welcome,
    numbered_up,
)
from firmware_bridge.link.framing import FrameRejected
from firmware_bridge.link.states import GATEWAY_TABLE, GatewayEndEvent, GatewayState, LinkStateError
from firmware_bridge.link.streams import AudioStreams
from firmware_bridge.link.window import ACK_DELAY, ASK_LIMIT, ReceiveWindow, distance

__all__ = [
    "GatewayEnd",
    "GatewayState",
    "LinkCounters",
    "LinkSettings",
    "LinkStateError",
    "answer",
    "refuse",
    "say_hello",
]

FAULT_PAUSE: Final = 1.0
"""Seconds between two FAULTs of the same code to one device."""
MAX_URGENT: Final = 64
"""Unnumbered frames that may wait for outgoing(); further ones are dropped."""
MAX_IMAGES: Final = 8
"""The same of frames about firmware images, which go last."""


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """Bounds of one link.

    ``credit_frames``: frames a device may send ahead. ``outbox_frames``: frames kept for it until
    acknowledged. ``silence_seconds``: unheard for so long, it counts as disconnected.
    """

    credit_frames: int = 256
    outbox_frames: int = 256
    silence_seconds: float = 15.0
    max_payload: int = MAX_PAYLOAD


@dataclass(slots=True)
class LinkCounters:
    """What one link has seen so far."""

    received: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    lost_frames: int = 0
    rejected: int = 0
    bad_audio: int = 0
    stale: int = 0
    out_of_credit: int = 0
    sent_down: int = 0
    resent_down: int = 0
    outbox_full: int = 0

    def add(self, others: LinkCounters) -> None:
        """Count what another link has seen, too."""
        for one in fields(others):
            setattr(self, one.name, getattr(self, one.name) + getattr(others, one.name))


class GatewayEnd:
    """One boot of one device, seen from the gateway.

    After every call, :meth:`outgoing` and :meth:`next_deadline` may have something new.
    """

    def __init__(
        self, hello: Hello, *, carrier: str, settings: LinkSettings, now: float, link: int | None = None
    ) -> None:
        """``carrier``: the link's name in events. ``link``: its nonce, 1 to 255; drawn if None."""
        self.device_id = hello.device_id
        self.boot = hello.boot
        self.link: int = link or random.randint(1, 255)
        self.carrier = carrier
        self.state = GatewayState.WELCOMED
        self.heard_at = now
        self.held_since: float | None = None
        self.greeted_at = hello.header.timestamp
        """When it said HELLO last, in milliseconds since it was switched on."""
        self._settings = settings
        self._now = now
        self._credit = settings.credit_frames
        self._inbox: ReceiveWindow[DeviceFrame | FrameRejected] = ReceiveWindow(
            hello.oldest, settings.credit_frames
        )
        self._outbox = FrameOutbox(settings.outbox_frames)
        self._streams = AudioStreams(
            hello.device_id,
            hello.boot,
            first=hello.oldest,
            ring_frames=hello.ring_frames,
            on_bad_audio=self._bad_audio,
        )
        self._urgent: deque[DeviceFrame] = deque()
        self._images: deque[DeviceFrame] = deque()
        self._faulted_at: dict[FaultCode, float] = {}
        self._counters = LinkCounters(lost_frames=max(0, distance(hello.durable, hello.oldest)))
        self._greet(hello)
        self.connected = self._connected(hello, self._counters.lost_frames, resumed=False)
        """What to report for the HELLO this end was made from."""

    # -- what the owner asks

    @property
    def counters(self) -> LinkCounters:
        """What this link has seen so far."""
        counters = self._counters
        counters.duplicates = self._inbox.duplicates
        counters.out_of_order = self._inbox.out_of_order
        counters.out_of_credit = self._inbox.beyond
        counters.resent_down = self._outbox.window.resent
        counters.outbox_full = self._outbox.refused
        return counters

    @property
    def drift_ppm(self) -> float | None:
        """By how many millionths the device's clock is fast; None as long as no stream was long enough."""
        return self._streams.drift_ppm

    @property
    def credit(self) -> int:
        """Frames beyond the acknowledged ones the device may send. Set it lower when busy."""
        return self._credit

    @credit.setter
    def credit(self, frames: int) -> None:
        frames = max(0, min(frames, self._settings.credit_frames))
        if frames != self._credit:
            if frames > self._credit:
                self._streams.given_credit()
            self._credit = frames
            self._inbox.acknowledge_by(self._now)

    def next_deadline(self, now: float) -> float | None:
        """When to call tick() next; None while held or closed."""
        if not self._is_connected:
            return None
        deadlines = (
            self.heard_at + self._settings.silence_seconds,
            self._inbox.acknowledge_at,
            self._inbox.ask_at,
            self._outbox.window.resend_at,
            self._streams.next_deadline() if self._credit else None,
        )
        return max(now, min(deadline for deadline in deadlines if deadline is not None))

    def settle(self, stream: int, position: int) -> None:
        """Audio of ``stream`` before ``position`` is durable or not needed any more.

        The device may forget it. After the stream's end, settle its end position.
        """
        if self._streams.settle(stream, position):
            self._inbox.acknowledge_by(self._now + ACK_DELAY)

    # -- what happens on the wire

    def receive(self, frame: DeviceFrame | FrameRejected, now: float) -> list[LinkEvent]:
        """Take what the decoder yielded (all but Noise and HELLO); each sample comes out exactly once.

        A stale link nonce, or any frame while held, is answered with SAY_HELLO. A HELLO goes to
        :meth:`resumed`. Raises LinkStateError when closed.
        """
        if self.state is GatewayState.CLOSED:
            raise LinkStateError(f"the link of {self.device_id} is closed")
        self._now = now
        header = frame.header
        if header is None:
            self._reject(answer(frame) if isinstance(frame, FrameRejected) else None)
            return []
        if header.link != self.link or self.state is GatewayState.HELD:
            self._counters.stale += 1
            self._fault(say_hello(frame))
            return []
        if self.state is not GatewayState.OPEN:
            self._move(GatewayEndEvent.FRAME)
        self.heard_at = now
        self._outbox.acknowledge(header.acknowledge, header.credit, now)
        if isinstance(frame, FrameRejected):
            return self._take_rejected(frame, header)
        if numbered_up(frame.TYPE):
            return self._take(header.sequence, frame)
        return self._take_unnumbered(frame)

    def tick(self, now: float) -> list[LinkEvent]:
        """Do what is due: acknowledge, ask again, resend, notice silence (DeviceDisconnected)."""
        self._now = now
        if not self._is_connected:
            return []
        if now >= self.heard_at + self._settings.silence_seconds:
            return [*self._hold(GatewayEndEvent.SILENCE, f"silent for {self._settings.silence_seconds:g} s")]
        self._outbox.window.tick(now)
        events: list[LinkEvent] = []
        if self._inbox.asked >= ASK_LIMIT:
            events += self._after_loss(*self._inbox.give_up(now))
        if self._credit:
            events += self._streams.tick(now)
        return events

    def pass_time(self, now: float) -> None:
        """It is so late: what goes out next goes out then, however long nothing came in or was due."""
        self._now = now

    def outgoing(self) -> list[DeviceFrame]:
        """The frames to put on the wire now, in order. Drains."""
        out = list(self._urgent)
        self._urgent.clear()
        if not self._is_connected:
            return out
        for frame, header in self._outbox.take(self._now):
            self._counters.sent_down += 1
            out.append(replace(frame, header=self._stamped(header)))
        missing = self._inbox.ask(self._now)
        due = self._inbox.acknowledge_at
        if missing or (due is not None and due <= self._now):
            self._inbox.acknowledged()
            out.append(Ack(self._stamped(), self._streams.durable, missing))
        out += [replace(frame, header=self._stamped()) for frame in self._images]
        self._images.clear()
        return out

    # -- what happens to the link

    def resumed(self, hello: Hello, carrier: str, now: float) -> list[LinkEvent]:
        """A HELLO of this same boot, on whatever carrier: answer WELCOME and go on.

        Yields DeviceConnected(resumed=True) unless it was connected on this carrier all the time.
        A HELLO overtaken by later frames only gets its WELCOME.
        """
        if hello.boot != self.boot or hello.device_id != self.device_id:
            raise LinkStateError(f"HELLO of {hello.device_id}, boot {hello.boot}, on another's link")
        self._now = now
        if distance(self._inbox.expected, hello.next_sequence) < 0:
            self._welcome(hello)
            return []
        was_there = self._is_connected and carrier == self.carrier
        self._move(GatewayEndEvent.HELLO)
        self.greeted_at = hello.header.timestamp
        self.carrier = carrier
        self.heard_at = now
        self.held_since = None
        frames, lost = self._inbox.skip_to(hello.oldest, now)
        self._greet(hello)
        events: list[LinkEvent] = []
        if lost or not was_there:
            events.append(self._connected(hello, lost, resumed=True))
        return events + self._after_loss(frames, lost)

    def carrier_lost(self, now: float, reason: str = "carrier lost") -> list[LinkEvent]:
        """The carrier is gone: hold everything for a resume. Yields DeviceDisconnected once."""
        self._now = now
        return [*self._hold(GatewayEndEvent.CARRIER_LOST, reason)]

    def close(self, now: float, reason: str, fault: FaultCode | None = None) -> list[DeviceDisconnected]:
        """The end of this boot (a new one came, the gateway stops, it was held too long).

        ``fault`` is put into outgoing(). Yields DeviceDisconnected if it was connected.
        """
        self._now = now
        events = self._hold(GatewayEndEvent.CLOSE, reason)
        if fault is not None:
            self._urgent.append(Fault(Header(link=self.link), fault, reason))
        return events

    # -- what goes to the device

    def send_status(self, stream: int, status: DeviceStatus) -> bool:
        """Queue a STATUS. False: the outbox is full (counted) or the link closed, as for all of these."""
        return self._may_send and self._outbox.status(stream, status)

    @property
    def wants_partials(self) -> bool:
        """Whether the device is there and wants PARTIALs."""
        return self._wants_partials and self._is_connected

    def send_partial(self, stream: int, text: str, stable: str = "") -> bool:
        """Queue a PARTIAL, replacing the stream's last. False: not connected or not wanted."""
        return self.wants_partials and self._outbox.partial(stream, text, stable)

    def send_transcript(self, stream: int, correlation_id: str, text: str) -> bool:
        """Queue a TRANSCRIPT, ended with an ellipsis where it would be too long."""
        return self._may_send and self._outbox.transcript(stream, correlation_id, text)

    def blank(self, correlation_ids: Collection[str]) -> None:
        """Tell nothing any more of what goes by these ids but that it was."""
        self._outbox.blank(correlation_ids)

    def send_reply(
        self,
        stream: int,
        correlation_id: str,
        text: str,
        *,
        final: bool = True,
        fallback: bool = False,
        error: bool = False,
        whole: bool = True,
    ) -> bool:
        """Queue a REPLY, in several frames where it is long; all of it or (False) nothing.

        ``whole`` false: it goes behind the pieces of it that were sent on this link; False where none are wanted.
        """
        if not self._may_send or not (whole or self._outbox.wants_pieces):
            return False
        replaces = whole and self._outbox.wants_pieces
        header = Header(stream=stream)
        return self._outbox.reply(Reply(header, correlation_id, text, final, fallback, error, whole=replaces))

    @property
    def wants_pieces(self) -> bool:
        """Whether the device wants replies as they grow; while it is away they wait for it, as others do."""
        return self._may_send and self._outbox.wants_pieces

    def send_piece(self, stream: int, correlation_id: str, text: str, *, anew: bool) -> bool:
        """Queue a piece of a reply: it goes behind the last one, or (``anew``) takes the place of all before it.

        What waits for the device's credit is joined. False: not wanted, or there is no room at all: then the next
        piece that is sent, or the end, has to be whole.
        """
        piece = Reply(Header(stream=stream), correlation_id, text, final=False, whole=anew)
        return self.wants_pieces and self._outbox.reply(piece, grows=True)

    def send_image(self, frame: Offer | Image) -> bool:
        """Queue an OFFER, or a part of an image, behind all else. False: not connected, or enough of it waits."""
        if not self._is_connected or len(self._images) >= MAX_IMAGES:
            return False
        self._images.append(frame)
        return True

    def ping(self, number: int) -> None:
        """Ask the device for a PONG, whose timestamp will be ``number``."""
        self._urgently(Ping(self._stamped(Header(timestamp=number))))

    def delivered(self) -> list[str]:
        """Correlation ids of the replies the device has acknowledged since the last call."""
        return self._outbox.delivered()

    # -- inside

    @property
    def _is_connected(self) -> bool:
        return self.state is GatewayState.OPEN or self.state is GatewayState.WELCOMED

    @property
    def _may_send(self) -> bool:
        return self.state is not GatewayState.CLOSED

    def _move(self, event: GatewayEndEvent) -> None:
        state = GATEWAY_TABLE.get((self.state, event))
        if state is None:
            raise LinkStateError(f"{event.value} while {self.state.value}, link of {self.device_id}")
        self.state = state

    def _hold(self, event: GatewayEndEvent, reason: str) -> list[DeviceDisconnected]:
        """Leave the connected states; nothing goes out until a HELLO."""
        was_connected = self._is_connected
        self._move(event)
        self._outbox.window.pause()
        self._urgent.clear()
        self._images.clear()
        self._outbox.drop_partials()
        if not was_connected:
            return []
        self.held_since = self._now
        return [DeviceDisconnected(self.device_id, self.boot, reason)]

    def _stamped(self, header: Header = Header()) -> Header:  # noqa: B008  # it is immutable
        return header._replace(link=self.link, credit=self._credit, acknowledge=self._inbox.expected)

    def _greet(self, hello: Hello) -> None:
        """Take over what HELLO says and answer it; whatever the device has not taken goes again."""
        self._wants_partials = hello.wants_partials
        self._outbox.max_payload = hello.max_payload
        self._outbox.wants_pieces = hello.wants_pieces
        outbox = self._outbox.window
        outbox.rewind(outbox.acknowledged, hello.header.credit)
        self._inbox.resumed(self._now)
        self._streams.greeted(self._now)
        self._welcome(hello)

    def _welcome(self, hello: Hello) -> None:
        header = self._stamped(Header(timestamp=hello.header.timestamp))
        down_next = self._outbox.window.acknowledged
        self._urgently(
            Welcome(header, self.boot, self._inbox.expected, down_next, self._settings.max_payload)
        )

    def _connected(self, hello: Hello, lost_frames: int, *, resumed: bool) -> DeviceConnected:
        return DeviceConnected(
            self.device_id,
            self.boot,
            self.carrier,
            hello.firmware,
            hello.ring_frames,
            hello.wants_partials,
            resumed,
            lost_frames,
            hello.kind,
            hello.takes_images,
            hello.max_payload,
        )

    def _take(self, sequence: int, frame: DeviceFrame | FrameRejected) -> list[LinkEvent]:
        """A numbered frame: whatever is in order now is delivered."""
        beyond = self._inbox.beyond
        frames = self._inbox.accept(sequence, frame, self._now)
        if self._inbox.beyond != beyond:
            self._fault(Fault(Header(link=self.link), FaultCode.OUT_OF_CREDIT, f"number {sequence}"))
        if len(frames) == 1:
            return self._deliver(frames[0])
        return self._deliver_all(frames)

    def _take_rejected(self, rejected: FrameRejected, header: Header) -> list[LinkEvent]:
        """A frame that will never be sound: its number must not be waited for."""
        self._reject(answer(rejected))
        if rejected.type_byte is None or not numbered_up(rejected.type_byte):
            return []
        return self._take(header.sequence, rejected)

    def _take_unnumbered(self, frame: DeviceFrame) -> list[LinkEvent]:
        match frame:
            case Ack():
                self._outbox.window.request(frame.missing)
                return self._after_loss(*self._inbox.skip_to(frame.durable, self._now))
            case Ping():
                self._urgently(Pong(self._stamped(Header(timestamp=frame.header.timestamp))))
            case Fetch():
                return [ImageAsked(self.device_id, self.boot, frame.image, frame.offset, frame.length)]
            case Update():
                return [self._told(frame)]
            case Log():
                return [DeviceLog(self.device_id, self.carrier, frame.text, min(frame.level, 7))]
            case Fault():
                complaint = f"FAULT {frame.code.name}: {frame.message}"
                return [DeviceLog(self.device_id, self.carrier, complaint, level=4)]
            case Pong():
                pass
            case _:
                wrong_way = f"{frame.TYPE.name} is not for a device to send"
                self._reject(Fault(Header(link=self.link), FaultCode.UNKNOWN_TYPE, wrong_way))
        return []

    def _told(self, frame: Update) -> ImageTold:
        state, reason, text = int(frame.state), int(frame.reason), frame.text
        return ImageTold(self.device_id, self.boot, frame.image, state, reason, frame.offset, text)

    def _deliver(self, frame: DeviceFrame | FrameRejected) -> list[LinkEvent]:
        """A numbered frame, in order."""
        self._counters.received += 1
        match frame:
            case Audio():
                return self._streams.audio(frame, self._now)
            case AudioStart():
                return self._streams.start(frame, self._now)
            case AudioStop():
                return self._streams.stop(frame, self._now)
            case Notice():
                self._streams.passed(frame.header.sequence)
                return [DeviceNotice(self.device_id, self.boot, frame.kind, frame.value, frame.text)]
            case _:
                assert frame.header is not None
                self._streams.passed(frame.header.sequence)
        return []

    def _deliver_all(self, frames: Iterable[DeviceFrame | FrameRejected]) -> list[LinkEvent]:
        return [event for frame in frames for event in self._deliver(frame)]

    def _after_loss(self, frames: list[DeviceFrame | FrameRejected], lost: int) -> list[LinkEvent]:
        if lost:
            self._counters.lost_frames += lost
            self._streams.lost()
        return self._deliver_all(frames)

    def _urgently(self, frame: DeviceFrame) -> None:
        if len(self._urgent) < MAX_URGENT:
            self._urgent.append(frame)

    def _bad_audio(self, message: str) -> None:
        self._counters.bad_audio += 1
        self._fault(Fault(Header(link=self.link), FaultCode.BAD_AUDIO, message))

    def _reject(self, fault: Fault | None) -> None:
        self._counters.rejected += 1
        self._fault(fault)

    def _fault(self, fault: Fault | None) -> None:
        """Answer with a FAULT, each code only so often."""
        if (
            fault is None
            or self._now < self._faulted_at.get(fault.code, self._now - FAULT_PAUSE) + FAULT_PAUSE
        ):
            return
        self._faulted_at[fault.code] = self._now
        self._urgently(fault)


def answer(rejected: FrameRejected) -> Fault | None:
    """The FAULT for a rejected frame; None when nobody listens."""
    if rejected.code is None or rejected.type_byte == FrameType.FAULT:
        return None
    link = rejected.header.link if rejected.header else 0
    return Fault(Header(link=link), rejected.code, rejected.message)


def say_hello(frame: DeviceFrame | FrameRejected) -> Fault | None:
    """The answer to a frame of a link that is not known here (the gateway restarted)."""
    if frame.header is None or isinstance(frame, Fault):
        return None
    return Fault(Header(link=frame.header.link), FaultCode.SAY_HELLO, "this link is not known, say HELLO")


def refuse(hello: Hello, code: FaultCode, message: str) -> Fault:
    """The answer to a HELLO that is not welcome; carries its boot, for others may hear it too."""
    return Fault(Header(timestamp=hello.boot), code, message)
