"""How far the stable part of partial texts can be trusted: what the final text of the same engine makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from transcription.scheduling.partial_text import PartialText, contradicted, words_of
from transcription.transcriber import Hints, Transcriber
from transcription.utterance.segmenter import Utterance


@dataclass
class Stability:
    """What became of the words that partials called stable, over many utterances."""

    looks: int = 0
    doubted: int = 0
    utterances: int = 0
    words: int = 0
    stable: int = 0
    wrong: int = 0
    wrong_utterances: int = 0

    def follow(self, engine: Transcriber, utterance: Utterance, looks: Iterable[Utterance]) -> None:
        """Look at an utterance while it goes on, and hold what was stable against its final text."""
        live = PartialText()
        for look in looks:
            draft = engine.transcribe(look, Hints(draft=True))
            self.looks += 1
            self.doubted += draft.doubtful
            if not draft.doubtful:
                live.hear(draft.text)
        final = engine.transcribe(utterance).text
        wrong = contradicted(live.stable, final)
        self.utterances += 1
        self.words += len(words_of(final))
        self.stable += len(words_of(live.stable))
        self.wrong += wrong
        self.wrong_utterances += wrong > 0

    def metrics(self, name: str) -> dict[str, float | int | str]:
        """Of the final's words, how many were stable before it; of those, how many it contradicted."""
        return {
            f"{name}, partials, looks": self.looks,
            f"{name}, partials, doubted": self.doubted,
            f"{name}, partials, stable_%": 100 * self.stable / max(self.words, 1),
            f"{name}, partials, contradicted_words_%": 100 * self.wrong / max(self.stable, 1),
            f"{name}, partials, contradicted_utterances": self.wrong_utterances,
            f"{name}, partials, utterances": self.utterances,
        }
