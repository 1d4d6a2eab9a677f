"""An utterance on its way: what is known about it, as its message and as its line in the log."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace

import structlog

from gateway.access.principals import WEB_DEVICE
from gateway.contract.messages import (
    AudioFacts,
    DeadUtterance,
    RecognizerFacts,
    Timings,
    TranscriptionMessage,
    WordTime,
    new_id,
)
from gateway.observing.log import UTTERANCE
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.session import Session, Turn, TurnEvent
from transcription.audio import SAMPLE_RATE, milliseconds
from transcription.recognizing import Recognized
from transcription.transcriber import Word
from transcription.utterance.segmenter import EndReason, Utterance
from transcription.whisper.features import HOP

log = structlog.get_logger(__name__)


def new_name(session: Session, turn: Turn) -> UtteranceName:
    """Of a turn that has just begun, perhaps within an HTTP request, which is what the log is bound to then."""
    cause = structlog.contextvars.get_contextvars().get("correlation_id", "")
    return UtteranceName(
        session.session_id,
        session.user_id,
        session.name,
        turn.utterance_id,
        _new_correlation_id(session),
        causation_id=cause,
    )


def _new_correlation_id(session: Session) -> str:
    """Unguessable; of a listener that speaks it names the session too: ``web-<session>-<128 random bits>``."""
    if session.device_id.startswith(WEB_DEVICE):
        return f"{WEB_DEVICE}{session.session_id}-{secrets.token_urlsafe(16)}"
    return new_id("c")


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """One utterance of a session, complete at ``complete_at`` (the event loop's time, in seconds)."""

    name: UtteranceName
    session: Session
    turn: Turn
    utterance: Utterance
    complete_at: float
    partials: int = 0
    """How often its text was shown while it was being spoken."""
    partials_dropped: int = 0
    """How often that was wanted and not worked out."""

    @property
    def ended_at(self) -> float:
        """When the speaker stopped: the device's own stop, or the last speech before the silence."""
        if self.utterance.end_reason is not EndReason.SILENCE:
            return self.complete_at
        return self.complete_at - (self.utterance.end - self.utterance.speech_end) / SAMPLE_RATE

    def spoken_at(self, now: float) -> float:
        """When it began, in Unix seconds; ``now`` by the event loop's clock."""
        return time.time() - (now - self.complete_at) - self.utterance.seconds

    def advance(self, event: TurnEvent) -> None:
        """Something happened to its turn; once that has ended, nothing does."""
        if not self.turn.ended:
            self.session.advance(self.turn, event)

    def without_audio(self) -> Spoken:
        """The same, once its audio is not needed any more."""
        samples = self.utterance.samples[:0].copy()
        return replace(self, utterance=replace(self.utterance, samples=samples))

    def within(self, conversation_id: str) -> Spoken:
        """The same, once it is known in which conversation it was said."""
        return replace(self, name=replace(self.name, conversation_id=conversation_id))

    def message(self, recognized: Recognized | None, error: str | None, now: float) -> TranscriptionMessage:
        """What is published: the text, or (``error``) why there is none."""
        transcript = recognized.transcript if recognized else None
        return TranscriptionMessage(
            **self.name.ids(),
            text=transcript.text.strip() if transcript else "",
            timestamp=time.time(),
            success=error is None,
            error=error,
            message_id=new_id("m"),
            language=transcript.language if transcript else "",
            confidence=transcript.confidence if transcript else 0.0,
            audio=self._audio,
            timings=Timings(
                endpoint_ms=_milliseconds(self.complete_at - self.ended_at),
                queue_ms=_milliseconds(recognized.queue_seconds) if recognized else 0.0,
                recognize_ms=_milliseconds(recognized.recognize_seconds) if recognized else 0.0,
                text_ms=_milliseconds(now - self.ended_at),
            ),
            recognizer=_recognizer(recognized) if recognized else RecognizerFacts(),
            no_speech_probability=transcript.no_speech_probability if transcript else 0.0,
            language_probability=transcript.language_probability if transcript else 0.0,
            words=tuple(map(_word_time, transcript.words)) if transcript else (),
            priority=self.session.priority.value,
        )

    def dead(self, reason: str, attempts: int) -> DeadUtterance:
        """What is published when it is given up."""
        return DeadUtterance(
            **self.name.ids(),
            timestamp=time.time(),
            reason=reason,
            attempts=attempts,
            message_id=new_id("m"),
            audio=self._audio,
        )

    @property
    def _audio(self) -> AudioFacts:
        return AudioFacts(
            seconds=self.utterance.seconds,
            gaps=self.utterance.gaps,
            lost_ms=milliseconds(self.utterance.lost_samples),
            end_reason=self.utterance.end_reason,
            clipped_ms=milliseconds(self.utterance.clipped),
        )

    def log(self, message: TranscriptionMessage, error: str | None, now: float) -> None:
        """The one canonical line of this utterance, at its turn's end. The text is never in it."""
        audio, timings, recognizer = message.audio, message.timings, message.recognizer
        log.info(
            UTTERANCE,
            session_id=message.session_id,
            utterance_id=message.utterance_id,
            correlation_id=message.correlation_id,
            conversation_id=message.conversation_id,
            device_id=message.device_id,
            user_id=message.user_id,
            **({"causation_id": self.name.causation_id} if self.name.causation_id else {}),
            outcome=self.turn.state.value,
            **({"error": error} if error else {}),
            seconds=round(audio.seconds, 2),
            end_reason=audio.end_reason,
            gaps=audio.gaps,
            lost_ms=round(audio.lost_ms),
            clipped_ms=round(audio.clipped_ms),
            engine=recognizer.engine,
            model=recognizer.model,
            context_ms=round(recognizer.context_ms),
            retried=recognizer.retried,
            names=recognizer.names,
            **({"worker": recognizer.worker} if recognizer.worker else {}),
            partials=self.partials,
            partials_dropped=self.partials_dropped,
            endpoint_ms=round(timings.endpoint_ms),
            queue_ms=round(timings.queue_ms),
            recognize_ms=round(timings.recognize_ms),
            text_ms=round(timings.text_ms),
            answer_ms=round(1000 * (now - self.ended_at)),
        )


def _milliseconds(seconds: float) -> float:
    """As they are told: nothing is measured more finely than that."""
    return round(1000 * seconds, 1)


def _word_time(word: Word) -> WordTime:
    return WordTime(
        word=word.word, start=round(word.start, 3), end=round(word.end, 3), probability=word.probability
    )


def _recognizer(recognized: Recognized) -> RecognizerFacts:
    transcript = recognized.transcript
    return RecognizerFacts(
        engine=transcript.engine,
        model=transcript.model,
        context_ms=milliseconds(transcript.context_frames * HOP),
        retried=transcript.retried,
        names=transcript.names_told,
        worker=recognized.worker,
    )
