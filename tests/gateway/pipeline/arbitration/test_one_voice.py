"""Devices of one room that hear one voice, at the whole pipeline: who is answered, and what the others are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.contract.events import ArbitrationEvent, TranscriptionEvent
from gateway.journal import Journal
from gateway.journal.history import Selection
from tests.gateway.pipeline.arbitration.voices import spoken
from tests.gateway.works import open_works
from tests.system.house import Board
from transcription.audio import Samples

ROOM = "Living room"
PIECE = 1_600
NAMES = ("sofa", "shelf", "door")


def in_a_room(*names: str, **arbitration: Any) -> dict[str, Any]:
    return {"rooms": dict.fromkeys(names or NAMES, ROOM), "arbitration": {"enabled": True, **arbitration}}


async def at_once(heard: dict[Board, Samples], *, end_on_silence: bool = True) -> dict[Board, int]:
    """All of it is sent, a tenth of a second of each after the other; the streams go on."""
    for board in heard:
        await board.connected()
    streams = {board: board.end.start_stream(end_on_silence=end_on_silence) for board in heard}
    for at in range(0, max(map(len, heard.values())), PIECE):
        for board, samples in heard.items():
            await board._record(streams[board], samples[at : at + PIECE].tobytes())
    return streams


def stops(board: Board, stream: int) -> None:
    board.end.stop_stream(stream)
    board._pump()


async def test_one_voice_at_three_devices_is_answered_once_where_it_is_loudest(tmp_path: Path) -> None:
    async with (
        open_works(devices=in_a_room(), journal=tmp_path / "journal.db") as works,
        works.board("sofa") as sofa,
        works.board("shelf") as shelf,
        works.board("door") as door,
    ):
        number = await at_once({shelf: spoken(1, db=-6), door: spoken(1, db=-9), sofa: spoken(1)})
        heard = await works.result()
        assert heard.device_id == "sofa"
        await works.reply(heard, "done")
        told = [await works.events.first(ArbitrationEvent, device_id=name) for name in ("shelf", "door")]
        for event, louder in zip(told, (6, 9), strict=True):
            assert event.answers == "sofa"
            assert event.reason == f"heard by sofa: {louder} dB clearer there"
            assert [one.device_id for one in event.contestants][:2] == ["sofa", event.device_id]
            assert event.contestants[0].snr_db - event.contestants[1].snr_db == pytest.approx(louder, abs=0.8)
            assert event.likeness > 0.9
        assert await shelf.statuses(number[shelf], "listening") == ["listening", "transcribing", "listening"]
        await sofa.told.first(ReplyShown)
        for board in number:
            stops(board, number[board])
        await works.idle()
        assert [one.device_id for one in works.results.items] == ["sofa"]
        assert len(works.engine.lengths) == 1, "the others are not even transcribed"
        assert not shelf.told.of(ReplyShown)
        assert not shelf.told.of(TranscriptShown)
        assert [one.device_id for one in works.events.of(TranscriptionEvent)] == ["sofa"]
        await works.settled()
        assert isinstance(works.journal, Journal)
        rows = {row.device_id: row for row in await works.journal.history.page(Selection(), 9)}
        assert (rows["sofa"].error, rows["door"].error) == (None, told[1].reason)
        assert not [row async for row in works.journal.utterances()]
