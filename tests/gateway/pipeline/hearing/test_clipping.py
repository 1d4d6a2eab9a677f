"""How much of a stream is cut off: counted where it is, and told with the utterance and as a problem."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observing.health import HealthState
from gateway.pipeline.hearing.clipping import PIECES, Clipping
from gateway.pipeline.telling.recording_health import COMPONENT, LOWER_GAIN
from tests.gateway.works import Works, loud, open_works
from tests.record import passes
from tests.system.house import Board
from transcription.audio import AudioChunk


def piece(position: int, *samples: int) -> AudioChunk:
    return AudioChunk(position, np.array(samples, np.int16))


def test_what_is_clipped_is_counted_where_it_is() -> None:
    clipping = Clipping()
    for chunk in (
        piece(0, 32767, 5, -32768),
        piece(3, 1, 2, 3),
        piece(6, -32767, 32766, 9),
        piece(9, 32767, 32767, 32767),
    ):
        clipping.hear(chunk)
    assert clipping.within(0, 3) == 2
    assert clipping.within(3, 9) == 0
    assert clipping.within(9, 12) == 3
    assert clipping.within(9, 12) == 0  # what was asked for is forgotten


@given(st.lists(st.lists(st.sampled_from([0, 32767, -32768, 32766]), max_size=9), max_size=30))
def test_all_of_it_is_all_there_is(pieces: list[list[int]]) -> None:
    clipping, position = Clipping(), 0
    for samples in pieces:
        clipping.hear(piece(position, *samples))
        position += len(samples)
    assert clipping.within(0, position) == sum(
        abs(sample) > 32766 for samples in pieces for sample in samples
    )


def test_what_nobody_asks_for_is_bounded() -> None:
    clipping = Clipping()
    for at in range(2 * PIECES):
        clipping.hear(piece(at, 32767))
    assert clipping.within(0, 2 * PIECES) == PIECES


def too_loud(seconds: float, share: float = 0.05) -> bytes:
    samples = np.frombuffer(loud(seconds), np.int16).copy()
    samples[: int(share * len(samples))] = 32767
    return samples.tobytes()


async def say(works: Works, board: Board, speech: bytes, number: int) -> Any:
    said = asyncio.create_task(board.say(speech))
    heard = await works.result(count=number)
    await works.reply(heard, "done")
    await said
    return heard


async def test_a_microphone_that_is_too_loud_is_told_with_its_remedy_and_so_is_its_end() -> None:
    async with open_works() as works, works.board() as kitchen:
        first = await say(works, kitchen, too_loud(1), 1)
        assert first.audio.clipped_ms == pytest.approx(50.0)
        assert COMPONENT not in works.health.report().components
        await say(works, kitchen, too_loud(1), 2)
        told = works.health.report().components[COMPONENT]
        assert told.state is HealthState.DEGRADED
        assert told.reason == "kitchen is too loud: 5.0 % of what is said is cut off at full scale"
        assert (told.remedy, told.about) == (LOWER_GAIN, "kitchen")
        quieter = await say(works, kitchen, loud(1), 3)
        assert quieter.audio.clipped_ms == 0.0
        assert COMPONENT in works.health.report().components
        await say(works, kitchen, loud(1), 4)
        assert COMPONENT not in works.health.report().components


async def test_one_that_is_called_by_its_right_name_is_told_too() -> None:
    """From the wire to the health: a board that sends both channels as one."""
    async with open_works() as works, works.board() as kitchen:
        wrong = np.stack([np.frombuffer(loud(1), np.int16), np.zeros(16_000, np.int16)], axis=1).tobytes()
        noisy = np.frombuffer(wrong, np.int16) // 32767 + np.frombuffer(wrong, np.int16)
        noisy[::2] += np.random.default_rng(1).integers(-99, 99, len(noisy[::2]), np.int16)
        await say(works, kitchen, noisy.tobytes(), 1)
        told = works.health.report().components[COMPONENT]
        assert (
            told.reason == "kitchen sends both channels of its I2S bus as one: every second sample is silent"
        )
        assert "I2S_SLOT_MODE_MONO" in told.remedy
    async with open_works() as works:
        async with works.board() as kitchen:
            await say(works, kitchen, noisy.tobytes(), 1)
        async with works.board() as kitchen:  # another firmware, perhaps
            await kitchen.connected()
            await passes(lambda: COMPONENT not in works.health.report().components)
