"""Answers that grow on a device: on its link and the next, beside others, over a restart, and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.link.fleet import RESUME_SECONDS
from firmware_bridge.link.frames import Reply
from firmware_bridge.simulator.user import Linked, ReplyShown, TranscriptShown
from gateway.broker.backends.memory import MemoryBroker
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import TranscriptionMessage
from gateway.pipeline.erasing import Whose
from gateway.pipeline.telling.live_replies import MAX_GROWING
from tests.gateway.works import Engine, Works, loud, open_works
from tests.record import passes
from tests.system.house import Board

FALLBACK = "Sorry, nobody answered."


class Screen(Board):
    """A board that wants pieces, and notes the REPLY frames that it shows."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.frames: list[Reply] = []
        super().__init__(*args, **{"wants_pieces": True, **options})

    def _show_reply(self, conversation: Any, part: Reply, now: float) -> None:
        self.frames.append(part)
        super()._show_reply(conversation, part, now)

    @property
    def shown(self) -> list[str]:
        return [report.text for report in self.told.of(ReplyShown)]

    async def shows(self, text: str) -> None:
        """Wait until it does."""
        await self.told.until(lambda: self.shown[-1:] == [text])


def screen(works: Works, name: str = "kitchen", **options: Any) -> Screen:
    board = works.board(name, **options)
    return Screen(name, board.wire, **{"speed": float("inf"), **options})


async def asked(works: Works, board: Board, count: int = 1) -> tuple[asyncio.Task[Any], TranscriptionMessage]:
    """Something that is said and waits for its answer; the device has nothing more to say."""
    saying = asyncio.create_task(board.say(loud(1)))
    heard = await works.result(count)
    await passes(lambda: board.end._ring.oldest == board.end._ring.next)
    return saying, heard


async def test_an_answer_grows_and_its_end_is_what_is_missing() -> None:
    async with open_works() as works, screen(works) as kitchen:
        saying, heard = await asked(works, kitchen)
        await works.reply(heard, "It ", final=False)
        await kitchen.shows("It ")
        await works.reply(heard, "is noon", final=False)
        await kitchen.shows("It is noon")
        assert not saying.done()
        await works.reply(heard, "It is noon.")
        assert (await saying).reply == "It is noon."
        assert [(frame.text, frame.whole, frame.final) for frame in kitchen.frames] == [
            ("It ", True, False),
            ("is noon", False, False),
            (".", False, True),
        ]
        await works.idle()
        assert len(works.pipeline._announce.live) == 0


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({"text": ""}, ("", False, False)),
        ({"text": "No: it is one."}, ("No: it is one.", True, False)),
        ({"text": "", "error": "it broke off"}, ("", False, True)),
        ({"text": "Sorry.", "error": "it broke off"}, ("Sorry.", True, True)),
    ],
    ids=["nothing is missing", "another text", "it broke off", "it broke off, with another text"],
)
async def test_the_end_takes_the_place_of_pieces_only_where_it_is_not_what_they_began(
    end: dict[str, Any], told: tuple[str, bool, bool]
) -> None:
    async with open_works() as works, screen(works) as kitchen:
        saying, heard = await asked(works, kitchen)
        await works.reply(heard, "It is noon.", final=False)
        await kitchen.shows("It is noon.")
        await works.reply(heard, **end)
        said = await saying
        assert said.reply == (end["text"] or "It is noon.")
        last = kitchen.frames[-1]
        assert (last.text, last.whole, last.error) == told


async def test_who_wants_no_pieces_is_told_the_whole_in_frames_as_ever() -> None:
    async with open_works() as works, screen(works, wants_pieces=False) as kitchen:
        saying, heard = await asked(works, kitchen)
        for word in ("It ", "is ", "noon."):
            await works.reply(heard, word, final=False)
        await works.reply(heard, "")
        assert (await saying).reply == "It is noon."
        assert [frame._flags() for frame in kitchen.frames] == [2]


