"""[names] Rare names of a house, spoken: how many are heard right when the recognizer is told them, and at what cost.

espeak-ng says two hundred, each in a sentence, in several voices, and Piper every other one where it is here. Real
tiny.en and base hear them (``make real``; without them the bundled model, which is told none): with no names, with the
room's first in the product's own budget, and with the whole house in one list of 200 tokens. Sentences without any of
the names, by the same voices and by people (``make real``), and noise that is taken for speech show what else comes of
it. EARSHOT_BENCH_CLIPS: at most so many sentences of each kind.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

import msgspec

from benchmarks.instruments.paired import Difference, difference
from benchmarks.instruments.report import Bar, Result
from benchmarks.instruments.words import spoken as spoken_words
from benchmarks.instruments.words import word_errors
from benchmarks.load.clips import Clip, Cutter, as_speech, noises
from benchmarks.load.rare_names import ROOMS, WITHOUT, sentences
from benchmarks.load.synthesized import ESPEAK, VOICES, WORDS_PER_MINUTE, spoken
from benchmarks.peers.environments import PeerMissing
from benchmarks.peers.piper import speaking
from gateway.names.tiers import Likely, Named, in_order
from tests.real.people import prompts, read
from tests.real.weights import BASE, TINY_EN
from transcription.settings import BUNDLED_MODEL, TranscriptionSettings
from transcription.transcriber import Hints
from transcription.whisper.engine import WhisperTranscriber

HOUSE = [Named(room, room, Likely.PLACE) for room in ROOMS] + [
    Named(name, room) for room, names in ROOMS.items() for name in names
]
NONE, ROOM, WHOLE = "none", "the room's first", "whole house"
WHOLE_TOKENS = 200
"""All that a model is ever told."""

MOST = int(os.environ.get("EARSHOT_BENCH_CLIPS", "200"))
QUICK = 24
HALF = 50.0
"""So many percent of the errors on names may stay."""

POINTS = 0.5
WIDEST = 4
"""Words that are heard in the place of a name, at most."""


@dataclass(frozen=True)
class Said:
    """A sentence, with the name in it ("": none), and the room that it is said in."""

    room: str
    name: str
    text: str
    clip: Clip
    by: str


@dataclass
class Score:
    """What one way made of the sentences of one kind; a number for each."""

    wrong_names: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    others: int = 0
    """Names that nobody said."""
    retried: int = 0
    seconds: float = 0.0

    @property
    def percent(self) -> float:
        """Words wrong that are no names."""
        return 100 * sum(self.errors) / max(sum(self.words), 1)


def run(*, quick: bool) -> Result:
    if shutil.which(ESPEAK) is None:
        return Result({"not measured": f"no synthesized speech: apt-get install {ESPEAK}"}, [])
    models = {name: str(one.place) for name, one in (("tiny.en", TINY_EN), ("base", BASE)) if one.here}
    models = models or {BUNDLED_MODEL: BUNDLED_MODEL}
    most = min(MOST, QUICK) if quick else MOST
    metrics: dict[str, float | int | str] = {
        "names": sum(map(len, ROOMS.values())),
        "sentences, at most": most,
    }
    bars: list[Bar] = []
    with ProcessPoolExecutor(len(models), get_context("spawn")) as pool:
        for figures, own in pool.map(partial(_measured, most=most), models, models.values()):
            metrics |= figures
            bars += own
    return Result(metrics, bars)


def _measured(name: str, model: str, *, most: int) -> tuple[dict[str, float | int | str], list[Bar]]:
    """All of one model, in a process of its own."""
    within, whole = _engine(model), _engine(model, WHOLE_TOKENS)
    ways: dict[str, tuple[WhisperTranscriber, dict[str, tuple[str, ...]]]] = {
        NONE: (within, dict.fromkeys(ROOMS, ())),
        ROOM: (within, {room: in_order(HOUSE, room) for room in ROOMS}),
        WHOLE: (whole, dict.fromkeys(ROOMS, in_order(HOUSE, ""))),
    }
    kinds = {"sentences with names": list(_with_names(most)), "sentences without": list(_without_names(most))}
    scores = {
        (kind, way): _score(said, engine, names)
        for kind, said in kinds.items()
        for way, (engine, names) in ways.items()
    }
    figures: dict[str, float | int | str] = {}
    for (kind, way), score in scores.items():
        label = f"{name}, {kind}, {way}"
        if kind == "sentences with names":
            figures[f"{label}, names wrong"] = sum(score.wrong_names)
        figures[f"{label}, other words wrong_%"] = score.percent
        if way != NONE:
            figures[f"{label}, points above none (95 %)"] = str(_above(scores[kind, NONE], score))
            figures[f"{label}, names nobody said"] = score.others
        figures[f"{label}, retried"] = score.retried
        figures[f"{label}, cpu_ms"] = 1000 * score.seconds / max(len(score.words), 1)
    by = [one.by for one in kinds["sentences with names"]]
    for way in (NONE, ROOM):
        wrong = scores["sentences with names", way].wrong_names
        for voice in dict.fromkeys(by):
            own = sum(count for count, whose in zip(wrong, by, strict=True) if whose == voice)
            figures[f"{name}, said by {voice}, {way}, names wrong"] = own
    invented = _in_noise(within, ways[ROOM][1], most)
    figures[f"{name}, names heard in noise"] = invented
    return figures, _bars(name, scores, invented)


def _bars(name: str, scores: dict[tuple[str, str], Score], invented: int) -> list[Bar]:
    bars = []
    before = sum(scores["sentences with names", NONE].wrong_names)
    left = 100 * sum(scores["sentences with names", ROOM].wrong_names) / max(before, 1)
    if name != BUNDLED_MODEL:
        bars.append(Bar(f"{name}: names wrong, of those that were", left, HALF, "at most", "%"))
    for kind in dict.fromkeys(kind for kind, _ in scores):
        above = _above(scores[kind, NONE], scores[kind, ROOM]).points
        bars.append(Bar(f"{name}: {kind}, other words above none", above, POINTS, "at most", "points"))
    bars.append(Bar(f"{name}: names heard in noise", invented, 0, "at most", "names"))
    return bars


def _above(none: Score, one: Score) -> Difference:
    return difference(one.errors, none.errors, none.words)


# -- what is said


def _with_names(most: int) -> Iterator[Said]:
    every = list(sentences())
    chosen = every[:: max(1, len(every) // most)]
    yield from _synthesized(chosen)


def _without_names(most: int) -> Iterator[Said]:
    rooms = list(ROOMS)
    texts = [(rooms[number % len(rooms)], "", text) for number, text in enumerate(WITHOUT * 4)]
    yield from _synthesized(texts[: most // 2])
    cut, people = Cutter(), prompts()
    for number, one in enumerate(people[:: max(1, len(people) // (most // 2))]):
        yield Said(rooms[number % len(rooms)], "", one.text, cut.held(one.text, read(one.path)), "a person")


def _synthesized(texts: Iterable[tuple[str, str, str]]) -> Iterator[Said]:
    cut = Cutter()
    with contextlib.ExitStack() as stack:
        try:
            say = stack.enter_context(speaking())
        except PeerMissing:
            say = None
        for number, (room, name, text) in enumerate(texts):
            by = "Piper" if say is not None and number % 2 else "espeak-ng"
            voice = VOICES[number // 2 % len(VOICES)]
            speed = WORDS_PER_MINUTE[number // 2 % len(WORDS_PER_MINUTE)]
            samples = say(text, 1.0) if say is not None and number % 2 else spoken(text, voice, speed)
            yield Said(room, name, text, cut.held(text, samples), by)


# -- what is heard


def _engine(model: str, names_tokens: int | None = None) -> WhisperTranscriber:
    settings: dict[str, object] = {"model": model, "threads": 1}
    settings |= {} if names_tokens is None else {"names_tokens": names_tokens}
    engine = WhisperTranscriber(msgspec.convert(settings, TranscriptionSettings))
    engine.load()
    return engine


def _score(said: list[Said], engine: WhisperTranscriber, names: dict[str, tuple[str, ...]]) -> Score:
    score = Score()
    for one in said:
        begun = time.process_time()
        hints = Hints(names=names[one.room])
        heard = [engine.transcribe(utterance, hints) for utterance in one.clip.utterances]
        score.seconds += time.process_time() - begun
        score.retried += any(each.retried for each in heard)
        words = spoken_words(" ".join(each.text for each in heard))
        name, wanted = spoken_words(one.name), spoken_words(one.text)
        score.wrong_names.append(bool(name) and not _holds(words, name))
        score.errors.append(_beside(wanted, words, name))
        score.words.append(len(wanted) - len(name))
        score.others += _others(words, one)
    return score


def _beside(wanted: list[str], heard: list[str], name: list[str]) -> int:
    """Words wrong beside the name, whatever was heard in its place."""
    if not name:
        return word_errors(wanted, heard)
    at = next(place for place in range(len(wanted)) if wanted[place : place + len(name)] == name)
    before, after = wanted[:at], wanted[at + len(name) :]
    return min(
        word_errors(before, heard[:start]) + word_errors(after, heard[end:])
        for start in range(len(heard) + 1)
        for end in range(start, min(len(heard), start + WIDEST) + 1)
    )


def _others(heard: list[str], one: Said) -> int:
    """Names in what was heard that were not said."""
    said = spoken_words(one.text)
    every = (spoken_words(name) for names in ROOMS.values() for name in names)
    return sum(_holds(heard, name) and not _holds(said, name) for name in every)


def _holds(words: list[str], name: list[str]) -> bool:
    return f" {' '.join(name)} " in f" {' '.join(words)} "


def _in_noise(engine: WhisperTranscriber, names: dict[str, tuple[str, ...]], most: int) -> int:
    """Names heard in sounds without speech, held out as if somebody had spoken."""
    cut, rooms, found = Cutter(), list(ROOMS), 0
    for number, samples in enumerate(list(noises())[:: 8 if most <= QUICK else 1]):
        hints = Hints(names=names[rooms[number % len(rooms)]])
        for utterance in cut.held("", samples).utterances:
            words = spoken_words(engine.transcribe(as_speech(utterance), hints).text)
            found += sum(_holds(words, spoken_words(name)) for own in ROOMS.values() for name in own)
    return found
