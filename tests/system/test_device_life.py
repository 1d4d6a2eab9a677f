"""What boards do to a whole gateway: they vanish, reboot, share a name, say nothing or never stop."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from firmware_bridge.link.frames import FaultCode
from firmware_bridge.simulator.user import FaultShown, ReplyShown, TranscriptShown
from firmware_bridge.simulator.wires import Mischief
from gateway.contract.events import DeviceEvent, ReplyEvent, StatusEvent, TranscriptionEvent
from gateway.contract.messages import TranscriptionMessage
from tests.record import passes
from tests.system.house import RECORDINGS, Board, House, pcm, silence, text

pytestmark = pytest.mark.slow

LONG = pcm("u00") + pcm("u09")
LONG_TEXT = f"{text('u00')} {text('u09')}"


@pytest.fixture(params=["serial", "mqtt"])
def carrier(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def heard_some(house: House, board: Board, more_frames: int = 12) -> None:
    """Wait until the gateway has so many more of the board's frames."""

    def received() -> int:
        infos = [info for info in house.gateway.bridge.devices() if info.id == board.device_id]
        return infos[0].counters.received if infos else 0

    before = received()
    await passes(lambda: received() >= before + more_frames)


async def gone(house: House, board: Board, count: int = 1) -> DeviceEvent:
    board.unplug()
    event: DeviceEvent = await house.events.first(DeviceEvent, state="disconnected", count=count)
    return event


def ring_is_free(board: Board) -> bool:
    """Whether the gateway has let the board forget all it said."""
    return board.end._ring.oldest == board.end._ring.next


async def test_a_pulled_cable_in_mid_speech_loses_nothing(house: Any, mosquitto: Any, carrier: str) -> None:
    async with house(mqtt=mosquitto.url) as one, one.board("kitchen", carrier, speed=4) as kitchen:
        saying = asyncio.create_task(kitchen.say(RECORDINGS["u00"].path))
        for count in (1, 2):
            await heard_some(one, kitchen)
            await gone(one, kitchen, count)
            kitchen.replug()
        said = await saying
        assert (said.transcript, said.reply) == (text("u00"), "Demo: Timer set for 60 minutes.")
        (result,) = one.results.items
        assert (result.audio.gaps, result.audio.lost_ms, result.audio.end_reason) == (0, 0, "stop")
        assert result.audio.seconds == pytest.approx(RECORDINGS["u00"].seconds, abs=0.01)
        await one.idle()
        await passes(lambda: ring_is_free(kitchen))


async def test_who_does_not_come_back_is_understood_as_far_as_he_got(house: Any) -> None:
    async with (
        house(sessions={"resume_seconds": 0.3}) as one,
        one.board("kitchen", speed=4) as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(LONG, patience=0))
        await heard_some(one, kitchen, 40)
        await gone(one, kitchen)
        result = await one.result()
        assert (result.success, result.audio.end_reason) == (True, "disconnect")
        assert 0 < result.audio.seconds < len(LONG) / 32_000
        await passes(lambda: one.gateway.pipeline.stats().sessions == 0)
        await saying


async def test_who_comes_back_too_late_says_the_rest_as_a_session_of_its_own(house: Any) -> None:
    async with (
        house(sessions={"resume_seconds": 0.2}) as one,
        one.board("kitchen", speed=4) as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(LONG))
        await heard_some(one, kitchen, 40)
        await gone(one, kitchen)
        first = await one.result()
        kitchen.replug()
        await saying
        await one.results.first(TranscriptionMessage, count=2)
        _, second = one.results.items
        assert first.session_id != second.session_id
        assert [first.audio.end_reason, second.audio.end_reason] == ["disconnect", "stop"]
        assert first.audio.seconds + second.audio.seconds == pytest.approx(len(LONG) / 32_000)
        await kitchen.told.first(ReplyShown, correlation_id=first.correlation_id)
        await kitchen.told.first(ReplyShown, correlation_id=second.correlation_id)
        await one.idle()


