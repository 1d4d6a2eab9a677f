"""A device that goes from one living gateway to another: the works twice, on one broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import FaultShown, ReplyShown, TranscriptShown
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerUnavailable
from gateway.contract.events import DeviceEvent
from gateway.contract.messages import TranscriptionMessage
from gateway.house.row import moves as row_moves
from gateway.house.row.moves import DeviceMoves
from gateway.pipeline.moving import Having
from gateway.pipeline.sessions.names import SpeechPlace
from gateway.process.mishaps import Mishaps
from tests.gateway.works import Air, Works, loud, open_works, quiet
from tests.system.house import Board, passes, running

HALL, ATTIC = "hall", "attic"


class Row:
    """Gateways of one house, by their names."""

    def __init__(self) -> None:
        self.works: dict[str, Works] = {}
        self.moves: dict[str, DeviceMoves] = {}

    def move(self, board: Board, gateway: str) -> None:
        """From now on this board finds that gateway only."""
        assert isinstance(board.wire, Air)
        board.wire.unplug()
        board.wire.leads_to(self.works[gateway].carrier)

    async def comes_to(self, board: Board, gateway: str) -> None:
        self.move(board, gateway)
        await passes(lambda: not board._linked.is_set())
        board.wire.replug()
        await board.connected()


@asynccontextmanager
async def open_row(folder: Path, *names: str, **options: Any) -> AsyncIterator[Row]:
    row, broker = Row(), MemoryBroker()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(broker.close, 0.1)
        for name in names:
            await stack.enter_async_context(in_row(row, broker, folder, name, **options))
        yield row


@asynccontextmanager
async def in_row(
    row: Row, broker: MemoryBroker, folder: Path, name: str, *, journal: bool = True, **parts: Any
) -> AsyncIterator[Works]:
    """One gateway of it; again, on the journal that it had."""
    moves = DeviceMoves(broker, name, lambda: set(row.works) - {name}, Mishaps())
    (folder / name).mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        row.works[name] = works = await stack.enter_async_context(
            open_works(
                beside=broker,
                journal=folder / name / "journal.db" if journal else None,
                elsewhere=moves,
                whose=moves.left_speech.whose,
                on_made=lambda works: moves.connect(works.bridge, works.pipeline.moving),
                broker={"client_id": name},
                **parts,
            )
        )
        row.moves[name] = moves
        stack.enter_context(running(moves.run()))
        await works.ready()
        yield works


async def test_what_was_heard_at_one_is_not_heard_again_at_the_other(tmp_path: Path) -> None:
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall, attic = row.works[HALL], row.works[ATTIC]
        async with hall.board() as board:
            await board.connected()
            stream = board.end.start_stream(end_on_silence=True)
            await board._record(stream, loud(0.5) + quiet(2))
            first = await hall.result()
            await board._record(stream, loud(0.3))
            await passes(lambda: hall.pipeline._hearing.in_speech)
            await row.comes_to(board, ATTIC)
            await board._record(stream, loud(0.4) + quiet(2))
            board.end.stop_stream(stream)
            board._pump()
            second = await attic.result(2)
        assert second.session_id == first.session_id, "it goes on"
        assert [one.correlation_id for one in attic.results.items] == [
            first.correlation_id,
            second.correlation_id,
        ]
        assert 0.7 * 16_000 <= int(second.text) < 1.4 * 16_000, "all of it, and nothing of the first"
        assert second.audio.gaps == 0
        await hall.events.first(DeviceEvent, state="disconnected", reason=f"it is at gateway {ATTIC} now")
        assert not hall.pipeline.roster.knows("kitchen"), "nobody misses it there"
        assert (row.moves[HALL].moved_out, row.moves[ATTIC].moved_in) == (1, 1)


async def test_an_answer_finds_its_device_where_it_is(tmp_path: Path) -> None:
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall, attic = row.works[HALL], row.works[ATTIC]
        async with hall.board() as board:
            await board.say(loud(1), patience=0)
            heard = await hall.result()
            await row.comes_to(board, ATTIC)
            await hall.reply(heard, "here you are")
            shown = await board.told.first(ReplyShown, correlation_id=heard.correlation_id)
            assert (shown.text, shown.final) == ("here you are", True)
            await hall.idle()
            await attic.idle()
            assert len(board.told.of(TranscriptShown, correlation_id=heard.correlation_id)) == 1
            assert len(board.told.of(ReplyShown)) == 1


async def test_an_answer_that_waits_goes_with_its_device_and_comes_back_with_it(tmp_path: Path) -> None:
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall, attic = row.works[HALL], row.works[ATTIC]
        async with hall.board() as board:
            await board.say(loud(1), patience=0)
            heard = await hall.result()
            row.move(board, ATTIC)
            await passes(lambda: not hall.carrier.owners)
            await hall.reply(heard, "for you")
            await passes(lambda: hall.pipeline.stats().undelivered == 1)
            await hall.pipeline.announcements.announce("kitchen", "home", "dinner", "cook", 60)
            board.wire.replug()
            await board.told.first(ReplyShown, text="for you")
            await board.told.first(ReplyShown, text="dinner")
            await hall.idle()
            await attic.idle()
            await row.comes_to(board, HALL)
            await board.say(loud(1), patience=0)
            assert (await hall.result(2)).session_id != heard.session_id
        assert (row.moves[HALL].moved_out, row.moves[ATTIC].moved_out) == (1, 1)


async def test_a_gateway_that_does_not_answer_holds_no_device_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_moves, "DOOR_SECONDS", 0.05)
    async with open_row(tmp_path, HALL, ATTIC) as row:
        attic = row.works[ATTIC]
        row.moves[ATTIC]._others = lambda: {"cellar", HALL}
        async with attic.board() as board:
            await board.say(loud(1), patience=0)
            await attic.result()


async def test_of_two_devices_with_one_id_the_one_that_speaks_stays(tmp_path: Path) -> None:
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall, attic = row.works[HALL], row.works[ATTIC]
        async with hall.board(boot=1) as first:
            await first.connected()
            async with attic.board(boot=2) as second:
                fault = await second.told.first(FaultShown)
            assert HALL in fault.message
            assert first._linked.is_set()


async def test_who_said_hello_before_takes_nothing_away(tmp_path: Path) -> None:
    """What a gateway tells of a HELLO that is older than the one here, by the device's own clock, came late."""
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall = row.works[HALL]
        async with hall.board(boot=7) as board:
            await board.connected()
            await passes(lambda: hall.bridge.greeted_at("kitchen", 7) is not None)
            at = hall.bridge.greeted_at("kitchen", 7)
            assert at is not None
            early = row_moves.DeviceHere(
                gateway=ATTIC, device_id="kitchen", boot=7, greeted_at=(at - 1) % 2**32, ask="ask_1"
            )
            await row.moves[HALL]._hand_over(early)
            assert board._linked.is_set()
            assert hall.bridge.devices()[0].connected


