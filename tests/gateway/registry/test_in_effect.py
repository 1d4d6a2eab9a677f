"""What is written by hand, and what was said while it runs, come together."""

from __future__ import annotations

import msgspec

from firmware_bridge.settings import DeviceSettings, KnownDevice
from gateway.registry.in_effect import in_effect
from gateway.registry.records import RegisteredDevice, Standing


def settings(**parts: object) -> DeviceSettings:
    return msgspec.convert(parts, DeviceSettings)


def registered(device_id: str = "kitchen", **facts: str) -> dict[str, RegisteredDevice]:
    known = msgspec.convert(facts, KnownDevice)
    return {
        device_id: RegisteredDevice(
            device_id=device_id, standing=Standing.APPROVED, changed_at=1.0, facts=known
        )
    }


def test_one_place_or_four_it_is_the_same() -> None:
    apart = settings(
        users={"kitchen": "ann"},
        rooms={"kitchen": "Kitchen"},
        priorities={"devices": {"kitchen": "urgent"}, "rooms": {"Attic": "background"}},
    )
    together = settings(
        known={"kitchen": {"user": "ann", "room": "Kitchen", "priority": "urgent"}},
        priorities={"rooms": {"Attic": "background"}},
    )
    assert in_effect(apart, {}) == in_effect(together, {})
    assert in_effect(together, {}).priorities.rooms == {"Attic": "background"}


def test_what_was_said_at_run_time_fills_in_and_never_overrules() -> None:
    by_hand = settings(known={"kitchen": {"room": "Kitchen"}}, users={"kitchen": "ann"})
    told = registered(name="the board", room="Attic", user="bob", priority="urgent")
    after = in_effect(by_hand, told)
    assert after.known == {
        "kitchen": KnownDevice(name="the board", room="Kitchen", user="ann", priority="urgent")
    }
    assert (after.rooms, after.users) == ({"kitchen": "Kitchen"}, {"kitchen": "ann"})
    assert after.priorities.devices == {"kitchen": "urgent"}


def test_a_device_that_was_only_approved_is_known_and_nothing_more() -> None:
    after = in_effect(settings(), registered("attic"))
    assert (after.known, after.users, after.rooms) == ({"attic": KnownDevice()}, {}, {})
