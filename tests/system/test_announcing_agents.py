"""What agents tell devices outside any turn reaches the board, once, now or when it comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.broker.base import RoutingKey
from gateway.contract.agents import ANNOUNCEMENTS_TOPIC, AnnouncementMessage
from gateway.contract.events import ReplyEvent
from gateway.contract.messages import encode
from gateway.orchestrators.sdk import Heard, Orchestrator
from tests.record import passes
from tests.system.house import RECORDINGS, Board, House, running

SPEECH = RECORDINGS["u05"].path
NOBODY = {"app": ""}


async def publish(house: House, text: str, **fields: Any) -> None:
    """As a program without our SDK."""
    message = AnnouncementMessage(
        **({"device_id": "kitchen", "text": text, "message_id": f"m_{text}"} | fields)
    )
    key = RoutingKey("laundry", "kitchen", "announcement")
    await house.gateway.broker.publish(ANNOUNCEMENTS_TOPIC, key, encode(message))


async def shown(board: Board, count: int) -> list[str]:
    await passes(lambda: len(board.told.of(ReplyShown)) >= count)
    return [reply.text for reply in board.told.of(ReplyShown)]


async def test_an_agent_announces_from_its_answer_and_after_it(house: Any) -> None:
    laundry, done = Orchestrator("laundry"), asyncio.Event()
    later: list[asyncio.Task[None]] = []

    async def when_done(heard: Heard) -> None:
        await done.wait()
        await heard.announce("The washing is done.")

    @laundry.on_transcript
    async def answer(heard: Heard) -> str:
        later.append(asyncio.create_task(when_done(heard)))
        return "I wash."

    async with house(orchestrator=NOBODY) as one, one.board("kitchen") as kitchen:
        with running(laundry.run(one.gateway.broker)):
            assert (await kitchen.say(SPEECH)).reply == "I wash."
            await one.idle()
            done.set()
            assert await shown(kitchen, 2) == ["I wash.", "The washing is done."]
            event = await one.events.first(ReplyEvent, text="The washing is done.")
            assert (event.agent, event.device_id) == ("laundry", "kitchen")


@pytest.mark.slow
@pytest.mark.parametrize("journal", [True, False])
async def test_what_comes_twice_is_told_once_and_what_is_nothing_is_a_dead_letter(
    house: Any, *, journal: bool
) -> None:
    async with (
        house(orchestrator=NOBODY, journal={"enabled": journal}) as one,
        one.board("kitchen") as kitchen,
    ):
        await kitchen.connected()
        for text in ("first", "first", "second"):
            await publish(one, text)
        await publish(one, "elsewhere", device_id="attic")
        await publish(one, "   ")
        await publish(one, "cut", agent="x" * 1_000)
        await one.gateway.broker.publish(
            ANNOUNCEMENTS_TOPIC, RoutingKey("laundry", "kitchen", "announcement"), b"no announcement"
        )
        await publish(one, "last")
        assert await shown(kitchen, 4) == ["first", "second", "cut", "last"]
        reasons = [letter.reason for letter in one.gateway.broker.dead_letters()]
        assert len(reasons) == 2
        assert reasons[0] == "there is nothing to say"
        assert reasons[1].startswith("not an announcement")


@pytest.mark.slow
async def test_a_device_that_is_away_gets_it_when_it_comes(house: Any) -> None:
    devices = {"rooms": {"kitchen": "Kitchen"}}
    async with house(orchestrator=NOBODY, devices=devices) as one:
        await publish(one, "The washing is done.")
        await passes(lambda: len(one.gateway.pipeline.announcements) == 1)
        async with one.board("kitchen") as kitchen:
            assert await shown(kitchen, 1) == ["The washing is done."]


@pytest.mark.slow
async def test_those_for_whom_there_is_no_room_are_dead_letters(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.pipeline.telling.announcements.MAX_WAITING_OF_A_DEVICE", 1)
    async with house(orchestrator=NOBODY, devices={"users": {"kitchen": "ann"}}) as one:
        for number in range(4):
            await publish(one, str(number))
        await passes(lambda: len(one.gateway.broker.dead_letters()) > 0)
        assert "wait for kitchen already" in one.gateway.broker.dead_letters()[0].reason
