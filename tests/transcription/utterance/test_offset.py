"""A microphone's offset: gone, whatever it does, and nothing else with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcription.speech import TEXTS, chunks, recording, segment, utterances
from transcription.audio import SAMPLE_RATE, AudioChunk, Samples
from transcription.models.models import SHORTEST
from transcription.settings import SegmenterSettings, TranscriptionSettings
from transcription.utterance.offset import REACH, OffsetFilter
from transcription.utterance.segmenter import UtteranceSegmenter
from transcription.utterance.vad import SileroModel
from transcription.whisper.engine import WhisperTranscriber

Floats = npt.NDArray[np.float64]
Change = Callable[[Floats], Floats]


def pcm16(samples: Floats) -> Samples:
    return np.clip(np.round(samples), -32_768, 32_767).astype(np.int16)


def filtered(samples: Samples) -> Samples:
    return OffsetFilter()(AudioChunk(0, samples)).samples


def times(samples: Floats) -> Floats:
    """When each of them is, in seconds."""
    return np.arange(len(samples)) / SAMPLE_RATE


def noise(samples: int, level: float = 100.0) -> Floats:
    return np.random.default_rng(samples).normal(0, level, samples)


def rms(samples: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


# What stays, and what goes


@pytest.mark.parametrize("offset", [-32_768, -2_000, -1, 0, 1, 300, 32_767])
def test_an_offset_alone_is_digital_silence_from_the_first_sample(offset: int) -> None:
    assert not filtered(np.full(3 * REACH, offset, np.int16)).any()


@pytest.mark.parametrize("name", TEXTS)
def test_a_recording_without_an_offset_stays_as_it_is(name: str) -> None:
    """But for the start of what begins in the middle of a swing, and next to nothing at the edges of words."""
    samples = recording(name)
    changed = filtered(samples).astype(int)[REACH:] - samples[REACH:]
    assert np.mean(changed != 0) < 0.15
    assert 20 * np.log10(max(rms(changed), 1e-3) / rms(samples)) < -30


@pytest.mark.parametrize("hertz", [80, 100, 150, 300, 1_000, 4_000, 7_900])
def test_a_voice_stays_as_it_is(hertz: int) -> None:
    tone = pcm16(8_000 * np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE))
    assert np.array_equal(filtered(tone)[REACH:], tone[REACH:])


@pytest.mark.parametrize("offset", [-20_000, -1_000, 300, 2_000, 31_000])
def test_no_more_is_left_of_an_offset_than_what_swings_around_it(offset: int) -> None:
    sound = noise(20_000)
    left = filtered(pcm16(sound + offset)) - sound
    assert np.abs(left[REACH:]).max() < 1.3 * 100


@pytest.mark.parametrize("hertz", [100, 150, 300])
@pytest.mark.parametrize("amplitude", [-15_000, -1_000, 1_000, 15_000])
def test_half_a_swing_at_the_start_is_no_offset_yet(hertz: int, amplitude: int) -> None:
    voice = pcm16(amplitude * np.sin(2 * np.pi * hertz * np.arange(3 * REACH) / SAMPLE_RATE))
    assert np.array_equal(filtered(voice), voice)


def test_digital_silence_stays_digital_silence() -> None:
    after_speech = np.concatenate([pcm16(noise(5_000, 3_000)), np.zeros(5_000, np.int16)])
    assert not filtered(np.zeros(5_000, np.int16)).any()
    assert not filtered(after_speech)[5_000 + 2 * REACH :].any()


def test_an_offset_that_jumps_is_forgotten_after_two_reaches() -> None:
    sound = noise(20_000)
    jumping = pcm16(sound + np.where(np.arange(20_000) < 10_000, -3_000, 5_000))
    at_once = pcm16(sound + 5_000)
    assert np.array_equal(filtered(jumping)[10_000 + 2 * REACH :], filtered(at_once)[10_000 + 2 * REACH :])


def test_a_pop_at_the_start_does_not_ring() -> None:
    sound, pop = pcm16(noise(20_000)), 200
    popped = sound.copy()
    popped[:pop] = 32_767
    assert np.array_equal(filtered(popped)[pop + 2 * REACH :], filtered(sound)[pop + 2 * REACH :])


@pytest.mark.parametrize(("seconds", "most"), [(0.1, 200), (0.3, 50), (1.0, 10)])
def test_of_an_offset_that_settles_next_to_nothing_is_left(seconds: float, most: int) -> None:
    settling = 8_000 * np.exp(-np.arange(2 * SAMPLE_RATE) / (seconds * SAMPLE_RATE))
    left = filtered(pcm16(settling))[2 * REACH :]
    assert np.abs(left).max() < most


def test_what_leaves_the_range_does_not_come_in_at_its_other_end() -> None:
    samples = np.where(np.arange(8 * REACH) % (3 * REACH) < REACH, -32_768, 32_767).astype(np.int16)
    jumps = np.nonzero(np.diff(samples.astype(int)))[0] + 1
    assert [int(filtered(samples)[jump]) for jump in jumps] == [
        32_767 if samples[jump] > 0 else -32_768 for jump in jumps
    ]


# However it comes


@given(st.lists(st.integers(0, 6_000), max_size=12), st.integers(-30_000, 30_000))
def test_the_same_audio_comes_out_the_same_however_it_was_cut(cuts: list[int], offset: int) -> None:
    samples = pcm16(noise(6_000, 4_000) + offset)
    without_offset = OffsetFilter()
    cut = [without_offset(chunk).samples for chunk in chunks(samples, cuts)]
    assert np.array_equal(np.concatenate(cut), filtered(samples))


def test_a_hole_is_told_and_not_filled_and_the_offset_is_known_behind_it() -> None:
    samples = pcm16(noise(6_000) + 2_000)
    without_offset = OffsetFilter()
    before = without_offset(AudioChunk(400, samples[:3_000]))
    behind = without_offset(AudioChunk(53_400, samples[3_000:], lost_samples=50_000))
    nothing = without_offset(AudioChunk(56_500, samples[:0], lost_samples=100))
    assert [(one.position, one.lost_samples, len(one.samples)) for one in (before, behind, nothing)] == [
        (400, 0, 3_000),
        (53_400, 50_000, 3_000),
        (56_500, 100, 0),
    ]
    assert np.array_equal(np.concatenate([before.samples, behind.samples]), filtered(samples))


# Quiet speech is understood as it is without an offset

CHANGES: dict[str, Change] = {
    "none": lambda speech: speech,
    "1000": lambda speech: speech + 1_000,
    "-2000": lambda speech: speech - 2_000,
    "25000": lambda speech: speech + 25_000,
    "settles slowly": lambda speech: speech + 20_000 * np.exp(-times(speech) / 0.25),
    "settles at once": lambda speech: speech + 2_000 + 8_000 * np.exp(-times(speech) / 0.08),
    "jumps": lambda speech: speech + np.where(np.arange(len(speech)) < len(speech) // 2, 2_000, -1_000),
    "wanders": lambda speech: speech + 2_000 * np.sin(2 * np.pi * 0.7 * times(speech)),
}


@pytest.fixture(scope="module")
def whisper() -> WhisperTranscriber:
    engine = WhisperTranscriber(TranscriptionSettings(context=SHORTEST))
    engine.load()
    return engine


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel()


def quiet(name: str, level: float) -> Floats:
    """A recording at this root mean square in a room's quiet."""
    spoken = recording(name).astype(np.float64)
    room = noise(len(spoken) + SAMPLE_RATE, 4)
    room[SAMPLE_RATE // 2 :][: len(spoken)] += spoken * (level / np.sqrt(np.mean(spoken**2)))
    return room


@pytest.mark.slow
@pytest.mark.parametrize("end_on_silence", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_quiet_speech_is_understood(
    whisper: WhisperTranscriber, silero: SileroModel, change: str, *, end_on_silence: bool
) -> None:
    for name in ("u05", "u12", "u34", "u35"):
        stream = AudioChunk(0, pcm16(CHANGES[change](quiet(name, 150))))
        segmenter = UtteranceSegmenter(silero.stream(), SegmenterSettings(), end_on_silence=end_on_silence)
        heard = utterances(segment(segmenter, [OffsetFilter()(stream)]))
        assert [whisper.transcribe(one).text for one in heard] == [TEXTS[name]]
