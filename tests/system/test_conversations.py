"""A conversation in a whole house: it goes on when its device and its gateway do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from tests.record import passes
from tests.system.house import RECORDINGS, board, open_house, text
from tests.system.process import run

pytestmark = pytest.mark.slow


async def test_it_outlives_a_killed_gateway_a_reboot_and_a_move_to_another_carrier(
    tmp_path: Path, mosquitto: Any
) -> None:
    async with run(tmp_path, mosquitto.url) as first, board(tmp_path, "kitchen") as kitchen:
        await kitchen.say(RECORDINGS["u05"].path)
        await kitchen.told.first(ReplyShown, final=True)
        await passes(lambda: bool(first.logged("utterance")))
        before = first.logged("utterance")[0]["conversation_id"]
        await first.kill()
    async with open_house(tmp_path, mosquitto.url) as one, one.board("kitchen", "mqtt") as kitchen:
        said = await kitchen.say(RECORDINGS["u21"].path)
        heard = await one.result(correlation_id=said.correlation_id)
        assert heard.conversation_id == before
        await one.idle()
        (known,) = one.gateway.pipeline._questions.conversing._conversations._ongoing.values()
        turns = known.memory(known.turns)
        assert [turn.text for turn in turns] == [text("u05"), text("u21")]
        assert all(turn.reply.startswith("Demo:") for turn in turns)
