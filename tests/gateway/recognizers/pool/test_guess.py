"""A guess that the pool is at: what it fits, whom it tells, and that nobody is left waiting for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.recognizers.pool.guess import PoolGuess
from gateway.recognizers.pool.order import Order
from gateway.recognizers.pool.workers import Need
from tests.gateway.recognizers.pool.workers import MODEL, spoken
from transcription.errors import EngineFailed
from transcription.recognizing import Recognized
from transcription.transcriber import NO_HINTS, Hints, Transcript

TEXT = Transcript("turn it off", "en", 1.0, 0.0, (), "stand-in", MODEL, 0.0)
UTTERANCE = spoken(1.0, start=16_000)


def begun() -> tuple[Order, PoolGuess, list[Order]]:
    """A guess, what it is of, and a list of those that were left."""
    left: list[Order] = []
    answer: asyncio.Future[Recognized] = asyncio.get_running_loop().create_future()
    order = Order(UTTERANCE, NO_HINTS, Need(MODEL), "a", answer, asked_at=0.0)
    return order, PoolGuess(order, left.append), left


async def test_it_fits_what_nothing_was_said_after() -> None:
    _, guess, _ = begun()
    longer = replace(UTTERANCE, end=UTTERANCE.end + 8_000)
    assert guess.fits(UTTERANCE)
    assert guess.fits(longer), "only silence came after it"


@pytest.mark.parametrize(
    "other",
    [replace(UTTERANCE, speech_end=UTTERANCE.speech_end + 1), replace(UTTERANCE, start=0)],
    ids=["more was said", "another beginning"],
)
async def test_it_fits_nothing_else(other: object) -> None:
    _, guess, _ = begun()
    assert not guess.fits(other)  # type: ignore[arg-type]


async def test_it_does_not_fit_where_more_is_known_by_now() -> None:
    _, guess, _ = begun()
    assert not guess.fits(UTTERANCE, Hints(language="de"))


async def test_one_that_failed_fits_nothing_and_one_with_a_text_still_does() -> None:
    failed, guess, _ = begun()
    failed.fail(EngineFailed("unlucky"))
    assert not guess.fits(UTTERANCE)
    failed.end()
    done, guess, _ = begun()
    done.answer.set_result(Recognized(TEXT, 0.0, 0.1))
    assert guess.fits(UTTERANCE)


async def test_its_text_is_told_and_a_failure_is_not() -> None:
    texts: list[str] = []
    done, guess, _ = begun()
    guess.tell(lambda transcript: texts.append(transcript.text))
    done.answer.set_result(Recognized(TEXT, 0.0, 0.1))
    await asyncio.sleep(0)
    assert texts == ["turn it off"]
    for end in (lambda order: order.fail(EngineFailed("unlucky")), lambda order: order.answer.cancel()):
        order, guess, _ = begun()
        guess.tell(lambda transcript: texts.append(transcript.text))
        end(order)
        await asyncio.sleep(0)
        order.end()
    assert texts == ["turn it off"]


async def test_one_that_is_dropped_is_left_and_may_be_dropped_again() -> None:
    order, guess, left = begun()
    guess.drop()
    guess.drop()
    assert left == [order, order]
