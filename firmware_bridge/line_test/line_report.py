"""What was measured on a line, and what that means in words. No I/O."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Annotated, Final

from msgspec import Meta, Struct

from firmware_bridge.carriers.line_quality import LineTrouble

RATES: Final = (
    921_600,
    115_200,
    460_800,
    230_400,
    1_000_000,
    1_500_000,
    2_000_000,
    500_000,
    57_600,
    38_400,
    9_600,
)
"""Those that firmware is usually built with, the likeliest first."""
BITS_PER_BYTE: Final = 10
"""8N1: a start bit and a stop bit around each byte."""
NEEDED: Final = {"PCM16": 33_500, "IMA ADPCM": 9_700, "Opus": 4_300}
"""Bytes a second of speech in frames of 20 ms, framing included; Opus at 24 kbit/s."""
_HEADROOM: Final = 1.15
"""What is sent again, acknowledgements and text find room beside speech."""
_SOUND_SHARE: Final = 0.001
_BAD_SHARE: Final = 0.02
"""Of all blocks; beyond that, what is sent again costs more than a slower line would."""
_LATE: Final = 0.1
_PINGS_LOST: Final = 0.02
_GREETINGS: Final = 3
"""A device that greets so often does not hear the answer."""


class Latency(Struct, frozen=True, kw_only=True):
    """Round trips, in seconds."""

    least: float
    median: float
    most: float
    late: Annotated[float, Meta(description="19 of 20 are quicker.")]


class LineReport(Struct, frozen=True, kw_only=True):
    """One port at one rate. What is not known is None; counters count from the first byte."""

    port: str
    rate: int
    expected_rate: int
    device: str | None = None
    firmware: str = ""
    seconds: float = 0.0
    bytes: int = 0
    text_bytes: int = 0
    frames: int = 0
    broken: int = 0
    greetings: int = 0
    resent: int = 0
    samples: int = 0
    lost_samples: int = 0
    pings: int = 0
    pongs: int = 0
    latency: Latency | None = None
    bytes_per_second: Annotated[
        float, Meta(description="With pings and their answers, both ways the same.")
    ] = 0.0
    trouble: LineTrouble | None = None
    gone: str = ""

    @property
    def broken_share(self) -> float:
        """Of all that were to be frames."""
        return self.broken / max(1, self.broken + self.frames)

    @property
    def capacity(self) -> float:
        """Bytes a second: what the rate allows, or (USB has none) what was seen."""
        return max(self.rate / BITS_PER_BYTE, self.bytes_per_second) * (1 - self.broken_share)

    @property
    def carries(self) -> tuple[str, ...]:
        """The codecs whose speech finds room."""
        return tuple(name for name, needed in NEEDED.items() if needed * _HEADROOM <= self.capacity)


class LineVerdict(Struct, frozen=True, kw_only=True):
    """``holds``: speech comes over this line as it is set. ``remedy`` may stand beside it where it could be better."""

    holds: bool
    reason: str
    remedy: str = ""


def latency_of(round_trips: Iterable[float]) -> Latency | None:
    """None without any."""
    trips = sorted(round_trips)
    if not trips:
        return None
    return Latency(
        least=trips[0],
        median=statistics.median(trips),
        most=trips[-1],
        late=trips[min(len(trips) - 1, len(trips) * 19 // 20)],
    )


def judge(report: LineReport) -> LineVerdict:
    """The first thing that is wrong, for it explains the others."""
    return (
        _unreadable(report)
        or _misplaced(report)
        or _damaged(report)
        or _lossy(report)
        or _poor(report)
        or _well(report)
    )


def _unreadable(report: LineReport) -> LineVerdict | None:
    if report.gone:
        return LineVerdict(
            holds=False,
            reason=f"the port went away: {report.gone}",
            remedy="another cable or USB port; more power",
        )
    if not report.bytes:
        return LineVerdict(
            holds=False,
            reason="nothing is said on this line",
            remedy="press the board's RESET; is it powered, and is this its port? The board's TX goes to this side's "
            "RX, and both need a common ground",
        )
    if not report.frames and report.text_bytes == report.bytes:
        return LineVerdict(
            holds=False,
            reason="text arrives, and no frame: the board boots or prints, and speaks no Earshot on this port",
            remedy="`earshot flash` gives it a firmware and shows what it prints",
        )
    if not report.frames:
        trouble = report.trouble
        return LineVerdict(
            holds=False,
            reason=trouble.reason
            if trouble
            else "bytes arrive, and at no usual rate can anything in them be read",
            remedy="8 data bits, no parity, 1 stop bit (8N1) at both ends; if the firmware has a rate of its own, say "
            "--rate; if it is no Earshot device, `earshot flash`",
        )
    return None


def _misplaced(report: LineReport) -> LineVerdict | None:
    if report.device and report.greetings >= _GREETINGS and not report.pongs:
        return LineVerdict(
            holds=False,
            reason=f"{report.device} is heard, and hears nothing: it has said HELLO {report.greetings} times",
            remedy="the way to the board is open: this side's TX goes to its RX, at 3.3 V",
        )
    if report.rate != report.expected_rate:
        return LineVerdict(
            holds=False,
            reason=f"the device speaks at {report.rate} baud, and {report.expected_rate} was expected",
            remedy=f"set devices.serial.baudrate to {report.rate}, or the firmware to {report.expected_rate} "
            f"(`earshot flash --settings-only --baud {report.expected_rate}`)",
        )
    return None


def _damaged(report: LineReport) -> LineVerdict | None:
    if report.trouble:
        return LineVerdict(holds=False, reason=report.trouble.reason, remedy=report.trouble.remedy)
    if report.broken_share > _BAD_SHARE:
        return LineVerdict(
            holds=False,
            reason=f"{100 * report.broken_share:.0f} % of what arrives is broken",
            remedy="a shorter or shielded cable, a common ground, another adapter, or a lower rate at both ends",
        )
    if not report.device:
        return LineVerdict(
            holds=False,
            reason="frames arrive, and no HELLO that can be answered",
            remedy="press the board's RESET; if it stays so, its firmware is of another version",
        )
    return None


def _lossy(report: LineReport) -> LineVerdict | None:
    if report.lost_samples:
        return LineVerdict(
            holds=False,
            reason=f"{report.lost_samples / 16_000:.1f} s of speech were lost: the device's ring was too small for "
            "what had to be sent again",
            remedy="a better line, or a larger ring in the firmware",
        )
    lost = report.pings - report.pongs
    if report.pings and lost > max(1, _PINGS_LOST * report.pings):
        return LineVerdict(
            holds=False,
            reason=f"{lost} of {report.pings} questions were not answered, and what arrived was whole"
            if not report.broken
            else f"{lost} of {report.pings} questions were not answered",
            remedy="the way to the board loses bytes: a slower rate, or a larger UART buffer in the firmware",
        )
    if not report.carries:
        return LineVerdict(
            holds=False,
            reason=f"{report.rate} baud carry no speech",
            remedy="115200 for IMA ADPCM, 921600 for PCM16",
        )
    return None


def _poor(report: LineReport) -> LineVerdict | None:
    if report.broken_share > _SOUND_SHARE:
        return LineVerdict(
            holds=True,
            reason=f"it holds, and {100 * report.broken_share:.1f} % of what arrives is broken and sent again",
            remedy="a shorter or shielded cable, a common ground, a lower rate",
        )
    if report.latency and report.latency.late > _LATE:
        return LineVerdict(
            holds=True,
            reason=f"it holds, and answers come late: {1000 * report.latency.late:.0f} ms",
            remedy="an FTDI adapter waits 16 ms unless told: `echo 1 | sudo tee "
            "/sys/bus/usb-serial/devices/ttyUSB0/latency_timer`; else the board is busy",
        )
    if "PCM16" not in report.carries:
        return LineVerdict(
            holds=True,
            reason=f"it holds; {report.rate} baud carry {' and '.join(report.carries)}, and not PCM16",
            remedy="921600 at both ends, where the adapter and the firmware can",
        )
    return None


def _well(report: LineReport) -> LineVerdict:
    return LineVerdict(holds=True, reason=f"it holds: {', '.join(report.carries)}")
