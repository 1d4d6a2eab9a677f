"""Speech in, text and answer out, on both carriers: what everybody who takes part sees of it."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from firmware_bridge.link.events import NoticeKind
from firmware_bridge.link.frames import Codec
from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.client.listener import Listener
from gateway.contract.events import (
    DeliveryEvent,
    DeviceEvent,
    ReplyEvent,
    SnapshotEvent,
    StatusEvent,
    TranscriptionEvent,
)
from tests.system.house import RECORDINGS, House, pcm, silence, text

ID = re.compile(r"[A-Za-z0-9_-]{22}")


async def test_devices_on_both_carriers_are_heard_and_answered_at_once(house: Any, mosquitto: Any) -> None:
    users = {"kitchen": "alice", "bedside": "bob"}
    async with (
        house(mqtt=mosquitto.url, devices={"users": users}) as one,
        one.board("kitchen") as kitchen,
        one.board("bedside", "mqtt") as bedside,
    ):
        await asyncio.gather(kitchen.connected(), bedside.connected())
        said = await asyncio.gather(
            kitchen.say(RECORDINGS["u05"].path), bedside.say(RECORDINGS["u26"].path, end_on_silence=True)
        )
        assert [one.transcript for one in said] == [text("u05"), text("u26")]
        assert [one.reply for one in said] == ["Demo: The motor is running.", "Demo: Timer set for 1 minute."]
        for board, utterance in ((kitchen, said[0]), (bedside, said[1])):
            await board.statuses(1, "idle")
            assert _but_for_the_open_stream(board.story(1)) == [
                "speaks", "listening", "transcribing", f"heard: {utterance.transcript}", "thinking",
                f"reply: {utterance.reply}", "idle",
            ]  # fmt: skip
            await _everybody_saw_the_same(one, board.device_id, users[board.device_id], utterance)
        await one.idle()


def _but_for_the_open_stream(story: list[str]) -> list[str]:
    """A reply may be there before the board has noticed the endpoint; then it is listened to until it stops."""
    return [*story[:-2], story[-1]] if story[-2] == "listening" else story


async def _everybody_saw_the_same(house: House, device_id: str, user_id: str, said: Any) -> None:
    """One correlation id on the device, the broker and the listener's socket."""
    ids = {"correlation_id": said.correlation_id}
    result = await house.result(**ids)
    assert (result.text, result.success, result.error) == (said.transcript, True, None)
    assert (result.device_id, result.user_id) == (device_id, user_id)
    by = result.recognizer
    assert (by.engine, by.model, by.retried) == ("faster-whisper", "bundled", False)
    assert 1000 * result.audio.seconds <= by.context_ms + 700 < 4000, "as short as the speech"
    (message,) = [m for m in house.messages if m.correlation_id == said.correlation_id]
    key = message.routing_key
    assert (key.user, key.device, key.session) == (user_id, device_id, result.session_id)
    assert (message.message_id, message.reply_to) == (result.message_id, "orchestrator.replies")

    delivery = await house.events.first(DeliveryEvent, **ids)
    (heard,) = house.events.of(TranscriptionEvent, **ids)
    (reply,) = house.events.of(ReplyEvent, **ids)
    for event in (heard, reply, delivery):
        assert (event.session_id, event.device_id, event.user_id) == (result.session_id, device_id, user_id)
        assert event.utterance_id == result.utterance_id
    assert heard.seq < reply.seq < delivery.seq
    assert (heard.text, reply.text, reply.agent) == (said.transcript, said.reply, "builtin")
    assert 0 < heard.timings.text_ms < delivery.speech_to_reply_ms
    statuses = [event.status for event in house.events.of(StatusEvent, session_id=result.session_id)]
    assert _but_for_the_open_stream(statuses) == ["listening", "transcribing", "thinking", "idle"]


@pytest.mark.slow
async def test_every_id_is_the_gateways_own_and_cannot_be_guessed(house: Any) -> None:
    async with house() as one, one.board("kitchen") as kitchen:
        for _ in range(2):
            await kitchen.say(RECORDINGS["u05"].path)
    ids = [
        given
        for result in one.results.items
        for given in (result.session_id, result.utterance_id, result.correlation_id, result.message_id)
    ]
    assert len(set(ids)) == 8
    assert [given[:2] for given in ids] == ["s_", "u_", "c_", "m_"] * 2
    assert all(ID.fullmatch(given[2:]) for given in ids)


@pytest.mark.slow
async def test_two_sentences_in_one_stream_are_two_turns_of_one_session(house: Any) -> None:
    speech = pcm("u05") + silence(1.2) + pcm("u21") + silence(1.2)
    async with house() as one, one.board("kitchen") as kitchen:
        await kitchen.say(speech, end_on_silence=True)
        await kitchen.told.first(ReplyShown, count=2)
        first, second = one.results.items
        assert [first.text, second.text] == [text("u05"), text("u21")]
        assert [first.audio.end_reason, second.audio.end_reason] == ["silence", "silence"]
        assert first.session_id == second.session_id
        assert first.correlation_id != second.correlation_id
        assert (await kitchen.statuses(1, "idle")).count("idle") == 1
        shown = [shown.correlation_id for shown in kitchen.told.of(TranscriptShown)]
        assert shown == [first.correlation_id, second.correlation_id]
        await one.idle()


@pytest.mark.slow
async def test_the_end_of_speech_is_the_devices_stop_or_the_last_word_before_the_silence(
    house: Any,
) -> None:
    async with house() as one, one.board("kitchen") as kitchen:
        for on_silence in (False, True):
            await kitchen.say(RECORDINGS["u05"].path, end_on_silence=on_silence)
        pushed, free = one.results.items
        assert (pushed.audio.end_reason, pushed.timings.endpoint_ms) == ("stop", 0)
        assert free.audio.end_reason == "silence"
        assert 600 < free.timings.endpoint_ms < 1000, "the silence that was waited for is told apart"
        for result in (pushed, free):
            assert result.timings.text_ms > result.timings.endpoint_ms
            assert result.timings.recognize_ms > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["u05", "u14"])
async def test_compressed_audio_is_understood_as_well(house: Any, name: str) -> None:
    async with house() as one, one.board("kitchen", codec=Codec.IMA_ADPCM) as kitchen:
        said = await kitchen.say(RECORDINGS[name].path)
        assert said.transcript == text(name)


@pytest.mark.slow
async def test_a_button_is_news_to_listeners_only(house: Any) -> None:
    async with house() as one, one.board("kitchen") as kitchen:
        await kitchen.connected()
        kitchen.notice(NoticeKind.BUTTON, 7)
        event = await one.events.first(DeviceEvent, notice="button")
        assert (event.device_id, event.user_id, event.value) == ("kitchen", "home", 7)
        assert one.results.items == []


@pytest.mark.slow
async def test_who_comes_later_gets_the_picture(house: Any) -> None:
    async with house() as one, one.board("kitchen") as kitchen:
        said = await kitchen.say(RECORDINGS["u05"].path)
        await one.events.first(DeliveryEvent)
        async with Listener(one.gateway.url) as late:
            snapshot = await anext(late)
        assert isinstance(snapshot, SnapshotEvent)
        assert [(d.device_id, d.state) for d in snapshot.devices] == [("kitchen", "connected")]
        heard, reply, delivery = snapshot.conversation
        assert isinstance(heard, TranscriptionEvent)
        assert isinstance(reply, ReplyEvent)
        assert (heard.text, reply.text) == (said.transcript, said.reply)
        assert delivery.correlation_id == said.correlation_id
        assert {h.component: h.state for h in snapshot.health}["recognizer"] == "healthy"
