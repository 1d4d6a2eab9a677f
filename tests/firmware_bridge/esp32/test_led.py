"""What the board's light says: each state its own, and never a colour that is not in the table."""

from __future__ import annotations

import ctypes
import re

from hypothesis import given
from hypothesis import strategies as st

from tests.firmware_bridge.esp32.made import COMPONENT, library

NAMES = re.findall(
    r"EARSHOT_LIGHT_[A-Z_]+",
    (COMPONENT / "src/earshot_led.h").read_text(encoding="utf-8").split("} earshot_light;")[0],
)


def colour(light: int, ms: int) -> int:
    c = library("earshot_led.c")
    c.earshot_light_at.restype = ctypes.c_uint32
    return int(c.earshot_light_at(ctypes.c_int(light), ctypes.c_uint32(ms)))


def test_every_state_looks_like_no_other_also_on_a_light_of_one_colour() -> None:
    def rhythm(light: int) -> tuple[int, ...]:
        return tuple(max(colour(light, ms).to_bytes(3, "big")) for ms in range(0, 4000, 10))

    lights = range(len(NAMES))
    assert len({tuple(colour(light, ms) for ms in range(0, 4000, 10)) for light in lights}) == len(NAMES)
    steady = {
        NAMES.index(f"EARSHOT_LIGHT_{name}") for name in ("LISTENING", "REPLY")
    }  # a light of one colour is on for both
    assert len({rhythm(light) for light in lights if light not in steady}) == len(NAMES) - len(steady)


def test_off_is_dark_and_so_is_what_is_no_state() -> None:
    assert {colour(light, ms) for light in (0, len(NAMES), -1, 1000) for ms in range(0, 3000, 7)} == {0}


@given(st.integers(0, len(NAMES) - 1), st.integers(0, 2**32 - 1))
def test_is_a_colour_at_any_time(light: int, ms: int) -> None:
    assert 0 <= colour(light, ms) <= 0xFFFFFF
