"""What an engine is: an utterance in, a transcript out, synchronously."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from transcription.errors import EngineFailed
from transcription.utterance.segmenter import Utterance

OnProgress: TypeAlias = Callable[[str, float], None]
"""Told what takes so long ("fetching base: 62 of 145 MB"), and how much of it is done, in [0, 1]. Any thread."""


def untold(_what: str, _share: float) -> None:
    """Progress that nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known of an utterance beside its audio, and what is wanted of it.

    ``language``: a code, or ``auto`` (the engine finds out); None: as in the engine's settings.
    ``prompt`` is text as it might have stood before the utterance; ``hotwords`` are words that are likely
    in it; ``names`` are those of the house, whichever are likeliest first, of which an engine takes as many as do it
    good. An engine that has no use for a hint ignores it. ``task``: "translate" wants the text in English,
    whatever is spoken; an engine that cannot do that fails. ``draft``: a quick look is enough, because the
    speech goes on; a result that cannot be right is not looked at twice, but marked ``doubtful``.
    """

    language: str | None = None
    prompt: str = ""
    hotwords: str = ""
    word_timestamps: bool = False
    draft: bool = False
    task: Literal["transcribe", "translate"] = "transcribe"
    names: tuple[str, ...] = ()


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a transcript; times in seconds from the utterance's start."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a transcript; times in seconds from the utterance's start, probability in [0, 1]."""

    word: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """The final text of one utterance.

    ``confidence`` is a probability in [0, 1]; ``seconds`` the engine's own wall time. ``context_frames``:
    how much the model was given at once, in frames of 10 ms; 0 when it was not asked or knows no such
    thing. ``retried``: a first result could not be right, so the engine looked twice.
    ``language_probability``: how sure the engine is of the language that it found out itself, else 0.
    ``words``: only when they were wanted, and the engine knows their times. ``doubtful``: it cannot be
    right, and was not looked at twice. ``names_told``: of the hint's names, how many were listened for.
    No speech is ``text == ""``, not an error.
    """

    text: str
    language: str
    confidence: float
    no_speech_probability: float
    segments: tuple[Segment, ...]
    engine: str
    model: str
    seconds: float
    context_frames: int = 0
    retried: bool = False
    language_probability: float = 0.0
    words: tuple[Word, ...] = ()
    doubtful: bool = False
    names_told: int = 0


@dataclass(frozen=True, slots=True)
class Where:
    """What an engine computes on. ``notice``: it is not what was hoped for, and why; ``full``: for want of memory."""

    gpu: str = ""
    """The GPU and the number format ("cuda:0, float16"); empty: the CPU."""

    notice: str = ""
    full: bool = False


ON_CPU = Where()


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One utterance of a batch. ``names``: the ids by which the log knows it."""

    utterance: Utterance
    hints: Hints = NO_HINTS
    names: Mapping[str, str] = field(default_factory=dict)


class Transcriber(Protocol):
    """An engine: synchronous and dumb. One owner drives it off the event loop, on as many threads as it has lanes."""

    @property
    def engine(self) -> str:
        """The engine's name, as in the settings."""

    @property
    def model(self) -> str:
        """The model's name, as in the settings."""

    def load(self, on_progress: OnProgress = untold) -> None:
        """Fetch if need be, load and warm up. Raises ModelUnavailable. Idempotent."""

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        """The text of one utterance; blocks. Raises EngineFailed."""

    def close(self) -> None:
        """Free the model. Idempotent; ``load`` may follow."""


@runtime_checkable
class Multilingual(Protocol):
    """An engine that says which languages it knows, once it is loaded."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Their codes. With English and others it translates into English, too."""


@runtime_checkable
class PlacedEngine(Protocol):
    """An engine that may compute on more than the CPU."""

    @property
    def where(self) -> Where:
        """What it computes on, once it is loaded."""


@runtime_checkable
class Hurried(Protocol):
    """An engine that looks at an utterance once more where it has to."""

    def hurry(self, utterance: Utterance) -> None:
        """Nobody waits any more for this one, which it is at or about to be at: it looks no further.

        At once, from any thread; nothing where it is done with it.
        """


@runtime_checkable
class Laned(Protocol):
    """An engine that several threads may call at the same time."""

    @property
    def lanes(self) -> int:
        """So many gain by it, once it is loaded."""


def lanes_of(engine: Transcriber) -> int:
    """So many may call a loaded engine at the same time, each from a thread of its own."""
    return engine.lanes if isinstance(engine, Laned) else 1


class BatchTranscriber(ABC):
    """An engine that does several utterances at once in less time than one after the other."""

    @property
    @abstractmethod
    def batches(self) -> bool:
        """Whether that is so."""

    @abstractmethod
    def transcribe_all(self, tasks: Sequence[Task]) -> list[Transcript | EngineFailed]:
        """What became of each, in order; blocks. The failure of one is not the others'. Raises EngineFailed for all."""
