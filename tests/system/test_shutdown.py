"""How a gateway ends: what is being said is finished or handed back, what was answered is delivered."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from firmware_bridge.link.frames import FaultCode
from firmware_bridge.simulator.user import FaultShown, ReplyShown, StatusShown, TranscriptShown
from gateway.contract.messages import TranscriptionMessage
from gateway.orchestrators.sdk import Orchestrator
from tests.record import PATIENCE, passes
from tests.system.house import RECORDINGS, House, board, pcm, running, text
from tests.system.process import run

pytestmark = pytest.mark.slow

LONG = pcm("u00") + pcm("u09")
LONG_TEXT = f"{text('u00')} {text('u09')}"
DRAIN = {"drain_seconds": 0.2}


async def speaks(house: House, more_frames: int = 20) -> None:
    """Wait until the one board that there is has been heard for a while."""
    await passes(lambda: sum(i.counters.received for i in house.gateway.bridge.devices()) >= more_frames)


async def test_speech_that_ends_in_time_is_finished_and_answered(house: Any, tmp_path: Any) -> None:
    async with board(tmp_path, "kitchen", speed=2) as kitchen:
        async with house() as one:
            saying = asyncio.create_task(kitchen.say(RECORDINGS["u00"].path))
            await speaks(one)
        assert saying.done() or kitchen.told.of(ReplyShown), "the gateway waited for the end and the answer"
        said = await saying
        assert (said.transcript, said.reply) == (text("u00"), "Demo: Timer set for 60 minutes.")
        assert one.gateway.pipeline.stats().undelivered == 0
        (fault,) = [f.code for f in kitchen.told.of(FaultShown)]
        assert fault is FaultCode.SHUTTING_DOWN


@pytest.mark.parametrize("carrier", ["serial", "mqtt"])
async def test_speech_that_goes_on_is_handed_to_the_next_gateway_whole(
    house: Any, tmp_path: Any, mosquitto: Any, carrier: str
) -> None:
    url = mosquitto.url if carrier == "mqtt" else ""
    async with board(tmp_path, "kitchen", url, speed=4) as kitchen:
        async with house(mqtt=mosquitto.url, shutdown=DRAIN) as first:
            saying = asyncio.create_task(kitchen.say(LONG))
            await speaks(first, 10)
        assert first.results.items == []
        assert not saying.done()
        async with house(mqtt=mosquitto.url) as second:
            said = await saying
            assert (said.transcript, said.overrun_frames) == (LONG_TEXT, 0)
            assert said.reply
            (result,) = second.results.items
            assert result.audio.seconds == pytest.approx(len(LONG) / 32_000)
            assert len(kitchen.told.of(TranscriptShown)) == 1


async def test_of_a_board_without_a_ring_what_was_heard_is_transcribed(house: Any, tmp_path: Any) -> None:
    async with board(tmp_path, "kitchen", speed=4, ring_frames=0) as kitchen, house() as one:
        await kitchen.connected()
        saying = asyncio.create_task(kitchen.say(LONG))
        await speaks(one)
        await one.gateway.pipeline.drain(0.3)
        result = await one.result()
        assert (result.success, result.audio.end_reason) == (True, "shutdown")
        assert 0 < result.audio.seconds < len(LONG) / 32_000
        said = await saying
        assert said.correlation_id == result.correlation_id
        assert said.reply


async def test_speech_of_a_board_that_is_away_just_then_is_handed_back_too(house: Any, tmp_path: Any) -> None:
    async with board(tmp_path, "kitchen", speed=4) as kitchen:
        async with house() as first:
            saying = asyncio.create_task(kitchen.say(LONG))
            await speaks(first)
            kitchen.unplug()
            await passes(lambda: not any(info.connected for info in first.gateway.bridge.devices()))
        assert first.results.items == []
        kitchen.replug()
        async with house() as second:
            assert (await saying).transcript == LONG_TEXT
            assert len(second.results.items) == 1


async def test_who_begins_to_speak_in_the_drain_is_kept_waiting_and_loses_no_answer(
    house: Any, tmp_path: Any
) -> None:
    go = asyncio.Event()
    slow = Orchestrator("slow")

    @slow.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        await go.wait()
        return f"Yes: {heard.text}"

    async with board(tmp_path, "kitchen") as kitchen:
        async with house(orchestrator={"app": ""}) as first:
            with running(slow.run(first.gateway.broker)):
                asking = asyncio.create_task(kitchen.say(RECORDINGS["u05"].path))
                await first.result()
                ending = asyncio.create_task(first.gateway.pipeline.drain(20))
                await passes(lambda: first.gateway.pipeline._hearing.closed)
                later = asyncio.create_task(kitchen.say(RECORDINGS["u21"].path))
                await kitchen.told.first(StatusShown, stream=2, status=4)
                go.set()
                assert (await asking).reply == f"Yes: {text('u05')}"
                await ending
        assert [result.text for result in first.results.items] == [text("u05")]
        async with house() as second:
            assert (await later).transcript == text("u21")
            assert [result.text for result in second.results.items] == [text("u21")]


ASLEEP = """
import asyncio
from gateway.orchestrator import Orchestrator

