"""Levels: what they are worth, when they are taken, and that nobody pays for those that nobody wants."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.events import DeviceEvent, Subscribe, TranscriptionEvent
from gateway.pipeline.hearing.level_meter import SILENCE, WINDOW, LevelMeter
from tests.gateway.works import Works, loud, open_works, swing
from tests.record import Record
from tests.system.house import running
from transcription.audio import SAMPLE_RATE, Samples


def tone(amplitude: float, samples: int = WINDOW) -> Samples:
    """A sine of 400 Hz: whole periods in a window."""
    wave = amplitude * np.sin(2 * np.pi * 400 * np.arange(samples) / SAMPLE_RATE)
    return wave.round().astype(np.int16)


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        (np.zeros(WINDOW, np.int16), SILENCE),
        (np.full(WINDOW, 1, np.int16), -90),
        (np.full(WINDOW, -32_768, np.int16), 0),
        (tone(32_767), -3),
        (tone(3_276.7), -23),
        (tone(327.67), -43),
    ],
)
def test_a_level_is_root_mean_square_in_dbfs(samples: Samples, level: int) -> None:
    assert LevelMeter(lambda: True).feed(samples) == level


@given(st.lists(st.integers(0, 2 * WINDOW), max_size=40))
def test_however_the_audio_comes_each_window_has_one_level(pieces: list[int]) -> None:
    meter, since, levels = LevelMeter(lambda: True), 0, 0
    for piece in pieces:
        level = meter.feed(np.full(piece, 3_277, np.int16))
        since += piece
        assert (level is not None) == (since >= WINDOW)
        if level is not None:
            assert level == -20
            since, levels = 0, levels + 1
    assert levels <= sum(pieces) / WINDOW


def test_it_is_asked_once_a_window_whether_a_level_is_wanted() -> None:
    wanted, asked = [False, True, False], 0

    def is_wanted() -> bool:
        nonlocal asked
        asked += 1
        return wanted[asked - 1]

    meter = LevelMeter(is_wanted)
    levels = [meter.feed(tone(32_767, WINDOW // 4)) for _ in range(12)]
    assert levels == [None] * 7 + [-3] + [None] * 4
    assert asked == 3


async def watch(works: Works, seen: Record, wanted: Subscribe) -> None:
    with works.hub.attach(wanted) as outbox:
        async for item in outbox:
            seen(item.event)


async def test_a_listener_that_asks_gets_the_levels_of_who_speaks_and_nobody_else_does() -> None:
    rooms = {"rooms": {"kitchen": "The kitchen"}}
    async with open_works(devices=rooms) as works, works.board() as kitchen:
        levels, others = Record(), Record()
        wanted = Subscribe(levels=True, devices=("kitchen",))
        elsewhere = Subscribe(levels=True, devices=("attic",))
        with running(watch(works, levels, wanted), watch(works, others, elsewhere)):
            await levels.until(lambda: levels.items)
            saying = asyncio.create_task(kitchen.say(loud(1)))
            level = await levels.first(DeviceEvent, notice="level")
            assert (level.value, level.room, level.user_id) == (-9, "The kitchen", "home")
            await works.reply(await works.result(), "yes")
            await saying
            await levels.first(TranscriptionEvent)
            await others.until(lambda: others.items)
        assert len(levels.of(DeviceEvent, notice="level")) == 10
        assert not others.of(DeviceEvent, notice="level")
        assert works.events.of(TranscriptionEvent), "the works' own listener watched, and asked for no levels"
        assert not works.events.of(DeviceEvent, notice="level")


async def test_levels_that_nobody_watches_are_no_events() -> None:
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(2)))
        await works.reply(await works.result(), "yes")
        await saying
        await works.idle()
        numbers = [event.seq for event in works.events.items]
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "no event was kept from the listener"


async def test_an_offset_is_neither_loud_nor_heard() -> None:
    async with open_works() as works, works.board() as kitchen:
        levels = Record()
        with running(watch(works, levels, Subscribe(levels=True))):
            await levels.until(lambda: levels.items)
            offset = (swing(0, 8_000, offset=12_000), swing(6_000, 8_000, offset=12_000))
            saying = asyncio.create_task(kitchen.say(b"".join(offset)))
            result = await works.result()
            await works.reply(result, "yes")
            await saying
            await levels.first(TranscriptionEvent)
            values = [level.value for level in levels.of(DeviceEvent, notice="level")]
        assert values[:4] == [SILENCE] * 4
        assert values[-3:] == [-12] * 3, (
            "6,000 are -15; what is left of an offset is no louder than the sound"
        )
