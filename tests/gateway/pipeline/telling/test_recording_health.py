"""What devices record wrongly, as the gateway's health shows it."""

from __future__ import annotations

from firmware_bridge.link.events import DeviceConnected, RecordingFaulty
from gateway.contract.events import HealthEvent
from gateway.observing.health import Health
from gateway.pipeline.telling import recording_health
from gateway.pipeline.telling.recording_health import COMPONENT, KEPT, RecordingHealth
from tests.record import Record


class House:
    def __init__(self) -> None:
        self.events = Record()
        self.health = Health(self.events)
        self.recording = RecordingHealth(self.health)

    def faulty(self, device_id: str, reason: str = "sends noise", remedy: str = "mend it") -> None:
        self.recording.found(RecordingFaulty(device_id, 1, reason, remedy))

    def told(self) -> tuple[str, str, object] | None:
        known = self.health.report().components.get(COMPONENT)
        return None if known is None else (known.reason, known.remedy, known.about)


def said(clipped: float, seconds: float = 1.0) -> tuple[int, int]:
    samples = int(16_000 * seconds)
    return samples, int(clipped * samples)


def test_one_is_told_and_about_whom() -> None:
    house = House()
    house.faulty("kitchen")
    assert house.told() == ("kitchen sends noise", "mend it", "kitchen")
    house.faulty("kitchen", "", "")
    assert house.told() is None
    assert [event.state for event in house.events.of(HealthEvent)] == ["degraded", "forgotten"]


def test_of_many_some_are_told_and_the_others_counted() -> None:
    house = House()
    for number in range(5):
        house.faulty(f"device-{number}", remedy=f"mend {number % 2}")
    assert house.told() is not None
    reason, remedy, about = house.told() or ("", "", "")
    assert reason == "device-2 sends noise; device-3 sends noise; device-4 sends noise; and 2 more"
    assert remedy == "mend 0; mend 1"
    assert about != "device-4"


def test_a_device_that_was_switched_off_or_forgotten_is_not_told_any_more() -> None:
    house = House()
    house.faulty("kitchen")
    house.recording.welcome(DeviceConnected("kitchen", 1, "air", "", 8, False, True, 0))  # resumed
    assert house.told() is not None
    house.recording.welcome(DeviceConnected("kitchen", 2, "air", "", 8, False, False, 0))
    assert house.told() is None
    house.faulty("hall")
    house.recording.forget("hall")
    house.recording.forget("hall")
    assert house.told() is None


def test_no_more_are_known_than_there_may_be() -> None:
    house = House()
    for number in range(KEPT + 10):
        house.faulty(f"d{number}")
        house.recording.heard(f"d{number}", *said(0.5))
    assert len(house.recording._faulty) == len(house.recording._loudness) == KEPT


def test_too_loud_is_who_is_so_again_and_again() -> None:
    house = House()
    for clipped in (0.5, 0.0, 0.5, 0.0):
        house.recording.heard("kitchen", *said(clipped))
    assert house.told() is None
    assert house.recording._loudness == {}
    for clipped in (0.01, 0.03):
        house.recording.heard("kitchen", *said(clipped))
    assert (house.told() or ("",))[0] == "kitchen is too loud: 3.0 % of what is said is cut off at full scale"
    house.recording.heard("kitchen", *said(0.0))
    house.recording.heard("kitchen", *said(0.02))
    house.recording.heard("kitchen", *said(0.0))
    assert house.told() is not None
    house.recording.heard("kitchen", *said(0.0))
    assert house.told() is None


def test_what_is_too_short_or_hardly_clipped_tells_nothing() -> None:
    house = House()
    for _ in range(3):
        house.recording.heard("kitchen", *said(0.5, 0.1))
        house.recording.heard("kitchen", *said(recording_health.CLIPPED_SHARE / 2))
    assert house.told() is None
    assert house.recording._loudness == {}
