"""A mistake inside the gateway ends the piece of work that met it: it is told and counted, and the next one goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from firmware_bridge.simulated_user import ReplyShown
from gateway.commands import run
from gateway.health import Health, HealthState
from gateway.messages import TranscriptionMessage
from gateway.mishaps import SHOWN_SECONDS, Mishaps
from tests.gateway.works import Works, loud, open_works
from tests.record import passes

FALLBACK = "Sorry, nobody answered."


class Stumble(Exception):
    """What nobody foresaw."""


def stumbles(times: int, then: Callable[..., Any]) -> Callable[..., Any]:
    """``then``, once it has gone wrong so often."""
    left = iter(range(times))

    def call(*arguments: Any, **options: Any) -> Any:
        if next(left, None) is not None:
            raise Stumble
        return then(*arguments, **options)

    return call


def counts(works: Works) -> Counter[str]:
    return works.health.mishaps.counts


async def is_answered(works: Works, count: int) -> None:
    """The next thing that is said has its answer, and nothing is left over."""
    async with works.board("hall") as hall:
        saying = asyncio.create_task(hall.say(loud(2)))
        await works.reply(await works.result(count, device_id="hall"), "fine")
        assert (await saying).reply == "fine"
        await works.idle()


# -- counted, logged, shown, and forgiven


def test_a_mishap_is_logged_counted_and_no_further() -> None:
    mishaps = Mishaps()
    with capture_logs() as lines:
        for _ in range(2):
            with mishaps.contained("a turn", utterance_id="u_1"):
                raise Stumble
    assert mishaps.counts == {"a turn": 2}
    assert [(line["log_level"], line["utterance_id"], type(line["exc_info"])) for line in lines] == [
        ("error", "u_1", Stumble)
    ] * 2


def test_what_ends_the_gateway_is_no_mishap() -> None:
    mishaps = Mishaps()
    with pytest.raises(asyncio.CancelledError), mishaps.contained("a turn"):
        raise asyncio.CancelledError
    assert not mishaps.counts


def test_the_health_shows_it_for_a_while() -> None:
    now = [0.0]
    mishaps = Mishaps(lambda: now[0])
    health = Health(lambda _event: None, mishaps)
    mishaps.note("a turn", Stumble())
    shown = health.report().components["gateway"]
    assert shown.state is HealthState.DEGRADED
    assert "1 since the start, the last one: a turn (Stumble)" in shown.reason
    now[0] = SHOWN_SECONDS - 1
    mishaps.forgive()
    assert health.report().state is HealthState.DEGRADED
    now[0] = SHOWN_SECONDS
    mishaps.forgive()
    assert health.report().state is HealthState.HEALTHY
    assert mishaps.counts == {"a turn": 1}, "it is not forgotten"


def test_a_foreign_end_is_not_taken_for_a_wrong_configuration() -> None:
    async def work() -> int:
        raise SystemExit(2)  # systemd would not start the gateway again

    with capture_logs() as lines:
        assert run._run(work()) == 1
    assert [line["status"] for line in lines] == [2]


# -- replies


@pytest.mark.parametrize("where", ["reply", "answer", "status"])
async def test_a_reply_that_goes_wrong_ends_its_request_and_its_device_is_told(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        await passes(lambda: kitchen.story(1)[-1:] == ["thinking"])
        announcer = works.pipeline._announce
        monkeypatch.setattr(announcer, where, stumbles(1, getattr(announcer, where)))
        await works.reply(heard, "yes")
        said = await saying
        delivered = where == "status"  # which comes after the answer
        assert (said.reply, said.error) == (("yes", False) if delivered else (FALLBACK, True))
        await works.idle()
        assert counts(works) == {"the end of a request": 1}
        await is_answered(works, 1)


async def test_a_piece_that_goes_wrong_is_a_dead_letter_and_the_whole_still_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        announcer = works.pipeline._announce
        monkeypatch.setattr(announcer, "reply", stumbles(1, announcer.reply))
        await works.reply(heard, "Wait ", final=False)
        await works.reply(heard, "a moment")
        assert (await saying).reply == "a moment"
        [letter] = works.broker.dead_letters()
        assert "Stumble" in letter.reason
        await works.idle()
        assert counts(works) == {"a reply": 1}


async def test_hints_that_go_wrong_leave_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_works() as works, works.board() as kitchen:
        monkeypatch.setattr(works.pipeline._answers, "_on_hints", stumbles(1, print))
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard: TranscriptionMessage = await works.result()
        await works.reply(heard, "yes", hints={"prompt": "?"})
        assert (await saying).reply == "yes"
        await works.idle()
        assert counts(works) == {"hints of a reply": 1}


async def test_an_answer_that_goes_wrong_on_its_second_way_is_given_up_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_works() as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        announcer, answer = works.pipeline._announce, works.pipeline._announce.answer
        monkeypatch.setattr(announcer, "answer", lambda *_arguments, **_options: False)  # there is no room
        await works.reply(heard, "yes")
        await passes(lambda: works.pipeline.stats().undelivered == 1)
        monkeypatch.setattr(announcer, "answer", stumbles(1, answer))
        said = await saying
        assert (said.reply, said.error) == (FALLBACK, True)
        await works.idle()
        assert counts(works) == {"the delivery of an answer": 1}


async def test_one_fallback_that_goes_wrong_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    orchestrator = {"timeout_seconds": 0.3}
    async with (
        open_works(orchestrator=orchestrator) as works,
        works.board() as kitchen,
        works.board("hall") as hall,
    ):
        announcer = works.pipeline._announce
        monkeypatch.setattr(announcer, "reply", stumbles(1, announcer.reply))
        await asyncio.gather(kitchen.say(loud(1)), hall.say(loud(1)))
        for board in (kitchen, hall):
            assert (await board.told.first(ReplyShown)).text == FALLBACK
        await works.idle()
        assert counts(works) == {"the end of a request": 1}
        assert works.pipeline.well