async def test_a_reboot_in_mid_sentence_ends_the_old_session(house: Any) -> None:
    async with house() as one:
        async with one.board("kitchen", speed=4) as kitchen:
            saying = asyncio.create_task(kitchen.say(LONG))
            await heard_some(one, kitchen, 40)
            saying.cancel()
        async with one.board("kitchen") as rebooted:
            said = await rebooted.say(RECORDINGS["u05"].path)
            assert (said.stream, said.transcript) == (1, text("u05"))
            await one.idle()
        cut, whole = one.results.items
        assert [cut.audio.end_reason, whole.audio.end_reason] == ["disconnect", "stop"]
        assert cut.session_id != whole.session_id
        assert said.correlation_id == whole.correlation_id
        assert [r.correlation_id for r in rebooted.told.of(ReplyShown)] == [whole.correlation_id]


async def test_of_two_boards_with_one_name_the_second_waits(house: Any, mosquitto: Any) -> None:
    async with house(mqtt=mosquitto.url) as one:
        async with one.board("twin", speed=4) as first:
            saying = asyncio.create_task(first.say(LONG))
            await heard_some(one, first)
            async with one.board("twin", "mqtt") as second:
                refused = await second.told.first(FaultShown)
                assert refused.code is FaultCode.DUPLICATE_ID
                waiting = asyncio.create_task(second.say(RECORDINGS["u05"].path))
                assert (await saying).transcript == LONG_TEXT
                assert not second.told.of(TranscriptShown)
                first.unplug()
                assert (await waiting).transcript == text("u05")
        assert one.gateway.bridge.counters.duplicate_ids >= 1
        assert [result.text for result in one.results.items] == [LONG_TEXT, text("u05")]


async def test_hello_said_twice_is_no_new_device(house: Any, carrier: str, mosquitto: Any) -> None:
    async with house(mqtt=mosquitto.url) as one, one.board("kitchen", carrier, speed=4) as kitchen:
        saying = asyncio.create_task(kitchen.say(RECORDINGS["u00"].path))
        for _ in range(2):
            await heard_some(one, kitchen)
            kitchen.wire_up()
        assert (await saying).transcript == text("u00")
        assert len(one.results.items) == 1
        assert [event.state for event in one.events.of(DeviceEvent)] == ["connected"]
        sessions = {event.session_id for event in one.events.of(StatusEvent)}
        assert len(sessions) == 1


@pytest.mark.slow
async def test_who_never_stops_talking_is_cut_and_may_forget_what_was_published(house: Any) -> None:
    speech = b"".join(pcm(name) for name in ("u00", "u01", "u06", "u15"))
    segmenter = {"max_seconds": 2.5}
    async with (
        house(transcription={"segmenter": segmenter}) as one,
        one.board("kitchen", speed=4) as kitchen,
    ):
        saying = asyncio.create_task(kitchen.say(speech))
        await one.results.first(TranscriptionMessage, count=2)
        await passes(lambda: kitchen.end._ring.oldest > 0)
        assert not kitchen.end._waiting, "it is still talking"
        assert not saying.done()
        await saying
        await one.idle()
        results = one.results.items
        reasons = [result.audio.end_reason for result in results]
        assert reasons == ["max_length"] * (len(results) - 1) + ["stop"]
        assert all(result.audio.seconds <= 2.5 for result in results)
        assert sum(result.audio.seconds for result in results) == pytest.approx(len(speech) / 32_000)
        assert len({result.session_id for result in results}) == 1
        assert len({result.correlation_id for result in results}) == len(results) >= 4
        assert (await kitchen.statuses(1, "idle")).count("idle") == 1
        await passes(lambda: ring_is_free(kitchen))


async def test_who_connects_and_says_nothing_is_there_until_it_is_missed(house: Any) -> None:
    async with house(devices={"silence_seconds": 0.3}) as one, one.board("kitchen") as kitchen:
        event = await one.events.first(DeviceEvent, state="disconnected")
        assert event.reason == "silent for 0.3 s"
        assert one.gateway.pipeline.stats().sessions == 0
        said = await kitchen.say(RECORDINGS["u05"].path)
        assert (said.transcript, said.reply) == (text("u05"), "Demo: The motor is running.")


