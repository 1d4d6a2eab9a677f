"""A device takes what was signed for it, starts it, and keeps it if it reaches the gateway; reference and C alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from firmware_bridge.images.taker import STALLED, TRIAL
from firmware_bridge.link.frames import UpdateReason as R
from firmware_bridge.link.frames import UpdateState as S
from tests.firmware_bridge.images.boards import BOARDS, AnyBoard
from tests.firmware_bridge.images.house import House, TakerState, an_image, file_of

Make = Callable[..., AnyBoard]
FETCHED = [(S.FETCHING, R.NONE), (S.STARTING, R.NONE)]
CONFIRMED = [*FETCHED, (S.CONFIRMED, R.NONE)]
ENDS = {S.CONFIRMED, S.ROLLED_BACK}


@pytest.fixture(params=BOARDS.values(), ids=BOARDS)
def make(request: pytest.FixtureRequest) -> Make:
    return request.param  # type: ignore[no-any-return]


def test_an_image_is_fetched_started_and_kept(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image()))
    assert house.run_until_told(S.CONFIRMED)
    assert house.states == CONFIRMED
    assert house.flash.image == an_image()
    assert not house.flash.on_trial
    assert house.fetched == len(an_image())
    assert house.flash.steps.index("verify") < house.flash.steps.index("begin")


def test_what_runs_already_is_confirmed_again_and_not_fetched(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image()))
    assert house.run_until_told(S.CONFIRMED)
    house.told.clear()
    house.restart_gateway()
    house.power_on()
    assert house.run_until_told(S.CONFIRMED)
    assert house.states == [(S.CONFIRMED, R.NONE)]
    assert house.fetched == len(an_image())


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (file_of(an_image(), key="another"), R.BAD_SIGNATURE),
        (file_of(an_image(), kind="another board"), R.BAD_SIGNATURE),
        (file_of(an_image(), number=9), R.OLDER),
        (file_of(an_image(), "1.0"), R.SAME_VERSION),
        (file_of(an_image(300_001)), R.TOO_LARGE),
    ],
    ids=lambda one: one.name if isinstance(one, R) else "",
)
def test_what_is_not_for_this_board_is_declined_and_nothing_is_written(
    make: Make, file: bytes, reason: R
) -> None:
    house = House(make)
    house.offer(file)
    assert house.run_until_told(S.DECLINED)
    house.run(3)
    assert house.states == [(S.DECLINED, reason)]
    assert set(house.flash.steps) <= {"verify"}


def test_an_image_of_the_same_number_is_not_older(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image(), number=10))
    assert house.run_until_told(S.CONFIRMED)


def test_what_was_confirmed_is_what_nothing_may_be_older_than(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image()))
    assert house.run_until_told(S.CONFIRMED)
    house.offer(file_of(an_image(seed=2), "1.9", number=19))
    assert house.run_until_told(S.DECLINED)
    assert house.told[-1] == (S.DECLINED, R.OLDER)
    house.offer(file_of(an_image(seed=2), "1.9", number=21))
    assert house.run_until_told(S.CONFIRMED)


def test_a_board_that_would_rather_not_says_so_until_it_would(make: Make) -> None:
    house = House(make)
    house.flash.willing = False
    house.offer(file_of(an_image()))
    assert house.run_until_told(S.DECLINED)
    assert house.told[-1] == (S.DECLINED, R.NOT_NOW)
    house.flash.willing = True
    house.offer(file_of(an_image()))
    assert house.run_until_told(S.CONFIRMED)


def test_a_lost_link_costs_no_byte_twice_but_those_in_flight(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image(100_000)))
    for _ in range(5):
        assert house.run(10, lambda: house.board.where is TakerState.FETCHING)
        house.run(0.15)
        house.unplug()
        house.run(5)
        house.replug()
    assert house.run_until_told(S.CONFIRMED)
    assert house.flash.image == an_image(100_000)
    assert house.flash.steps.count("begin") == 1
    assert house.fetched < 100_000 + 6 * 8192


def test_a_restarted_gateway_goes_on_where_the_device_is(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image(100_000)))
    house.run(0.5)
    house.restart_gateway()
    assert house.run_until_told(S.CONFIRMED, 120)
    assert house.flash.steps.count("begin") == 1


def test_nothing_is_started_while_somebody_speaks(make: Make) -> None:
    house = House(make)
    stream = house.board.end.start_stream()
    house.offer(file_of(an_image()))
    assert house.run(20, lambda: house.board.where is TakerState.WHOLE)
    house.run(30)
    assert "start" not in house.flash.steps
    house.board.end.stop_stream(stream)
    assert house.run_until_told(S.CONFIRMED)


def test_who_speaks_while_the_gateway_is_told_is_heard_out(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image()))
    assert house.run(20, lambda: house.board.where is TakerState.STARTING)
    stream = house.board.end.start_stream()
    house.run(30)
    assert "start" not in house.flash.steps
    house.board.end.stop_stream(stream)
    assert house.run_until_told(S.CONFIRMED)


def test_an_image_that_does_not_reach_the_gateway_is_rolled_back_and_not_taken_again(make: Make) -> None:
    house = House(make)
    manifest = house.offer(file_of(an_image()))
    assert house.run_until_told(S.STARTING)
    house.gateway_is_there = False
    assert house.run(TRIAL + 10, lambda: "roll back" in house.flash.steps)
    house.run(1)
    assert house.flash.image == b"the first firmware"
    house.gateway_is_there = True
    assert house.run_until_told(S.ROLLED_BACK)
    assert house.told[-1] == (S.ROLLED_BACK, R.NOT_REACHED)
    taken = house.flash.steps.count("begin")
    house.offered = manifest, an_image()
    house.power_on()
    house.run(10)
    assert house.told[-1] == (S.ROLLED_BACK, R.NOT_REACHED)
    assert house.flash.steps.count("begin") == taken


def test_a_rolled_back_image_that_is_signed_again_is_taken(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image()))
    assert house.run_until_told(S.STARTING)
    house.run(0.2, lambda: house.flash.on_trial)
    house.power_on()  # it crashes
    assert house.run_until_told(S.ROLLED_BACK)
    house.offer(file_of(an_image(), number=21))
    assert house.run_until_told(S.CONFIRMED)


def test_an_image_that_crashes_at_once_is_rolled_back(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image()))
    house.flash.steps.clear()
    assert house.run(60, lambda: house.flash.starting or house.flash.on_trial)
    house.flash.boot()  # the bootloader starts it, and it is gone before it says a word
    house.power_on()
    assert house.flash.image == b"the first firmware"
    assert house.run_until_told(S.ROLLED_BACK)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [("bad_blocks", R.STORAGE), ("lies", R.BAD_IMAGE)],
)
def test_flash_that_fails_is_told_and_the_firmware_runs_on(make: Make, bad: str, reason: R) -> None:
    house = House(make)
    setattr(house.flash, bad, True)
    house.offer(file_of(an_image()))
    assert house.run_until_told(S.FAILED)
    assert house.told[-1] == (S.FAILED, reason)
    house.run(5)
    assert "start" not in house.flash.steps
    assert house.flash.image == b"the first firmware"


def test_what_the_boards_own_check_finds_is_told(make: Make) -> None:
    house = House(make)
    house.flash.finds = R.BAD_IMAGE
    house.offer(file_of(an_image()))
    assert house.run_until_told(S.FAILED)
    assert house.told[-1] == (S.FAILED, R.BAD_IMAGE)
    house.power_on()
    house.run(1)
    assert house.flash.image == b"the first firmware"


def test_bytes_that_are_not_those_of_the_offer_are_not_started(make: Make) -> None:
    house = House(make)
    manifest = house.offer(file_of(an_image()))
    house.offered = manifest, an_image(seed=2)
    assert house.run_until_told(S.FAILED)
    assert house.told[-1] == (S.FAILED, R.BAD_IMAGE)
    assert "finish" not in house.flash.steps
    house.offered = manifest, an_image()
    house.power_on()
    assert house.run_until_told(S.CONFIRMED)


@pytest.mark.slow
def test_a_gateway_that_sends_nothing_is_given_up_until_it_offers_again(make: Make) -> None:
    house = House(make)
    manifest = house.offer(file_of(an_image(100_000)))
    house.run(0.4)
    house.serving.dismiss("kitchen")
    house.serving.ask = lambda *_args: True  # type: ignore[method-assign]
    house.talks = True
    assert house.run_until_told(S.FAILED, STALLED + 5)
    assert house.told[-1] == (S.FAILED, R.STALLED)
    house.restart_gateway()
    house.offered = manifest, an_image(100_000)
    assert house.run_until_told(S.CONFIRMED)
    assert house.flash.steps.count("begin") == 1


def test_an_offer_that_is_withdrawn_is_quietly_left(make: Make) -> None:
    house = House(make)
    manifest = house.offer(file_of(an_image(100_000)))
    house.run(0.4)
    house.offered = None
    house.run(60)
    assert house.states == [(S.FETCHING, R.NONE)]
    house.offered = manifest, an_image(100_000)
    house.restart_gateway()
    assert house.run_until_told(S.CONFIRMED)


def test_another_offer_takes_the_place_of_what_is_being_fetched(make: Make) -> None:
    house = House(make)
    house.offer(file_of(an_image(100_000)))
    house.run(0.5)
    house.offer(file_of(an_image(50_000, seed=2), "3.0", number=30))
    assert house.run_until_told(S.CONFIRMED)
    assert house.flash.image == an_image(50_000, seed=2)


def test_a_flood_of_offers_has_few_signatures_looked_at(make: Make) -> None:
    house = House(make)
    offers = [file_of(an_image(seed=seed), key="another", number=100 + seed) for seed in range(20)]
    house.run(0.5)
    for turn in range(100):
        house.offer(offers[turn % 20])
        house.run(0.03)
    assert house.flash.steps.count("verify") <= 5


@pytest.mark.parametrize("max_payload", [64, 100, 1024])
def test_images_come_in_pieces_of_any_size(make: Make, max_payload: int) -> None:
    house = House(make, max_payload=max_payload)
    house.offer(file_of(an_image(20_001)))
    assert house.run_until_told(S.CONFIRMED)
    assert house.flash.image == an_image(20_001)


@pytest.mark.parametrize("seed", range(6))
def test_a_bad_line_loses_time_and_nothing_else(make: Make, seed: int) -> None:
    house = House(make, seed=seed, fault=0.1)
    house.offer(file_of(an_image(60_000)))
    assert house.run_until_told(S.CONFIRMED, 400)
    assert house.flash.image == an_image(60_000)


@pytest.mark.slow
def test_the_power_may_go_at_every_step(make: Make) -> None:
    """And at none of them is there anything but one of the two firmwares, nor is anything said that is not so."""
    image = an_image(4000)
    for step in range(1, 200):
        house = House(make)
        house.flash.power = step
        house.offer(file_of(image))
        assert house.run(400, lambda flash=house.flash: flash.power is None), step
        assert house.flash.image in {image, b"the first firmware"}
        assert house.run(400, lambda told=house.told: bool(told) and told[-1][0] in ENDS), step
        confirmed = house.told[-1][0] is S.CONFIRMED
        assert (house.flash.image == image) is confirmed, step
        assert not house.flash.on_trial
        if house.flash.steps[-1] == "confirm" and step > len(house.flash.steps):
            return
