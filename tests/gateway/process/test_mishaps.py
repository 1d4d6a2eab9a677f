"""A mistake inside the gateway ends the piece of work that met it: it is told and counted, and the next one goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.access.principals import LOCAL
from gateway.app import Gateway
from gateway.commands import run
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import TranscriptionMessage
from gateway.hub.hub import Evicted, Hub
from gateway.journal import Journal
from gateway.observing.health import Health, HealthState
from gateway.pipeline import understanding
from gateway.pipeline.asking.typed_text import CannotSay
from gateway.pipeline.telling.fallback_texts import TEXTS, Apology
from gateway.process import mishaps as module
from gateway.process.mishaps import AGAIN_SECONDS, LOGGED_AT_ONCE, SHOWN_SECONDS, Mishaps
from gateway.settings.web import WebSettings
from tests.gateway.events import reply
from tests.gateway.works import Works, loud, open_works
from tests.record import passes

LATE, FAILED = "Sorry, nobody answered.", "Sorry, something went wrong."


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
        assert (said.reply, said.error) == (("yes", False) if delivered else (FAILED, True))
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
        monkeypatch.setattr(works.pipeline._hearing, "ask", stumbles(1, print))
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
        assert (said.reply, said.error) == (FAILED, True)
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
        said = await asyncio.gather(kitchen.say(loud(1)), hall.say(loud(1)))
        assert sorted(one.reply for one in said) == [LATE, FAILED]
        await works.idle()
        assert counts(works) == {"the end of a request": 1}
        assert works.pipeline.well


# -- turns, streams, words


@pytest.mark.parametrize("part", ["pipeline._publishing.publish", "recognizer.transcribe"])
async def test_a_turn_that_goes_wrong_is_given_up_and_its_device_is_told(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    async with open_works() as works, works.board() as kitchen:
        where, what = part.rsplit(".", 1)
        owner = attrgetter(where)(works)
        monkeypatch.setattr(owner, what, stumbles(1, getattr(owner, what)))
        said = await kitchen.say(loud(1))
        assert (said.reply, said.error) == (TEXTS["en"][Apology.NOT_TRANSCRIBED], True)
        assert await kitchen.statuses(1, "idle") == ["listening", "transcribing", "error", "idle"]
        await works.idle()
        assert counts(works) == {"a turn": 1}
        await is_answered(works, 1)


async def test_a_turn_that_cannot_even_begin_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_works() as works, works.board() as kitchen:
        monkeypatch.setattr(understanding, "utterance_row", stumbles(1, understanding.utterance_row))
        said = await kitchen.say(loud(1))
        assert (said.reply, said.error) == (TEXTS["en"][Apology.NOT_TRANSCRIBED], True)
        await works.idle()
        assert counts(works) == {"a turn": 1}
        await is_answered(works, 1)


async def test_a_stream_that_cannot_be_cut_is_broken_off_once_and_its_device_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_works() as works, works.board() as kitchen:
        monkeypatch.setattr(works.pipeline._hearing, "_hear_chunk", stumbles(1, print))
        said = await kitchen.say(loud(1))
        assert (said.reply, said.error) == (TEXTS["en"][Apology.NOT_HEARD], True)
        assert counts(works) == {"a stream": 1}
        await works.idle()
        monkeypatch.undo()
        await is_answered(works, 1)


async def test_words_that_go_wrong_are_told_to_whoever_said_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_works() as works:
        publishing = works.pipeline._publishing
        monkeypatch.setattr(publishing, "publish", stumbles(1, publishing.publish))
        with pytest.raises(CannotSay, match="went wrong"):
            await works.pipeline.say("hello", LOCAL)
        await works.idle()
        await works.pipeline.say("hello", LOCAL)
        assert (await works.result()).text == "hello"


# -- messages to the broker


async def test_a_lane_goes_on_behind_a_message_that_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_works(subscribed=False) as works:
        outbox = works.pipeline._outbox
        monkeypatch.setattr(outbox, "_tell", stumbles(1, outbox._tell))
        for _ in range(2):
            await works.pipeline.say("hello", LOCAL)
        await passes(lambda: not outbox.waiting)
        assert counts(works) == {"a message that is published": 1}
        assert not outbox._lanes


async def test_a_recovered_request_that_nobody_can_answer_ends_in_silence(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    async with open_works(journal=file, broker={"buffer_messages": 1}) as works:
        outbox = works.pipeline._outbox
        outbox._open = False  # it dies before it has published anything
        await works.pipeline.say("hello", LOCAL)
        works.hush()
    async with open_works(journal=file, subscribed=False) as works:
        await works.idle()
        assert not counts(works)
        assert not works.pipeline._outbox._lanes


# -- listeners


async def test_a_listener_that_goes_wrong_leaves_the_others_theirs() -> None:
    mishaps = Mishaps()
    hub = Hub(WebSettings(), mishaps=mishaps)
    with (
        hub.attach(direct=stumbles(1, print)) as broken,
        hub.attach() as sound,
    ):
        await anext(broken)
        await anext(sound)
        for text in ("one", "two"):
            hub.publish(reply(text=text))
            await asyncio.sleep(0)
            assert (await anext(sound)).event.text == text  # type: ignore[union-attr]
        with pytest.raises(Evicted):
            await anext(broken)
        assert (hub.stats().listeners, hub.stats().evicted) == (1, 1)
    assert mishaps.counts == {"a listener": 1}


async def test_an_event_that_cannot_be_written_is_shown_to_nobody_also_later() -> None:
    mishaps = Mishaps()
    hub = Hub(WebSettings(), mishaps=mishaps)
    hub.publish(reply(text="lone \ud83c"))
    hub.publish(reply(text="fine"))
    with hub.attach() as late:
        assert (await anext(late)).event.seq == 1
    assert mishaps.counts == {"an event for listeners": 1}


# -- deadlines, and what else never ends


async def test_a_deadline_that_goes_wrong_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_works(orchestrator={"timeout_seconds": 0.3}) as works, works.board() as kitchen:
        monkeypatch.setattr(works.pipeline._recovery, "run_errands", stumbles(1_000, print))
        monkeypatch.setattr(works.pipeline._hearing, "watch_absent", stumbles(1_000, print))
        assert (await kitchen.say(loud(1))).reply == LATE
        assert works.pipeline.well
        assert counts(works)["errands"] >= 1
        assert counts(works)["deadlines of devices"] >= 1


async def test_tracebacks_of_one_kind_do_not_fill_the_log() -> None:
    now = [0.0]
    mishaps = Mishaps(lambda: now[0])
    with capture_logs() as lines:
        for _ in range(1_000):
            mishaps.note("a deadline", Stumble())
    assert len(lines) == LOGGED_AT_ONCE
    assert mishaps.counts == {"a deadline": 1_000}
    now[0] = 60.0
    with capture_logs() as lines:
        mishaps.note("a deadline", Stumble())
    assert [line["count"] for line in lines] == [1_001]


async def test_work_that_never_ends_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.001)
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    mishaps = Mishaps()
    await mishaps.keep_up("work", stumbles(2, work))
    assert done.is_set()
    assert mishaps.counts == {"work": 2}


async def test_work_that_goes_wrong_over_its_end_does_not_begin_again() -> None:
    """Whoever cancelled it waits for it, and cancels once."""
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise Stumble

    mishaps = Mishaps()
    task = asyncio.create_task(mishaps.keep_up("work", work))
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(AGAIN_SECONDS / 2):
        await asyncio.wait([task])
    assert task.cancelled()
    assert mishaps.counts == {"work": 1}


# -- the end


@pytest.mark.parametrize("how", ["cancelled", "wrong"])
async def test_an_end_that_is_cut_short_closes_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    config = msgspec.convert(
        {
            "web": {"enabled": False},
            "transcription": {"engine": "off"},
            "journal": {"path": str(tmp_path / "journal.db")},
        },
        GatewayConfig,
    )
    gateway = await Gateway(config).__aenter__()
    never = asyncio.Event()
    drain = stumbles(1, print) if how == "wrong" else lambda _seconds: never.wait()
    monkeypatch.setattr(gateway.pipeline, "drain", drain)
    ending = asyncio.create_task(gateway.__aexit__(None, None, None))
    await asyncio.sleep(0)
    if how == "cancelled":
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
    await asyncio.wait({ending})
    assert all(task.done() for task in gateway._workers)
    async with Journal(config.journal):  # JournalInUse, were the first one's open
        assert gateway.mishaps.counts == ({"draining": 1} if how == "wrong" else {})
