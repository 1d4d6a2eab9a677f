"""What listeners see, and what they say: the messages of the WebSocket and of the event stream.

``docs/events.md`` is this file for people who do not read Python; what :mod:`gateway.messages` says about times
and unknown fields holds here, too. ``epoch`` names a run of the gateway and ``seq`` counts its events; the hub sets
both when it publishes.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, TypeAlias, get_args

import msgspec
from msgspec import Meta, Struct

from gateway.contract.messages import SCHEMA, UNREADABLE, AudioFacts, BadMessage, Id, Text, Timings, WordTime

MOST_NAMES = 256
"""In each list of a subscription."""
MOST_TOKEN_CHARACTERS = 10_000
"""Of a token in a message."""
MOST_CURSORS = 256
"""Gateways that a subscription names."""
HUB_EPOCH = "h_"
"""What the epochs begin with of what a hub says itself. Only that hub knows them."""
FORGOTTEN = "forgotten"
"""The state of a device or a component that is not there any more, and that nobody misses."""


class HubEventBase(Struct, frozen=True, kw_only=True):
    """The fields that every event has."""

    epoch: str = ""
    seq: int = 0
    schema: int = SCHEMA
    timestamp: float = msgspec.field(default_factory=time.time)

    @property
    def droppable(self) -> bool:
        """Whether a slow listener may miss this event, and one that resumes never gets it."""
        return False


class TranscriptionEvent(HubEventBase, frozen=True, kw_only=True, tag="transcription"):
    """The final text of an utterance. ``redacted``: its words are kept from listeners.

    ``spoken_at``: when it began, in Unix seconds, as the history has it (0: unknown). ``conversation_id``: what the
    device and the house say to each other has one, over several sessions. ``flags``: what the content filter has found
    in it, or made of it (``content`` in the settings). ``worker``: which recognizer on another machine has heard it;
    empty: the gateway's own, or nobody.
    """

    session_id: str
    user_id: str
    device_id: str
    text: str
    success: bool
    error: str | None
    correlation_id: str
    utterance_id: str
    language: str
    confidence: float
    audio: AudioFacts
    timings: Timings
    no_speech_probability: float = 0.0
    language_probability: float = 0.0
    words: tuple[WordTime, ...] = ()
    redacted: bool = False
    spoken_at: float = 0.0
    conversation_id: str = ""
    flags: tuple[str, ...] = ()
    worker: str = ""


class PartialEvent(HubEventBase, frozen=True, kw_only=True, tag="partial"):
    """Text of an utterance that is still being spoken; each replaces the one before.

    ``number`` counts them within the utterance, from 1. ``text`` begins with ``stable``, which all later
    ones begin with too; the rest of it is tentative.
    """

    session_id: str
    user_id: str
    device_id: str
    utterance_id: str
    number: int
    stable: str
    text: str

    @property
    def droppable(self) -> bool:
        """The next partial says it all again."""
        return True


class StatusEvent(HubEventBase, frozen=True, kw_only=True, tag="status"):
    """What is happening in a session: ``listening``, ``transcribing``, ``thinking``, ``idle``, ``busy``, ``error``.

    ``detail``: what an agent says that it is doing.
    """

    session_id: str
    user_id: str
    device_id: str
    status: str
    detail: str = ""


class ReplyEvent(HubEventBase, frozen=True, kw_only=True, tag="reply"):
    """A piece of a reply, or its end.

    ``final`` false: ``text`` is to append, or (``interim``) a whole first answer, in place of what was shown before.
    ``final`` true: ``text`` is the whole reply. ``late``: its turn was over; the device is told it, in the place of the
    fallback, only if the conversation goes on and nothing was said in it since. ``fallback``: nobody answered in time.
    ``text_to_reply_ms``: from the text to this reply, of which it took ``publish_ms`` until the broker had the text (at
    the end only; 0: unknown). ``redacted``: its words are kept from listeners. ``agents``: who has a part in it;
    ``missing``: who was asked and has none, which makes it ``partial``. ``data`` is for programs. ``flags``:
    what the content filter has found in it, or made of it. ``cached``: of those who have a part in it somebody was not
    asked: it is what was answered to the same before. ``echo_of``: another device has heard the same voice, and this is
    the answer to that request (its correlation id).
    """

    session_id: str
    user_id: str
    device_id: str
    correlation_id: str
    utterance_id: str
    text: str
    final: bool
    error: str | None = None
    agent: str = "orchestrator"
    late: bool = False
    fallback: bool = False
    text_to_reply_ms: float = 0.0
    publish_ms: float = 0.0
    redacted: bool = False
    conversation_id: str = ""
    flags: tuple[str, ...] = ()
    interim: bool = False
    agents: tuple[str, ...] = ()
    partial: bool = False
    missing: tuple[str, ...] = ()
    confidence: float = 0.0
    data: dict[str, Any] | None = None
    cached: bool = False
    echo_of: str = ""


class DeliveryEvent(HubEventBase, frozen=True, kw_only=True, tag="delivery"):
    """The device acknowledged the final reply; ``speech_to_reply_ms`` counts from the end of speech."""

    session_id: str
    user_id: str
    device_id: str
    correlation_id: str
    utterance_id: str
    speech_to_reply_ms: float = 0.0
    conversation_id: str = ""


class DeviceEvent(HubEventBase, frozen=True, kw_only=True, tag="device"):
    """A device came, went (``state``: ``connected``, ``disconnected``), was forgotten, or reported something.

    ``notice`` names what it reported (``button``, ``wake_word``, ``level``), with its number in ``value`` and the
    button's name or the word in ``text``; the ``level`` of a stream, in dBFS, is measured by the gateway, and a
    ``wake_word`` may be heard by either (``value`` is a percentage when it is the gateway). ``room``: where the
    settings say it is.
    """

    device_id: str
    user_id: str
    state: str
    room: str = ""
    link: str = ""
    firmware: str = ""
    reason: str = ""
    notice: str = ""
    value: int = 0
    text: str = ""
    lost_frames: int = 0

    @property
    def droppable(self) -> bool:
        """Levels come many times a second, and only the newest counts."""
        return self.notice == "level"


class HealthEvent(HubEventBase, frozen=True, kw_only=True, tag="health"):
    """The state of one component changed: ``healthy``, ``degraded``, ``unhealthy``, or ``forgotten``, there is none.

    ``works`` is false for one that does not work at all, though the gateway does its job without it.
    ``detail`` is what it is, however it is; ``notice`` is what people are to know of it though it works. ``about``
    names the device that it is about, where it is about one. ``rank``: how much it matters to people, the lower the
    more. ``gateway``: whose component it is, where there are several.
    """

    component: str
    state: str
    reason: str = ""
    remedy: str = ""
    works: bool = True
    detail: str = ""
    notice: str = ""
    about: str = ""
    rank: int = 10
    gateway: str = ""


class FirmwareEvent(HubEventBase, frozen=True, kw_only=True, tag="firmware"):
    """How far a device has come with a firmware image that it is offered over the air.

    ``stage``: ``offered``, ``fetching`` (``percent`` of it is there), ``starting``, ``confirmed``, ``declined``,
    ``failed``, ``rolled back``, ``missing``; ``reason`` says why. ``version``: the image's.
    """

    device_id: str
    user_id: str
    version: str
    stage: str
    percent: int = 0
    reason: str = ""

    @property
    def droppable(self) -> bool:
        """The next one says how far it is."""
        return self.stage == "fetching"


class HeardAt(Struct, frozen=True, kw_only=True):
    """One of the devices that heard a voice: how loud, above which noise (dBFS), and how far above it (dB).

    ``later_ms``: so much later than the first of them.
    """

    device_id: str
    level_dbfs: float
    noise_dbfs: float
    snr_db: float
    later_ms: float = 0.0


class ArbitrationEvent(HubEventBase, frozen=True, kw_only=True, tag="arbitration"):
    """Several devices heard one voice, and another than this one answers it: ``answers``. This one does not.

    ``reason`` says why, for people. ``likeness`` tells how alike the two have heard it (1: the same). ``contestants``:
    all devices that heard it, the one that answers first.
    """

    session_id: str
    user_id: str
    device_id: str
    correlation_id: str
    utterance_id: str
    answers: str
    reason: str
    likeness: float = 0.0
    contestants: tuple[HeardAt, ...] = ()


HubEvent: TypeAlias = (
    TranscriptionEvent
    | PartialEvent
    | StatusEvent
    | ReplyEvent
    | DeliveryEvent
    | DeviceEvent
    | HealthEvent
    | FirmwareEvent
    | ArbitrationEvent
)

EVENT_KINDS: tuple[str, ...] = tuple(str(kind.__struct_config__.tag) for kind in get_args(HubEvent))


# What only travels between the hub and one listener.


class SnapshotEvent(HubEventBase, frozen=True, kw_only=True, tag="snapshot"):
    """How things stand at ``seq``: what a listener starts from when it has nothing to resume.

    ``cursors``, where there are several gateways: the last event of each that is in it.

    Every part holds the latest events of its kind that the listener asked for, oldest first:
    one per device, one per session that is not idle, the recent transcripts, replies and
    deliveries, and one per component of the gateway.
    """

    devices: tuple[DeviceEvent, ...] = ()
    sessions: tuple[StatusEvent, ...] = ()
    conversation: tuple[TranscriptionEvent | ReplyEvent | DeliveryEvent, ...] = ()
    health: tuple[HealthEvent, ...] = ()
    cursors: dict[str, int] = {}


class CursorEvent(HubEventBase, frozen=True, kw_only=True, tag="cursor"):
    """How far a listener is that keeps cursors, where there are several gateways: no more than that was for it."""

    cursors: dict[str, int] = {}

    @property
    def droppable(self) -> bool:
        """The next one says it again."""
        return True


class ErasureEvent(HubEventBase, frozen=True, kw_only=True, tag="erasure"):
    """What no hub of the house shows any more: what this user said, or what goes by this id. No listener gets it."""

    user_id: Id = ""
    correlation_id: Id = ""


class SaidEvent(HubEventBase, frozen=True, kw_only=True, tag="said"):
    """What a listener said is under way: the events that follow carry these ids. ``ref`` is its :class:`Say`'s."""

    session_id: str
    device_id: str
    correlation_id: str
    ref: str = ""


