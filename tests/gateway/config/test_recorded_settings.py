"""A configuration that an older version had is one for this version: none of its settings was taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.loading import load_config
from tests.gateway.config.recording import of_today, recorded

RECORDED = recorded()


def nested(name: str, value: Any) -> dict[str, Any]:
    for part in reversed(name.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_whatever_any_version_had_is_accepted_still(name: str, tmp_path: Path) -> None:
    """With each value that it had by default; a setting that goes has to say what to write instead."""
    file = tmp_path / "config.yaml"
    for value in RECORDED[name]:
        file.write_text(yaml.safe_dump(nested(name, value)), encoding="utf-8")
        load_config(file, {})


def test_the_whole_of_the_oldest_defaults_goes_together(tmp_path: Path) -> None:
    whole: dict[str, Any] = {}
    for name, values in RECORDED.items():
        *sections, last = name.split(".")
        place = whole
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = values[0]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(whole), encoding="utf-8")
    load_config(file, {})


def test_the_settings_of_today_are_recorded() -> None:
    """`python -m tests.gateway.config.recording` does it."""
    missing = {name: value for name, value in of_today().items() if value not in RECORDED.get(name, [])}
    assert not missing
