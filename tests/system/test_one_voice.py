"""One voice at three devices of a room, each on a carrier of its own: one answers, the others are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import pytest

from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.client.device_socket import WebSocketWire
from gateway.contract.events import ArbitrationEvent, PartialEvent
from gateway.contract.messages import TranscriptionMessage
from tests.system.house import Board, House, text
from tests.transcription.speech import recording
from transcription.audio import SAMPLE_RATE

pytestmark = pytest.mark.slow

ROOM = "Living room"
SOFA, SHELF, PAGE = "sofa", "shelf", "web-page"
DEVICES: dict[str, Any] = {
    "rooms": dict.fromkeys((SOFA, SHELF, PAGE), ROOM),
    "users": {PAGE: "home"},
    "arbitration": {"enabled": True},
}


def at(db: float, seed: int) -> bytes:
    """The voice in the room, so loud, and nobody before and after it."""
    quiet = np.zeros(SAMPLE_RATE)
    whole = np.concatenate((quiet, recording("u05") * 10 ** (db / 20), quiet, quiet[::2]))
    return (whole * 0.7 + np.random.default_rng(seed).normal(0, 15, len(whole))).astype("<i2").tobytes()


@asynccontextmanager
async def three_devices(house: Any, mqtt: str) -> AsyncIterator[tuple[House, dict[str, Board]]]:
    async with house(mqtt=mqtt, devices=DEVICES) as one, AsyncExitStack() as stack:
        boards = {
            SOFA: one.board(SOFA, "serial", speed=1.0),
            SHELF: one.board(SHELF, "mqtt", speed=1.0),
            PAGE: Board(PAGE, WebSocketWire(one.gateway.url), speed=1.0),
        }
        for board in boards.values():
            await stack.enter_async_context(board)
            await board.connected()
        yield one, boards


async def hear(boards: dict[str, Board], levels: dict[str, float]) -> dict[str, int]:
    """All of them hear somebody at once, and go on listening."""
    streams = {name: board.end.start_stream(end_on_silence=True) for name, board in boards.items()}
    await asyncio.gather(
        *(
            boards[name]._record(stream, at(levels[name], seed))
            for seed, (name, stream) in enumerate(streams.items())
        )
    )
    return streams


async def test_the_best_answers_on_whichever_carrier_it_is_and_the_next_when_it_is_pulled_out(
    house: Any, mosquitto: Any
) -> None:
    async with three_devices(house, mosquitto.url) as (one, boards):
        streams = await hear(boards, {SOFA: -6, SHELF: 0, PAGE: -12})
        heard = await one.result()
        assert (heard.device_id, heard.text) == (SHELF, text("u05"))
        await boards[SHELF].told.first(ReplyShown)
        for name in (SOFA, PAGE):
            await is_told(one, name, SHELF)
            told = await boards[name].statuses(streams[name], "listening")
            assert told == ["listening", "transcribing", "listening"]
        async with aiohttp.ClientSession() as http, http.get(f"{one.gateway.url}api/v1/utterances") as answer:
            rows = {row["device_id"]: row for row in (await answer.json())["utterances"]}
        assert {name: row["error"] for name, row in rows.items()}.items() >= {(SHELF, None)}
        assert all(rows[name]["error"].startswith("heard by shelf: ") for name in (SOFA, PAGE))
        for name, stream in streams.items():
            boards[name].end.stop_stream(stream)
            boards[name]._pump()
        await one.idle()

        looks = len(one.events.of(PartialEvent, device_id=SOFA))
        hearing = asyncio.create_task(hear(boards, {SOFA: 0, SHELF: -6, PAGE: -12}))
        await one.events.until(lambda: len(one.events.of(PartialEvent, device_id=SOFA)) > looks)
        boards[SOFA].wire.unplug()
        await one.results.first(TranscriptionMessage, count=2, device_id=SHELF)
        boards[SOFA].wire.replug()
        await is_told(one, SOFA, SHELF, count=2)
        await hearing
        assert [result.device_id for result in one.results.items] == [SHELF, SHELF]
        for name in (SOFA, PAGE):
            assert not boards[name].told.of(ReplyShown)
            assert not boards[name].told.of(TranscriptShown)


async def is_told(one: House, name: str, by: str, count: int = 1) -> None:
    event: ArbitrationEvent = await one.events.first(ArbitrationEvent, count=count, device_id=name)
    assert event.answers == by
    assert {heard.device_id for heard in event.contestants} == {SOFA, SHELF, PAGE}
