"""A job as the recognizer has it, and its text as it travels back. No I/O."""

from __future__ import annotations

from typing import Final

from gateway.contract.messages import is_device_token, is_token
from gateway.contract.recognition import (
    JobHints,
    RecognitionJob,
    ResultSegment,
    ResultText,
    ResultWord,
    model_token,
)
from transcription.audio import SAMPLE_RATE, Samples
from transcription.transcriber import Hints, Transcript
from transcription.utterance.segmenter import EndReason, Utterance

MOST_SECONDS: Final = 60.0
"""Of audio in a job: no utterance has half as much."""


class NotForUs(Exception):
    """Nobody can do this job, or say to whom its result would go; it is rejected."""


def check(job: RecognitionJob, model: str) -> None:
    """Raises NotForUs: it came to the wrong place, or from somebody who cannot be answered."""
    if model_token(job.model) != model_token(model):
        raise NotForUs(f"it is for the model {job.model!r:.80}, and came where {model!r:.80} works")
    if not is_token(job.job_id) or not is_device_token(job.gateway):
        raise NotForUs("its id may not stand in a routing key")
    if job.samples > MOST_SECONDS * SAMPLE_RATE:
        raise NotForUs(f"it has {job.samples / SAMPLE_RATE:.0f} s, and {MOST_SECONDS:.0f} are the most")
    if job.claim is None and not job.audio and job.samples:
        raise NotForUs("it has neither audio nor a claim check")


def as_utterance(job: RecognitionJob, samples: Samples) -> Utterance:
    """What its gateway cut out of a stream."""
    return Utterance(
        samples=samples,
        start=job.start,
        end=job.start + len(samples),
        speech_end=job.speech_end,
        has_speech=job.has_speech,
        end_reason=_reason(job.end_reason),
        gaps=job.gaps,
        lost_samples=job.lost_samples,
        peak_probability=job.peak_probability,
        clipped=job.clipped,
    )


def _reason(name: str) -> EndReason:
    """One that a newer gateway knows is as good as any: a recognizer looks at none."""
    return EndReason(name) if name in EndReason.__members__.values() else EndReason.STOP


def as_hints(told: JobHints) -> Hints:
    """What is known of it beside its audio."""
    return Hints(
        language=told.language,
        prompt=told.prompt,
        hotwords=told.hotwords,
        word_timestamps=told.word_timestamps,
        draft=told.draft,
        task="translate" if told.task == "translate" else "transcribe",
        names=told.names,
    )


def as_result(transcript: Transcript) -> ResultText:
    """The text on its way."""
    return ResultText(
        text=transcript.text,
        language=transcript.language,
        confidence=transcript.confidence,
        no_speech_probability=transcript.no_speech_probability,
        segments=tuple(
            ResultSegment(start=one.start, end=one.end, text=one.text) for one in transcript.segments
        ),
        engine=transcript.engine,
        model=transcript.model,
        seconds=transcript.seconds,
        context_frames=transcript.context_frames,
        retried=transcript.retried,
        language_probability=transcript.language_probability,
        words=tuple(
            ResultWord(word=one.word, start=one.start, end=one.end, probability=one.probability)
            for one in transcript.words
        ),
        doubtful=transcript.doubtful,
        names_told=transcript.names_told,
    )
