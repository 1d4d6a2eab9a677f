from __future__ import annotations

import asyncio
import math

from firmware_bridge.alarm import STEP_SECONDS, Alarm


async def rings_after(*times: float) -> float:
    """Set an alarm to so many seconds from now, one after the other; when it rang."""
    loop = asyncio.get_running_loop()
    rang: asyncio.Future[float] = loop.create_future()
    alarm = Alarm(lambda: rang.set_result(loop.time()))
    start = loop.time()
    for time in times:
        alarm.set(start + time)
    return await asyncio.wait_for(rang, 5.0) - start


async def test_the_earliest_time_counts_whatever_the_order() -> None:
    for times in ((0.02, 60.0), (60.0, 0.02), (math.inf, 0.02)):
        assert 0.019 <= await rings_after(*times) < 30


async def test_what_is_overdue_rings_in_the_next_step_and_setting_it_again_does_not_put_it_off() -> None:
    loop = asyncio.get_running_loop()
    rang = asyncio.Event()
    alarm = Alarm(rang.set)
    start = loop.time()
    while not rang.is_set() and loop.time() < start + 5:
        alarm.set(0.0)
        await asyncio.sleep(STEP_SECONDS / 5)
    assert rang.is_set()


async def test_it_rings_once_and_may_be_set_while_it_rings() -> None:
    loop = asyncio.get_running_loop()
    rings: list[int] = []
    done = asyncio.Event()

    def ring() -> None:
        rings.append(1)
        if len(rings) < 3:
            alarm.set(loop.time())
        else:
            done.set()

    alarm = Alarm(ring)
    alarm.set(loop.time())
    await asyncio.wait_for(done.wait(), 5.0)
    assert len(rings) == 3


async def test_a_cancelled_alarm_is_silent() -> None:
    other = asyncio.Event()
    alarm = Alarm(lambda: (_ for _ in ()).throw(AssertionError("it rang")))
    alarm.set(0.0)
    alarm.cancel()
    Alarm(other.set).set(0.0)
    await asyncio.wait_for(other.wait(), 5.0)
