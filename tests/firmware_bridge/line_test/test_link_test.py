"""Lines as they are in the field, measured: what is said of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from firmware_bridge.carriers.serial_link import PortUnavailable
from firmware_bridge.line_test.line_report import LineReport, LineVerdict, judge
from firmware_bridge.line_test.link_test import LinkTestPlan, measure_line
from firmware_bridge.line_test.loopback import hear_itself, judge_loopback
from firmware_bridge.link.device_end import DeviceEnd, DeviceState
from tests.firmware_bridge.line_test.wire import Wire, flips

pytestmark = pytest.mark.slow

Plug: TypeAlias = Callable[..., Wire]
PLAN = LinkTestPlan(921_600, patience=0.4, seconds=0.5, flood=0.2, pause=0.02, look=0.05)


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    made: list[Wire] = []

    def make(device: DeviceEnd | None = None, **options: Any) -> Wire:
        made.append(Wire(tmp_path / f"usb-{len(made)}", device, **options))
        return made[-1]

    yield make
    for wire in made:
        wire.close()


def a_device(ring_frames: int = 500) -> DeviceEnd:
    return DeviceEnd("kitchen", boot=7, ring_frames=ring_frames, firmware="talk 1")


async def measured(wire: Wire, plan: LinkTestPlan = PLAN) -> tuple[LineReport, LineVerdict]:
    steps: list[str] = []
    report = await measure_line(str(wire.port), plan, steps.append)
    assert steps
    return report, judge(report)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110 - another thread's device
            await asyncio.sleep(0.01)


async def test_a_sound_line_holds_and_says_how_late_and_how_much(plug: Plug) -> None:
    device = a_device()
    report, verdict = await measured(plug(device))
    assert verdict.holds
    assert report.carries == ("PCM16", "IMA ADPCM", "Opus")
    assert (report.device, report.firmware, report.rate) == ("kitchen", "talk 1", 921_600)
    assert (report.broken, report.lost_samples, report.trouble) == (0, 0, None)
    assert report.pongs == report.pings > 5
    assert report.latency
    assert 0 < report.latency.least <= report.latency.median <= report.latency.late <= report.latency.most
    assert report.bytes_per_second > 0
    await until(lambda: device.state is not DeviceState.LINKED)  # it knows that nobody is there any more


async def test_speech_is_counted_and_forgotten_by_the_device(plug: Plug) -> None:
    device = a_device(ring_frames=40)
    plan = LinkTestPlan(921_600, seconds=1.5, flood=0, pause=0.05)
    report, verdict = await measured(plug(device, speaks=True), plan)
    assert verdict.holds
    assert report.samples > 41 * 320
    assert report.lost_samples == 0
    assert device.counters.overrun_frames == 0, "a small ring is enough where what came is let go"


async def test_the_rate_at_which_the_device_speaks_is_found(plug: Plug) -> None:
    report, verdict = await measured(plug(a_device(), rate=115_200))
    assert (report.rate, report.device) == (115_200, "kitchen")
    assert not verdict.holds
    assert verdict.reason == "the device speaks at 115200 baud, and 921600 was expected"
    assert "set devices.serial.baudrate to 115200" in verdict.remedy


async def test_a_line_without_a_rate_that_was_noisy_at_first_is_no_other_rate(plug: Plug) -> None:
    """As USB is: it is read at any."""
    spoilt = [b"\1\2\0\3\4\0\5\6\0\7\7\0"]

    def at_first(data: bytes) -> bytes:
        return spoilt.pop() if spoilt else data

    plan = LinkTestPlan(921_600, others=(115_200,), patience=3, seconds=0.2, flood=0, pause=0.02)
    report, verdict = await measured(plug(a_device(), rate=0, harm=at_first), plan)
    assert (report.rate, report.device) == (921_600, "kitchen")
    assert verdict.holds


async def test_a_slow_line_carries_adpcm_and_says_so(plug: Plug) -> None:
    plan = LinkTestPlan(115_200, patience=0.4, seconds=0.3, flood=0, pause=0.02)
    report, verdict = await measured(plug(a_device(), rate=115_200), plan)
    assert report.carries == ("IMA ADPCM", "Opus")
    assert verdict.holds
    assert "carry IMA ADPCM and Opus, and not PCM16" in verdict.reason


async def test_flipped_bits_are_counted_and_told(plug: Plug) -> None:
    report, verdict = await measured(plug(a_device(), speaks=True, harm=flips(0.0005)))
    assert report.broken > 0
    assert "% of what arrives is broken" in verdict.reason
    assert "cable" in verdict.remedy


async def test_a_device_that_hears_nothing_is_told_from_one_that_is_not_heard(plug: Plug) -> None:
    plan = LinkTestPlan(921_600, patience=1, seconds=1.5, flood=0.1, pause=0.1, answer=0.1)
    report, verdict = await measured(plug(a_device(), harm_down=lambda _data: b""), plan)
    assert report.greetings >= 3
    assert not verdict.holds
    assert verdict.reason.startswith("kitchen is heard, and hears nothing")


async def test_seven_bits_are_told(plug: Plug) -> None:
    seven = plug(a_device(), speaks=True, harm=lambda data: bytes(byte & 0x7F for byte in data))
    _report, verdict = await measured(
        seven, LinkTestPlan(921_600, others=(), patience=2, seconds=1, look=0.05)
    )
    assert not verdict.holds
    assert "8N1" in verdict.remedy


async def test_answers_that_come_late_are_told(plug: Plug) -> None:
    plan = LinkTestPlan(921_600, patience=1, seconds=0.6, flood=0, pause=0.05)
    report, verdict = await measured(plug(a_device(), late=0.15), plan)
    assert report.latency
    assert report.latency.median > 0.15
    assert verdict.holds
    assert "answers come late" in verdict.reason


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (b"", "nothing is said on this line"),
        (b"I (31) boot: ESP-IDF v5.3\r\n", "text arrives, and no frame"),
        (bytes(range(1, 256)) + b"\0", "at no usual rate can anything in them be read"),
    ],
    ids=["silent", "text", "something else"],
)
async def test_what_is_no_earshot_device_is_told(says: bytes, told: str, plug: Plug) -> None:
    report, verdict = await measured(plug(says=says), LinkTestPlan(921_600, others=(115_200,), patience=0.2))
    assert not verdict.holds
    assert told in verdict.reason
    assert verdict.remedy
    assert report.rate == 921_600


async def test_a_cable_that_is_pulled_is_told(plug: Plug) -> None:
    wire = plug(a_device())
    pulled: list[str] = []

    def pull(step: str) -> None:
        if step.startswith("measuring"):
            wire.close()
            pulled.append(step)

    report = await measure_line(str(wire.port), PLAN, pull)
    assert pulled
    assert "the port went away: unplugged" in judge(report).reason


async def test_a_port_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PortUnavailable):
        await measure_line(str(tmp_path / "none"), PLAN, lambda _step: None)


async def test_a_plug_tells_the_highest_rate_at_which_everything_comes_back(plug: Plug) -> None:
    rates = (115_200, 460_800, 921_600)
    results = await hear_itself(str(plug(bridged_up_to=460_800).port), lambda _step: None, rates, 0.1)
    assert [(result.rate, result.sound) for result in results] == [
        (115_200, True),
        (460_800, True),
        (921_600, False),
    ]
    assert all(result.round_trip for result in results[:2])
    assert judge_loopback(results) == LineVerdict(
        holds=True, reason="up to 460800 baud everything comes back whole"
    )


async def test_a_plug_that_is_not_there_is_told(plug: Plug) -> None:
    results = await hear_itself(str(plug().port), lambda _step: None, (9600, 115_200), 0.1)
    assert len(results) == 1
    verdict = judge_loopback(results)
    assert not verdict.holds
    assert "bridge RX and TX" in verdict.remedy
