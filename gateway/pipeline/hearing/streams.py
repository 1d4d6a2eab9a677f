"""Which streams are heard, and from when until when.

Keeps what is heard of every stream that is open, through the absence of its device, and says to a device at once
when it is not listened to.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import structlog

from firmware_bridge.link.events import (
    AudioReceived,
    DeviceConnected,
    DeviceDisconnected,
    DeviceNotice,
    DeviceStatus,
    StreamStarted,
    StreamStopped,
)
from gateway.contract.messages import WantedHints
from gateway.journal import AnyJournal
from gateway.journal.effects import HeardFrom, Rebooted, StreamEnded, StreamOpened
from gateway.pipeline.arbitration.contests import Contests
from gateway.pipeline.hearing.heard_stream import Complete, HeardStream
from gateway.pipeline.hearing.resent_audio import FormerStreams
from gateway.pipeline.hearing.settling import Settling
from gateway.pipeline.hearing.wake_words import WakeWords
from gateway.pipeline.sessions.hints import ConversationHints
from gateway.pipeline.sessions.house_names import HouseNames
from gateway.pipeline.sessions.names import NO_BOOT, StreamName
from gateway.pipeline.sessions.rows import stream_row
from gateway.pipeline.sessions.session import Session, SessionRegistry, TooManySessions
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.devices import Devices
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.process.mishaps import Mishaps
from gateway.settings.sessions import SessionSettings
from transcription.audio import AudioChunk, from_pcm16
from transcription.priority import Precedence, Priority
from transcription.recognizing import Phase, Recognizing
from transcription.settings import TranscriptionSettings
from transcription.utterance.segmenter import EndReason, Utterance, UtteranceSegmenter, VoiceActivity

log = structlog.get_logger(__name__)

A_STREAM = "a stream"
"""The kind of work, as mishaps are counted."""

WHOLE_STREAM = 1 << 62
"""A position behind every stream's end, in samples."""

WOKEN_SECONDS = 5.0
"""So soon after a device has heard its wake word it begins to send what follows."""

MOST_PHRASE = 64
"""Characters of a wake word that a device names."""

NOTHING_HEARD = Utterance(
    samples=from_pcm16(b""), start=0, end=0, speech_end=0, has_speech=False, end_reason=EndReason.STOP
)


