"""The pocketsphinx engine: the fallback whose English model lies inside its wheel."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

from transcription.audio import SAMPLE_RATE
from transcription.errors import EngineFailed, ModelUnavailable
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, OnProgress, Segment, Transcript, Word, untold
from transcription.utterance.pops import without_pop
from transcription.utterance.segmenter import Utterance
from transcription.whisper.words import fitted

LANGUAGE = "en"
"""The language of the model in the wheel."""

_FRAMES_PER_SECOND = 100


class SphinxTranscriber:
    """pocketsphinx with its own general American English model, about real time on one core.

    Many more words come out wrong than with Whisper; it needs no download. Without speech
    it says little things ("the", "oh"), so an utterance without any gets an empty text unasked.
    """

    engine = "pocketsphinx"
    model = "en-us"
    languages = (LANGUAGE,)

    def __init__(self, settings: TranscriptionSettings) -> None:
        self._language = settings.language
        self._decoder: Any = None

    def load(self, _on_progress: OnProgress = untold) -> None:
        """Load the model (about 0.5 s). Raises ModelUnavailable. Idempotent."""
        if self._decoder is not None:
            return
        if self._language not in {LANGUAGE, "auto"}:
            raise ModelUnavailable(
                f"pocketsphinx knows only English, and transcription.language is {self._language}",
                remedy="set transcription.language to en, or transcription.engine to faster-whisper",
            )
        try:
            import pocketsphinx  # noqa: PLC0415 - an optional package

            self._decoder = pocketsphinx.Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")
        except (ImportError, RuntimeError) as error:  # RuntimeError: its model files are gone
            raise ModelUnavailable(
                f"pocketsphinx is not installed or not whole: {error}",
                remedy=f"{sys.executable} -m pip install 'earshot-gateway[pocketsphinx]'",
            ) from error

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        """The text of one utterance; blocks. Raises EngineFailed."""
        started = time.perf_counter()
        if self._decoder is None:
            raise EngineFailed("the model is not loaded")
        if hints.language not in {None, "auto", LANGUAGE}:
            raise EngineFailed(f"pocketsphinx knows only English, not {hints.language!r}")
        if hints.task == "translate":
            raise EngineFailed("pocketsphinx knows only English, and translates nothing")
        if not utterance.has_speech:
            return self._transcript("", 0.0, (), started)
        decoder = self._decoder
        try:
            decoder.start_utt()
            try:
                decoder.process_raw(without_pop(utterance).tobytes(), full_utt=True)
            finally:
                decoder.end_utt()  # also after a failure, or the next start_utt fails too
            hypothesis = decoder.hyp()
            spoken = [word for segment in decoder.seg() or () if (word := _word(segment)).word]
        except Exception as error:  # whatever one utterance does to the engine is its own failure
            raise EngineFailed(f"pocketsphinx: {type(error).__name__}: {error}") from error
        words = fitted(spoken, utterance.seconds)
        if not words:
            return self._transcript("", 0.0, (), started)
        # The sentence's posterior shrinks with every word; its mean over the words does not.
        confidence = hypothesis.prob ** (1 / len(words))
        transcript = self._transcript(hypothesis.hypstr, confidence, words, started)
        return replace(transcript, words=words) if hints.word_timestamps else transcript

    def close(self) -> None:
        """Free the model. Idempotent; ``load`` may follow."""
        self._decoder = None

    def _transcript(
        self, text: str, confidence: float, words: tuple[Word, ...], started: float
    ) -> Transcript:
        return Transcript(
            text=text,
            language=LANGUAGE,
            confidence=min(1.0, max(0.0, confidence)),
            no_speech_probability=0.0 if text else 1.0,
            segments=tuple(Segment(each.start, each.end, each.word) for each in words),
            engine=self.engine,
            model=self.model,
            seconds=time.perf_counter() - started,
        )


def _word(segment: Any) -> Word:
    """A word with its times; it is empty for a silence or a noise ("<s>", "[NOISE]")."""
    text = "" if segment.word[0] in "<[" else segment.word.split("(")[0]  # "the(2)": a pronunciation
    start, end = segment.start_frame / _FRAMES_PER_SECOND, (segment.end_frame + 1) / _FRAMES_PER_SECOND
    return Word(text, start, end, min(1.0, max(0.0, segment.prob)))
