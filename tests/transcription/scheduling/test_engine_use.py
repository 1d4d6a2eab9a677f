"""Several who have the engine at the same time, and one who has it alone."""

from __future__ import annotations

import asyncio

from transcription.scheduling.engine_use import EngineUse


async def turns_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_wants_it_alone_waits_for_all_and_lets_nobody_in() -> None:
    use, story = EngineUse(), list[str]()

    async def change() -> None:
        async with use.alone():
            story.append("alone")

    async def come_in() -> None:
        async with use.door:
            story.append("came in")

    for _ in range(2):
        async with use.door:
            use.begin()
    changing = asyncio.create_task(change())
    await turns_of_the_loop()
    late = asyncio.create_task(come_in())
    use.end()
    await turns_of_the_loop()
    assert story == []
    use.end()
    await asyncio.gather(changing, late)
    assert story == ["alone", "came in"]


async def test_nobody_there_is_nobody_to_wait_for() -> None:
    use = EngineUse()
    async with asyncio.timeout(5), use.alone():
        assert use.door.locked()
    assert not use.door.locked()
