"""A gateway without transcription: devices are there and are told at once that nobody understands them."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_bridge.link.events import NoticeKind
from firmware_bridge.simulator.user import ReplyShown, SpeechEnded
from gateway.contract.events import DeviceEvent, TranscriptionEvent
from gateway.pipeline.telling.fallback_texts import TEXTS, Apology
from tests.record import passes
from tests.system.house import RECORDINGS

OFF = {"engine": "off"}


async def test_devices_connect_and_their_buttons_are_heard(house: Any) -> None:
    async with house(transcription=OFF) as one, one.board("kitchen") as kitchen:
        await one.events.first(DeviceEvent, state="connected")
        kitchen.notice(NoticeKind.BUTTON, 1)
        await one.events.first(DeviceEvent, notice="button")
        assert one.gateway.health.report().ready


@pytest.mark.parametrize("user", ["push-to-talk", "hands-free"])
@pytest.mark.slow
async def test_speech_fails_before_it_is_spoken_and_says_why(house: Any, user: str) -> None:
    async with house(transcription=OFF) as one, one.board("kitchen", speed=2) as kitchen:
        said = await kitchen.say(RECORDINGS["u05"].path, end_on_silence=user == "hands-free")
        assert (said.reply, said.error, said.fallback, said.transcript) == (
            TEXTS["en"][Apology.SWITCHED_OFF],
            True,
            False,
            None,
        )
        (ended,) = kitchen.told.of(SpeechEnded)
        assert said.reply_at is not None
        assert said.reply_at < ended.at, "at once, not after the speech"
        (result,) = one.results.items
        assert (result.success, result.text) == (False, "")
        assert result.error == "the recognizer is switched off"
        (told,) = kitchen.told.of(ReplyShown)
        assert told.correlation_id == result.correlation_id
        (event,) = one.events.of(TranscriptionEvent)
        assert (event.success, event.error) == (False, result.error)
        assert await kitchen.statuses(1, "idle") == ["transcribing", "error", "idle"]
        await one.idle()
        await passes(lambda: kitchen.end._ring.oldest == kitchen.end._ring.next)