class ErrorEvent(HubEventBase, frozen=True, kw_only=True, tag="error"):
    """Why the gateway does not do what a listener asked.

    The connection closes after it, unless ``code`` is ``not_said`` (then ``ref`` is its :class:`Say`'s) or
    ``ignored``.
    """

    code: str
    reason: str
    ref: str = ""

    @property
    def closes(self) -> bool:
        """Whether the connection closes after it."""
        return self.code not in {"not_said", "ignored"}


ListenerEvent: TypeAlias = HubEvent | SnapshotEvent | CursorEvent | SaidEvent | ErrorEvent


_Names: TypeAlias = Annotated[tuple[Id, ...], Meta(max_length=MOST_NAMES)]


class Subscribe(Struct, frozen=True, kw_only=True, tag="subscribe", forbid_unknown_fields=True):
    """A listener's first message: which events it wants, and after which one it resumes.

    An event passes when, for every list that is not empty, its own field is in it; an event
    without that field does not pass. Levels of devices, many a second, pass only with ``levels``.
    ``epoch`` and ``seq`` are those of the last event received. ``cursors`` are, by epoch, the last ``seq`` received of
    each gateway, in place of the two, and hold at every hub of the house; empty, they say that the listener keeps them.
    """

    kinds: _Names = ()
    sessions: _Names = ()
    devices: _Names = ()
    users: _Names = ()
    levels: bool = False
    epoch: Id = ""
    seq: int = 0
    cursors: Annotated[dict[Id, Annotated[int, Meta(ge=0)]], Meta(max_length=MOST_CURSORS)] | None = None

    def __post_init__(self) -> None:
        for name in ("kinds", "sessions", "devices", "users"):
            if len(getattr(self, name)) > MOST_NAMES:
                raise ValueError(f"{name} may have {MOST_NAMES} names")
        unknown = set(self.kinds) - set(EVENT_KINDS)
        if unknown:
            raise ValueError(f"no such kind: {min(unknown)!r:.80}; there are {', '.join(EVENT_KINDS)}")


