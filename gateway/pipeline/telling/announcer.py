"""What devices and listeners are told: each fact once to the device it concerns and once to the hub.

Neither waits for the other: the links and the hub have bounded outboxes of their own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import structlog
from msgspec import structs

from firmware_bridge.link.events import (
    DeviceConnected,
    DeviceDisconnected,
    DeviceNotice,
    DeviceStatus,
    NoticeKind,
)
from firmware_bridge.settings import DeviceSettings
from gateway.contract.events import (
    FORGOTTEN,
    ArbitrationEvent,
    DeliveryEvent,
    DeviceEvent,
    HeardAt,
    PartialEvent,
    ReplyEvent,
    StatusEvent,
    TranscriptionEvent,
)
from gateway.contract.messages import TranscriptionMessage
from gateway.hub.hub import Hub
from gateway.pipeline.arbitration.claims import Decision
from gateway.pipeline.sessions.names import NO_STREAM, StreamName, UtteranceName
from gateway.pipeline.sessions.session import Session
from gateway.pipeline.telling.devices import Devices
from gateway.pipeline.telling.fallback_texts import Apology, FallbackTexts
from gateway.pipeline.telling.levels import Levels
from gateway.pipeline.telling.live_replies import LiveReplies
from gateway.pipeline.telling.witnesses import Answer, SignOfLife, Witnesses
from transcription.priority import Priority
from transcription.scheduling.partial_text import TextSoFar

log = structlog.get_logger(__name__)

MOST_DETAIL = 1_000
"""Characters of what an agent says that it is doing."""
MOST_NOTICE = 64
"""Characters of the word or the button's name in a device's notice."""
GUESTS = 4_096
"""Devices of listeners that speak whose user is remembered; those unheard of longest go first."""


class Announcer:
    """Speaks to one device and to the hub in one call."""

    def __init__(self, devices: Devices, hub: Hub, settings: DeviceSettings, texts: FallbackTexts) -> None:
        """``settings``: whose a device is, and where. ``texts``: what is said without an answer."""
        self._devices = devices
        self.live = LiveReplies(devices)
        """What devices are told of answers before their end."""
        self._hub = hub
        self._settings = settings
        self.texts = texts
        self.levels = Levels()
        self.witnesses = Witnesses()
        """Who waits inside the gateway."""
        self._guests: OrderedDict[str, str] = OrderedDict()
        self._speech_watchers: dict[str, Callable[[], None]] = {}
        self.holds_partials = False
        """Whether nobody is to see text while it is being spoken."""
        self.gives_way = False
        """Whether nobody sees text while it is being spoken, for want of memory or time."""
        self.busy: frozenset[Priority] = frozenset()
        """With which classes the recognizer has fallen behind: their devices had better wait."""

    def user(self, device_id: str, guest: str | None = None) -> str:
        """Whose device it is, or would be as this ``guest``'s (see ``adopt``)."""
        if guest is None:
            guest = self._guests.get(device_id)
        known = self._settings.users.get(device_id) or guest
        return known or self._settings.default_user

    def is_named(self, device_id: str) -> bool:
        """Whether the settings know it, whether it is there or not."""
        named = self._settings
        return device_id in named.users or device_id in named.rooms or device_id in named.known

    def name(self, device_id: str) -> str:
        """What people call it; empty where nobody said."""
        known = self._settings.known.get(device_id)
        return "" if known is None else known.name

    def place(self, device_id: str) -> tuple[str, str]:
        """Whose it is, and in which room."""
        return self.user(device_id), self._settings.rooms.get(device_id, "")

    def priority(self, device_id: str, guest: str | None = None) -> Priority:
        """How urgent what it says is: the device's own class wins over its room's, and that over its user's."""
        user, room = self.user(device_id, guest), self._settings.rooms.get(device_id, "")
        wanted = self._settings.priorities
        named = wanted.devices.get(device_id) or wanted.rooms.get(room) or wanted.users.get(user)
        return Priority(named or Priority.NORMAL)

    def is_busy(self, device_id: str) -> bool:
        """Whether it had better wait."""
        return bool(self.busy) and self.priority(device_id) in self.busy

    def reconfigure(self, devices: DeviceSettings) -> None:
        """From now on devices are whose these settings say, and where."""
        self._settings = devices

    def adopt(self, device_id: str, user_id: str) -> None:
        """What this device says, where the configuration does not know it, is this user's (empty: nobody's)."""
        self._guests.pop(device_id, None)
        if user_id:
            self._guests[device_id] = user_id
        if len(self._guests) > GUESTS:
            self._guests.popitem(last=False)

    # -- about a device

    def connected(self, event: DeviceConnected) -> None:
        """A device is there."""
        self._hub.publish(
            self._device(
                event.device_id, link=event.link, firmware=event.firmware, lost_frames=event.lost_frames
            )
        )

    def disconnected(self, event: DeviceDisconnected, hello: DeviceConnected) -> None:
        """A device is gone, perhaps only for now; ``hello``: what it was."""
        self._hub.publish(
            self._device(
                event.device_id,
                state="disconnected",
                reason=event.reason,
                link=hello.link,
                firmware=hello.firmware,
            )
        )

    def forgotten(self, device_id: str, user_id: str = "") -> None:
        """It is not there any more; ``user_id``: whose it was, where that has changed."""
        user_id = user_id or self.user(device_id)
        self._hub.publish(DeviceEvent(device_id=device_id, user_id=user_id, state=FORGOTTEN))

    def noticed(self, event: DeviceNotice) -> None:
        """A button, a wake word, a level."""
        if event.kind is NoticeKind.LEVEL:
            self.levels.note(event.device_id, event.value)
        self._hub.publish(self._notice(event.device_id, event.kind, event.value, event.text[:MOST_NOTICE]))

    def wants_levels(self, device_id: str) -> bool:
        """Whether anybody watches how loud the device is."""
        return self.levels.are_wanted or self._hub.is_wanted(self._notice(device_id, NoticeKind.LEVEL, 0))

    def level(self, device_id: str, dbfs: int) -> None:
        """How loud the audio is that comes from it, for the listeners."""
        self.levels.note(device_id, dbfs)
        self._hub.publish(self._notice(device_id, NoticeKind.LEVEL, dbfs))

    def _notice(self, device_id: str, kind: NoticeKind, value: int, text: str = "") -> DeviceEvent:
        return self._device(device_id, notice=kind.name.lower(), value=value, text=text)

    def _device(self, device_id: str, *, state: str = "connected", **facts: Any) -> DeviceEvent:
        room = self._settings.rooms.get(device_id, "")
        return DeviceEvent(device_id=device_id, user_id=self.user(device_id), room=room, state=state, **facts)

    # -- about a session

    def status(self, session: Session, status: DeviceStatus) -> None:
        """What is happening."""
        self._devices.send_status(*session.name, status)
        self._hub.publish(StatusEvent(**session.ids(), status=status.name.lower()))

    def attention(self, session: Session) -> None:
        """The device may speak on, or had better wait; or its wake word comes first."""
        if self.is_busy(session.device_id):
            status = DeviceStatus.BUSY
        else:
            status = DeviceStatus.IDLE if session.is_asleep else DeviceStatus.LISTENING
        self.status(session, status)

    def woken(self, session: Session, phrase: str, certainty: float | None) -> None:
        """There was a wake word, which the gateway is so sure of, or (None) the device has noticed: it may speak on."""
        if certainty is not None:
            percent = round(100 * certainty)
            self._hub.publish(self._notice(session.device_id, NoticeKind.WAKE_WORD, percent, phrase))
        self.attention(session)

    def watch_speech(self, device_id: str, began: Callable[[], None]) -> None:
        """``began`` is called each time when somebody begins to speak to that device, from now on."""
        self._speech_watchers[device_id] = began

    def speech_began(self, session: Session) -> None:
        """Somebody speaks; what becomes of it is not known yet."""
        began = self._speech_watchers.get(session.device_id)
        if began is not None:
            began()

    def wants_partials(self, session: Session) -> bool:
        """Whether its device or any listener wants to see text while it is being spoken."""
        if self.holds_partials or self.gives_way:
            return False
        name = session.name
        return self._devices.wants_partials(name.device_id, name.boot) or self._hub.is_wanted(
            _partial(session, "", TextSoFar(0, "", ""))
        )

    def partial(self, session: Session, utterance_id: str, partial: TextSoFar) -> None:
        """What was understood so far of what is being said."""
        self._devices.send_partial(*session.name, partial.text, partial.stable)
        self._hub.publish(_partial(session, utterance_id, partial))

    # -- about an utterance

    def transcript(self, name: UtteranceName, message: TranscriptionMessage, spoken_at: float) -> bool:
        """What was said since then, or (listeners only) why nobody knows. True: its device is being told."""
        told = message.success and self.transcript_again(name, message)
        self.witnesses.heard(message)
        self._hub.publish(_heard(name, message, spoken_at))
        return told

    def recovered(self, name: UtteranceName, message: TranscriptionMessage, spoken_at: float) -> None:
        """What the gateway before this one understood and nobody has answered, for listeners it may not have told.

        Whoever was told knows it by its ids.
        """
        self._hub.publish(_heard(name, message, spoken_at))

    def transcript_again(self, name: UtteranceName, message: TranscriptionMessage) -> bool:
        """What was said, to a device that was not there when everybody else was told."""
        if name.stream.stream == NO_STREAM:  # it has said nothing: somebody put a recording as it
            return True
        return self._devices.send_transcript(*name.stream, name.correlation_id, message.text)

    def heard_elsewhere(self, name: UtteranceName, decision: Decision) -> None:
        """Another device answers the voice that this one has heard, too: for the listeners, and the log."""
        first = min(one.began for one in decision.receptions)
        heard_at = tuple(
            HeardAt(
                device_id=one.device_id,
                level_dbfs=round(one.level, 1),
                noise_dbfs=round(one.noise, 1),
                snr_db=round(one.snr, 1),
                later_ms=round(1000 * (one.began - first)),
            )
            for one in decision.receptions
        )
        event = ArbitrationEvent(
            **name.ids(),
            answers=decision.by,
            reason=decision.reason,
            likeness=round(decision.likeness.score, 3),
            contestants=heard_at,
        )
        log.info(
            "one voice, several devices",
            **name.ids(),
            answers=decision.by,
            reason=decision.reason,
            likeness=event.likeness,
            contestants=[structs.asdict(one) for one in heard_at],
        )
        self._hub.publish(event)

    def failure(self, session: Session, correlation_id: str, cause: Apology, language: str = "") -> None:
        """There will be no answer, which the device's user is told in the ``language`` that was spoken."""
        text = self.texts.text(cause, language, session.device_id)
        self.live.forget(correlation_id)
        self._devices.send_reply(*session.name, correlation_id, text, final=True, error=True)
        self.witnesses.failed(correlation_id, text)
        self.status(session, DeviceStatus.ERROR)

    # -- about an answer, or an announcement, which answers nothing

    def answer(
        self, name: UtteranceName, text: str, *, error: str | None = None, fallback: bool = False
    ) -> bool:
        """The whole answer, for the device that spoke. False: it has rebooted, or takes nothing more."""
        return self.live.end(name, text, error=error is not None, fallback=fallback)

    def reply(
        self,
        name: UtteranceName,
        text: str,
        *,
        elapsed_ms: float = 0.0,
        final: bool = True,
        puzzled: bool = False,
        apology: str = "",
        **facts: Any,
    ) -> None:
        """A piece of an answer or its end, for the listeners; ``facts`` are the event's other fields.

        ``puzzled`` and ``apology``: for whoever waits for it inside the gateway.
        """
        event = ReplyEvent(**name.spoken_ids(), text=text, final=final, text_to_reply_ms=elapsed_ms, **facts)
        self._hub.publish(event)
        if final:
            self.witnesses.answered(name.correlation_id, _answer(event, apology, puzzled=puzzled))

    def progress(self, session: Session, correlation_id: str, detail: str) -> None:
        """What an agent says that it is doing; for the device it is a sign of life."""
        self.witnesses.grown(correlation_id, SignOfLife(detail[:MOST_DETAIL]))
        self._devices.send_status(*session.name, DeviceStatus.THINKING)
        self._hub.publish(StatusEvent(**session.ids(), status="thinking", detail=detail[:MOST_DETAIL]))

    def announcement(self, stream: StreamName, correlation_id: str, text: str) -> bool:
        """For the device. False: that boot is not there, or takes nothing more."""
        return self._devices.send_reply(*stream, correlation_id, text, final=True)

    def delivered(self, name: UtteranceName, elapsed_ms: float) -> None:
        """Its device has taken the answer."""
        self._hub.publish(DeliveryEvent(**name.spoken_ids(), speech_to_reply_ms=elapsed_ms))


def _heard(name: UtteranceName, message: TranscriptionMessage, spoken_at: float) -> TranscriptionEvent:
    return TranscriptionEvent(
        **name.spoken_ids(),
        text=message.text,
        success=message.success,
        error=message.error,
        language=message.language,
        confidence=message.confidence,
        audio=message.audio,
        timings=message.timings,
        no_speech_probability=message.no_speech_probability,
        language_probability=message.language_probability,
        words=message.words,
        spoken_at=spoken_at,
        flags=message.flags,
        worker=message.recognizer.worker,
    )


def _answer(event: ReplyEvent, apology: str, *, puzzled: bool) -> Answer:
    return Answer(
        event.text,
        event.agent,
        event.error,
        fallback=event.fallback,
        flags=event.flags,
        agents=event.agents,
        missing=event.missing,
        data=event.data,
        puzzled=puzzled,
        apology=apology,
    )


def _partial(session: Session, utterance_id: str, partial: TextSoFar) -> PartialEvent:
    return PartialEvent(
        **session.ids(),
        utterance_id=utterance_id,
        number=partial.number,
        stable=partial.stable,
        text=partial.text,
    )
