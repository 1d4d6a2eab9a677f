"""One stream being heard: its audio in, in order; what is to be made of it out, as soon as that is known.

The recognizer is woken with the first word, and works ahead at each pause; what is complete is told. Where a wake word
is wanted, nothing of that happens before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from gateway.pipeline.arbitration.contests import Contestant, Contested
from gateway.pipeline.hearing.clipping import Clipping
from gateway.pipeline.hearing.level_meter import LevelMeter
from gateway.pipeline.hearing.live_text import LiveText
from gateway.pipeline.sessions.hints import SessionHints
from gateway.pipeline.sessions.session import Session
from gateway.pipeline.telling.announcer import Announcer
from transcription.audio import AudioChunk
from transcription.recognizing import Guessing, Recognizing
from transcription.utterance.offset import OffsetFilter
from transcription.utterance.segmenter import (
    EndReason,
    SpeechGoesOn,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    Utterance,
    UtteranceSegmenter,
)
from transcription.wake.gate import FellAsleep, GateEvent, NothingSaid, WakeGate, Woken


@dataclass(frozen=True, slots=True)
class Complete:
    """Somebody has finished what they said."""

    heard: HeardStream
    utterance: Utterance
    contested: Contested | None = None
    """Where other devices may have heard it, too."""


class HeardStream:
    """A session, and what cuts its audio into utterances."""

    __slots__ = (
        "_announce", "_clipping", "_meter", "_names", "_recognizer", "_segmenter", "_tell", "_wake_word",
        "_without_offset", "begun", "contestant", "device_keeps", "guess", "heard_to", "hints", "live", "session",
        "settled_to", "wake_words",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        segmenter: UtteranceSegmenter | WakeGate,
        hints: SessionHints,
        *,
        recognizer: Recognizing,
        announcer: Announcer,
        device_keeps: bool,
        tell: Callable[[Complete], None],
        wake_words: tuple[str, ...] = (),
        names: Callable[[], tuple[str, ...]] = tuple,
        contestant: Contestant | None = None,
    ) -> None:
        """``names``: those of the house that are likely where this is heard, as they are known at the moment."""
        self.session = session
        self.contestant = contestant
        """Where others may hear the same voice."""
        self.wake_words = wake_words
        """Those that the gateway listens for; none: it needs none."""
        self.hints = hints
        self.device_keeps = device_keeps
        """Whether the device has a ring, and so its speech until it is settled."""
        self.begun: int | None = None
        """The number of its AUDIO_START, as its row has it."""
        self.heard_to = 0
        self.settled_to = -1
        self.guess: Guessing | None = None
        """The text of what was said until the present pause, in case that was all."""
        self.live: LiveText | None = None
        """The text of what is being said."""
        self._segmenter = segmenter
        self._wake_word = ""
        session.is_asleep = isinstance(segmenter, WakeGate)
        self._recognizer = recognizer
        self._announce = announcer
        self._tell = tell
        self._names = names
        hints.know(names())
        self._without_offset = OffsetFilter()
        self._clipping = Clipping()
        self._meter = LevelMeter(lambda: announcer.wants_levels(session.device_id))

    @property
    def in_utterance(self) -> bool:
        """Whether something is being said."""
        return self._segmenter.in_utterance

    @property
    def needed_from(self) -> int:
        """Audio before this position is in utterances, or in none."""
        return self._segmenter.needed_from

    def hear(self, chunk: AudioChunk) -> None:
        """The next audio."""
        self.heard_to = chunk.position + len(chunk.samples)
        self._clipping.hear(chunk)
        chunk = self._without_offset(chunk)
        if self.contestant is not None:
            self.contestant.hear(chunk)
        level = self._meter.feed(chunk.samples)
        if level is not None:
            self._announce.level(self.session.device_id, level)
        for event in self._segmenter.feed(chunk):
            self._take(event)

    def wake(self, phrase: str) -> None:
        """Its device has heard a wake word: what follows is listened to, and the word is no part of it."""
        if not isinstance(self._segmenter, WakeGate):
            self._wake_word = phrase
            if self.contestant is not None:
                self.contestant.woken()
            return
        for event in self._segmenter.wake(phrase):
            self._take(event)

    def join(self, contestant: Contestant | None) -> None:
        """From now on others (None: none) may hear the same voice.

        Where they are others than before, what is being said now is heard by itself.
        """
        if self.contestant is not None and self.contestant is not contestant:
            self.contestant.withdraw()
        self.contestant = contestant

    def finish(self, reason: EndReason) -> None:
        """No more audio will come: what was being said is an utterance."""
        for event in self._segmenter.finish(reason):
            self._take(event)
        self.drop()

    def drop(self) -> None:
        """What is being said will never be complete. Idempotent."""
        self.drop_guess()
        self.end_live()
        if self.contestant is not None:
            self.contestant.withdraw()

    def drop_guess(self) -> None:
        """It was not all, or nobody will want it."""
        if self.guess is not None:
            self.guess.drop()
            self.guess = None

    def end_live(self) -> LiveText | None:
        """What is being said is complete, or will never be; its live text, if there is any."""
        live, self.live = self.live, None
        if live is not None:
            live.end()
        return live

    def _take(self, event: GateEvent) -> None:
        if self.contestant is not None and isinstance(event, SpeechStarted):
            self.contestant.speech_began(event.position)
        match event:
            case SpeechStarted():
                self._recognizer.wake()
                self.hints.know(
                    self._names()
                )  # until it ends: what is guessed at its pauses is to fit its end
                self._announce.speech_began(self.session)
                self.live = LiveText(self.session, self._recognizer, self._announce)
            case SpeechGoesOn(so_far):
                if self.live is not None:
                    self.live.goes_on(self._unworded(so_far), self.hints.now)
            case SpeechPaused(so_far):
                self._pause(self._unworded(so_far))
            case SpeechResumed():
                self.drop_guess()
            case Utterance():
                self._complete(event)
            case NothingSaid():
                self.drop()
            case Woken() | FellAsleep():
                self._turn(event)

    def _complete(self, event: Utterance) -> None:
        utterance, self._wake_word = self._unworded(event), ""
        clipped = self._clipping.within(event.start, event.end)
        if clipped:
            utterance = replace(utterance, clipped=clipped)
        contested = None if self.contestant is None else self.contestant.complete(utterance)
        self._tell(Complete(self, utterance, contested))

    def _unworded(self, utterance: Utterance) -> Utterance:
        return replace(utterance, wake_word=self._wake_word) if self._wake_word else utterance

    def _pause(self, so_far: Utterance) -> None:
        if self.contestant is not None and self.contestant.trails():
            return  # its text will hardly be wanted
        with structlog.contextvars.bound_contextvars(**self._in_log()):
            guess = self.guess = self._recognizer.guess(
                so_far,
                owner=self.session.owner,
                hints=self.hints.now,
                priority=self.session.priority,
            )
        if guess is not None and self.live is not None:
            self.live.pauses(guess, so_far.wake_word)

    def _in_log(self) -> dict[str, str]:
        names = {"session_id": self.session.session_id, "device_id": self.session.device_id}
        return {**names, "utterance_id": self.live.utterance_id} if self.live is not None else names

    def _turn(self, event: Woken | FellAsleep) -> None:
        """The device is listened to from now on, or not any more."""
        self.session.is_asleep = isinstance(event, FellAsleep)
        if isinstance(event, Woken):
            self._wake_word = event.phrase
            if self.contestant is not None:
                self.contestant.woken()
            self._announce.woken(self.session, event.phrase, event.certainty)
            return
        self._wake_word = ""
        if event.in_vain and not self.session.turns:
            self._announce.attention(self.session)