asleep = Orchestrator()

@asleep.on_transcript
async def answer(heard):
    await asyncio.Event().wait()
"""


async def test_an_answer_that_does_not_come_is_not_waited_for_beyond_the_drain(
    house: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asleep_orchestrator.py").write_text(ASLEEP)
    monkeypatch.syspath_prepend(tmp_path)
    app = {"app": "asleep_orchestrator:asleep"}
    async with board(tmp_path, "kitchen") as kitchen, asyncio.timeout(PATIENCE) as patience:
        async with house(orchestrator=app, shutdown={"drain_seconds": 0.1}) as one:
            asking = asyncio.create_task(kitchen.say(RECORDINGS["u05"].path))
            await one.result()
            patience.reschedule(asyncio.get_running_loop().time() + 4)
        assert one.gateway.pipeline.stats().asked == 1
        asking.cancel()


async def test_systemd_is_told_and_the_idle_process_leaves_at_once(tmp_path: Any) -> None:
    watched = {"WATCHDOG_USEC": "200000"}
    async with run(tmp_path, environ=watched) as gateway:
        await gateway.notified("WATCHDOG=1", count=4)
        assert await gateway.terminate() == 0
        told = gateway.systemd.items
        assert told[0] == "READY=1"
        assert told[1].startswith("STATUS=listening; page at http://127.0.0.1:")
        await gateway.notified("STOPPING=1")
        assert told.index("STOPPING=1") > told.index("WATCHDOG=1")
        assert [line["event"] for line in gateway.log_lines()][-1] == "stopped"
        (draining,) = gateway.logged("draining")
        assert draining["at_most_seconds"] == 8.0


async def test_sigterm_in_mid_speech_ends_well_for_who_stops_and_for_who_goes_on(
    tmp_path: Any, mosquitto: Any
) -> None:
    async with (
        board(tmp_path, "kitchen", speed=1) as brief,
        board(tmp_path, "bedside", mosquitto.url, speed=1) as endless,
    ):
        async with run(tmp_path, mosquitto.url, shutdown={"drain_seconds": 4}) as first:
            await asyncio.gather(brief.connected(), endless.connected())
            said = asyncio.create_task(brief.say(RECORDINGS["u21"].path))
            going_on = asyncio.create_task(endless.say(LONG))
            for one in (brief, endless):
                await passes(lambda one=one: one.end.counters.sent > 5)
            assert await first.terminate() == 0
            assert (await said).transcript == text("u21")
            assert not endless.told.of(TranscriptShown)
            await endless.told.first(FaultShown, code=FaultCode.SHUTTING_DOWN)
            (line,) = first.logged("utterance")
            assert (line["device_id"], line["outcome"]) == ("kitchen", "answered")
        async with run(tmp_path, mosquitto.url) as second:
            whole = await going_on
            assert whole.transcript == LONG_TEXT
            second.stop(signal.SIGINT)
            assert await second.ended() == 0


async def test_a_second_signal_does_not_wait_for_the_drain(tmp_path: Any) -> None:
    async with (
        board(tmp_path, "kitchen", speed=1) as kitchen,
        run(tmp_path, shutdown={"drain_seconds": 60}) as gateway,
    ):
        saying = asyncio.create_task(kitchen.say(LONG))
        await kitchen.told.first(StatusShown)
        gateway.stop(signal.SIGTERM)
        await gateway.notified("STOPPING=1")
        assert await gateway.terminate() == -signal.SIGTERM
        saying.cancel()
