"""One Whisper model in memory: features in, a hypothesis out, in a context of any length.

faster-whisper loads the model; its own ``transcribe`` pads everything to 30 s, so CTranslate2 is
driven directly from here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from transcription.audio import SAMPLE_RATE
from transcription.models.models import FULL
from transcription.transcriber import Word
from transcription.whisper.computing import ComputeDevice, tensor
from transcription.whisper.features import HOP, Floats, LogMel
from transcription.whisper.guards import Hypothesis, doubts, has_echo, has_loop
from transcription.whisper.likeness import near_names
from transcription.whisper.naming import with_names
from transcription.whisper.processor import use_widest_vectors
from transcription.whisper.prompts import POSITIONS, start_tokens, text_tokens, told_names
from transcription.whisper.words import timed_words

ROOMS = 32
"""So many lists of names, one of each room, are counted once: it takes some milliseconds."""

_SHARE = 0.5
"""Of the tokens that it may be at most: people say fewer, so that little is said in two steps but what loops."""
_LEAST_TOKENS = 24
"""Fewer are said to their end at once, whatever they are."""

_LEAST = 1e-9
"""A token's probability, as far as a logarithm is taken of it."""

_NON_SPEECH = [-1]  # faster-whisper's word for its list of them

ONEDNN_CACHE = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
"""oneDNN, which CTranslate2 computes with, keeps what it compiled for each of 1024 shapes; nearly every
utterance has a length, and so shapes, of its own, and memory grows by half a megabyte with each of them.
Compiling anew costs nothing that can be measured. It is read when CTranslate2 first computes, in
whichever process that is. What the environment says counts more."""


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One look at an utterance: what the model is given, and what is wanted of it.

    It hears the first ``frames`` of ``features`` (shape (mels, any)), which are padded to that; ``frames`` is
    what ``context_frames`` gives. ``language`` None: detect it. Behind ``seconds`` is nothing but added silence.
    """

    features: Floats
    frames: int
    most_tokens: int
    language: str | None = None
    prompt: str = ""
    hotwords: str = ""
    words: bool = False
    seconds: float = math.inf
    task: Literal["transcribe", "translate"] = "transcribe"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Spoken:
    """Tokens as CTranslate2 tells them. ``stopped``: they would have gone on, and were not worth it."""

    tokens: list[int]
    score: float
    no_speech_probability: float
    stopped: bool = False

    def gone_on(self, whole: _Spoken) -> _Spoken:
        """``whole`` was told these tokens and went on: it has all of them, but the score of its own only."""
        score = self.score * len(self.tokens) / len(whole.tokens) + whole.score
        return replace(self, tokens=whole.tokens, score=score)


class WhisperDecoder:
    """A loaded model. It changes nothing in itself, so that one call cannot disturb the next, nor one beside it.

    On the CPU ``at_once`` calls are worked on at the same time, which share the weights and the threads. One call
    gains little by several: whoever decodes waits for the others' waking at every token.
    """

    def __init__(
        self, folder: Path, place: ComputeDevice, *, beam_size: int, threads: int, at_once: int = 1
    ) -> None:
        """Load the model; blocks. Raises whatever CTranslate2, tokenizers and faster-whisper do."""
        os.environ.setdefault(*ONEDNN_CACHE)
        use_widest_vectors()
        at_once = 1 if place.is_gpu else at_once
        from faster_whisper import WhisperModel  # noqa: PLC0415 - 40 MB that only this engine needs
        from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415
        from faster_whisper.transcribe import get_suppressed_tokens  # noqa: PLC0415

        loaded = WhisperModel(
            str(folder),
            device=place.device,
            device_index=place.index,
            compute_type=place.compute_type,
            cpu_threads=max(1, threads // at_once),
            num_workers=at_once,
        )
        self.at_once = at_once
        self._model: Any = loaded.model
        self._tokenizers: dict[str, Any] = {
            language: Tokenizer(
                loaded.hf_tokenizer, loaded.model.is_multilingual, task="transcribe", language=language
            )
            for language in loaded.supported_languages
        }
        self._suppressed = list(get_suppressed_tokens(self._tokenizers["en"], _NON_SPEECH))
        self._beam_size = beam_size
        self.fitting = lru_cache(ROOMS)(
            partial(_fitting, self._tokenizers)
        )  # of it alone: nothing holds the model
        """The first of these names (``names, most_tokens, language``), as many as are worth so many of its tokens."""
        self.mels: int = loaded.model.n_mels
        self.features = LogMel(loaded.feature_extractor.mel_filters)

    @property
    def languages(self) -> list[str]:
        """The codes of the languages it knows."""
        return list(self._tokenizers)

    def decode(self, take: Take) -> Hypothesis:
        """What was said."""
        return self.decode_all([take])[0]

    def decode_all(self, takes: Sequence[Take]) -> list[Hypothesis]:
        """The same at once, in the longest one's context, for several that are equal but for what is heard.

        CTranslate2 needs the task to stand at the same place of each start.
        """
        encoded = self._encode(takes)
        languages = self._languages(takes, encoded)
        starts = [
            start_tokens(self._tokenizers[language], take.prompt, take.hotwords, take.task)
            for take, (language, _) in zip(takes, languages, strict=True)
        ]
        limits = [_most_tokens(take, start) for take, start in zip(takes, starts, strict=True)]
        frames = max(take.frames for take in takes)
        if len(takes) == 1 and self._beam_size == 1 and frames < FULL:
            spoken = [self._say_unless_it_loops(encoded, starts[0], limits[0])]
        else:
            spoken = self._say(encoded, starts, max(limits))
        said = [
            self._hypothesis(take, one, language, limit, frames)
            for take, one, language, limit in zip(takes, spoken, languages, limits, strict=True)
        ]
        said = [
            self._named(take, one, partial(self._of_one, takes, encoded, place))
            for place, (take, one) in enumerate(zip(takes, said, strict=True))
        ]
        if len(takes) == 1 and takes[0].words and takes[0].task == "transcribe":  # else they were never said
            said = [replace(said[0], words=self._align(takes[0], encoded, said[0]))]
        return said

    def _say(
        self, encoded: Any, starts: list[list[int]], most: int, said: Sequence[int] = ()
    ) -> list[_Spoken]:
        """So many tokens at most, those included that were said already."""
        results = self._model.generate(
            encoded,
            [[*start, *said] for start in starts],
            beam_size=self._beam_size,
            # CTranslate2 stops at half of this, and where all it was fed (not the last token) has reached it.
            max_length=max(2 * most, len(starts[0]) - 1 + most),
            suppress_blank=not said,
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [
            _Spoken(one.sequences_ids[0], float(one.scores[0]), float(one.no_speech_prob)) for one in results
        ]

    def _say_unless_it_loops(self, encoded: Any, start: list[int], most: int) -> _Spoken:
        """The same for one that can be looked at again: what loops half way has its doubt, and need not go on."""
        half = max(_LEAST_TOKENS, int(_SHARE * most))
        [spoken] = self._say(encoded, [start], min(half, most))
        if half >= most or len(spoken.tokens) < half:
            return spoken
        if has_loop(tuple(spoken.tokens)):
            return replace(spoken, stopped=True)
        [whole] = self._say(encoded, [start], most, spoken.tokens)
        return spoken.gone_on(whole)

    def _hypothesis(
        self, take: Take, said: _Spoken, language: tuple[str, float], most_tokens: int, frames: int
    ) -> Hypothesis:
        tokenizer = self._tokenizers[language[0]]
        count = len(said.tokens)
        tokens = said.tokens[:most_tokens]  # in a batch the most patient one sets the limit
        text = tokenizer.decode(tokens).strip()
        return Hypothesis(
            text=text,
            tokens=tuple(tokens),
            # The score is the sum over the tokens and the end, divided by the tokens without the end.
            log_probability=said.score * count / (count + 1) if count else 0.0,
            no_speech_probability=said.no_speech_probability,
            language=language[0],
            language_probability=language[1],
            frames=frames,
            cut=said.stopped or count >= most_tokens,
            echo=has_echo(text, f"{take.hotwords} {take.prompt}"),
        )

    def _named(self, take: Take, said: Hypothesis, encoded: Callable[[], Any]) -> Hypothesis:
        """The same with the names that it sounds like. What is doubted is looked at again before."""
        if not take.names or said.is_silence or doubts(said):
            return said
        near = near_names(said.text, take.names)
        if not near:
            return said
        told = replace(take, names=tuple(one.name for one in near), language=said.language)
        named = with_names(said.text, near, _Told(self, told, encoded()))
        if named is None:
            return said
        likely = max(
            said.log_probability, named.log_probability / (len(named.tokens) + 1)
        )  # a name is no doubt
        return replace(said, text=named.text, tokens=named.tokens, log_probability=likely)

    def tokens(self, take: Take, text: str) -> list[int]:
        """A text's, in the take's language."""
        return text_tokens(self._tokenizers[take.language or ""], text)

    def say_told(self, take: Take, encoded: Any) -> str:
        """What it hears when it has read the take's names; ``take`` has a language."""
        tokenizer = self._tokenizers[take.language or ""]
        start = start_tokens(tokenizer, take.prompt, take.hotwords, take.task, take.names)
        most = _most_tokens(take, start)
        [spoken] = self._say(encoded, [start], most)
        return str(tokenizer.decode(spoken.tokens[:most])).strip()

    def weigh(self, take: Take, encoded: Any, tokens: list[int]) -> list[float]:
        """How likely it finds each token after the take's names, as a natural logarithm; ``-inf`` if it is too much."""
        tokenizer = self._tokenizers[take.language or ""]
        start = start_tokens(tokenizer, take.prompt, take.hotwords, take.task, take.names)[
            :-1
        ]  # it adds the last
        if len(start) + len(tokens) + 2 > POSITIONS:
            return [-math.inf] * len(tokens)
        heard = min(take.features.shape[1], take.frames)
        [aligned] = self._model.align(encoded, start, [tokens], heard)
        return [math.log(max(each, _LEAST)) for each in aligned.text_token_probs[: len(tokens)]]

    def _of_one(self, takes: Sequence[Take], encoded: Any, place: int) -> Any:
        """That one's row of what was encoded together; a GPU keeps it to itself, and is quick to encode it again."""
        if len(takes) == 1:
            return encoded
        if encoded.device == "cpu":
            return tensor(np.asarray(encoded)[place : place + 1].copy())
        return self._encode([takes[place]])

    def _align(self, take: Take, encoded: Any, said: Hypothesis) -> tuple[Word, ...]:
        """The words' times, from the attention of the heads that the model's ``config.json`` names."""
        tokenizer = self._tokenizers[said.language]
        spoken = [token for token in said.tokens if token < tokenizer.eot]
        if not spoken:
            return ()
        heard = min(take.features.shape[1], take.frames)
        [aligned] = self._model.align(encoded, tokenizer.sot_sequence, [spoken], heard)
        pieces, parts = tokenizer.split_to_word_tokens(spoken)
        return timed_words(
            [(piece, len(part)) for piece, part in zip(pieces, parts, strict=True)],
            aligned.alignments,
            aligned.text_token_probs,
            min(heard * HOP / SAMPLE_RATE, take.seconds),
        )

    def _encode(self, takes: Sequence[Take]) -> Any:
        frames = max(take.frames for take in takes)
        context = np.zeros(
            (len(takes), self.mels, frames), np.float32
        )  # faster-whisper pads with the same zeros
        for row, take in zip(context, takes, strict=True):
            heard = take.features[:, : take.frames]
            row[:, : heard.shape[1]] = heard
        return self._model.encode(tensor(context))

    def _languages(self, takes: Sequence[Take], encoded: Any) -> list[tuple[str, float]]:
        """Each one's language and how probable it is; 0 where it was told, or there is only one."""
        only = next(iter(self._tokenizers)) if len(self._tokenizers) == 1 else None
        if takes[0].language or only:
            return [(take.language or only or "", 0.0) for take in takes]
        found = [ranked[0] for ranked in self._model.detect_language(encoded)]
        return [(str(token.strip("<|>")), float(probability)) for token, probability in found]


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """The model with one utterance in its ears, and the names of the take before its eyes."""

    decoder: WhisperDecoder
    take: Take
    encoded: Any

    def encode(self, text: str) -> list[int]:
        return self.decoder.tokens(self.take, text)

    def weigh(self, tokens: list[int]) -> list[float]:
        return self.decoder.weigh(self.take, self.encoded, tokens)

    def say(self) -> str:
        return self.decoder.say_told(self.take, self.encoded)


def _most_tokens(take: Take, start: list[int]) -> int:
    return min(take.most_tokens, POSITIONS - len(start))


def _fitting(
    tokenizers: dict[str, Any], names: tuple[str, ...], most_tokens: int, language: str | None
) -> tuple[str, ...]:
    tokenizer = tokenizers.get(language or "") or next(iter(tokenizers.values()))
    return told_names(tokenizer, names, most_tokens)
