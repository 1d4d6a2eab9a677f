"""Devices of one room that hear one voice, at the whole pipeline: who is answered, and what the others are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from firmware_bridge.link.events import NoticeKind
from firmware_bridge.settings import ArbitrationSettings
from firmware_bridge.simulator.user import ReplyShown, TranscriptShown
from gateway.contract.events import ArbitrationEvent, TranscriptionEvent
from gateway.journal import Journal
from gateway.journal.history import Selection
from tests.gateway.pipeline.arbitration.voices import spoken
from tests.gateway.works import Works, open_works, quiet
from tests.record import passes
from tests.system.house import Board
from tests.transcription.wake.spoken import needs_espeak, say
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


async def two_streams(works: Works, quieter: float = -6.0, **options: Any) -> tuple[Board, Board]:
    """One voice at two devices, the second hears it less; both streams are over."""
    sofa, shelf = works.board("sofa"), works.board("shelf")
    async with sofa, shelf:
        for board, stream in (
            await at_once({sofa: spoken(1), shelf: spoken(1, db=quieter)}, **options)
        ).items():
            stops(board, stream)
        await passes(lambda: len(works.results.items) + len(works.events.of(ArbitrationEvent)) == 2)
    return sofa, shelf


@pytest.mark.parametrize(
    "devices",
    [
        {"rooms": {"sofa": ROOM, "shelf": ROOM}},
        {"rooms": {"sofa": ROOM, "shelf": "Kitchen"}, "arbitration": {"enabled": True}},
        {"arbitration": {"enabled": True}},
        {**in_a_room("sofa", "shelf", groups={"shelf": ""})},
        {**in_a_room("sofa", "shelf"), "users": {"shelf": "ben"}},
    ],
    ids=["off", "rooms", "no rooms", "left out", "another user"],
)
async def test_who_is_not_meant_to_hear_the_same_answers_for_itself(devices: dict[str, Any]) -> None:
    async with open_works(devices=devices) as works:
        await two_streams(works)
        assert {result.device_id for result in works.results.items} == {"sofa", "shelf"}
        assert works.pipeline._contests.enter("sofa", pressed=False) is None, "nothing is compared for it"


async def test_a_group_goes_beyond_rooms() -> None:
    groups = {"sofa": "downstairs", "shelf": "downstairs"}
    devices = {
        "rooms": {"sofa": ROOM, "shelf": "Kitchen"},
        "arbitration": {"enabled": True, "groups": groups},
    }
    async with open_works(devices=devices) as works:
        await two_streams(works)
        assert [result.device_id for result in works.results.items] == ["sofa"]


async def test_a_button_that_is_held_answers_and_who_listens_beside_it_is_told() -> None:
    async with (
        open_works(devices=in_a_room("sofa", "shelf")) as works,
        works.board("sofa") as sofa,
        works.board("shelf") as shelf,
    ):
        for board in (sofa, shelf):
            await board.connected()
        streams = {
            sofa: sofa.end.start_stream(end_on_silence=True),
            shelf: shelf.end.start_stream(end_on_silence=False),
        }
        heard = {sofa: spoken(1), shelf: spoken(1, db=-6)}
        for at in range(0, len(heard[sofa]), PIECE):
            for board, stream in streams.items():
                await board._record(stream, heard[board][at : at + PIECE].tobytes())
        told = await works.events.first(ArbitrationEvent, device_id="sofa")
        assert told.reason == "heard by shelf: its button is held"
        assert not works.results.items, "it is held still"
        for board, stream in streams.items():
            stops(board, stream)
        assert (await works.result()).device_id == "shelf"


async def test_it_is_switched_on_and_off_while_streams_go_on() -> None:
    async with (
        open_works(devices={"rooms": {"sofa": ROOM, "shelf": ROOM}}) as works,
        works.board("sofa") as sofa,
        works.board("shelf") as shelf,
    ):
        heard = {sofa: spoken(1), shelf: spoken(1, db=-6)}
        streams = await at_once(heard)
        await works.result(count=2)
        for enabled, answers in ((True, 3), (False, 5)):
            settings = structs.replace(works.config.devices, arbitration=ArbitrationSettings(enabled=enabled))
            works.pipeline.reconfigure(structs.replace(works.config, devices=settings))
            for at in range(0, len(heard[sofa]), PIECE):
                for board, stream in streams.items():
                    await board._record(stream, heard[board][at : at + PIECE].tobytes())
            await works.result(count=answers)
            assert len(works.events.of(ArbitrationEvent)) == 1


async def test_what_is_being_said_while_the_settings_are_read_again_is_answered_once() -> None:
    async with (
        open_works(devices=in_a_room("sofa", "shelf")) as works,
        works.board("sofa") as sofa,
        works.board("shelf") as shelf,
    ):
        heard = {sofa: spoken(1), shelf: spoken(1, db=-6)}
        half = 15 * PIECE
        streams = await at_once({board: samples[:half] for board, samples in heard.items()})
        await passes(lambda: works.pipeline._hearing.in_speech)
        works.pipeline.reconfigure(works.config)
        for at in range(half, len(heard[sofa]), PIECE):
            for board, stream in streams.items():
                await board._record(stream, heard[board][at : at + PIECE].tobytes())
        assert (await works.events.first(ArbitrationEvent)).device_id == "shelf"
        assert (await works.result()).device_id == "sofa"
        assert len(works.results.items) == 1


async def test_devices_that_hear_their_wake_word_themselves_are_compared() -> None:
    async with (
        open_works(devices=in_a_room("sofa", "shelf")) as works,
        works.board("sofa") as sofa,
        works.board("shelf") as shelf,
    ):
        for board in (sofa, shelf):
            await board.connected()
            board.notice(NoticeKind.WAKE_WORD, 97, "hi esp")
        await at_once({sofa: spoken(1), shelf: spoken(1, db=-6)})
        assert (await works.events.first(ArbitrationEvent)).device_id == "shelf"
        assert (await works.result()).device_id == "sofa"


async def test_a_better_one_that_is_gone_is_not_waited_for_and_is_told_when_it_is_back() -> None:
    async with (
        open_works(devices=in_a_room("sofa", "shelf", window_ms=2_000)) as works,
        works.board("sofa") as sofa,
        works.board("shelf") as shelf,
    ):
        whole = spoken(1, db=-6)
        await at_once({sofa: spoken(1)[: int(1.6 * 16_000)], shelf: whole[: int(1.6 * 16_000)]})
        sofa.wire.unplug()
        await passes(lambda: not works.pipeline._hearing.connected("sofa"))
        await shelf._record(1, whole[int(1.6 * 16_000) :].tobytes())
        assert (await works.result()).device_id == "shelf"
        sofa.wire.replug()
        await sofa.connected()
        await sofa._record(1, spoken(1)[int(1.6 * 16_000) :].tobytes())
        told = await works.events.first(ArbitrationEvent, device_id="sofa")
        assert told.reason == "heard by shelf: answered there already"
        assert len(works.results.items) == 1


async def test_without_a_history_and_a_journal_a_device_that_is_told_keeps_nothing() -> None:
    async with (
        open_works(devices=in_a_room("sofa", "shelf"), history={"enabled": False}) as works,
        works.board("sofa") as sofa,
        works.board("shelf") as shelf,
    ):
        for board, stream in (await at_once({sofa: spoken(1), shelf: spoken(1, db=-6)})).items():
            stops(board, stream)
        assert (await works.result()).device_id == "sofa"
        await works.events.first(ArbitrationEvent, device_id="shelf")
        await passes(lambda: shelf.end._ring.oldest == shelf.end._ring.next)


@needs_espeak
async def test_where_a_wake_word_is_wanted_one_of_those_that_woke_answers() -> None:
    wake = {"wake": {"rooms": {ROOM: ["okay_nabu"]}}}
    word = np.frombuffer(quiet(1.2) + say("okay nabu").tobytes() + quiet(0.4), np.int16)
    async with (
        open_works(devices={**in_a_room("sofa", "shelf"), **wake}) as works,
        works.board("sofa") as sofa,
        works.board("shelf") as shelf,
    ):
        said = np.concatenate((word, spoken(1, before=0.1)))
        streams = await at_once({shelf: (said * 0.6).astype(np.int16), sofa: said})
        told = await works.events.first(ArbitrationEvent, device_id="shelf")
        assert told.answers == "sofa"
        assert (await works.result()).device_id == "sofa"
        assert await shelf.statuses(streams[shelf], "idle") == ["idle", "listening", "transcribing", "idle"]
        assert len(works.results.items) == 1
