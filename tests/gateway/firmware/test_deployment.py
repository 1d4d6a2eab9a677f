"""Who is offered which image, how far each has come, and when a rollout stops by itself."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import pytest
from msgspec import structs

from firmware_bridge.images.image_file import Manifest
from firmware_bridge.link.events import DeviceConnected, ImageTold
from firmware_bridge.link.frames import UpdateReason, UpdateState
from gateway.firmware.deployment import (
    LATER,
    LEAST_PAYLOAD,
    MISSING_SECONDS,
    MOST_AT_ONCE,
    TOO_SMALL,
    UNSTUCK,
    Deployment,
)
from gateway.firmware.records import Rollout, Stage, UpdateProgress

ROOMS = {"kitchen": "downstairs", "hall": "downstairs", "attic": "upstairs"}
KIND = "s3-box-3"
S, R = UpdateState, UpdateReason


def image(version: str = "2.0", number: int = 2, kind: str = KIND) -> Manifest:
    sha256 = hashlib.sha256(f"{version} {kind}".encode()).hexdigest()
    return Manifest(
        kind=kind,
        version=version,
        number=number,
        size=1000,
        sha256=sha256,
        key="0" * 128,
        signature="0" * 128,
    )


def rollout(of: Manifest, *devices: str, at: float = 1.0, **more: object) -> Rollout:
    made = Rollout(
        sha256=of.sha256, number=of.number, kind=of.kind, version=of.version, devices=devices,
        offered_at=at, counted_from=at,
    )  # fmt: skip
    return structs.replace(made, **more)


def hello(device_id: str, firmware: str = "1.0", **more: object) -> DeviceConnected:
    said = DeviceConnected(device_id, 1, "mqtt", firmware, 0, False, False, 0, KIND, True)
    return replace(said, **more)  # type: ignore[arg-type]


class House:
    def __init__(self, *images: Manifest, progress: tuple[UpdateProgress, ...] = ()) -> None:
        self.now = 10.0
        self.wall = 1_700_000_000.0
        self.deployment = Deployment(lambda device_id: ROOMS.get(device_id, ""), lambda: self.unix)
        self.deployment.recall(progress, self.now)
        self.images = images or (image(),)

    @property
    def unix(self) -> float:
        return self.wall + self.now

    def take(self, *rollouts: Rollout) -> None:
        self.deployment.take(self.images, rollouts, self.now)

    def come(self, *devices: str, **more: object) -> None:
        for device_id in devices:
            self.deployment.connected(hello(device_id, **more), self.now)  # type: ignore[arg-type]

    def due(self, after: float = 0.0) -> dict[str, str]:
        self.now += after
        return {one.device_id: one.manifest.version for one in self.deployment.due(self.now)}

    def says(
        self, device_id: str, state: S, reason: R = R.NONE, *, of: Manifest | None = None, offset: int = 0
    ) -> None:
        self.now += 1
        event = ImageTold(device_id, 1, (of or self.images[0]).image, state, reason, offset, "")
        self.deployment.told(event, self.now)

    @property
    def stages(self) -> dict[str, Stage]:
        return {one.device_id: one.stage for one in self.deployment.progress()}

    @property
    def news(self) -> list[tuple[str, str]]:
        told = [(one.device_id, one.words) for one in self.deployment.changed]
        self.deployment.changed.clear()
        return told


@pytest.mark.parametrize(
    ("circle", "who"),
    [
        ({"devices": ("kitchen",)}, {"kitchen"}),
        ({"rooms": ("downstairs",)}, {"kitchen", "hall"}),
        ({"rooms": ("downstairs",), "devices": ("attic",)}, {"kitchen", "hall", "attic"}),
        ({"everybody": True}, {"kitchen", "hall", "attic", "shed"}),
        ({"everybody": True, "paused": "for now"}, set()),
        ({"rooms": ("",)}, set()),
    ],
)
def test_an_image_is_offered_to_its_circle(circle: dict[str, object], who: set[str]) -> None:
    house = House()
    house.come("kitchen", "hall", "attic", "shed")
    house.take(rollout(image(), **circle))
    assert set(house.due()) == who


@pytest.mark.parametrize(
    "more",
    [{"kind": "another"}, {"kind": ""}, {"takes_images": False}],
)
def test_a_device_of_another_kind_or_that_takes_none_is_offered_none(more: dict[str, object]) -> None:
    house = House()
    house.take(rollout(image(), everybody=True))
    house.come("kitchen", **more)
    assert not house.due()


def test_who_runs_it_already_is_confirmed_without_an_offer() -> None:
    house = House()
    house.take(rollout(image(), everybody=True))
    house.come("kitchen", firmware="2.0")
    assert not house.due()
    assert house.stages == {"kitchen": Stage.CONFIRMED}


def test_an_update_from_its_offer_to_its_end_is_told() -> None:
    house = House()
    house.take(rollout(image(), "kitchen"))
    house.come("kitchen")
    house.due()
    house.says("kitchen", S.FETCHING)
    for offset in (0, 400, 800):
        house.now += 2
        house.deployment.asked("kitchen", offset, house.now)
    house.says("kitchen", S.STARTING, offset=1000)
    house.deployment.disconnected("kitchen")
    house.come("kitchen", firmware="2.0", boot=2)
    house.due()
    assert [words for _, words in house.news] == [
        "offered",
        "fetching, 0 %",
        "fetching, 0 %",
        "fetching, 40 %",
        "fetching, 80 %",
        "starting",
        "confirmed",
    ]


def test_an_offer_without_an_answer_is_repeated_ever_more_seldom() -> None:
    house = House()
    house.take(rollout(image(), "kitchen"))
    house.come("kitchen")
    offered = [house.now for _ in range(600) if house.due(0.5)]
    gaps = [later - sooner for sooner, later in itertools.pairwise(offered)]
    assert gaps[0] == pytest.approx(3, abs=0.6)
    assert gaps[-1] == pytest.approx(60, abs=0.6)


@pytest.mark.parametrize(
    ("state", "reason", "after"),
    [
        (S.DECLINED, R.NOT_NOW, LATER),
        (S.FAILED, R.STALLED, UNSTUCK),
    ],
)
def test_what_passes_is_tried_again(state: S, reason: R, after: float) -> None:
    house = House()
    house.take(rollout(image(), "kitchen"))
    house.come("kitchen")
    house.due()
    house.says("kitchen", state, reason)
    assert not house.due(after - 5)
    assert house.due(10)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (S.DECLINED, R.BAD_SIGNATURE),
        (S.DECLINED, R.OLDER),
        (S.DECLINED, R.TOO_LARGE),
        (S.FAILED, R.BAD_IMAGE),
        (S.FAILED, R.STORAGE),
        (S.ROLLED_BACK, R.NOT_REACHED),
    ],
    ids=lambda one: one.name,
)
def test_what_does_not_pass_is_left_until_somebody_says_so(state: S, reason: R) -> None:
    house = House()
    house.take(rollout(image(), everybody=True))
    house.come("kitchen")
    house.due()
    house.says("kitchen", state, reason)
    house.deployment.disconnected("kitchen")
    house.come("kitchen")
    assert not house.due(10_000)
    house.take(rollout(image(), "kitchen", everybody=True, again={"kitchen": house.unix}))
    assert house.due()
    house.take(rollout(image(number=3), everybody=True))  # it was signed again
    house.images = (image(number=3),)
    house.take(rollout(image(number=3), everybody=True))
    assert house.due()


def test_it_is_remembered_over_a_restart_of_the_gateway() -> None:
    house = House()
    house.take(rollout(image(), everybody=True))
    house.come("kitchen", "hall")
    house.due()
    house.says("kitchen", S.FAILED, R.STORAGE)
    house.says("hall", S.STARTING)
    later = House(progress=tuple(house.deployment.progress()))
    later.take(rollout(image(), everybody=True))
    later.come("kitchen", "hall")
    assert set(later.due()) == {"hall"}


def test_the_later_of_two_offers_is_a_devices() -> None:
    house = House(image(), image("3.0", 3))
    house.take(rollout(image(), everybody=True, at=1), rollout(image("3.0", 3), "kitchen", at=2))
    house.come("kitchen", "hall")
    assert house.due() == {"kitchen": "3.0", "hall": "2.0"}


def test_few_are_under_way_at_once() -> None:
    house = House()
    devices = [f"d{number}" for number in range(10)]
    house.take(rollout(image(), everybody=True))
    house.come(*devices)
    first = set(house.due())
    assert len(first) == MOST_AT_ONCE
    assert set(house.due(5)) == first
    house.says(min(first), S.DECLINED, R.TOO_LARGE)
    assert len(set(house.due(100)) - first) == 1


def test_the_first_that_rolls_back_stops_a_circle_and_its_reason_is_told() -> None:
    house = House()
    house.take(rollout(image(), rooms=("downstairs",)))
    house.come("kitchen", "hall")
    house.due()
    house.says("kitchen", S.ROLLED_BACK, R.NOT_REACHED)
    (why,) = house.deployment.stopped.values()
    assert why.startswith("stopped by itself: kitchen rolled back")
    assert not house.due(100)
    assert house.deployment.image_of("hall", image().image) is None


def test_what_is_for_all_stops_at_the_second() -> None:
    house = House()
    house.take(rollout(image(), everybody=True))
    house.come("kitchen", "hall", "attic")
    house.due()
    house.says("kitchen", S.ROLLED_BACK, R.NOT_REACHED)
    house.says("kitchen", S.ROLLED_BACK, R.NOT_REACHED)
    assert not house.deployment.stopped
    house.says("hall", S.ROLLED_BACK, R.NOT_REACHED)
    assert "hall, kitchen" in "".join(house.deployment.stopped.values())


def test_those_from_before_it_was_resumed_do_not_count() -> None:
    house = House()
    house.take(rollout(image(), everybody=True))
    house.come("kitchen", "hall", "attic")
    house.due()
    house.says("kitchen", S.ROLLED_BACK, R.NOT_REACHED)
    house.now += 1
    house.take(rollout(image(), everybody=True, counted_from=house.unix))
    house.due()
    house.says("hall", S.ROLLED_BACK, R.NOT_REACHED)
    assert not house.deployment.stopped


def test_a_device_that_does_not_come_back_is_missing_and_stops_it_as_well() -> None:
    house = House()
    house.take(rollout(image(), "kitchen"))
    house.come("kitchen")
    house.due()
    house.says("kitchen", S.STARTING)
    house.deployment.disconnected("kitchen")
    house.due(MISSING_SECONDS - 5)
    assert house.stages == {"kitchen": Stage.STARTING}
    house.due(10)
    assert house.stages == {"kitchen": Stage.MISSING}
    assert house.deployment.stopped
    house.come("kitchen", firmware="2.0")
    house.take(rollout(image(), "kitchen"))
    house.due()
    assert house.stages == {"kitchen": Stage.CONFIRMED}


def test_a_clock_that_is_set_makes_nobody_missing_and_keeps_nobody_waiting() -> None:
    house = House()
    house.take(rollout(image(), everybody=True))
    house.come("kitchen", "hall")
    house.due()
    house.says("kitchen", S.STARTING)
    house.deployment.disconnected("kitchen")
    house.wall += 1_000_000
    house.due(5)
    assert house.stages["kitchen"] is Stage.STARTING
    house.wall -= 2_000_000
    assert "hall" in house.due(60)


def test_who_goes_away_in_the_middle_keeps_no_place() -> None:
    house = House()
    devices = [f"d{number}" for number in range(MOST_AT_ONCE + 1)]
    house.take(rollout(image(), everybody=True))
    house.come(*devices)
    gone = set(house.due())
    for device in gone:
        house.deployment.disconnected(device)
    assert set(house.due(MISSING_SECONDS + 1)) == set(devices) - gone


def test_only_what_was_offered_may_be_fetched() -> None:
    house = House()
    house.take(rollout(image(), "kitchen"))
    house.come("kitchen", "hall")
    assert house.deployment.image_of("kitchen", image().image) is None
    house.due()
    assert house.deployment.image_of("kitchen", image().image) == image()
    assert house.deployment.image_of("kitchen", image().image + 1) is None
    assert house.deployment.image_of("hall", image().image) is None
    house.take(rollout(image(), "kitchen", paused="for now"))
    assert house.deployment.image_of("kitchen", image().image) is None


def test_who_says_more_than_anybody_needs_is_not_listened_to() -> None:
    house = House()
    house.take(rollout(image(), "kitchen"))
    house.come("kitchen")
    house.due()
    for turn in range(1000):
        house.now -= 0.99
        house.says("kitchen", (S.FETCHING, S.FAILED)[turn % 2], (R.NONE, R.STALLED)[turn % 2])
        house.deployment.asked("kitchen", turn % 1000, house.now)
    assert len(house.news) < 100


def test_news_of_somebody_unheard_of_or_of_another_image_is_none() -> None:
    house = House()
    house.take(rollout(image(), "kitchen"))
    house.come("kitchen")
    house.says("kitchen", S.CONFIRMED)
    house.says("stranger", S.CONFIRMED)
    house.due()
    house.news.clear()
    house.says("kitchen", S.ROLLED_BACK, of=image("9.0"))
    house.deployment.asked("stranger", 0, house.now)
    assert house.stages == {"kitchen": Stage.OFFERED}


def test_one_whose_frames_are_too_small_for_an_offer_is_told_of() -> None:
    """It is news once, stops nobody, and over as soon as its frames are larger."""
    house = House()
    house.take(rollout(house.images[0], everybody=True))
    house.come("kitchen", max_payload=LEAST_PAYLOAD - 1)
    assert house.due() == {}
    (told,) = house.deployment.changed
    assert (told.stage, told.reason) == (Stage.DECLINED, TOO_SMALL)
    since = told.at
    house.come("kitchen", max_payload=LEAST_PAYLOAD - 1)
    assert house.due(5.0) == {}
    assert [one.at for one in house.deployment.progress()] == [since]
    assert (len(house.deployment.changed), house.deployment.stopped) == (1, {})
    house.come("kitchen", max_payload=LEAST_PAYLOAD)
    assert house.due(5.0) == {"kitchen": "2.0"}
    assert house.stages == {"kitchen": Stage.OFFERED}
