"""What [wer] says of partials: how much was stable, and how much of that was wrong."""

from __future__ import annotations

import numpy as np

from benchmarks.instruments.stability import Stability
from tests.transcription.speech import utterance
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance


class Script:
    """Says what it is told to, one text after the other; one with a question mark cannot be right."""

    engine = model = "script"

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.drafts: list[bool] = []

    def load(self) -> None: ...

    def close(self) -> None: ...

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        self.drafts.append(hints.draft)
        text = self.texts.pop(0)
        return Transcript(text, "en", 1.0, 0.0, (), "script", "script", 0.0, doubtful="?" in text)


def follow(*texts: str, found: Stability | None = None) -> Stability:
    found = found or Stability()
    engine, one = Script(*texts), utterance(np.zeros(1, np.int16))
    found.follow(engine, one, [one] * (len(texts) - 1))
    assert engine.drafts == [True] * (len(texts) - 1) + [False]
    return found


def test_what_the_final_begins_with_was_right() -> None:
    found = follow("turn", "turn on", "turn on it", "turn on the light")
    assert (found.looks, found.words, found.stable, found.wrong) == (3, 4, 2, 0)
    assert (found.utterances, found.wrong_utterances) == (1, 0)


def test_what_it_does_not_was_wrong_from_there_on() -> None:
    found = follow("stop", "turn off the", "turn off the light", "turn on the light")
    assert (found.stable, found.wrong, found.wrong_utterances) == (3, 2, 1)


def test_doubtful_looks_do_not_count_and_utterances_add_up() -> None:
    found = follow("stop", "stop stop?", "start", "start")
    follow("start", found=found)
    assert found.metrics("set") == {
        "set, partials, looks": 3,
        "set, partials, doubted": 1,
        "set, partials, stable_%": 0.0,
        "set, partials, contradicted_words_%": 0.0,
        "set, partials, contradicted_utterances": 0,
        "set, partials, utterances": 2,
    }
