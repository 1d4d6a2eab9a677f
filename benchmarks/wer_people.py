"""[wer-people] Word errors of real Whisper weights on people's speech: short contexts against the full one.

What is heard is what ``make real`` fetched, and Debian's pocketsphinx-testdata (benchmarks/load/crowd.py): tiny.en and
base in English, base in four languages more, clean and among people who talk. Each utterance is heard in each context,
so that the difference is of the same clips; its interval (95 %, for other clips of this kind) is told beside. The lists
of what the prompts say are not always to the letter, from which all contexts suffer alike.
In an hour of silence, noise and music no word may be invented, hands-free or with a held button.
It takes half an hour of two cores, and what was heard is kept: a run that was broken off goes on where it was.
EARSHOT_BENCH_CLIPS: at most so many of each set.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.instruments.cache import cache
from benchmarks.instruments.paired import Difference, difference
from benchmarks.instruments.report import Bar, Result
from benchmarks.instruments.words import spoken, word_errors
from benchmarks.load.clips import Cutter, as_speech
from benchmarks.load.crowd import CHOSEN_ON, Said, Set, sets, without_speech
from tests.real.people import LANGUAGES, MOONSHINE, MUSIC, PROMPTS
from tests.real.weights import BASE, TINY_EN
from transcription.audio import SAMPLE_RATE, Samples
from transcription.models.models import STOCK_FLOOR
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints
from transcription.utterance.segmenter import Utterance
from transcription.whisper.engine import WhisperTranscriber

MODELS = {"tiny.en": (TINY_EN, ("en",)), "base": (BASE, LANGUAGES)}
CONTEXTS: tuple[int | str, ...] = (768, 1024, "full")
POINTS = 0.5
"""The short context may cost so many points of word error."""

MOST = int(os.environ.get("EARSHOT_BENCH_CLIPS", "200"))
QUICK = 2
BUTTON_SECONDS = 5
WORST_CASES = 10
"""Of so many pieces without speech one is given to the model as if it were speech."""

SOURCES = Path(__file__).parents[1] / "transcription"
HEARING = ("utterance", "whisper")
"""What decides which words come out; the rooms of which another state has to hear anew."""


class Heard(Struct, frozen=True):
    """What was made of one recording in one context."""

    set: str
    language: str
    clip: str
    context: int | str
    expected: str
    text: str
    retried: int
    milliseconds: float

    @property
    def key(self) -> tuple[str, str, int | str]:
        """Which of all it is."""
        return self.set, self.clip, self.context

    @property
    def errors(self) -> int:
        """Words wrong."""
        return word_errors(spoken(self.expected, self.language), spoken(self.text, self.language))

    @property
    def words(self) -> int:
        """Words said."""
        return len(spoken(self.expected, self.language))


def run(*, quick: bool) -> Result:
    missing = [one.absence for one in (TINY_EN, BASE, PROMPTS, MOONSHINE, MUSIC) if not one.here]
    if missing:
        return Result({"not measured": "; ".join(missing)}, [])
    most = QUICK if quick else MOST
    with ProcessPoolExecutor(len(MODELS), get_context("spawn")) as pool:
        heard = list(pool.map(_listen, MODELS, [most] * len(MODELS)))
        invented = list(pool.map(_in_no_speech, MODELS, [most] * len(MODELS)))
    metrics: dict[str, float | int | str] = {"context in use": STOCK_FLOOR, "clips of a set, at most": most}
    bars = []
    for model, own, words in zip(MODELS, heard, invented, strict=True):
        for name in dict.fromkeys(one.set for one in own):
            metrics |= _figures(f"{model}, {name}", [one for one in own if one.set == name])
        judged = [one for one in own if not one.set.startswith(CHOSEN_ON)]
        metrics |= _figures(f"{model}, all that is judged on", judged)
        above = _difference(judged, STOCK_FLOOR)
        bars.append(
            Bar(f"{model}: {STOCK_FLOOR} frames above full", above.points, POINTS, "at most", "points")
        )
        metrics |= {f"{model}, {what}": count for what, count in words.items()}
        bars += [
            Bar(f"{model}: words invented in {what}", count, 0, "at most", "words")
            for what, count in words.items()
            if TAKEN_FOR_SPEECH not in what
        ]
    return Result(metrics, bars)


def _figures(name: str, heard: list[Heard]) -> dict[str, float | int | str]:
    full = [one for one in heard if one.context == "full"]
    words = sum(one.words for one in full)
    figures: dict[str, float | int | str] = {f"{name}, clips": len(full), f"{name}, words": words}
    for context in CONTEXTS:
        own = [one for one in heard if one.context == context]
        figures[f"{name}, {context}, errors_%"] = 100 * sum(one.errors for one in own) / max(words, 1)
        figures[f"{name}, {context}, cpu_ms"] = sum(one.milliseconds for one in own) / max(len(own), 1)
        if context != "full":
            figures[f"{name}, {context}, points above full (95 %)"] = str(_difference(heard, context))
            figures[f"{name}, {context}, retried"] = sum(one.retried for one in own)
    return figures


def _difference(heard: Iterable[Heard], context: int | str) -> Difference:
    by_context: dict[int | str, list[Heard]] = {"full": [], context: []}
    for one in heard:
        by_context.get(one.context, []).append(one)
    own, full = by_context[context], by_context["full"]
    return difference([one.errors for one in own], [one.errors for one in full], [one.words for one in full])


# -- listening


def _listen(model: str, most: int) -> list[Heard]:
    """All sets in all contexts, in a process of its own. What was heard by this code before is not heard again."""
    thing, languages = MODELS[model]
    kept = _kept(model)
    known = {one.key: one for one in _read(kept)}
    cut, ways = Cutter(), {context: _engine(str(thing.place), context) for context in CONTEXTS}
    found = []
    with kept.open("ab") as file:
        for one in sets(languages, most):
            for said in one.said:
                for context, engine in ways.items():
                    heard = known.get((one.name, said.name, context)) or _heard(
                        one, said, context, engine, cut
                    )
                    if heard.key not in known:
                        file.write(msgspec.json.encode(heard) + b"\n")
                    found.append(heard)
                file.flush()
    return found


def _engine(model: str, context: int | str) -> WhisperTranscriber:
    settings = {"model": model, "context": context, "threads": 1}
    engine = WhisperTranscriber(msgspec.convert(settings, TranscriptionSettings))
    engine.load()
    return engine


def _heard(one: Set, said: Said, context: int | str, engine: WhisperTranscriber, cut: Cutter) -> Heard:
    clip = cut.held(said.text, said.samples)
    begun = time.process_time()
    hints = Hints(language=one.language)
    texts = [engine.transcribe(utterance, hints) for utterance in clip.utterances]
    return Heard(
        set=one.name,
        language=one.language,
        clip=said.name,
        context=context,
        expected=said.text,
        text=" ".join(each.text for each in texts),
        retried=sum(each.retried for each in texts),
        milliseconds=1000 * (time.process_time() - begun),
    )


def _kept(model: str) -> Path:
    sources = sorted(path for room in HEARING for path in (SOURCES / room).glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    cache().mkdir(parents=True, exist_ok=True)
    return cache() / f"wer-people-{model}-{digest[:12]}.jsonl"


def _read(kept: Path) -> list[Heard]:
    """The last line may be half a one, where somebody was broken off."""
    lines = kept.read_bytes().split(b"\n")[:-1] if kept.is_file() else []
    return [msgspec.json.decode(line, type=Heard) for line in lines]


# -- an hour without speech

TAKEN_FOR_SPEECH = "taken for speech"


def _in_no_speech(model: str, most: int) -> dict[str, int]:
    """Words invented: hands-free, with a held button, and if the segmenter were sure that somebody spoke."""
    engine = _engine(str(MODELS[model][0].place), STOCK_FLOOR)
    cut = Cutter()
    words: dict[str, int] = {}
    for kind, pieces in without_speech(most).items():
        free = chain.from_iterable(cut.free("", piece).utterances for piece in pieces)
        held = [one for piece in pieces for part in _presses(piece) for one in cut.held("", part).utterances]
        words[f"{kind}, hands-free"] = _words(engine, free)
        words[f"{kind}, held"] = _words(engine, held)
        words[f"{kind}, {TAKEN_FOR_SPEECH}"] = _words(engine, map(as_speech, held[::WORST_CASES]))
    return words


def _presses(piece: Samples) -> Iterator[Samples]:
    size = BUTTON_SECONDS * SAMPLE_RATE
    return (piece[start : start + size] for start in range(0, len(piece), size))


def _words(engine: WhisperTranscriber, utterances: Iterable[Utterance]) -> int:
    return sum(len(spoken(engine.transcribe(one).text)) for one in utterances)
