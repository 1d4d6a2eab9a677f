"""What is said of a line, from what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_bridge.carriers.line_quality import LineTrouble
from firmware_bridge.line_test.line_report import (
    NEEDED,
    Latency,
    LineReport,
    judge,
    latency_of,
)
from firmware_bridge.link.frames import Audio, Codec, Header
from firmware_bridge.link.framing import encode_serial

QUICK = Latency(least=0.001, median=0.002, most=0.01, late=0.004)
SOUND: dict[str, Any] = {
    "port": "/dev/ttyUSB0",
    "rate": 921_600,
    "expected_rate": 921_600,
    "device": "kitchen",
    "bytes": 100_000,
    "frames": 400,
    "greetings": 1,
    "pings": 100,
    "pongs": 100,
    "latency": QUICK,
    "bytes_per_second": 50_000.0,
}


def a_report(**changed: Any) -> LineReport:
    return LineReport(**(SOUND | changed))


def test_a_sound_line_carries_all_and_needs_nothing() -> None:
    verdict = judge(a_report())
    assert (verdict.holds, verdict.reason, verdict.remedy) == (True, "it holds: PCM16, IMA ADPCM, Opus", "")


@pytest.mark.parametrize(
    ("changed", "holds", "told"),
    [
        ({"gone": "unplugged"}, False, "the port went away: unplugged"),
        ({"bytes": 0, "frames": 0, "device": None}, False, "nothing is said"),
        ({"frames": 0, "text_bytes": 100_000, "device": None}, False, "speaks no Earshot"),
        ({"frames": 0, "broken": 9, "device": None}, False, "at no usual rate"),
        (
            {"frames": 0, "device": None, "trouble": LineTrouble("only seven bits", "x")},
            False,
            "only seven bits",
        ),
        (
            {"greetings": 3, "pongs": 0},
            False,
            "kitchen is heard, and hears nothing: it has said HELLO 3 times",
        ),
        ({"rate": 115_200}, False, "speaks at 115200 baud, and 921600 was expected"),
        ({"trouble": LineTrouble("9 % of what arrives is broken", "cable")}, False, "9 %"),
        ({"broken": 20, "pongs": 0}, False, "5 % of what arrives is broken"),
        ({"broken": 2, "pongs": 9}, False, "91 of 100 questions were not answered"),
        ({"device": None}, False, "no HELLO that can be answered"),
        ({"lost_samples": 8000}, False, "0.5 s of speech were lost"),
        ({"pongs": 97}, False, "3 of 100 questions were not answered"),
        ({"pongs": 99}, True, "it holds: PCM16"),
        ({"broken": 1}, True, "0.2 % of what arrives is broken and sent again"),
        ({"latency": Latency(least=0.1, median=0.2, most=0.4, late=0.3)}, True, "answers come late: 300 ms"),
        ({"rate": 115_200, "expected_rate": 115_200, "bytes_per_second": 8000.0}, True, "and not PCM16"),
        (
            {"rate": 9600, "expected_rate": 9600, "bytes_per_second": 800.0},
            False,
            "9600 baud carry no speech",
        ),
    ],
)
def test_what_is_wrong_is_told(changed: dict[str, Any], holds: bool, told: str) -> None:  # noqa: FBT001
    verdict = judge(a_report(**changed))
    assert (verdict.holds, told in verdict.reason) == (holds, True), verdict.reason
    assert bool(verdict.remedy) is not (verdict.reason.startswith("it holds:"))


def test_usb_has_no_rate_and_carries_what_was_seen() -> None:
    assert a_report(rate=9600, expected_rate=9600, bytes_per_second=500_000.0).carries == tuple(NEEDED)


def test_what_is_needed_is_what_frames_of_20_ms_take() -> None:
    sizes = {"PCM16": 640, "IMA ADPCM": 164, "Opus": 60}
    for name, size in sizes.items():
        frame = encode_serial(Audio(Header(), Codec.PCM16, b"\1" * size))
        assert 50 * len(frame) == pytest.approx(NEEDED[name], rel=0.03), name


def test_latencies_are_those_of_the_round_trips() -> None:
    told = latency_of([n / 1000 for n in range(100, 0, -1)])
    assert told == Latency(least=0.001, median=0.0505, most=0.1, late=0.096)
    assert latency_of([]) is None
    assert latency_of([0.5]) == Latency(least=0.5, median=0.5, most=0.5, late=0.5)
