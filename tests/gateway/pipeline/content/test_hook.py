"""The user's own function: whatever it does, there is a text, none, or a failure, in time."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.pipeline.content.hook import MOST_AT_ONCE, MOST_STUCK, Hook, HookFailed
from gateway.pipeline.content.port import MOST_FLAGS, PassingText, Way


def passing(text: str = "hello") -> PassingText:
    return PassingText(Way.TRANSCRIPT, text, "ann", "kitchen", "s_1", "c_1")


@asynccontextmanager
async def hook(function: Callable[[PassingText], Any], seconds: float = 5.0) -> AsyncIterator[Hook]:
    one = Hook(function, seconds)
    try:
        yield one
    finally:
        one.close()


def shout(one: PassingText) -> str:
    return one.text.upper()


async def shout_later(one: PassingText) -> str:
    await asyncio.sleep(0)
    return one.text.upper()


class Shouting:
    def __call__(self, one: PassingText) -> str:
        return one.text.upper()


@pytest.mark.parametrize("function", [shout, shout_later, Shouting()])
async def test_what_it_returns_goes_on(function: Callable[[PassingText], Any]) -> None:
    async with hook(function) as asked:
        assert await asked.ask(passing()) == "HELLO"


async def test_none_is_nothing() -> None:
    async with hook(lambda _one: None) as asked:
        assert await asked.ask(passing()) is None


async def test_it_may_flag() -> None:
    def look(one: PassingText) -> str:
        one.flag("health")
        one.flag("health")
        one.flag("urgent")
        return one.text

    async with hook(look) as asked:
        said = passing()
        assert await asked.ask(said) == "hello"
        assert said.flags == ["health", "urgent"]


def raises(_one: PassingText) -> str:
    raise ZeroDivisionError("hello")


def ends_the_process(_one: PassingText) -> str:
    sys.exit(1)


def interrupts(_one: PassingText) -> str:
    raise KeyboardInterrupt


async def ends_the_process_from_a_task(_one: PassingText) -> str:
    async def end() -> None:
        sys.exit(1)

    await asyncio.create_task(end())
    return ""


def flags_nonsense(one: PassingText) -> str:
    one.flag("not a token")
    return one.text


def flags_too_much(one: PassingText) -> str:
    for number in range(MOST_FLAGS + 1):
        one.flag(f"f{number}")
    return one.text


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raises, "it raised ZeroDivisionError"),
        (ends_the_process, "it raised SystemExit"),
        (interrupts, "it raised KeyboardInterrupt"),
        (ends_the_process_from_a_task, "it raised WouldHaveEnded"),
        (flags_nonsense, "it raised ValueError"),
        (flags_too_much, "it raised ValueError"),
        (lambda _one: 3, "it returned int, which is no text"),
        (lambda _one: b"hello", "it returned bytes, which is no text"),
        (lambda _one: ("hello", "flag"), "it returned tuple, which is no text"),
        (lambda _one: "\ud800", "it returned what is not Unicode text"),
        (lambda _one: "x" * (1024 * 1024 + 1), "it returned too much"),
    ],
)
async def test_whatever_else_it_does_is_a_failure(
    function: Callable[[PassingText], Any], reason: str
) -> None:
    async with hook(function) as asked:
        with pytest.raises(HookFailed) as failed:
            await asked.ask(passing())
        assert str(failed.value) == reason
        assert "hello" not in str(failed.value)


async def test_one_that_never_answers_is_waited_for_no_longer() -> None:
    async def wait_for_ever(one: PassingText) -> str:
        if one.text == "hello":
            await asyncio.Event().wait()
        return one.text

    async with hook(wait_for_ever, seconds=0.05) as asked:
        with pytest.raises(HookFailed, match=r"it took longer than 0\.05 s"):
            await asked.ask(passing())
        assert await asked.ask(passing("again")) == "again"


async def test_one_that_has_answered_in_time_has_not_failed_because_the_gateway_was_busy() -> None:
    answered = threading.Event()

    def answer(one: PassingText) -> str:
        answered.set()
        return one.text

    async with hook(answer, seconds=0.05) as asked:
        asking = asyncio.create_task(asked.ask(passing()))
        await asyncio.sleep(0)
        assert answered.wait(10)
        time.sleep(0.1)  # noqa: ASYNC251 - which is what the gateway does here
        assert await asking == "hello"


async def test_one_that_blocks_its_loop_blocks_nobody_else() -> None:
    """Neither ours, on which something goes on meanwhile, nor the next text, which has a thread of its own."""
    released = threading.Event()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async def block(one: PassingText) -> str:
        if one.text == "hello":
            released.wait(30)
        return one.text

    ticking = asyncio.create_task(tick())
    try:
        async with hook(block, seconds=0.05) as asked:
            with pytest.raises(HookFailed, match="it took longer"):
                await asked.ask(passing())
            assert ticks > 10
            assert await asked.ask(passing("again")) == "again"
    finally:
        ticking.cancel()
        released.set()


async def test_when_too_many_are_stuck_there_is_no_further_one_until_one_comes_back() -> None:
    released = threading.Event()

    def block(one: PassingText) -> str:
        if one.text == "hello":
            released.wait(30)
        return one.text

    others = set(threading.enumerate())  # of tests before, which end by and by
    async with hook(block, seconds=0.02) as asked:
        for _ in range(MOST_STUCK):
            with pytest.raises(HookFailed, match="it took longer"):
                await asked.ask(passing())
        began = time.monotonic()
        with pytest.raises(HookFailed, match="it does not come back"):
            await asked.ask(passing("again"))
        assert time.monotonic() - began < 0.5
        ours = set(threading.enumerate()) - others
        assert sum(thread.name == "content hook" for thread in ours) <= MOST_STUCK
        released.set()
        async with asyncio.timeout(10):
            while await _fails(asked):  # noqa: ASYNC110 - threads announce nothing
                await asyncio.sleep(0.005)


async def _fails(asked: Hook) -> bool:
    try:
        return await asked.ask(passing("again")) != "again"
    except HookFailed:
        return True


async def test_an_async_one_answers_many_at_once() -> None:
    together = asyncio.Event()
    waiting = 0

    async def meet(one: PassingText) -> str:
        nonlocal waiting
        waiting += 1
        if waiting == 8:
            together.set()
        await together.wait()
        return one.text

    async with hook(meet) as asked:
        answers = await asyncio.gather(*(asked.ask(passing(str(number))) for number in range(8)))
    assert answers == [str(number) for number in range(8)]


async def test_one_that_will_not_be_cancelled_is_asked_only_so_often() -> None:
    over = threading.Event()

    async def hold_on(one: PassingText) -> str:
        while not over.is_set():
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                continue
        return one.text

    async with hook(hold_on, seconds=0.2) as asked:
        first = await asyncio.gather(
            *(asked.ask(passing()) for _ in range(MOST_AT_ONCE)), return_exceptions=True
        )
        assert {str(one) for one in first} == {"it took longer than 0.2 s"}
        with pytest.raises(HookFailed, match="it is asked too much at once"):
            await asked.ask(passing())
        over.set()


async def test_one_who_does_not_wait_any_more_leaves_it_as_it_was() -> None:
    began, ended = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def wait(one: PassingText) -> str:
        if one.text == "hello":
            loop.call_soon_threadsafe(began.set)
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
        return one.text

    async with hook(wait) as asked:
        asking = asyncio.create_task(asked.ask(passing()))
        await began.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await asked.ask(passing("again")) == "again"
        assert await asyncio.to_thread(ended.wait, 10)