@pytest.mark.parametrize("reply_first", [True, False])
async def test_who_does_not_know_where_a_device_has_gone_asks_for_it(
    tmp_path: Path, *, reply_first: bool
) -> None:
    """A gateway that was restarted, and was not subscribed yet when it was told."""
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall, attic = row.works[HALL], row.works[ATTIC]
        async with hall.board() as board:
            await board.say(loud(1), patience=0)
            heard = await hall.result()
            await row.comes_to(board, ATTIC)
            await passes(lambda: row.moves[HALL].moved_out == 1)
            row.moves[HALL]._gone.clear()
            if reply_first:
                row.moves[HALL]._others = set
            await hall.reply(heard, "for you")
            await passes(lambda: hall.pipeline.stats().undelivered == 1)
            row.moves[HALL]._others = lambda: {ATTIC}
            await board.told.first(ReplyShown, text="for you", correlation_id=heard.correlation_id)
            await hall.idle()
            await attic.idle()
        assert row.moves[HALL]._sought == {}


async def test_a_device_that_nobody_has_is_asked_for_ever_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall, moves = row.works[HALL], row.moves[HALL]
        async with hall.board() as board:
            await board.say(loud(1), patience=0)
            heard = await hall.result()
            board.wire.unplug()
            await passes(lambda: not hall.carrier.owners)
            await hall.reply(heard, "for you")
            await passes(lambda: moves._moving.owed_devices() == {"kitchen"})
            clock = [1_000.0]
            monkeypatch.setattr(row_moves.time, "monotonic", lambda: clock[0])
            moves._sought.clear()
            pauses = []
            for _ in range(10):
                await moves._seek()
                seeking = moves._sought["kitchen"]
                pauses.append(seeking.at - clock[0])
                clock[0] = seeking.at
            assert pauses[:3] == [2.0, 4.0, 8.0]
            assert pauses[-1] == row_moves.LONGEST_SEEK_SECONDS
            monkeypatch.undo()
            board.wire.replug()
            await board.told.first(ReplyShown, text="for you")


@pytest.mark.parametrize("journal", [True, False])
async def test_what_was_said_to_its_end_is_answered_where_it_was_said(
    tmp_path: Path, *, journal: bool
) -> None:
    """Its text comes only after the device has gone."""
    async with open_row(tmp_path, HALL, ATTIC, journal=journal) as row:
        hall, attic = row.works[HALL], row.works[ATTIC]
        hall.engine.go.clear()
        async with hall.board() as board:
            stream = board.end.start_stream(end_on_silence=True)
            await board._record(stream, loud(1) + quiet(2))
            await hall.engine.working()
            await hall.settled()
            await row.comes_to(board, ATTIC)
            hall.engine.go.set()
            for number in range(1 if journal else 2):  # what no journal knows of is heard again at the other
                await passes(lambda number=number: len(attic.results.items) > number)
                heard = attic.results.items[number]
                await hall.reply(heard, "done")
                await board.told.first(ReplyShown, text="done", correlation_id=heard.correlation_id)
            await hall.idle()
            assert len(attic.results.items) == (1 if journal else 2)