class Hearing:
    """What is heard, by the name of its stream; that of one device, together."""

    def __init__(
        self,
        transcription: TranscriptionSettings,
        sessions: SessionSettings,
        *,
        max_devices: int,
        devices: Devices,
        settling: Settling,
        recognizer: Recognizing,
        listen: Callable[[], VoiceActivity],
        announcer: Announcer,
        journal: AnyJournal,
        tell: Callable[[Complete], None],
        mishaps: Mishaps,
        wake_words: WakeWords,
        names: HouseNames,
        contests: Contests,
    ) -> None:
        """``listen`` makes the voice activity of a new stream."""
        self._house_names = names
        self._journal = journal
        self._mishaps = mishaps
        self._transcription = transcription
        self._max_devices = max_devices
        self._devices = devices
        self._settling = settling
        self._recognizer = recognizer
        self._listen = listen
        self._announce = announcer
        self._tell = tell
        self._wake_words = wake_words
        self._contests = contests
        self._now = asyncio.get_running_loop().time
        self.sessions = SessionRegistry(sessions)
        self._hints = ConversationHints(sessions)
        self.streams: dict[StreamName, HeardStream] = {}
        self.former = FormerStreams(sessions.max_sessions)
        self._connected: dict[str, DeviceConnected] = {}
        self._put_off: dict[str, int] = {}
        """Devices that keep what they say until there is room for it, and their boots; in order."""
        self._put_off_turns = Precedence()
        self._woken: OrderedDict[str, tuple[int, str, float]] = OrderedDict()
        """Devices that heard a wake word and began no stream since: their boots, the word, until when that counts."""
        self.closed = False
        """Whether no stream is opened any more."""

    def reconfigure(self, transcription: TranscriptionSettings) -> None:
        """For streams that begin from now on."""
        self._transcription = transcription

    def priority(self, device_id: str) -> Priority:
        """How urgent is what a device says in a session that begins now."""
        return self._announce.priority(device_id)

    # -- devices come and go

    def connected(self, device_id: str) -> bool:
        """Whether a device is there."""
        return device_id in self._connected

    def boot(self, device_id: str) -> int:
        """Of a device that is there; NO_BOOT of one that is not."""
        event = self._connected.get(device_id)
        return NO_BOOT if event is None else event.boot

    def welcome(self, event: DeviceConnected) -> None:
        """A device is there; what it said before it was switched off is all there will be of that."""
        self._connected[event.device_id] = event
        if not event.resumed:
            self._put_off.pop(event.device_id, None)  # it begins at what it still keeps
            self._forget_boots_before(event)
            self._journal.commit(Rebooted(event.device_id, event.boot))
        self.sessions.resume_device(event.device_id, event.boot)

    def suspend(self, event: DeviceDisconnected) -> None:
        """A device is gone, perhaps only for now."""
        self._connected.pop(event.device_id, None)
        self.sessions.suspend_device(event.device_id, event.boot, self._now())
        for name, heard in self.streams.items():
            if name.device_id == event.device_id and heard.contestant is not None:
                heard.contestant.away()

    def _forget_boots_before(self, event: DeviceConnected) -> None:
        for session in self.sessions.of_device(event.device_id):
            if session.name.boot not in (event.boot, NO_BOOT):
                self.end_stream(session.name, EndReason.DISCONNECT)
        self.former.forget_boots_before(event.device_id, event.boot)

    def watch_absent(self, now: float) -> None:
        """End the streams whose device was away for too long; should it say more, that begins anew."""
        self._ask_again()
        for session in self.sessions.expired_suspensions(now):
            try:
                self.end_stream(session.name, EndReason.DISCONNECT)
            except Exception as error:  # noqa: BLE001 - the boundary: between this stream and the others
                self._break_off(session.name, error)
            self.former.lapse(session)

    def change_hands(self) -> None:
        """What was said with a device that is another user's now was the former's; the rest begins anew.

        So it does with one that is of another class, or wakes by another word.
        """
        for name, heard in list(self.streams.items()):
            session = heard.session
            user_id, priority = self._announce.user(name.device_id), self._announce.priority(name.device_id)
            is_as_before = (user_id, priority) == (session.user_id, session.priority)
            if not is_as_before or heard.wake_words != self._woken_by(session):
                with self._mishaps.contained(A_STREAM, device_id=name.device_id):
                    self.end_stream(name, EndReason.DISCONNECT)
                self.former.lapse(session)
        for name, heard in self.streams.items():
            pressed = not heard.session.end_on_silence
            heard.join(self._contests.enter(name.device_id, pressed=pressed, before=heard.contestant))

    def woken(self, event: DeviceNotice) -> None:
        """A device has heard its wake word: what it sends now is listened to, or the stream that it begins next."""
        phrase = event.text.strip()[:MOST_PHRASE]
        streams = [one for name, one in self.streams.items() if name[:2] == (event.device_id, event.boot)]
        for heard in streams:
            heard.wake(phrase)
        if not streams:
            until = self._now() + WOKEN_SECONDS
            self._woken[event.device_id] = event.boot, phrase, until
            if len(self._woken) > self._max_devices:
                self._woken.popitem(last=False)

    def hush(self, device_id: str) -> None:
        """End a device's streams; what is being said is dropped."""
        for name in [name for name in self.streams if name.device_id == device_id]:
            heard = self.streams.pop(name)
            heard.drop()
            heard.session.end_stream()
            self._journal.commit(StreamEnded(heard.session.session_id))

    def hand_over(self, device_id: str, boot: int) -> list[tuple[HeardStream, int]]:
        """A device speaks at another gateway now: the streams of that boot, which go on there, and from where.

        What is being said is heard there, too, where the device keeps it.
        """
        over = []
        for name, heard in [one for one in self.streams.items() if one[0].device_id == device_id]:
            if name.boot != boot or (heard.in_utterance and not heard.device_keeps):
                self.end_stream(name, EndReason.DISCONNECT)
                continue
            over.append((heard, heard.needed_from))
            del self.streams[name]
            heard.drop()
            heard.session.end_stream()
            self._journal.commit(StreamEnded(heard.session.session_id))
        self._put_off.pop(device_id, None)
        return over

    # -- streams begin and end

    def open(self, event: StreamStarted, heard_to: int = 0) -> None:
        """A device is about to speak; it hears at once whether it is listened to.

        ``heard_to``: audio before is another session's.
        """
        name = StreamName(event.device_id, event.boot, event.stream)
        if self.closed:  # not settled: the device keeps it for the next gateway
            self._devices.send_status(*name, DeviceStatus.BUSY)
            return
        left = self.former.left(name)
        if left is not None and event.begun not in (None, left.begun):  # the number is used again
            self.end_stream(name, EndReason.DISCONNECT)
            self.former.forget(name)
            left = None
        if left is not None and left.ended:
            self._devices.settle(*name, left.heard_to)
            return  # all of it was heard; should there be more, that begins anew
        if name.device_id in self._put_off:  # in the order in which it was said
            self._devices.send_status(*name, DeviceStatus.BUSY)
            return
        try:
            session = self.sessions.find(name) or self._begin_session(name, event, heard_to)
        except TooManySessions as error:
            log.warning("stream refused", device_id=name.device_id, reason=str(error))
            self._refuse(name)
            return
        heard = self._converse(session)
        if self._recognizer.state.phase is Phase.OFF:
            self._decline(heard)
            return
        self.streams[name] = heard
        heard.begun = event.begun if left is None else left.begun
        if left is not None:
            heard.heard_to = heard.settled_to = left.heard_to
            self._devices.settle(*name, left.heard_to)
        self._announce.attention(session)
        boot, phrase, until = self._woken.pop(name.device_id, (0, "", 0.0))
        if boot == name.boot and self._now() <= until:
            heard.wake(phrase)

    def _refuse(self, name: StreamName) -> None:
        """There is no place: who keeps its speech is asked for it later; who cannot is told that it was not heard."""
        is_alone = not any(other.device_id == name.device_id for other in self.streams)
        if is_alone and self._connected[name.device_id].ring_frames > 0:
            self._put_off[name.device_id] = name.boot
            if len(self._put_off) > self._max_devices:
                del self._put_off[next(iter(self._put_off))]
            self._devices.send_status(*name, DeviceStatus.BUSY)
            return
        self._devices.send_status(*name, DeviceStatus.ERROR)
        self._devices.settle(*name, WHOLE_STREAM)

    def _ask_again(self) -> None:
        """The next of those that were put off for whom there is room: what it kept comes again, and is heard."""
        first: dict[Priority, str] = {}
        for device_id in self._put_off:
            has_room = self.sessions.has_room(self._devices.visitor(device_id))
            if has_room and self.connected(device_id) and not self.sessions.of_device(device_id):
                first.setdefault(self.priority(device_id), device_id)
        if first:
            device_id = first[self._put_off_turns.take(first)]
            self._devices.renew(device_id, self._put_off.pop(device_id))

    def _begin_session(self, name: StreamName, event: StreamStarted, heard_to: int) -> Session:
        session = self.sessions.open(
            name,
            self._announce.user(name.device_id),
            end_on_silence=event.end_on_silence,
            now=self._now(),
            visitor=self._devices.visitor(name.device_id),
            priority=self.priority(name.device_id),
        )
        self._journal.commit(StreamOpened(stream_row(session, event.begun, heard_to)))
        return session

    def _converse(self, session: Session) -> HeardStream:
        transcription = self._transcription
        segmenter = partial(self._segmenter, transcription, end_on_silence=session.end_on_silence)
        wake_words = self._woken_by(session)
        hints = self._hints.begin(session.device_id, session.name.boot, transcription, self._now())
        keeps = self._connected[session.device_id].ring_frames > 0
        return HeardStream(
            session,
            self._wake_words.gate(session.device_id, segmenter) if wake_words else segmenter(),
            hints,
            wake_words=wake_words,
            contestant=self._contests.enter(session.device_id, pressed=not session.end_on_silence),
            recognizer=self._recognizer,
            announcer=self._announce,
            device_keeps=keeps,
            tell=self._tell,
            names=partial(self.names, session.device_id),
        )

    def names(self, device_id: str) -> tuple[str, ...]:
        """Those of the house, where this device is."""
        return self._house_names.told(self._announce.place(device_id)[1])

    def _woken_by(self, session: Session) -> tuple[str, ...]:
        """The wake words that are waited for: with push-to-talk none."""
        return self._wake_words.of(session.device_id) if session.end_on_silence else ()

    def _segmenter(self, settings: TranscriptionSettings, *, end_on_silence: bool) -> UtteranceSegmenter:
        return UtteranceSegmenter(
            self._listen(),
            settings.segmenter,
            end_on_silence=end_on_silence,
            partial_ms=settings.partials.every_ms,
        )

    def _decline(self, heard: HeardStream) -> None:
        """Nothing will be understood: the turn fails at once, before anybody has spoken for nothing."""
        self._tell(Complete(heard, NOTHING_HEARD))
        heard.session.end_stream()
        self._devices.settle(*heard.session.name, WHOLE_STREAM)

    def stop(self, event: StreamStopped) -> None:
        """A device has said all that it wanted to."""
        name = StreamName(event.device_id, event.boot, event.stream)
        self.former.begins_anew(name)
        heard = self.streams.get(name)
        if heard is not None and event.lost_samples:
            end = heard.heard_to + event.lost_samples
            self._hear_chunk(heard, AudioChunk(end, from_pcm16(b""), event.lost_samples))
        if self.former.forget(name) is not None and heard is None:
            self._devices.settle(*name, WHOLE_STREAM)
        self.end_stream(name, EndReason.STOP)

    def end_stream(self, name: StreamName, reason: EndReason) -> None:
        """No more audio will come of it: what was heard is an utterance. Idempotent."""
        heard = self.streams.pop(name, None)
        if heard is None:
            session = self.sessions.find(name)
            if session is not None:  # of a device that has not come back since a gateway before this one
                session.end_stream()
                self._journal.commit(StreamEnded(session.session_id))
            return
        heard.finish(reason)
        heard.session.end_stream()
        self._journal.commit(StreamEnded(heard.session.session_id))
        self._hints.keep(name.device_id, name.boot, heard.hints, self._now())
        self._settling.settle(heard)
        if not heard.session.turns:
            self._announce.status(heard.session, DeviceStatus.IDLE)

    # -- audio into utterances

    def segment(self, event: AudioReceived) -> None:
        """A piece of a stream, in order. Never raises."""
        name = StreamName(event.device_id, event.boot, event.stream)
        try:
            self._segment(name, event)
        except Exception as error:  # noqa: BLE001 - the boundary: it would go wrong with each piece
            self._break_off(name, error)

    def _break_off(self, name: StreamName, error: Exception) -> None:
        """The gateway stumbled over a stream: it is over, its device is told, and need not keep it."""
        names = {"device_id": name.device_id, "stream": str(name.stream)}
        self._mishaps.note(A_STREAM, error, **names)
        heard = self.streams.pop(name, None)
        session = self.sessions.find(name)
        with self._mishaps.contained(A_STREAM, **names):
            self._devices.settle(*name, WHOLE_STREAM)
        if heard is not None:
            with self._mishaps.contained(A_STREAM, **names):
                heard.drop()
        if session is None:
            return
        session.end_stream()
        with self._mishaps.contained(A_STREAM, **names):
            self._journal.commit(StreamEnded(session.session_id))
        with self._mishaps.contained(A_STREAM, **names):
            self._announce.failure(session, "", Apology.NOT_HEARD)
            if not session.turns:
                self._announce.status(session, DeviceStatus.IDLE)

    def _segment(self, name: StreamName, event: AudioReceived) -> None:
        left = self.former.left(name)
        position, pcm, lost = event.position, event.pcm, event.lost_samples
        if left is not None and position < left.heard_to:  # it comes again, and is in an utterance
            pcm, position, lost = pcm[2 * (left.heard_to - position) :], left.heard_to, 0
            if not pcm:
                return
        self.former.goes_on(name)
        end_on_silence = self.former.begins_anew(name)
        if end_on_silence is not None:  # the device came back after all: the rest is a session of its own
            self.open(StreamStarted(*name, end_on_silence), heard_to=position)
        heard = self.streams.get(name)
        if heard is not None:  # else it was refused, or is the next gateway's
            self._hear_chunk(heard, AudioChunk(position, from_pcm16(pcm), lost))

    def _hear_chunk(self, heard: HeardStream, chunk: AudioChunk) -> None:
        if chunk.position != heard.heard_to:
            self._journal.commit(HeardFrom(heard.session.session_id, chunk.position))
        heard.hear(chunk)
        self._settling.settle(heard)

    def ask(self, session_id: str, wanted: WantedHints) -> None:
        """Hear what is still to come of a conversation like this."""
        session = self.sessions.get(session_id)
        if session is None:
            return
        heard = self.streams.get(session.name)
        hints = heard.hints if heard is not None else self._hints.of(session.device_id)
        if hints is not None:
            hints.ask(wanted)
            self._hints.keep(session.device_id, session.name.boot, hints, self._now())

    def ask_of(self, device_id: str, wanted: WantedHints) -> None:
        """Hear what is said with a device from now on like this."""
        self._hints.ask(device_id, wanted, self._transcription, self._now())

    # -- the end

    def close(self) -> None:
        """From now on no stream is opened: devices keep what they say."""
        self.closed = True

    @property
    def in_speech(self) -> bool:
        """Whether somebody is speaking: their device is there, and they have not finished."""
        return any(
            heard.in_utterance and self.connected(name.device_id) for name, heard in self.streams.items()
        )

    def hand_back(self) -> None:
        """End all streams. What is still being said stays with a device that keeps it."""
        for name, heard in list(self.streams.items()):
            if heard.in_utterance and heard.device_keeps:
                del self.streams[name]
                heard.drop()
                heard.session.end_stream()
            else:
                self.end_stream(name, EndReason.SHUTDOWN)
