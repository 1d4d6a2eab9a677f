"""What [wer-people] hears beside people: talk as far below as meant, and an hour that is the same every time."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from benchmarks.load.clips import in_room
from benchmarks.load.crowd import PIECE, _beside, _noise, _silence


def test_the_others_talk_as_far_below_as_asked_however_long_the_room_is_quiet() -> None:
    rng = np.random.default_rng(1)
    speech = (8_000 * np.sin(np.arange(32_000))).astype(np.int16)
    heard = in_room(speech, rng)
    crowd = rng.normal(0, 5, 100_000)
    talk = _beside(heard, crowd, 10, len(speech), rng).astype(float) - heard
    assert 20 * np.log10(speech.std() / talk.std()) == pytest.approx(10, abs=0.3)


@pytest.mark.parametrize(("kind", "different"), [(_silence, 4), (_noise, 6)])
def test_where_nobody_speaks_it_is_the_same_every_time(kind: object, different: int) -> None:
    once, again = (list(islice(kind(np.random.default_rng(11)), different)) for _ in range(2))  # type: ignore[operator]
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert {len(piece) for piece in once} == {PIECE}
    loudest = sorted(int(np.abs(piece.astype(int)).max()) for piece in once)
    assert loudest[0] <= 300
    assert len({piece.tobytes() for piece in once}) == different
