"""What travels between gateways and recognizers on other machines (``recognizers`` in config.yaml).

Messages are msgpack (``application/msgpack``), for a job carries audio; fields are named as here. ``docs/messages.md``
is this file for people who do not read Python.
"""

from __future__ import annotations

import enum
import hashlib
import re
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gateway.contract.messages import MESSAGE_BYTES, Id, Line, Text, decoded

RECOGNITION_SCHEMA: Final = 1
RECOGNITION_TYPE: Final = "application/msgpack"

POOL_USER: Final = "pool"
"""The user in the keys of all that gateways and recognizers tell each other."""

JOBS_TOPIC: Final = "recognition.jobs"
"""Followed by the model and the urgency: ``recognition.jobs.base.final``; key (``pool``, gateway, job)."""
RESULTS_TOPIC: Final = "recognition.results"
"""Each under the key (``pool``, gateway, job): a gateway finds its own with the pattern ``device.<gateway>``."""
WORKERS_TOPIC: Final = "recognition.workers"
"""Each under the key (``pool``, worker, ``presence``)."""
RECOGNIZERS_GROUP: Final = "recognizers"
"""Under which the workers take jobs in competition."""

INLINE_BYTES: Final = 256 * 1024
"""Audio up to this size lies in its job; larger is fetched by a claim check."""
WORKER_SECONDS: Final = 1.0
"""How often a worker says that it is there."""
WORKER_GONE_SECONDS: Final = 3 * WORKER_SECONDS
"""One that has been silent for so long is not."""

MOST_LANGUAGES: Final = 200
MOST_NAMES_TOLD: Final = 2_000
MOST_WORDS: Final = 20_000


class Urgency(enum.StrEnum):
    """What waits for a job's text; workers do the first first."""

    FINAL = "final"
    """Somebody has spoken, and waits."""
    GUESS = "guess"
    """Somebody may have ended."""
    PARTIAL = "partial"
    """Somebody is speaking."""
    FILE = "file"
    """A recording; nobody waits next to it."""


class AudioCodec(enum.StrEnum):
    """In which form a job's audio is; 16 kHz, mono, each."""

    FLAC = "flac"
    OPUS = "opus"
    """In an Ogg container."""
    PCM = "pcm_s16le"


class ClaimCheck(Struct, frozen=True, kw_only=True):
    """Where audio too large for its job lies, in its codec's form. ``place`` says which kind of place ``key`` names.

    ``store``: the broker's own (NATS's object store, a Redis key with a time to live). ``https``: the gateway that
    asks; the key is a URL whose last part is a secret made for this alone, and good for a few times, for a worker
    may die over it.
    """

    place: Annotated[str, Meta(pattern=r"^(store|https)$")]
    key: Line
    bytes: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class JobHints(Struct, frozen=True, kw_only=True):
    """What is known of an utterance beside its audio, and what is wanted of it; as ``Hints`` of the transcriber."""

    language: Annotated[str, Meta(max_length=16)] | None = None
    prompt: Text = ""
    hotwords: Text = ""
    word_timestamps: bool = False
    draft: bool = False
    task: Annotated[str, Meta(pattern=r"^(transcribe|translate)$")] = "transcribe"
    names: Annotated[tuple[Line, ...], Meta(max_length=MOST_NAMES_TOLD)] = ()


class RecognitionJob(Struct, frozen=True, kw_only=True):
    """One utterance, for whichever worker has time.

    ``owner``: whose it is (a device), for turns within a worker. ``asked_at`` is Unix time by the gateway's clock;
    after ``seconds`` nobody waits any more, and the job is not begun. Stream positions are as an utterance has them,
    in samples. ``ids``: those of the utterance by which both logs know it (``correlation_id`` and others).
    """

    job_id: Id
    gateway: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    urgency: Urgency
    model: Line
    owner: Line = ""
    priority: Annotated[str, Meta(pattern=r"^(urgent|normal|background)$")] = "normal"
    asked_at: float = 0.0
    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    hints: JobHints = JobHints()
    codec: AudioCodec = AudioCodec.FLAC
    audio: Annotated[bytes, Meta(max_length=MESSAGE_BYTES)] = b""
    claim: ClaimCheck | None = None
    samples: Annotated[int, Meta(ge=0)]
    start: int = 0
    speech_end: int = 0
    has_speech: bool = True
    end_reason: Line = "stop"
    gaps: int = 0
    lost_samples: int = 0
    peak_probability: float = 0.0
    clipped: int = 0
    ids: Annotated[dict[Annotated[str, Meta(max_length=32)], Id], Meta(max_length=8)] = {}
    schema: int = RECOGNITION_SCHEMA