async def test_a_first_answer_gives_way_to_the_pieces_of_the_better_one() -> None:
    async with open_works() as works, screen(works) as kitchen:
        saying, heard = await asked(works, kitchen)
        name = works.pipeline.asked(heard.correlation_id)
        assert name is not None
        live = works.pipeline._announce.live
        assert live.interim(name, "One moment.")
        await kitchen.shows("One moment.")
        await works.reply(heard, "It is", final=False)
        await kitchen.shows("It is")
        assert live.interim(name, "Still at it.")
        await works.reply(heard, "It is noon.")
        assert (await saying).reply == "It is noon."
        assert kitchen.shown[-2:] == ["Still at it.", "It is noon."]


async def test_nobody_answers_to_the_end_so_the_fallback_takes_the_place_of_what_was_begun() -> None:
    settings = {"timeout_seconds": 0.3, "fallback_text": FALLBACK}
    async with open_works(orchestrator=settings) as works, screen(works) as kitchen:
        saying, heard = await asked(works, kitchen)
        await works.reply(heard, "It is", final=False)
        await kitchen.shows("It is")
        said = await saying
        assert (said.reply, said.fallback) == (FALLBACK, True)


async def test_what_is_erased_disappears_from_the_device() -> None:
    settings = {"fallback_text": FALLBACK}
    async with open_works(orchestrator=settings) as works, screen(works) as kitchen:
        saying, heard = await asked(works, kitchen)
        await works.reply(heard, "The safe is", final=False)
        await kitchen.shows("The safe is")
        await works.pipeline.erasing.erase(Whose(correlation_id=heard.correlation_id))
        assert (await saying).reply == FALLBACK
        assert len(works.pipeline._announce.live) == 0


async def test_pieces_go_on_where_the_link_is_resumed() -> None:
    async with open_works() as works, screen(works) as kitchen:
        saying, heard = await asked(works, kitchen)
        await works.reply(heard, "It ", final=False)
        await kitchen.shows("It ")
        kitchen.unplug()
        await passes(lambda: not works.bridge.devices()[0].connected)
        await works.reply(heard, "is ", final=False)
        await works.reply(heard, "noon", final=False)
        await passes(lambda: works.pipeline._announce.live._live[heard.correlation_id].text == "It is noon")
        kitchen.replug()
        await kitchen.shows("It is noon")
        await works.reply(heard, "It is noon.")
        assert (await saying).reply == "It is noon."
        assert not any(frame.whole for frame in kitchen.frames[1:])


async def put_off(works: Works, kitchen: Screen) -> None:
    """As a gateway does that had no room: the link ends, the device begins the next."""
    works.bridge.renew("kitchen", kitchen.end.boot)


async def long_away(works: Works, kitchen: Screen) -> None:
    """Nobody waits for it any longer; then it is there, with the same boot."""
    kitchen.unplug()
    await passes(lambda: not works.bridge.devices()[0].connected)
    works.bridge._fleet.tick(asyncio.get_running_loop().time() + RESUME_SECONDS + 1)
    assert not works.bridge.devices()
    kitchen.replug()


@pytest.mark.parametrize("another_link", [put_off, long_away])
async def test_on_another_link_an_answer_is_told_from_its_beginning(
    another_link: Callable[[Works, Screen], Awaitable[None]],
) -> None:
    async with open_works() as works, screen(works) as kitchen:
        saying, heard = await asked(works, kitchen)
        await works.reply(heard, "It ", final=False)
        await kitchen.shows("It ")
        before = works.bridge._fleet.end("kitchen", kitchen.end.boot)
        await another_link(works, kitchen)
        await kitchen.told.until(lambda: len(kitchen.told.of(Linked)) == 2)
        assert works.bridge._fleet.end("kitchen", kitchen.end.boot) is not before
        await works.reply(heard, "is ", final=False)
        await kitchen.shows("It is ")
        assert kitchen.frames[-1].whole
        await works.reply(heard, "It is noon.")
        assert (await saying).reply == "It is noon."
        assert all("It is noon.".startswith(text) for text in kitchen.shown)


