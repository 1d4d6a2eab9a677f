"""Which microphone is meant by which name or pattern, and how it is to be named. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from firmware_bridge.microphones.records import SoundDevice

FIRST: Final = "default"
"""Who is meant where nobody is named: the device of this name, or what PortAudio takes for it."""

_CARD: Final = re.compile(r"\(hw:\d+,(\d+)\)")


def fits(wanted: str, name: str) -> bool:
    """Whether a device is meant: its exact name, or a shell pattern in capitals or not."""
    return wanted == name or fnmatchcase(name.lower(), wanted.lower())


def inputs(wanted: str, devices: Iterable[SoundDevice]) -> list[str]:
    """The exact names of the microphones that are meant, the best first."""
    there = [one for one in devices if one.inputs > 0]
    named = [one.name for one in there if fits(wanted, one.name)]
    return named or [one.name for one in there if wanted == FIRST and one.first_input]


def outputs(wanted: str, devices: Iterable[SoundDevice]) -> list[str]:
    """The same for a loudspeaker."""
    there = [one for one in devices if one.outputs > 0]
    named = [one.name for one in there if fits(wanted, one.name)]
    return named or [one.name for one in there if wanted == FIRST and one.first_output]


def assign(choices: Mapping[str, Collection[str]], taken: Collection[str]) -> dict[str, str]:
    """To each the first of its choices that is nobody's; who has fewer choices chooses first."""
    given: dict[str, str] = {}
    gone = set(taken)
    for one in sorted(choices, key=lambda one: len(choices[one])):
        name = next((name for name in choices[one] if name not in gone), None)
        if name is not None:
            given[one] = name
            gone.add(name)
    return given


def lasting(name: str, names: Collection[str]) -> str:
    """How a device is best named in config.yaml: which number its card has, is another matter after each boot."""
    pattern = _CARD.sub(r"(hw:*,\1)", name)
    alone = sum(fits(pattern, other) for other in names) == 1
    return pattern if alone else name
