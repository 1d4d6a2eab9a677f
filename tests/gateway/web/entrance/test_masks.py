"""Frames with and without a mask, in any pieces."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.web.entrance.masks import REFUSED, MaskedOnly
from tests.gateway.web.raw import frame

FRAMES = st.builds(
    frame,
    st.integers(0, 15),
    st.one_of(st.binary(max_size=140), st.just(b"x" * 70_000)),
    fin=st.booleans(),
    reserved=st.integers(0, 7),
)


class Recorder:
    """A parser that keeps what it is fed."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        self.ended = True


def fed(data: bytes, cuts: list[int]) -> bytes:
    recorder = Recorder()
    masked = MaskedOnly(recorder)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        assert masked.feed_data(data[start:end]) == (False, b"")
    masked.feed_eof()
    assert recorder.ended
    return recorder.data


@given(st.lists(FRAMES, max_size=5), st.lists(st.integers(0, 400_000), max_size=20))
def test_masked_frames_pass_as_they_are(frames: list[bytes], cuts: list[int]) -> None:
    assert fed(b"".join(frames), cuts) == b"".join(frames)


@given(
    st.lists(FRAMES, max_size=3),
    st.binary(max_size=200),
    st.binary(max_size=20),
    st.lists(st.integers(0, 400_000), max_size=20),
)
def test_one_without_a_mask_is_refused_and_all_after_it(
    frames: list[bytes], payload: bytes, more: bytes, cuts: list[int]
) -> None:
    before = b"".join(frames)
    bare = frame(1, payload, masked=False)
    assert fed(before + bare + more, cuts) == before + REFUSED


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=20))
def test_pieces_are_no_matter(data: bytes, cuts: list[int]) -> None:
    assert fed(data, cuts) == fed(data, [])
