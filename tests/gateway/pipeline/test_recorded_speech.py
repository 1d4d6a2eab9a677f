"""A gateway that dies over a recording: what was told to be safe is said, answered and shown by the next one, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.access.principals import LOCAL
from gateway.contract.messages import WantedHints
from gateway.orchestrators.heard import Heard
from gateway.pipeline.asking.typed_text import Speaker
from gateway.pipeline.recorded_speech import SaidRecording
from tests.gateway.pipeline.mortal import NEVER, House, until_idle
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.transcription.recordings import wav

KITCHEN = Speaker("kitchen", LOCAL.owner)
RECORDING = wav(loud(1) + quiet(1) + loud(2) + quiet(1))
USERS = {"users": {"kitchen": "ann"}}


async def body(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def put(works: Works, data: bytes = RECORDING) -> SaidRecording:
    await works.ready()
    settings = works.config.transcription
    with works.pipeline.transcribing.place(KITCHEN.owner) as place:
        return await works.pipeline.recorded.put(place, body(data), KITCHEN, settings, WantedHints())


async def test_what_was_not_transcribed_the_next_one_says(tmp_path: Path) -> None:
    engine, journal = Engine(), tmp_path / "journal.db"
    engine.go.clear()
    async with open_works(engine, journal=journal, devices=USERS) as works:
        said = await put(works)
        works.hush()
        engine.go.set()
    async with open_works(journal=journal, devices=USERS) as works:
        for number, one in enumerate(said.utterances, 1):
            heard = await works.result(number)
            assert heard.correlation_id == one.witness.name.correlation_id
            assert (heard.device_id, heard.user_id, heard.session_id) == ("kitchen", "ann", said.session_id)
            await works.reply(heard, "yes")
        await works.idle()


async def _lives_and_dies(house: House, at: int) -> tuple[list[str], SaidRecording]:
    """What a gateway did that dies at that deed, and what the next one, or it, took on."""
    kitchen = await house.board()

    async def over(works: Works, said: SaidRecording) -> None:
        for one in said.utterances:
            name = one.witness.name.correlation_id
            await kitchen.told.first(ReplyShown, correlation_id=name, final=True)
        await until_idle(works)

    async def life(works: Works) -> None:
        accepted.set_result(said := await put(works))
        await over(works, said)

    accepted: asyncio.Future[SaidRecording] = asyncio.get_running_loop().create_future()
    async with house.gateway(at) as (works, fuse):
        await kitchen.connected()
        living, dead = asyncio.create_task(life(works)), asyncio.create_task(fuse.dead.wait())
        await asyncio.wait({living, dead}, return_when=asyncio.FIRST_COMPLETED)
        died, deeds = fuse.dead.is_set(), list(fuse.deeds)
        living.cancel()
        dead.cancel()
        await asyncio.gather(living, dead, return_exceptions=True)
    if died:
        async with house.gateway() as (works, _fuse):
            await kitchen.connected()
            if not accepted.done():  # who was told nothing sends it again
                accepted.set_result(await put(works))
            await over(works, accepted.result())
    return deeds, accepted.result()


async def _once(folder: Path, at: int) -> list[str]:
    """Each utterance is answered once, on a gateway that dies at that deed; what it did."""
    await asyncio.to_thread(folder.mkdir)

    async def answer(heard: Heard) -> str:
        return f"you said {heard.text}"

    async with House(folder, "memory://") as house:
        house.settings = {"devices": USERS}
        house.inside.append(house.agent("a", answer))
        deeds, said = await _lives_and_dies(house, at)
        told = f"dead before {deeds[-1]!r}, the {at}th of {deeds}"
        (kitchen,) = house.boards
        assert len(said.utterances) == 2, told
        for one in said.utterances:
            name = one.witness.name.correlation_id
            (shown,) = kitchen.told.of(ReplyShown, correlation_id=name, final=True)
            assert shown.text.startswith("you said "), told
        letters, _, dead = await house.left()
        assert (letters, dead) == ([], []), told
    return deeds


@pytest.mark.slow
async def test_each_is_answered_once_whatever_the_gateway_dies_before(tmp_path: Path) -> None:
    deeds = await _once(tmp_path / "lives", NEVER)
    kinds = dict.fromkeys(deeds)
    assert "commit Heard" in kinds
    for kind in kinds:
        await _once(tmp_path / f"death{deeds.index(kind)}", deeds.index(kind) + 1)
