"""A plain microphone and a wake word, through a whole gateway: what is said before it stays in the room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link.frames import Codec
from gateway.contract.events import DeviceEvent, TranscriptionEvent
from tests.system.house import open_house, pcm, silence, text
from tests.transcription.wake.spoken import in_a_room, needs_espeak, pause, say
from transcription.audio import from_pcm16

pytestmark = [needs_espeak, pytest.mark.slow]
WAKE: dict[str, Any] = {
    "devices": {"wake": {"rooms": {"Kitchen": ["okay_nabu"]}, "seconds": 3}, "rooms": {"plain": "Kitchen"}}
}


@pytest.mark.parametrize("codec", [Codec.PCM16, Codec.IMA_ADPCM])
async def test_only_what_follows_the_wake_word_is_understood(tmp_path: Path, codec: Codec) -> None:
    command, other = from_pcm16(pcm("u03")), from_pcm16(pcm("u00"))
    speech = in_a_room(other, pause(1.0), say("okay nabu"), pause(0.4), command, pause(2.0), other).tobytes()
    async with open_house(tmp_path, **WAKE) as house, house.board("plain", codec=codec) as plain:
        said = await plain.say(speech + silence(1.5), end_on_silence=True)
        assert said.transcript == text("u03")
        assert said.reply
        await house.idle()
        assert [event.text for event in house.events.of(TranscriptionEvent)] == [text("u03")]
        assert [event.text for event in house.events.of(DeviceEvent, notice="wake_word")] == ["Okay Nabu"]
        assert len(house.messages) == 1
        assert "recording" not in house.gateway.health.report().components