async def test_a_broker_that_is_away_is_no_mishap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall, moves = row.works[HALL], row.moves[HALL]
        async with hall.board() as board:
            await board.connected()

            async def away(*_: object, **__: object) -> None:
                raise BrokerUnavailable("the connection was lost")

            monkeypatch.setattr(moves._broker, "publish", away)
            moves._tell_where(ATTIC, {"kitchen"})
            await passes(lambda: not moves._tasks)
            assert not moves._mishaps.counts
            monkeypatch.undo()


# -- a gateway that died


@asynccontextmanager
async def dies_over(
    row: Row, broker: MemoryBroker, folder: Path, board: Board, sound: bytes
) -> AsyncIterator[Works]:
    """A gateway that has speech in its journal, and ends before the board knows it or there is a text."""
    async with in_row(row, broker, folder, HALL, subscribed=False) as hall:
        hall.engine.go.clear()
        hall.bridge.settle = lambda *_: None  # type: ignore[method-assign]  # what it told last was lost on its way
        row.move(board, HALL)
        board.wire.replug()  # type: ignore[attr-defined]
        await board.connected()
        await board.say(sound, patience=0)
        await hall.engine.working()
        await hall.settled()
        hall.hush()
        hall.engine.go.set()
        yield hall
    del row.works[HALL]


async def test_what_another_has_heard_since_a_gateway_died_is_not_said_twice(tmp_path: Path) -> None:
    broker, row = MemoryBroker(), Row()
    async with in_row(row, broker, tmp_path, ATTIC) as attic, attic.board() as board:
        board.wire.unplug()  # type: ignore[attr-defined]
        async with dies_over(row, broker, tmp_path, board, loud(1)):
            pass
        await row.comes_to(board, ATTIC)
        heard = await attic.result()
        assert int(heard.text) >= 16_000, "the board had kept it, and nobody else has said it"
        async with in_row(row, broker, tmp_path, HALL, subscribed=False) as hall:
            await passes(lambda: not hall.pipeline.stats().turns)
            await hall.settled()
            assert not [one async for one in hall.journal.utterances()], "it is another's now"
        assert len(attic.results.of(TranscriptionMessage)) == 1
    await broker.close(0.1)


async def test_what_nobody_else_has_heard_is_transcribed_when_its_gateway_is_back(tmp_path: Path) -> None:
    broker, row = MemoryBroker(), Row()
    async with in_row(row, broker, tmp_path, ATTIC) as attic, attic.board() as board:
        board.wire.unplug()  # type: ignore[attr-defined]
        async with dies_over(row, broker, tmp_path, board, loud(1)):
            pass
        async with in_row(row, broker, tmp_path, HALL, subscribed=False):
            heard = await attic.result()
        assert int(heard.text) >= 16_000
    await broker.close(0.1)


async def test_what_a_gateway_has_of_a_stream_is_known_to_the_sample(tmp_path: Path) -> None:
    async with open_row(tmp_path, HALL) as row:
        hall = row.works[HALL]
        async with hall.board() as board:
            await board.connected()
            stream = board.end.start_stream(end_on_silence=True)
            await board._record(stream, loud(1) + quiet(2))
            said = await hall.result()
            await hall.settled()
            (known, *_), _ = await hall.journal.of_device("kitchen", board.end.boot)
            place = SpeechPlace("kitchen", known.boot, known.stream, 0, 16_000)
            has = hall.pipeline.moving.has
            assert int(said.text) <= known.heard_to
            assert await has(place) is Having.WHOLE
            assert await has(place._replace(end=known.heard_to + 16_000)) is Having.COMING, "it is at it"
            assert await has(place._replace(stream=known.stream + 1)) is Having.NOT
            assert await has(place._replace(boot=known.boot ^ 1)) is Having.NOT
            board.end.stop_stream(stream)
            board._pump()
            await passes(lambda: not hall.pipeline.stats().streams)
            assert await has(place._replace(end=known.heard_to + 16_000)) is Having.NOT, "no more will come"


async def test_what_was_heard_at_the_gateway_before_is_not_claimed(tmp_path: Path) -> None:
    async with open_row(tmp_path, HALL, ATTIC) as row:
        hall, attic = row.works[HALL], row.works[ATTIC]
        async with hall.board() as board:
            await board.connected()
            stream = board.end.start_stream(end_on_silence=True)
            await board._record(stream, loud(1) + quiet(2))
            await hall.result()
            await row.comes_to(board, ATTIC)
            await board._record(stream, loud(1) + quiet(2))
            await attic.result(2)
            await attic.settled()
            (known, *_), _ = await attic.journal.of_device("kitchen", board.end.boot)
            assert known.heard_from > 16_000, "what is before is safe there, not here"
            place = SpeechPlace("kitchen", known.boot, known.stream, 0, 16_000)
            assert await attic.pipeline.moving.has(place) is Having.NOT
            assert await attic.pipeline.moving.has(
                place._replace(start=known.heard_from, end=known.heard_to)
            ) is (Having.WHOLE)
