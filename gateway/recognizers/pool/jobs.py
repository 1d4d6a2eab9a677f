"""An utterance as a job for the pool, and a result as a text or an error. No I/O."""

from __future__ import annotations

import math

from gateway.contract.recognition import (
    AudioCodec,
    ClaimCheck,
    Failure,
    JobHints,
    RecognitionJob,
    RecognitionResult,
    ResultText,
    Urgency,
)
from gateway.recognizers.pool.workers import Need
from transcription.errors import (
    EngineDied,
    EngineFailed,
    GivenUp,
    ModelUnavailable,
    TranscriptionError,
    WaitedTooLong,
)
from transcription.priority import Priority
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints, Segment, Transcript, Word
from transcription.utterance.segmenter import Utterance

LONGEST_SECONDS = 86_400.0
"""What waits as long as it takes is given up by the workers after so long."""
START_ONE = "start one: earshot recognizer --broker URL --model {model}"
AWAY = "the broker is away, and nobody is heard over it"
LOOK_AT_BROKER = "look at the broker (broker.url)"


class PackedAudio:
    """An utterance's audio as it travels: inside the job, or where a claim check says."""

    def __init__(self, codec: AudioCodec, inside: bytes = b"", claim: ClaimCheck | None = None) -> None:
        self.codec = codec
        self.inside = inside
        self.claim = claim


def need_of(model: str, hints: Hints, settings: TranscriptionSettings) -> Need:
    """What a worker must have for an utterance with these hints."""
    language = settings.language if hints.language is None else hints.language
    return Need(model, language, translate=hints.task == "translate")


def job_of(
    utterance: Utterance,
    hints: Hints,
    audio: PackedAudio,
    *,
    job_id: str,
    gateway: str,
    model: str,
    urgency: Urgency,
    priority: Priority,
    owner: str,
    asked_at: float,
    seconds: float | None,
    ids: dict[str, str],
) -> RecognitionJob:
    """``seconds``: for so long somebody waits for its beginning; None: for as long as it takes. ``ids``: the log's."""
    return RecognitionJob(
        job_id=job_id,
        gateway=gateway,
        urgency=urgency,
        model=model,
        owner=owner,
        priority=priority.value,
        asked_at=asked_at,
        seconds=LONGEST_SECONDS if seconds is None else min(max(seconds, 0.1), LONGEST_SECONDS),
        hints=_hints(hints),
        codec=audio.codec,
        audio=audio.inside,
        claim=audio.claim,
        samples=len(utterance.samples),
        start=utterance.start,
        speech_end=utterance.speech_end,
        has_speech=utterance.has_speech,
        end_reason=utterance.end_reason.value,
        gaps=utterance.gaps,
        lost_samples=utterance.lost_samples,
        peak_probability=utterance.peak_probability,
        clipped=utterance.clipped,
        ids=ids,
    )


def _hints(hints: Hints) -> JobHints:
    return JobHints(
        language=hints.language,
        prompt=hints.prompt,
        hotwords=hints.hotwords,
        word_timestamps=hints.word_timestamps,
        draft=hints.draft,
        task=hints.task,
        names=hints.names,
    )


def transcript_of(text: ResultText) -> Transcript:
    """Numbers that are none, or not such as they should be, are 0: they come from another machine."""
    return Transcript(
        text=text.text,
        language=text.language,
        confidence=_share(text.confidence),
        no_speech_probability=_share(text.no_speech_probability),
        segments=tuple(Segment(finite(one.start), finite(one.end), one.text) for one in text.segments),
        engine=text.engine,
        model=text.model,
        seconds=finite(text.seconds),
        context_frames=max(0, text.context_frames),
        retried=text.retried,
        language_probability=_share(text.language_probability),
        words=tuple(
            Word(one.word, finite(one.start), finite(one.end), _share(one.probability)) for one in text.words
        ),
        doubtful=text.doubtful,
        names_told=max(0, text.names_told),
    )


def error_of(result: RecognitionResult, tries: int) -> TranscriptionError:
    """Why there is no text. ``tries``: how often engines are tried with an utterance that they die of."""
    reason = result.reason or f"the recognizer {result.worker} does not say why"
    match result.failure:
        case Failure.POISON:
            return GivenUp(tries, EngineDied(reason))
        case Failure.LATE:
            return WaitedTooLong("no recognizer began with it in time")
        case Failure.UNAVAILABLE:
            remedy = f"look at the recognizer {result.worker}: its log says what it lacks"
            return ModelUnavailable(reason, remedy=remedy)
        case _:
            return EngineFailed(f"{result.worker}: {reason}")


def finite(seconds: float) -> float:
    """As it is, where it may be so many seconds."""
    return seconds if math.isfinite(seconds) and seconds >= 0 else 0.0


def _share(number: float) -> float:
    return min(1.0, finite(number))