class Say(Struct, frozen=True, kw_only=True, tag="say", forbid_unknown_fields=True):
    """A listener's later message: words, as if a device had heard them. ``ref`` comes back with the answer."""

    text: Text
    ref: Annotated[str, Meta(max_length=64)] = ""


class Authenticate(Struct, frozen=True, kw_only=True, tag="authenticate", forbid_unknown_fields=True):
    """A listener's first message where its token did not come with the request; ``subscribe`` may follow."""

    token: Annotated[str, Meta(max_length=MOST_TOKEN_CHARACTERS)]

    def __repr__(self) -> str:
        return "Authenticate()"


class _Typed(Struct):
    """Only what kind of message it is."""

    type: str = ""


_event_decoder: msgspec.json.Decoder[ListenerEvent] = msgspec.json.Decoder(ListenerEvent)
_subscribe_decoder = msgspec.json.Decoder(Subscribe)
_say_decoder = msgspec.json.Decoder(Say)
_authenticate_decoder = msgspec.json.Decoder(Authenticate)
_type_decoder = msgspec.json.Decoder(_Typed)


def decode_event(payload: bytes | str) -> ListenerEvent:
    """Raises BadMessage with the place of the mistake."""
    try:
        return _event_decoder.decode(payload)
    except UNREADABLE as error:
        raise BadMessage(f"not a hub event: {error}") from error


def decode_subscribe(payload: bytes | str) -> Subscribe:
    """Raises BadMessage with the place of the mistake."""
    try:
        return _subscribe_decoder.decode(payload)
    except UNREADABLE as error:
        raise BadMessage(f"not a subscribe message: {error}") from error


def decode_say(payload: bytes | str) -> Say:
    """Raises BadMessage with the place of the mistake."""
    try:
        return _say_decoder.decode(payload)
    except UNREADABLE as error:
        raise BadMessage(f"not a say message: {error}") from error


def decode_first(payload: bytes | str) -> Authenticate | Subscribe:
    """Raises BadMessage with the place of the mistake, and nothing of a token."""
    try:
        if _type_decoder.decode(payload).type == "authenticate":
            return _authenticate_decoder.decode(payload)
    except UNREADABLE as error:
        raise BadMessage(f"not a subscribe message: {error}") from error
    return decode_subscribe(payload)
