"""The faster-whisper engine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from transcription.audio import SAMPLE_RATE, to_float32
from transcription.errors import EngineDied, EngineFailed, ModelUnavailable
from transcription.models.model_hub import Fetched, megabytes
from transcription.models.models import FULL, get_model, shortest_context, takes_names
from transcription.settings import TranscriptionSettings
from transcription.transcriber import (
    NO_HINTS,
    ON_CPU,
    BatchTranscriber,
    Hints,
    OnProgress,
    Segment,
    Task,
    Transcript,
    Where,
    untold,
)
from transcription.utterance.segmenter import NO_VOICE, Utterance
from transcription.whisper import computing
from transcription.whisper.context import alike, audible, context_frames, longer_contexts
from transcription.whisper.decoding import Take, WhisperDecoder
from transcription.whisper.guards import Hypothesis, better, doubts, is_invented, is_swallowed, token_limit

REPORT_SECONDS = 1.0
"""How often is told how far a download is."""


_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An utterance as the model gets it: ``seconds`` of audio, the utterance's own ``own_seconds`` of them.

    ``voiced``: the segmenter noticed speech; ``voice``: what voice activity came to.
    """

    take: Take
    seconds: float
    own_seconds: float
    voiced: bool
    voice: float
    draft: bool
    started: float
    utterance: Utterance

    @property
    def kind(self) -> tuple[Hashable, int]:
        """What must be equal in a batch, and the length of context. Word times are told for one alone."""
        take = self.take
        alone = id(self) if take.words else None
        return (take.task, take.language, take.prompt, take.hotwords, alone), take.frames

    def doubts(self, said: Hypothesis) -> bool:
        """Whether that cannot be what was spoken."""
        return bool(doubts(said)) or (self.voiced and is_swallowed(said))

    def again(self, frames: int) -> Take:
        """A look in a longer context, without what may have misled."""
        limit = token_limit(self.seconds, generous=True)
        return replace(self.take, frames=frames, most_tokens=limit, prompt="", hotwords="")


