"""The real pocketsphinx with the model in its wheel."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.transcription.speech import recording, utterance
from transcription.errors import EngineFailed, ModelUnavailable
from transcription.settings import TranscriptionSettings
from transcription.sphinx import SphinxTranscriber
from transcription.transcriber import Hints

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sphinx() -> SphinxTranscriber:
    pytest.importorskip("pocketsphinx")
    engine = SphinxTranscriber(TranscriptionSettings())
    engine.load()
    engine.load()
    return engine


def test_the_text_of_a_recording_with_its_words_in_time(sphinx: SphinxTranscriber) -> None:
    transcript = sphinx.transcribe(utterance(recording("u06")))
    assert transcript.text == "set the temperature to sixty eight degrees"
    assert (transcript.engine, transcript.model, transcript.language) == ("pocketsphinx", "en-us", "en")
    assert [word.text for word in transcript.segments] == transcript.text.split()
    assert all(0 <= word.start < word.end < 2.78 for word in transcript.segments)
    assert 0.3 < transcript.confidence < 1


def test_words_with_their_probabilities_where_they_are_wanted(sphinx: SphinxTranscriber) -> None:
    transcript = sphinx.transcribe(utterance(recording("u06")), Hints(word_timestamps=True))
    assert [word.word for word in transcript.words] == transcript.text.split()
    assert [(w.start, w.end) for w in transcript.words] == [(s.start, s.end) for s in transcript.segments]
    assert all(0 < word.probability <= 1 for word in transcript.words)
    assert sphinx.transcribe(utterance(recording("u06"))).words == ()


@pytest.mark.parametrize("samples", [1_600, 12_345, 16_001])
def test_words_lie_in_the_audio_though_speech_reaches_its_end(
    sphinx: SphinxTranscriber, samples: int
) -> None:
    torn = utterance(recording("u06")[8_000 : 8_000 + samples])
    transcript = sphinx.transcribe(torn, Hints(word_timestamps=True))
    edges = [0.0, *(time for word in transcript.words for time in (word.start, word.end)), torn.seconds]
    assert edges == sorted(edges)
    assert all(word.start < word.end for word in transcript.words)


def test_an_utterance_in_another_language_is_a_failure_and_not_nonsense(sphinx: SphinxTranscriber) -> None:
    with pytest.raises(EngineFailed, match="knows only English, not 'de'"):
        sphinx.transcribe(utterance(recording("u06")), Hints(language="de"))


def test_without_speech_it_is_not_asked(sphinx: SphinxTranscriber) -> None:
    transcript = sphinx.transcribe(utterance(np.zeros(16_000, np.int16), has_speech=False, speech_end=0))
    assert (transcript.text, transcript.segments, transcript.no_speech_probability) == ("", (), 1.0)


def test_an_utterance_that_breaks_the_engine_is_its_own_failure(sphinx: SphinxTranscriber) -> None:
    for _ in range(2):
        with pytest.raises(EngineFailed, match="pocketsphinx: "):
            sphinx.transcribe(utterance(np.zeros(0, np.int16)))
    assert sphinx.transcribe(utterance(recording("u06"))).text.startswith("set the temperature")


def test_a_closed_engine_says_so() -> None:
    engine = SphinxTranscriber(TranscriptionSettings())
    engine.close()
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.transcribe(utterance(recording("u06")))


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ModelUnavailable) as caught:
        SphinxTranscriber(TranscriptionSettings()).load()
    assert caught.value.remedy == f"{sys.executable} -m pip install 'earshot-gateway[pocketsphinx]'"


def test_another_language_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="knows only English"):
        SphinxTranscriber(TranscriptionSettings(language="de")).load()
