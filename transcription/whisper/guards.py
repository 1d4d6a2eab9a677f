"""Whether what a Whisper model said can be what was spoken.

A model that does not understand repeats itself, goes on without end, or says something unlikely. A
doubt costs no more than a second look in a longer context, and one in the full context where that has doubts, too;
so the guards may be wrong now and then.
"""

from __future__ import annotations

import enum
import math
import re
import zlib
from dataclasses import dataclass

from transcription.transcriber import Word

MOST_TOKENS = 224
"""Tokens that Whisper says about 30 s at most: half of its decoder's positions."""

_TOKENS_PER_SECOND = 8  # faster than anybody speaks
_TOKENS_AT_LEAST = 8
_BYTE_BY_BYTE = 3  # scripts of which Whisper has no whole syllables take up to so many times as many

_MOST_COMPRESSION = 2.4  # OpenAI's thresholds
_LEAST_LOG_PROBABILITY = -1.0

_EVEN = 0.5
"""More likely than not. OpenAI calls it silence at a no-speech probability above 0.6 and a confidence below 0.37;
a puff of wind is "nine" at 0.55 and 0.39 then. In our speech no-speech stays below 0.01, confidence above 0.6."""

_SURE_OF_VOICE = 0.85  # voice activity came to 0.87 and more in 300 sentences, to 0.8 in music

_ECHO_WORDS = 4  # fewer of a prompt's words in a row are what people say
_WORD = re.compile(r"\w+")

_LOOP_ROUNDS = 3
_LOOP_TOKENS = 6  # "six six six" is what people say

_TWICE_TOKENS = 4  # "one two one two" is, too
_TWICE_UNLIKE = 2  # a comma for a full stop, another word to begin with


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a model says was spoken.

    ``tokens`` has no special ones; ``log_probability`` is the mean over them and the end; ``cut``: it was
    not at its end when it reached its limit of tokens; ``frames``: the context it was given; ``echo``: it says
    nothing but what it was prompted with. ``language_probability`` is 0 where nothing was detected.
    """

    text: str
    tokens: tuple[int, ...]
    log_probability: float
    no_speech_probability: float
    language: str
    frames: int
    cut: bool = False
    echo: bool = False
    language_probability: float = 0.0
    words: tuple[Word, ...] = ()

    @property
    def is_silence(self) -> bool:
        """Whether the model means that nobody spoke: it says so, and does not believe in its words."""
        return (
            self.no_speech_probability > _EVEN and self.log_probability < math.log(_EVEN)
        ) or not self.tokens

    @property
    def confidence(self) -> float:
        """The geometric mean of the tokens' probabilities; 0 without text."""
        return 0.0 if self.is_silence else min(1.0, math.exp(self.log_probability))


class Doubt(enum.Enum):
    """Why a hypothesis cannot be believed."""

    ENDLESS = enum.auto()
    LOOP = enum.auto()
    TWICE = enum.auto()
    COMPRESSIBLE = enum.auto()
    UNLIKELY = enum.auto()
    ECHO = enum.auto()


def token_limit(seconds: float, *, generous: bool) -> int:
    """Tokens that so much audio can be worth.

    The full context and second looks are a last resort and therefore generous: no language is cut there.
    """
    tokens = _TOKENS_AT_LEAST + math.ceil(seconds * _TOKENS_PER_SECOND)
    return min(_BYTE_BY_BYTE * tokens if generous else tokens, MOST_TOKENS)


def doubts(hypothesis: Hypothesis) -> set[Doubt]:
    """Every reason not to believe it; none for silence."""
    if hypothesis.is_silence:
        return set()
    found = {
        Doubt.ENDLESS: hypothesis.cut,
        Doubt.LOOP: has_loop(hypothesis.tokens),
        Doubt.TWICE: not has_loop(hypothesis.tokens) and is_said_twice(hypothesis.tokens),
        Doubt.COMPRESSIBLE: _compression(hypothesis.text) > _MOST_COMPRESSION,
        Doubt.UNLIKELY: hypothesis.log_probability < _LEAST_LOG_PROBABILITY,
        Doubt.ECHO: hypothesis.echo,
    }
    return {doubt for doubt, is_so in found.items() if is_so}


def is_swallowed(hypothesis: Hypothesis) -> bool:
    """Whether likely words are called silence, as stock weights do in short contexts with what was said."""
    return (
        hypothesis.is_silence
        and bool(hypothesis.tokens)
        and hypothesis.log_probability >= _LEAST_LOG_PROBABILITY
    )


def is_invented(hypothesis: Hypothesis, *, voiced: bool, voice: float) -> bool:
    """Whether words were made of sounds: voice activity, at most ``voice``, was not sure of speech, nor is the model.

    ``voiced``: the segmenter noticed speech. "Thank you." in music is 0.85 no speech, for all its confidence.
    """
    unsure = voice < _SURE_OF_VOICE and hypothesis.no_speech_probability > _EVEN
    return unsure or (not voiced and (bool(doubts(hypothesis)) or hypothesis.confidence < _EVEN))


def better(one: Hypothesis, other: Hypothesis) -> Hypothesis:
    """The one with fewer doubts, else the likelier one, else ``other``; one that swallowed its words is worse."""
    if is_swallowed(one) and not doubts(other):
        return other
    return max(other, one, key=lambda each: (-len(doubts(each)), each.log_probability))


def has_loop(tokens: tuple[int, ...]) -> bool:
    """Whether the same words come three times in a row or more, six tokens together at least."""
    return any(
        _longest_echo(tokens, distance) + distance >= max(_LOOP_ROUNDS * distance, _LOOP_TOKENS)
        for distance in range(1, len(tokens) // _LOOP_ROUNDS + 1)
    )


def is_said_twice(tokens: tuple[int, ...]) -> bool:
    """Whether a sentence comes again at once, but for its ends: stock weights do so in contexts that are too short."""
    return any(
        _longest_echo(tokens, distance) >= max(_TWICE_TOKENS, distance - _TWICE_UNLIKE)
        for distance in range(_TWICE_TOKENS, len(tokens) - _TWICE_TOKENS + 1)
    )


def has_echo(text: str, prompt: str) -> bool:
    """Whether the text is only a piece of the prompt, four words at least: what models say to noise."""
    said, read = (f" {' '.join(_WORD.findall(each.lower()))} " for each in (text, prompt))
    return len(said.split()) >= _ECHO_WORDS and said in read


def _longest_echo(tokens: tuple[int, ...], distance: int) -> int:
    """The longest stretch in which each token is the one ``distance`` before it."""
    longest = length = 0
    for token, earlier in zip(tokens[distance:], tokens, strict=False):
        length = length + 1 if token == earlier else 0
        longest = max(longest, length)
    return longest


def _compression(text: str) -> float:
    data = text.encode()
    return len(data) / len(zlib.compress(data))