class WhisperTranscriber(BatchTranscriber):
    """Whisper through faster-whisper, on the CPU or a GPU (``where``).

    Greedy or beam search at temperature 0, without timestamps, in a context as short as the speech
    and the model allow (``settings.context``). A result that cannot be right is looked at once more
    in a longer context and without prompt and hotwords, which mislead at times, but for a draft's,
    and where that cannot be right either, in the full context; the transcript says so. Names are listened for where the
    result can be right and sounds like one of them, but for a draft's. On the CPU
    it may be called by as many threads at the same time as it has ``lanes``, each of which computes in one.

    An utterance in which voice activity never came above ``NO_VOICE`` (a button held in silence) is
    answered with an empty text without asking the model, which would invent words. Speech too
    faint for the segmenter but above that is transcribed: who holds a button and whispers wants to
    be heard.
    """

    engine = "faster-whisper"

    def __init__(self, settings: TranscriptionSettings) -> None:
        self._settings = settings
        self._language = None if settings.language == "auto" else settings.language
        self._decoder: WhisperDecoder | None = None
        self._unwanted: tuple[Utterance, ...] = ()
        self._floor = self._tolerated = FULL
        self._takes_names = False
        self._where = ON_CPU

    @property
    def where(self) -> Where:
        """What it computes on, once it is loaded."""
        return self._where

    @property
    def lanes(self) -> int:
        """So many calls are worked on at the same time, once it is loaded."""
        return self._decoder.at_once if self._decoder is not None else 1

    @property
    def model(self) -> str:
        """The model's name, as in the settings."""
        return self._settings.model

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that the model knows; none before it is loaded."""
        return tuple(self._decoder.languages) if self._decoder is not None else ()

    def load(self, on_progress: OnProgress = untold) -> None:
        """Find, fetch if need be, load and warm up. Raises ModelUnavailable, and so DeviceUnavailable. Idempotent."""
        if self._decoder is not None:
            return
        settings = self._settings
        folder = get_model(
            settings.model,
            models_dir=settings.models_dir,
            offline=settings.offline,
            on_fetched=_FetchReport(settings.model, on_progress),
        )
        try:
            place = computing.place(settings)
            threads = self._threads()
            at_once = min(threads, settings.batch_utterances)
            decoder = WhisperDecoder(
                folder, place, beam_size=settings.beam_size, threads=threads, at_once=at_once
            )
            self._check_language(decoder)
            self._tolerated = shortest_context(settings.model, folder)
            self._floor = _floor(settings.context, self._tolerated)
            self._takes_names = takes_names(settings.model, folder)
            self._warm_up(decoder, settings.batch_utterances if place.is_gpu else 1)
        except ModelUnavailable:
            raise
        except ImportError as error:
            raise ModelUnavailable(
                f"faster-whisper is not whole: {error}",
                remedy="pip install --force-reinstall 'faster-whisper>=1.2.1' 'ctranslate2>=4.8.1'",
            ) from error
        except Exception as error:  # CTranslate2 and tokenizers raise RuntimeError, bare Exception and others
            raise computing.fault(error) or ModelUnavailable(
                f"cannot load the model in {folder}: {error}",
                remedy="delete that folder and fetch or copy the model again",
            ) from error
        self._decoder, self._where = decoder, place.where

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        """The text of one utterance; blocks. Raises EngineFailed, and EngineDied when its GPU is past help."""
        decoder = self._loaded()
        with _failures():
            heard = self._prepare(decoder, Task(utterance, hints))
            return (
                heard
                if isinstance(heard, Transcript)
                else self._judge(decoder, heard, decoder.decode(heard.take))
            )

    def hurry(self, utterance: Utterance) -> None:
        """Nobody waits any more for this one, be it begun or not: it looks no further. At once, from any thread."""
        self._unwanted = (*self._unwanted, utterance)[-self.lanes :]  # of those before it is done with some

    @property
    def batches(self) -> bool:
        """They share the reading of the weights."""
        return True

    def transcribe_all(self, tasks: Sequence[Task]) -> list[Transcript | EngineFailed]:
        """What became of each, in order; blocks. Raises EngineFailed when there is no model, and EngineDied."""
        outcomes = self._outcomes(self._loaded(), tasks)
        for one in outcomes:
            if isinstance(one, EngineDied):  # alone, too
                raise one
        return outcomes

    def _outcomes(self, decoder: WhisperDecoder, tasks: Sequence[Task]) -> list[Transcript | EngineFailed]:
        """What became of each, in order; EngineDied is one of the failures."""
        prepared = [attempt(partial(self._prepare, decoder, task)) for task in tasks]
        outcomes = [one if isinstance(one, Transcript | EngineFailed) else None for one in prepared]
        heard = {place: one for place, one in enumerate(prepared) if isinstance(one, Prepared)}
        for group in alike([one.kind for one in heard.values()]):
            places = [list(heard)[each] for each in group]
            together = attempt(partial(decoder.decode_all, [heard[place].take for place in places]))
            for number, place in enumerate(places):
                if isinstance(together, EngineFailed):  # whose fault it was is seen when each is alone
                    outcomes[place] = attempt(
                        partial(self.transcribe, tasks[place].utterance, tasks[place].hints)
                    )
                else:
                    outcomes[place] = attempt(partial(self._judge, decoder, heard[place], together[number]))
        return [one for one in outcomes if one is not None]

    def _loaded(self) -> WhisperDecoder:
        if self._decoder is None:
            raise EngineFailed("the model is not loaded")
        return self._decoder

    def _prepare(self, decoder: WhisperDecoder, task: Task) -> Prepared | Transcript:
        """What the model is given at first; the transcript already, where nobody spoke. Raises EngineFailed."""
        started = time.perf_counter()
        utterance, hints = task.utterance, task.hints
        language = self._spoken(decoder, hints)
        self._check_task(decoder, hints)
        if not utterance.has_speech and utterance.peak_probability < NO_VOICE:
            unheard = Hypothesis("", (), 0.0, 1 - utterance.peak_probability, language or "", 0)
            return self._transcript(unheard, 0.0, started)
        samples = audible(utterance)
        features = decoder.features(to_float32(samples))
        frames = context_frames(features.shape[1], floor=self._floor, mels=decoder.mels)
        limit = token_limit(len(samples) / SAMPLE_RATE, generous=frames == FULL)
        own = min(len(samples), len(utterance.samples)) / SAMPLE_RATE
        take = Take(
            features,
            frames,
            limit,
            language,
            hints.prompt,
            hints.hotwords,
            hints.word_timestamps,
            own,
            hints.task,
            () if hints.draft else self._told_names(decoder, hints, language),
        )
        voiced, voice = utterance.has_speech, utterance.peak_probability
        return Prepared(take, len(samples) / SAMPLE_RATE, own, voiced, voice, hints.draft, started, utterance)

    def _judge(self, decoder: WhisperDecoder, heard: Prepared, first: Hypothesis) -> Transcript:
        """The transcript, after a second look where the first was doubtful, and a third where that was, too."""
        prompted = bool(heard.take.prompt or heard.take.hotwords)
        contexts = longer_contexts(first.frames, tolerated=self._tolerated) or ([FULL] if prompted else [])
        if heard.draft or not contexts or not heard.doubts(first):
            return self._told(heard, first, doubtful=heard.draft and heard.doubts(first))
        best = look = first
        for frames in contexts:
            if self._is_unwanted(heard) or (look is not first and not heard.doubts(look)):
                break
            look = decoder.decode(heard.again(frames))
            best = better(best, look)
        return self._told(heard, best, retried=look is not first)

    def _is_unwanted(self, heard: Prepared) -> bool:
        return any(one is heard.utterance for one in self._unwanted)

    def _told(
        self, heard: Prepared, best: Hypothesis, *, retried: bool = False, doubtful: bool = False
    ) -> Transcript:
        """The transcript of what is believed in the end; an empty one where it was made of mere sounds."""
        if is_invented(best, voiced=heard.voiced, voice=heard.voice):
            best = replace(best, text="", tokens=())
        told = self._transcript(best, heard.own_seconds, heard.started, retried=retried, doubtful=doubtful)
        return replace(told, names_told=len(heard.take.names))

    def close(self) -> None:
        """Free the model. Idempotent; ``load`` may follow."""
        self._decoder = None
        self._unwanted = ()

    def _warm_up(self, decoder: WhisperDecoder, most: int) -> None:
        """The first run in each context allocates, on each of the engine's threads; a longer one once, to save memory.

        With ``most`` in one call, too, where that is more than one: a GPU that lacks memory shows it now, not in the
        middle of a sentence.
        """
        features = decoder.features(np.zeros(SAMPLE_RATE, np.float32))
        frames = context_frames(features.shape[1], floor=self._floor, mels=decoder.mels)
        take = Take(features, frames, 4, self._language or decoder.languages[0])
        with ThreadPoolExecutor(decoder.at_once) as lanes:
            list(lanes.map(decoder.decode, [take] * decoder.at_once))
        for longer in longer_contexts(frames, tolerated=self._tolerated)[: None if most > 1 else 1]:
            decoder.decode(replace(take, frames=longer))
        if most > 1:
            decoder.decode_all([take] * most)

    def _spoken(self, decoder: WhisperDecoder, hints: Hints) -> str | None:
        """The language of this utterance; None: it is to be detected. Raises EngineFailed."""
        if hints.language is None or hints.language == self._language:
            return self._language
        if hints.language == "auto":
            return None
        if hints.language not in decoder.languages:
            raise EngineFailed(f"the model {self.model} does not know the language {hints.language!r}")
        return hints.language

    def _told_names(self, decoder: WhisperDecoder, hints: Hints, language: str | None) -> tuple[str, ...]:
        """Those that are worth their tokens; none to a model that reads none."""
        if not hints.names or not self._takes_names:
            return ()
        return decoder.fitting(hints.names, self._settings.names_tokens, language)

    def _check_task(self, decoder: WhisperDecoder, hints: Hints) -> None:
        """Raises EngineFailed."""
        if hints.task == "translate" and len(decoder.languages) == 1:
            raise EngineFailed(f"the model {self.model} knows only one language, and translates nothing")

    def _transcript(
        self,
        hypothesis: Hypothesis,
        seconds: float,
        started: float,
        *,
        retried: bool = False,
        doubtful: bool = False,
    ) -> Transcript:
        text = "" if hypothesis.is_silence else hypothesis.text
        return Transcript(
            text=text,
            language=hypothesis.language,
            confidence=hypothesis.confidence,
            no_speech_probability=hypothesis.no_speech_probability,
            segments=(Segment(0.0, seconds, text),) if text else (),
            engine=self.engine,
            model=self.model,
            seconds=time.perf_counter() - started,
            context_frames=hypothesis.frames,
            retried=retried,
            doubtful=doubtful,
            language_probability=hypothesis.language_probability,
            words=hypothesis.words if text else (),
        )

    def _check_language(self, decoder: WhisperDecoder) -> None:
        languages = decoder.languages
        if self._language is not None and self._language not in languages:
            knows = "only English" if languages == ["en"] else f"not the language {self._language!r}"
            raise ModelUnavailable(
                f"the model {self.model} knows {knows}, and transcription.language is {self._language}",
                remedy="set transcription.language to one it knows, or transcription.model to a multilingual "
                "model (base, small)",
            )

    def _threads(self) -> int:
        # Decoding is bound by memory: a third at the same time makes them no faster.
        return self._settings.threads or min(2, len(os.sched_getaffinity(0)))


class _FetchReport:
    """A download in words, now and then."""

    def __init__(self, name: str, on_progress: OnProgress) -> None:
        self._name = name
        self._on_progress = on_progress
        self._next = 0.0

    def __call__(self, fetched: Fetched) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + REPORT_SECONDS
            share = fetched.done / max(1, fetched.total)
            percent = f"{100 * share:.0f} % of {megabytes(fetched.total)}"
            self._on_progress(f"fetching {self._name}: {percent}", share)


def _floor(context: str | int, tolerated: int) -> int:
    """The shortest context that is used, in frames, by ``settings.context`` and what the model tolerates."""
    if context == "auto":
        return tolerated
    return FULL if isinstance(context, str) else context


@contextmanager
def _failures() -> Iterator[None]:
    """Whatever one utterance does to the engine is its own failure; what a GPU does is the engine's."""
    try:
        yield
    except EngineFailed:
        raise
    except Exception as error:
        if gone := computing.fault(error):
            raise EngineDied(f"{gone}") from error
        raise EngineFailed(f"faster-whisper: {type(error).__name__}: {error}") from error


def attempt(step: Callable[[], _Result]) -> _Result | EngineFailed:
    """The step's result, or its failure."""
    try:
        with _failures():
            return step()
    except EngineFailed as failure:
        return failure