async def test_an_empty_stream_is_no_utterance_and_leaves_nothing_behind(house: Any) -> None:
    async with house() as one, one.board("kitchen") as kitchen:
        await kitchen.say(b"", patience=0)
        assert await kitchen.statuses(1, "idle") == ["listening", "idle"]
        await one.idle()
        await passes(lambda: ring_is_free(kitchen))
        assert one.results.items == []
        await kitchen.say(RECORDINGS["u05"].path)
        await passes(lambda: ring_is_free(kitchen))
        assert [result.text for result in one.results.items] == [text("u05")]


async def test_a_button_held_in_silence_is_an_empty_text_and_nobody_is_asked(house: Any) -> None:
    async with house() as one, one.board("kitchen") as kitchen:
        said = await kitchen.say(silence(1), patience=0)
        assert await kitchen.statuses(1, "idle") == ["listening", "transcribing", "idle"]
        shown = await kitchen.told.first(TranscriptShown)
        result = await one.result()
        assert (result.text, result.success, result.error) == ("", True, None)
        assert shown.text == ""
        assert shown.correlation_id == result.correlation_id
        assert said.reply is None
        await one.events.first(TranscriptionEvent, text="")
        await one.idle()
        await passes(lambda: ring_is_free(kitchen))
        assert one.gateway.pipeline._questions.tracker.live == 0
        assert not one.events.of(ReplyEvent)


async def test_hands_free_silence_is_nothing_at_all(house: Any) -> None:
    async with house() as one, one.board("kitchen", ring_frames=100, speed=inf) as kitchen:
        await kitchen.say(silence(4), end_on_silence=True, patience=0)
        assert await kitchen.statuses(1, "idle") == ["listening", "idle"]
        assert one.results.items == []
        assert kitchen.end.counters.overrun_frames == 0
        await passes(lambda: ring_is_free(kitchen))


async def test_what_the_ring_could_not_hold_is_counted_in_the_result(house: Any) -> None:
    async with house() as one, one.board("kitchen", speed=4, ring_frames=30) as kitchen:
        saying = asyncio.create_task(kitchen.say(LONG))
        await heard_some(one, kitchen, 40)
        await gone(one, kitchen)
        await passes(lambda: kitchen.end.counters.overrun_frames >= 40)
        kitchen.replug()
        said = await saying
        (result,) = one.results.items
        assert said.overrun_frames >= 40
        assert result.audio.gaps >= 1
        assert result.audio.lost_ms == kitchen.end.counters.overrun_samples / 16
        assert result.audio.seconds == pytest.approx(len(LONG) / 32_000), "a hole is as long as what was lost"
        await one.idle()
        await passes(lambda: ring_is_free(kitchen))


@pytest.mark.slow
async def test_on_a_wire_of_every_vice_all_is_still_understood(house: Any, mosquitto: Any) -> None:
    vices = Mischief(seed=7, corrupt=0.05, drop=0.05, duplicate=0.05, delay=0.05, unplug_seconds=1.2)
    names = {"kitchen": ("u00", "u05", "u26"), "bedside": ("u06", "u21", "u34")}
    async with (
        house(mqtt=mosquitto.url) as one,
        one.board("kitchen", speed=2, mischief=vices) as kitchen,
        one.board("bedside", "mqtt", speed=2, mischief=vices) as bedside,
    ):

        async def say_all(board: Board) -> None:
            for name in names[board.device_id]:
                said = await board.say(RECORDINGS[name].path)
                assert said.transcript == text(name)
                assert not said.fallback
                assert said.reply

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(say_all(kitchen))
            tasks.create_task(say_all(bedside))
        assert all((r.audio.gaps, r.audio.lost_ms) == (0, 0) for r in one.results.items)
        assert len(one.results.items) == 6
        await one.idle()
        for board in (kitchen, bedside):
            mischief = board.mischief
            assert min(mischief.corrupted, mischief.dropped, mischief.duplicated, mischief.delayed) > 0
