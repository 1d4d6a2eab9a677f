"""Stock weights on people's speech, in the contexts that we give them: the right words, and none where nobody spoke."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.instruments.processes import gateway_process
from benchmarks.instruments.words import spoken, word_errors
from benchmarks.load.clips import Cutter, in_noise, noises
from benchmarks.load.speaking import device, settings
from tests.real.people import MOONSHINE, MUSIC, PROMPTS, Prompt, music, prompts, read, readers
from tests.real.things import Thing
from tests.real.weights import BASE, TINY_EN
from transcription.audio import SAMPLE_RATE
from transcription.models.models import FULL, STOCK_FLOOR
from transcription.settings import TranscriptionSettings
from transcription.whisper.engine import WhisperTranscriber

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real words")]


def recognizer(model: Thing, language: str = "en") -> WhisperTranscriber:
    engine = WhisperTranscriber(TranscriptionSettings(model=str(model.place), language=language, threads=1))
    engine.load()
    return engine


@pytest.fixture(scope="module")
def tiny() -> WhisperTranscriber:
    return recognizer(TINY_EN)


def some(language: str, number: int) -> list[Prompt]:
    """Sentences of those that nothing was chosen on, evenly."""
    kept = [one for one in prompts(language) if not one.is_for_choosing and len(one.text.split()) > 5]
    return kept[:: len(kept) // number][:number]


def percent_wrong(
    engine: WhisperTranscriber, said: list[tuple[str, Path]], language: str, noise: float
) -> float:
    cut, rng = Cutter(), np.random.default_rng(5)
    errors = total = 0
    for text, path in said:
        clip = cut.held(text, in_noise(read(path), noise, rng))
        heard = [engine.transcribe(one) for one in clip.utterances]
        assert all(STOCK_FLOOR <= one.context_frames < FULL or one.retried for one in heard)
        expected = spoken(text, language)
        errors += word_errors(expected, spoken(" ".join(one.text for one in heard), language))
        total += len(expected)
    return 100 * errors / total


@pytest.mark.real(TINY_EN, PROMPTS)
@pytest.mark.parametrize(("noise", "most"), [(math.inf, 10), (10, 30)], ids=["clean", "noise of 10 dB"])
def test_tiny_en_understands_somebody(tiny: WhisperTranscriber, noise: float, most: float) -> None:
    assert percent_wrong(tiny, [(one.text, one.path) for one in some("en", 8)], "en", noise) <= most


@pytest.mark.real(TINY_EN, MOONSHINE)
def test_tiny_en_understands_others(tiny: WhisperTranscriber) -> None:
    assert percent_wrong(tiny, readers(), "en", math.inf) <= 10


@pytest.mark.real(BASE, PROMPTS)
@pytest.mark.parametrize(("language", "most"), [("fr", 25), ("it", 25)])
def test_base_understands_other_languages(language: str, most: float) -> None:
    said = [(one.text, one.path) for one in some(language, 6)]
    assert percent_wrong(recognizer(BASE, language), said, language, math.inf) <= most


@pytest.mark.real(BASE, PROMPTS)
def test_base_hears_which_language_it_is() -> None:
    engine = recognizer(BASE, "auto")
    for language in ("fr", "it", "ru"):
        longest = max(some(language, 10), key=lambda one: len(one.text))
        [said] = [engine.transcribe(one) for one in Cutter().held("", read(longest.path)).utterances]
        assert said.language == language


@pytest.mark.real(TINY_EN, MUSIC)
def test_nothing_is_invented_where_nobody_speaks(tiny: WhisperTranscriber) -> None:
    cut = Cutter()
    quiet = [*list(noises())[::7], *(read(path)[: 5 * SAMPLE_RATE] for path in music())]
    assert len(quiet) == 12 + 5
    for samples in quiet:
        for clip in (cut.held("", samples), cut.free("", samples)):
            assert [text for one in clip.utterances if (text := tiny.transcribe(one).text)] == []


@pytest.mark.real(TINY_EN, PROMPTS)
async def test_a_device_that_says_a_prompt_is_answered_with_its_words() -> None:
    prompt = next(one for one in prompts() if one.name == "queue-thankyou")
    configured = settings(TINY_EN.place, threads=1, context=STOCK_FLOOR)
    with gateway_process(configured) as gateway:
        async with device(gateway, "board", speed=math.inf) as board:
            said = await board.say(read(prompt.path).tobytes(), patience=30)
    assert spoken(said.transcript or "") == spoken(prompt.text)
