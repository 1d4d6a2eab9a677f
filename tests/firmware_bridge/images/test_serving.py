"""Images are handed out at a pace: the newest wish of each device, in turns, and no more to those who ask for more."""

from __future__ import annotations

import itertools

import pytest

from firmware_bridge.images.serving import BURST, HOUSE_BYTES_PER_SECOND, PAUSE, ImageServing
from firmware_bridge.link.frames import FETCH_MOST

SIZE = 1_000_000
IMAGE = 7


def serving(*devices: str, piece: int = 1000, rate: float = 1e9) -> ImageServing:
    made = ImageServing()
    for device in devices:
        made.admit(device, piece=piece, rate=rate)
    return made


def bytes_in(served: ImageServing, device: str, seconds: float, *, length: int = FETCH_MOST) -> int:
    """What it gets if it asks again as soon as it has got anything."""
    got, at, now = 0, 0, 0.0
    while now < seconds:
        served.ask(device, IMAGE, at, length, SIZE)
        for helping in served.due(now):
            got += helping.end - helping.offset
            at = helping.end % SIZE
        now += 0.001
    return got


def test_a_wish_is_served_in_bursts_to_its_end() -> None:
    served = serving("a")
    assert served.ask("a", IMAGE, 100, FETCH_MOST, SIZE)
    spans, now = [], 0.0
    while served.next_deadline() < 10:
        spans += [(one.offset, one.end) for one in served.due(now)]
        now += PAUSE
    assert spans[0] == (100, 100 + BURST * 1000)
    assert spans[-1][1] == 100 + FETCH_MOST
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


def test_the_newest_wish_counts() -> None:
    served = serving("a")
    served.ask("a", IMAGE, 0, 100, SIZE)
    served.ask("a", IMAGE, 500, 100, SIZE)
    assert [(one.offset, one.end) for one in served.due(0)] == [(500, 600)]


@pytest.mark.parametrize(
    ("offset", "length", "size"), [(SIZE, 1, SIZE), (2**32 - 1, 8192, SIZE), (0, 0, SIZE), (0, 1, 0)]
)
def test_what_is_not_there_is_refused(offset: int, length: int, size: int) -> None:
    served = serving("a")
    assert not served.ask("a", IMAGE, offset, length, size)
    assert not served.due(0)


def test_more_than_there_is_or_may_be_asked_for_is_cut() -> None:
    served = serving("a", piece=100_000)
    served.ask("a", IMAGE, 0, 2**32 - 1, SIZE)
    assert served.due(0)[0].end == FETCH_MOST
    served.ask("a", IMAGE, SIZE - 10, 2**32 - 1, SIZE)
    assert served.due(1)[0].end == SIZE


def test_who_was_not_admitted_gets_nothing() -> None:
    served = serving("a")
    assert not served.ask("b", IMAGE, 0, 100, SIZE)
    served.ask("a", IMAGE, 0, 100, SIZE)
    served.dismiss("a")
    assert not served.due(0)


def test_a_slow_line_gets_what_it_bears() -> None:
    assert bytes_in(serving("a", rate=5000), "a", 10) <= 5000 * 10 + FETCH_MOST


def test_who_asks_byte_by_byte_costs_few_turns() -> None:
    assert bytes_in(serving("a"), "a", 1, length=1) <= 1 / PAUSE + 1


def test_asking_anew_is_no_way_around_the_pace() -> None:
    served = serving("a", rate=5000)
    got, now = 0, 0.0
    while now < 5:
        served.admit("a", piece=1000, rate=5000)
        served.ask("a", IMAGE, 0, FETCH_MOST, SIZE)
        got += sum(one.end - one.offset for one in served.due(now))
        now += 0.001
    assert got <= 5000 * 5 + FETCH_MOST


def test_many_devices_share_the_house_fairly() -> None:
    devices = [f"d{number}" for number in range(100)]
    served = serving(*devices, rate=1e6)
    got, now = dict.fromkeys(devices, 0), 0.0
    while now < 2:
        for device in devices:
            served.ask(device, IMAGE, 0, FETCH_MOST, SIZE)
        for one in served.due(now):
            got[one.device_id] += one.end - one.offset
        now += 0.001
    assert sum(got.values()) <= 2 * HOUSE_BYTES_PER_SECOND + FETCH_MOST
    assert min(got.values()) > 0.8 * max(got.values())
