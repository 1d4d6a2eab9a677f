"""Who may come in, as the running gateway knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.settings import DeviceSettings
from gateway.observing.health import Health
from gateway.registry.admission import COMPONENT, KEPT_WAITING, WAITING_SECONDS, Register


class Gate:
    """A register, with a clock that the test moves and a count of changes."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.now = 1_800_000_000.0
        self.changes = 0
        self.health = Health(lambda _event: None)
        self.register = Register(
            folder, msgspec.convert(settings, DeviceSettings), self.health, self._change, lambda: self.now
        )

    def _change(self) -> None:
        self.changes += 1

    def why_not(self, device_id: str = "kitchen") -> str:
        return self.register.why_not(device_id)

    def come(self, device_id: str = "kitchen", link: str = "mqtt", firmware: str = "1.0") -> None:
        """A device says HELLO, and the links ask."""
        if self.why_not(device_id):
            self.register.turned_away(Hello(Header(), device_id, 1, firmware, 0, 0, 0, 0), link)

    @property
    def waiting(self) -> list[str]:
        return [one.device_id for one in self.register.waiting()]


async def gate(folder: Path, **settings: Any) -> Gate:
    opened = Gate(folder, **settings)
    await opened.register.look()
    return opened


@pytest.mark.parametrize(
    ("unknown", "why"),
    [("open", ""), ("approve", "attic awaits approval"), ("deny", "attic is not known here")],
)
async def test_who_is_unknown(tmp_path: Path, unknown: str, why: str) -> None:
    house = await gate(
        tmp_path,
        unknown=unknown,
        known={"a": {"name": "A"}},
        users={"b": "bob"},
        rooms={"c": "Cellar"},
        priorities={"devices": {"d": "urgent"}},
        microphones={"desk": {}},
    )
    assert house.why_not("attic") == why
    assert [house.why_not(one) for one in ("a", "b", "c", "d", "desk", "web-panel")] == [""] * 6


async def test_who_is_denied_or_revoked_is_refused_though_the_settings_name_it(tmp_path: Path) -> None:
    house = await gate(tmp_path, known={"kitchen": {}, "attic": {}})
    house.register.file.deny("kitchen")
    house.register.file.revoke("attic")
    await house.register.look()
    assert (house.why_not(), house.why_not("attic")) == ("kitchen was denied", "attic was revoked")
    house.register.file.approve("kitchen")
    await house.register.look()
    assert house.why_not() == ""


async def test_a_device_waits_until_somebody_has_decided(tmp_path: Path) -> None:
    house = await gate(tmp_path, unknown="approve")
    house.come("kitchen", "mqtt", "1.0")
    house.now += 10
    house.come("attic")
    house.come("kitchen", "/dev/ttyUSB0", "1.1")
    kitchen = house.register.waiting()[1]
    assert (kitchen.device_id, kitchen.link, kitchen.firmware, kitchen.times) == (
        "kitchen",
        "/dev/ttyUSB0",
        "1.1",
        2,
    )
    assert kitchen.seen - kitchen.since == 10
    house.register.file.approve("kitchen")
    house.register.file.deny("attic")
    await house.register.look()
    house.come("kitchen")
    house.come("attic")
    assert (house.waiting, house.why_not("kitchen")) == ([], "")


async def test_who_has_given_up_does_not_wait(tmp_path: Path) -> None:
    house = await gate(tmp_path, unknown="approve")
    house.come("kitchen")
    house.now += WAITING_SECONDS - 1
    assert house.waiting == ["kitchen"]
    house.now += 1
    assert house.waiting == []


async def test_a_flood_of_ids_takes_no_more_than_its_room(tmp_path: Path) -> None:
    house = await gate(tmp_path, unknown="approve")
    for i in range(10_000):
        house.come(f"flood-{i}")
        if i % 50 == 0:
            house.come("kitchen")
    assert len(house.waiting) == KEPT_WAITING
    assert "kitchen" in house.waiting, "who goes on saying HELLO is not pushed out"


@pytest.mark.parametrize("unknown", ["open", "deny"])
async def test_nobody_waits_where_nobody_is_asked(tmp_path: Path, unknown: str) -> None:
    house = await gate(tmp_path, unknown=unknown)
    house.come("kitchen")
    assert house.waiting == []


async def test_the_settings_may_change_who_is_asked(tmp_path: Path) -> None:
    house = await gate(tmp_path)
    assert house.why_not() == ""
    house.register.reconfigure(msgspec.convert({"unknown": "approve"}, DeviceSettings))
    assert house.why_not() == "kitchen awaits approval"


async def test_a_change_is_told_once(tmp_path: Path) -> None:
    house = await gate(tmp_path)
    key = house.register.file.make_key("kitchen").key
    await house.register.look()
    await house.register.look()
    assert house.changes == 2
    assert (house.register.key("kitchen"), house.register.key("attic")) == (bytes.fromhex(key), None)
    house.register.file.path.unlink()
    await house.register.look()
    assert (house.changes, house.register.key("kitchen")) == (3, None)


async def test_a_file_that_broke_while_it_ran_changes_nothing_and_is_told(tmp_path: Path) -> None:
    house = await gate(tmp_path)
    house.register.file.revoke("attic")
    key = bytes.fromhex(house.register.file.make_key("kitchen").key)
    await house.register.look()
    whole = house.register.file.path.read_bytes()
    house.register.file.path.write_bytes(whole[:-30])
    for _ in range(2):
        await house.register.look()
    assert (house.why_not(), house.why_not("attic"), house.why_not("hall")) == ("", "attic was revoked", "")
    assert house.register.key("kitchen") == key
    told = house.health.report().components[COMPONENT]
    assert (told.state, "is damaged" in told.reason) == ("degraded", True)
    house.register.file.path.write_bytes(whole)
    await house.register.look()
    assert COMPONENT not in house.health.report().components


async def test_a_broken_file_that_goes_away_is_over(tmp_path: Path) -> None:
    """There was none before, and there is none after."""
    house = await gate(tmp_path)
    house.register.file.path.write_text("nonsense")
    await house.register.look()
    assert COMPONENT in house.health.report().components
    house.register.file.path.unlink()
    await house.register.look()
    assert COMPONENT not in house.health.report().components


async def test_without_knowing_who_is_revoked_nobody_comes_in(tmp_path: Path) -> None:
    """Pages and programs have tokens, and are no matter of the register's."""
    (tmp_path / "devices.json").write_text("nonsense")
    house = await gate(tmp_path, known={"kitchen": {}})
    assert house.why_not("kitchen") == "the gateway cannot read its register of devices"
    assert house.why_not("web-panel") == ""
    (tmp_path / "devices.json").write_text("[]")
    await house.register.look()
    assert house.why_not("kitchen") == ""
