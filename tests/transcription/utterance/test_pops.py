"""A pop as the microphone is switched on: silenced where it is one, and no word is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transcription.speech import TEXTS, recording, utterance
from transcription.audio import SAMPLE_RATE, Samples
from transcription.models.models import SHORTEST
from transcription.settings import TranscriptionSettings
from transcription.utterance.pops import FIRST, without_pop
from transcription.whisper.engine import WhisperTranscriber


def quiet(name: str, level: float, lead: float = 0.25) -> Samples:
    """A recording at this root mean square, ``lead`` seconds after the start of a room's quiet."""
    spoken = recording(name).astype(np.float64)
    room = np.random.default_rng(1).normal(0, 4, len(spoken) + int(lead * SAMPLE_RATE))
    room[int(lead * SAMPLE_RATE) :] += spoken * (level / np.sqrt(np.mean(spoken**2)))
    return room.round().astype(np.int16)


def popped(samples: Samples, name: str) -> Samples:
    times = np.arange(len(samples)) / SAMPLE_RATE
    pop = {
        "a click": np.where(times < 0.0003, 20_000, 0),
        "a plateau": np.where(times < 0.03, 32_767, 0),
        "a decay": -30_000 * np.exp(-times / 0.01),
        "late": np.where((times > 0.05) & (times < 0.06), 15_000, 0),
    }[name]
    return np.clip(samples + pop, -32_768, 32_767).astype(np.int16)


POPS = ["a click", "a plateau", "a decay", "late"]


@pytest.mark.parametrize("pop", POPS)
def test_of_a_pop_nothing_is_left_and_behind_it_everything(pop: str) -> None:
    speech = quiet("u35", 150)
    heard = without_pop(utterance(popped(speech, pop)))
    assert np.abs(heard[:FIRST]).max() <= np.abs(speech[FIRST:]).max()
    assert np.array_equal(heard[FIRST:], popped(speech, pop)[FIRST:])
    assert len(heard) == len(speech)


@pytest.mark.parametrize("name", TEXTS)
def test_a_recording_has_none(name: str) -> None:
    samples = recording(name)
    assert without_pop(utterance(samples)) is samples


@pytest.mark.parametrize(
    ("spoken", "facts"),
    [
        (FIRST, {"speech_end": FIRST}),  # a word of its own, and silence
        (FIRST, {"speech_end": FIRST + SAMPLE_RATE // 10}),
        (FIRST, {"has_speech": False, "speech_end": 0}),
        (0, {}),
    ],
)
def test_without_speech_behind_it_it_may_be_what_was_said(spoken: int, facts: dict[str, object]) -> None:
    samples = np.concatenate([np.full(spoken, 20_000), np.full(SAMPLE_RATE, 10)]).astype(np.int16)
    assert without_pop(utterance(samples, **facts)) is samples


@pytest.mark.slow
def test_quiet_speech_is_understood_behind_a_pop() -> None:
    engine = WhisperTranscriber(TranscriptionSettings(context=SHORTEST))
    engine.load()
    for name in ("u05", "u12", "u35"):
        said = {engine.transcribe(utterance(popped(quiet(name, 150), pop))).text for pop in POPS}
        assert said == {TEXTS[name]}