class ResultSegment(Struct, frozen=True, kw_only=True):
    """A piece of the text; times in seconds from the utterance's start."""

    start: float
    end: float
    text: Text


class ResultWord(Struct, frozen=True, kw_only=True):
    """One word; times in seconds from the utterance's start, probability in [0, 1]."""

    word: Line
    start: float
    end: float
    probability: float


class ResultText(Struct, frozen=True, kw_only=True):
    """What was spoken; as :class:`transcription.transcriber.Transcript`."""

    text: Text
    language: Annotated[str, Meta(max_length=16)]
    confidence: float
    no_speech_probability: float
    segments: Annotated[tuple[ResultSegment, ...], Meta(max_length=MOST_WORDS)] = ()
    engine: Line = ""
    model: Line = ""
    seconds: float = 0.0
    context_frames: int = 0
    retried: bool = False
    language_probability: float = 0.0
    words: Annotated[tuple[ResultWord, ...], Meta(max_length=MOST_WORDS)] = ()
    doubtful: bool = False
    names_told: int = 0


class Failure(enum.StrEnum):
    """Why a job has no text."""

    FAILED = "failed"
    """The engine could not do it; another one could not either."""
    POISON = "poison"
    """Engines died of it, as often as is tried."""
    LATE = "late"
    """It was not begun in time."""
    UNAVAILABLE = "unavailable"
    """The worker has no engine for it; another one may."""
    NO_AUDIO = "no audio"
    """Its audio was not where the claim check says, or is not what it should be."""


class RecognitionResult(Struct, frozen=True, kw_only=True):
    """What became of a job: ``transcript``, or ``failure`` with its reason. It may come twice."""

    job_id: Id
    worker: Line
    transcript: ResultText | None = None
    failure: Failure | None = None
    reason: Text = ""
    waited_seconds: float = 0.0
    """From the worker's taking it to its beginning with it."""
    recognize_seconds: float = 0.0
    schema: int = RECOGNITION_SCHEMA


Token: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class WorkerPresence(Struct, frozen=True, kw_only=True):
    """That a recognizer is there, told by each of them every second on ``recognition.workers``.

    ``state`` ``leaving``: it takes nothing more. ``capacity``: how many utterances it does at the same time; ``busy``:
    how many it is at. ``oldest_seconds``: how long the oldest job that it knows of has waited. ``seconds_per_job``:
    what one took of late, in the middle; 0: none yet. ``timestamp`` is by its own clock.
    """

    worker: Token
    state: Annotated[str, Meta(pattern=r"^(here|loading|leaving)$")] = "here"
    model: Line = ""
    engine: Line = ""
    languages: Annotated[
        tuple[Annotated[str, Meta(max_length=16)], ...], Meta(max_length=MOST_LANGUAGES)
    ] = ()
    capacity: Annotated[int, Meta(ge=0)] = 1
    busy: Annotated[int, Meta(ge=0)] = 0
    oldest_seconds: float = 0.0
    seconds_per_job: float = 0.0
    done: Annotated[int, Meta(ge=0)] = 0
    failed: Annotated[int, Meta(ge=0)] = 0
    where: Line = ""
    version: Line = ""
    timestamp: float = 0.0
    schema: int = RECOGNITION_SCHEMA


def model_token(model: str) -> str:
    """``model`` as one word of a topic: itself where it may stand there, else with a checksum that keeps it apart."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,48}", model):
        return model
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", model).strip("-")[:32]
    return f"{plain}-{hashlib.sha256(model.encode()).hexdigest()[:12]}"


def jobs_topic(model: str, urgency: Urgency) -> str:
    """Where the jobs of that kind are."""
    return f"{JOBS_TOPIC}.{model_token(model)}.{urgency.value}"


_encode = msgspec.msgpack.Encoder().encode
_job_decoder = msgspec.msgpack.Decoder(RecognitionJob)
_result_decoder = msgspec.msgpack.Decoder(RecognitionResult)
_worker_decoder = msgspec.msgpack.Decoder(WorkerPresence)


def encode_recognition(message: RecognitionJob | RecognitionResult | WorkerPresence) -> bytes:
    """A message as it travels."""
    return _encode(message)


def decode_job(payload: bytes) -> RecognitionJob:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_job_decoder.decode, payload, "a recognition job")


def decode_result(payload: bytes) -> RecognitionResult:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_result_decoder.decode, payload, "a result of recognition")


def decode_worker(payload: bytes) -> WorkerPresence:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_worker_decoder.decode, payload, "a recognizer's presence")
