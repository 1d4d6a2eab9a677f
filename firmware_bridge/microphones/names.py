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


def find_input(wanted: str, devices: Iterable[SoundDevice], taken: Collection[str] = ()) -> str | None:
    """The exact name of the first microphone that is meant and not ``taken``; None: it is not there."""
    inputs = [one for one in devices if one.inputs > 0 and one.name not in taken]
    named = [one.name for one in inputs if fits(wanted, one.name)]
    if wanted == FIRST:
        named += [one.name for one in inputs if one.first_input]
    return next(iter(named), None)


def find_output(wanted: str, devices: Iterable[SoundDevice]) -> str | None:
    """The same for a loudspeaker."""
    outputs = [one for one in devices if one.outputs > 0]
    named = [one.name for one in outputs if fits(wanted, one.name)]
    if wanted == FIRST:
        named += [one.name for one in outputs if one.first_output]
    return next(iter(named), None)


def assign(
    wanted: Mapping[str, str], devices: Iterable[SoundDevice], taken: Collection[str]
) -> dict[str, str]:
    """To each device id the exact name of its microphone, as far as they are there; none is given to two.

    Exact names are served before patterns, which might mean the same.
    """
    devices, given, gone = tuple(devices), {}, set(taken)
    names = {one.name for one in devices}
    for device_id in sorted(wanted, key=lambda one: wanted[one] not in names):
        name = find_input(wanted[device_id], devices, gone)
        if name is not None:
            given[device_id] = name
            gone.add(name)
    return given


def lasting(name: str, names: Collection[str]) -> str:
    """How a device is best named in config.yaml: which number its card has, is another matter after each boot."""
    pattern = _CARD.sub(r"(hw:*,\1)", name)
    alone = sum(fits(pattern, other) for other in names) == 1
    return pattern if alone else name
