"""Which audio a model hears, and in how long a context."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcription.speech import utterance
from transcription.audio import Samples
from transcription.models.models import FULL, SHORTEST, STOCK_FLOOR
from transcription.whisper.context import LONGEST, MOST_PADDING, TAIL, alike, audible, context_frames
from transcription.whisper.features import HOP

MELS = st.sampled_from([80, 128])


def counted(length: int) -> Samples:
    """Samples that tell where they come from, none of them zero."""
    return (np.arange(length) % 1000 + 1).astype(np.int16)


# -- which audio


@given(length=st.integers(0, 30_000), start=st.integers(0, 10**9), data=st.data())
def test_it_is_heard_from_the_pre_roll_to_a_tail_behind_the_speech(
    length: int, start: int, data: st.DataObject
) -> None:
    speech = data.draw(st.integers(0, length))
    samples = counted(length)
    heard = audible(utterance(samples, start=start, end=start + length, speech_end=start + speech))
    assert len(heard) == speech + TAIL
    own = min(length, speech + TAIL)
    assert np.array_equal(heard[:own], samples[:own])
    assert not heard[own:].any()
    assert heard.dtype == np.int16


def test_where_no_speech_was_noticed_all_of_it_is_heard() -> None:
    samples = counted(5000)
    heard = audible(utterance(samples, has_speech=False, speech_end=0))
    assert np.array_equal(heard[:5000], samples)
    assert len(heard) == 5000 + TAIL


@pytest.mark.parametrize("length", [LONGEST - TAIL, LONGEST - TAIL + 1, LONGEST])
def test_the_tail_gives_way_at_30_seconds(length: int) -> None:
    assert len(audible(utterance(counted(length)))) == LONGEST


def test_speech_that_would_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match=r"30\.0 s of speech; Whisper hears 30 s"):
        audible(utterance(counted(LONGEST + 1)))


# -- how long a context


@given(frames=st.integers(0, 2 * FULL), floor=st.integers(SHORTEST, FULL), mels=MELS)
def test_the_context_holds_the_audio_and_is_one_the_encoder_takes(frames: int, floor: int, mels: int) -> None:
    length = context_frames(frames, floor=floor, mels=mels)
    assert max(floor, min(frames, FULL)) <= length <= FULL
    assert (length + 1) // 2 != mels
    assert length - max(floor, min(frames, FULL)) <= 2  # no longer than need be


@given(frames=st.integers(0, FULL), more=st.integers(0, 100), floor=st.integers(SHORTEST, FULL), mels=MELS)
def test_more_audio_never_gets_less_context(frames: int, more: int, floor: int, mels: int) -> None:
    assert context_frames(frames, floor=floor, mels=mels) <= context_frames(
        frames + more, floor=floor, mels=mels
    )


@pytest.mark.parametrize(("mels", "forbidden", "instead"), [(80, (159, 160), 161), (128, (255, 256), 257)])
def test_the_lengths_that_are_encoded_twice(mels: int, forbidden: tuple[int, int], instead: int) -> None:
    for frames in forbidden:
        assert context_frames(frames, floor=SHORTEST, mels=mels) == instead
        assert context_frames(0, floor=frames, mels=mels) == instead
    for frames in (forbidden[0] - 1, instead):
        assert context_frames(frames, floor=SHORTEST, mels=mels) == frames


def test_what_the_names_stand_for() -> None:
    assert (FULL, LONGEST) == (3000, 30 * 16_000)
    assert (LONGEST / HOP, HOP) == (FULL, 160)
    assert SHORTEST < STOCK_FLOOR < FULL


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3000)), max_size=12))
def test_groups_are_alike_and_hold_each_once(kinds: list[tuple[str, int]]) -> None:
    groups = alike(kinds)
    assert sorted(place for group in groups for place in group) == list(range(len(kinds)))
    for group in groups:
        assert len({kinds[place][0] for place in group}) == 1
        lengths = [kinds[place][1] for place in group]
        assert max(lengths) <= MOST_PADDING * min(lengths)
