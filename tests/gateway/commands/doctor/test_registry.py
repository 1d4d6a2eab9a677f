"""The doctor's look at the register of devices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from firmware_bridge.settings import DeviceSettings
from gateway.commands.doctor.finding import Finding
from gateway.commands.doctor.registry import registry
from gateway.registry.file import RegistryFile


def found(folder: Path, **settings: Any) -> list[Finding]:
    return list(registry(msgspec.convert(settings, DeviceSettings), folder))


def test_who_is_of_the_house_is_counted(tmp_path: Path) -> None:
    (finding,) = found(tmp_path)
    told = "unknown devices are welcome; 0 known, 0 with a key, 0 cut off"
    assert (finding.state, finding.detail) == ("ok", told)
    assert list(tmp_path.iterdir()) == []
    file = RegistryFile(tmp_path)
    file.approve("kitchen")
    file.make_key("attic")
    file.revoke("hall")
    (finding,) = found(tmp_path, unknown="approve", users={"bath": "ann"})
    assert finding.detail == "unknown devices wait for approval; 3 known, 1 with a key, 1 cut off"


def test_a_house_that_nobody_can_enter(tmp_path: Path) -> None:
    RegistryFile(tmp_path).revoke("kitchen")
    (finding,) = found(tmp_path, unknown="deny")
    assert (finding.state, "none is known" in finding.detail) == ("warn", True)
    (finding,) = found(tmp_path, unknown="deny", microphones={"desk": {}})
    assert finding.state == "ok"


def test_a_register_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "devices.json").write_text("nonsense")
    (finding,) = found(tmp_path)
    assert (finding.state, "no board is let in" in finding.remedy) == ("fail", True)


def test_what_config_yaml_overrules(tmp_path: Path) -> None:
    RegistryFile(tmp_path).describe("kitchen", {"room": "Attic", "user": "ann"})
    _, finding = found(tmp_path, rooms={"kitchen": "Kitchen"}, known={"kitchen": {"user": "ann"}})
    assert finding.state == "warn"
    assert finding.detail == "kitchen: config.yaml says room Kitchen, which wins over Attic"


def test_a_key_that_nobody_can_show(tmp_path: Path) -> None:
    RegistryFile(tmp_path).make_key("desk")
    _, finding = found(tmp_path, microphones={"desk": {}})
    assert (finding.state, finding.remedy) == ("fail", "earshot devices unregister desk")