@pytest.mark.parametrize("wants_pieces", [False, True])
async def test_what_was_lost_with_its_link_is_told_again(*, wants_pieces: bool) -> None:
    """It was sent to a device that was away for too long, and came back with the same boot."""
    async with open_works() as works, screen(works, wants_pieces=wants_pieces) as kitchen:
        saying, heard = await asked(works, kitchen)
        kitchen.unplug()
        await passes(lambda: not works.bridge.devices()[0].connected)
        await works.reply(heard, "It is noon.")
        await passes(lambda: works.pipeline.stats().undelivered == 1)
        await works.pipeline.announcements.announce("kitchen", "home", "Dinner!", "cook", 60)
        await long_away(works, kitchen)
        await passes(lambda: kitchen.shown == ["It is noon.", "Dinner!"])
        assert len(kitchen.told.of(TranscriptShown)) == 1
        assert (await saying).reply == "It is noon."
        await works.idle()
        await passes(lambda: not len(works.pipeline.announcements))


async def test_a_transcript_that_was_lost_with_its_link_is_told_again() -> None:
    engine = Engine()
    engine.go.clear()
    async with open_works(engine) as works, screen(works) as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        await engine.working()
        kitchen.unplug()
        await passes(lambda: not works.bridge.devices()[0].connected)
        engine.go.set()
        heard = await works.result()
        await long_away(works, kitchen)
        await kitchen.told.first(TranscriptShown, correlation_id=heard.correlation_id)
        await works.reply(heard, "It is noon.")
        assert (await saying).transcript == "16000"


async def test_so_many_grow_at_a_time_and_the_others_come_whole() -> None:
    async with open_works() as works, screen(works) as kitchen:
        saying, heard = [], []
        for count in range(1, MAX_GROWING + 3):
            one, result = await asked(works, kitchen, count)
            saying.append(one)
            heard.append(result)
        for result in heard:
            await works.reply(result, f"{result.utterance_id} ", final=False)
        for result in heard:
            await works.reply(result, "", final=True)
        for one, result in zip(saying, heard, strict=True):
            assert (await one).reply == f"{result.utterance_id} "
        grew = {frame.correlation_id for frame in kitchen.frames if not frame.final}
        assert grew == {result.correlation_id for result in heard[:MAX_GROWING]}


@pytest.mark.slow
async def test_ten_thousand_pieces_are_few_frames_for_a_device_that_takes_two() -> None:
    async with open_works() as works, screen(works, credit=2) as kitchen:
        saying, heard = await asked(works, kitchen)
        words = [f"{number} " for number in range(10_000)]
        for word in words:
            await works.reply(heard, word, final=False)
        await works.reply(heard, "")
        assert (await saying).reply == "".join(words)
        assert all("".join(words).startswith(text) for text in kitchen.shown)
        assert len(kitchen.shown) > 1
        assert len(kitchen.frames) < 500


async def test_a_gateway_that_is_restarted_in_the_middle_goes_on(tmp_path: Path) -> None:
    """The broker and the orchestrator outlive it; what it had told is told with what comes next."""
    broker = MemoryBroker(GatewayConfig().broker)
    async with open_works(journal=tmp_path / "journal.db", beside=broker) as first, screen(first) as kitchen:
        _, heard = await asked(first, kitchen)
        await first.reply(heard, "It is ", final=False)
        await kitchen.shows("It is ")
        await first.settled()
        await passes(lambda: not first.pipeline._answers._pieces._count)
        boot, before = kitchen.end.boot, kitchen.frames
        kitchen.unplug()
        first.hush()
    async with open_works(journal=tmp_path / "journal.db", beside=broker) as second:
        await second.reply(heard, "noo", final=False)
        async with screen(second, boot=boot) as kitchen:
            await passes(lambda: second.pipeline.stats().asked == 1)
            await second.reply(heard, "n", final=False)
            await kitchen.shows("It is noon")
            assert kitchen.frames[0].whole
            await second.reply(heard, "It is noon.")
            await kitchen.shows("It is noon.")
            assert all("It is noon.".startswith(text) for text in kitchen.shown)
            await second.idle()
    assert [frame.text for frame in before] == ["It is "]
    await broker.close(0.1)
