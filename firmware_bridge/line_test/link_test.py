"""A line with a device on it, tested: at which rate it speaks, how late it answers, how much comes through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from firmware_bridge.line_test.board_line import BoardLine
from firmware_bridge.line_test.line_report import RATES, LineReport

UNREADABLE_BYTES = 500
UNREADABLE_BLOCKS = 4
"""So many that are no text, and no frame among them: it is another rate. Of four HELLOs, a bad line spoils not all."""
FLOOD_WINDOW = 4
"""Questions on the way at once: what a device answers without dropping one."""


@dataclass(frozen=True, slots=True)
class LinkTestPlan:
    """How it is gone about.

    ``rate``: where it is looked first. ``patience``: how long a silent line is listened to; a device that greets says
    HELLO every 8 s. ``seconds``: how long it is measured, and ``flood`` how long with as much as goes through.
    ``answer``: after which time a question counts as unanswered.
    """

    rate: int
    others: Sequence[int] = RATES
    patience: float = 9.0
    seconds: float = 10.0
    flood: float = 2.0
    pause: float = 0.1
    answer: float = 2.0
    look: float = 1.0


async def measure_line(port: str, plan: LinkTestPlan, on_step: Callable[[str], None]) -> LineReport:
    """What was measured at the rate the device speaks at; at the first one where it speaks at none.

    Raises PortUnavailable.
    """
    first = await _at(port, plan.rate, plan, on_step)
    if first.frames or first.gone or first.bytes == first.text_bytes:
        return first  # silent, or text that can be read: another rate would not help
    for rate in (other for other in plan.others if other != plan.rate):
        report = await _at(port, rate, plan, on_step)
        if report.frames or report.gone:
            # A line that has no rate is read at any, and was only noisy before.
            again = await _at(port, plan.rate, plan, on_step)
            return again if again.frames else report
    return first


async def _at(port: str, rate: int, plan: LinkTestPlan, on_step: Callable[[str], None]) -> LineReport:
    on_step(f"listening at {rate} baud")
    async with BoardLine(port, rate) as line:
        await _hear(line, plan.patience)
        if line.counters.frames:
            return await _measure(line, plan, on_step)
        return line.report(plan.rate, line.trouble(), 0.0)


async def _hear(line: BoardLine, patience: float) -> None:
    """Until there is a frame, or what comes is none, or nothing comes."""
    try:
        async with asyncio.timeout(patience):
            while not (line.counters.frames or line.gone or _is_unreadable(line)):
                line.changed.clear()
                await line.changed.wait()
    except TimeoutError:
        return


def _is_unreadable(line: BoardLine) -> bool:
    seen = line.counters
    return seen.broken >= UNREADABLE_BLOCKS or seen.bytes - seen.noise_bytes >= UNREADABLE_BYTES


async def _measure(line: BoardLine, plan: LinkTestPlan, on_step: Callable[[str], None]) -> LineReport:
    on_step(f"measuring for {plan.seconds + plan.flood:g} s")
    looking = asyncio.create_task(_look(line, plan.look), name="line quality")
    try:
        await _ask_now_and_then(line, plan)
        through = await _flood(line, plan) if line.device and not line.gone else 0.0
    finally:
        looking.cancel()
        await asyncio.wait((looking,))
    return line.report(plan.rate, line.trouble(), through)


async def _look(line: BoardLine, pause: float) -> None:
    while True:
        await asyncio.sleep(pause)
        line.trouble()


async def _ask_now_and_then(line: BoardLine, plan: LinkTestPlan) -> None:
    """How late answers are on a line that has nothing else to do."""
    loop = asyncio.get_running_loop()
    end = loop.time() + plan.seconds
    while loop.time() < end and not line.gone:
        if line.device:
            line.ask()
        await asyncio.sleep(plan.pause)
    await _answers(line, plan.answer)


async def _answers(line: BoardLine, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while line.waiting and not line.gone:
                line.changed.clear()
                await line.changed.wait()
    except TimeoutError:
        line.give_up()


async def _flood(line: BoardLine, plan: LinkTestPlan) -> float:
    """Bytes a second while as many questions are on the way as the device takes."""
    loop = asyncio.get_running_loop()
    begun, before = loop.time(), line.counters.bytes
    asked, trips = line.pings, line.round_trips.copy()
    while loop.time() < begun + plan.flood and not line.gone:
        while line.waiting < FLOOD_WINDOW:
            line.ask()
        line.changed.clear()
        try:
            async with asyncio.timeout(plan.answer):
                await line.changed.wait()
        except TimeoutError:
            line.give_up()
    through = (line.counters.bytes - before) / (loop.time() - begun)
    line.give_up()
    line.pings, line.round_trips = asked, trips  # how late they are counts where there is no hurry
    return through
