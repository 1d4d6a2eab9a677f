"""A device is never left without a word, where whoever reads the transcripts may answer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import CANNOT_TELL, BrokerStatus, BrokerUnavailable, RoutingKey
from gateway.broker.opening import open_broker
from gateway.contract.agents import (
    ABSENT_SECONDS,
    PRESENCE_TOPIC,
    REQUESTS_TOPIC,
    AgentPresence,
    decode_request,
)
from gateway.contract.events import StatusEvent
from gateway.contract.messages import RESULTS_TOPIC, encode
from gateway.orchestrators.sdk import Orchestrator
from gateway.pipeline.asking import somebody
from gateway.pipeline.asking.silence import Silence
from gateway.pipeline.asking.somebody import Somebody
from gateway.pipeline.telling.fallback_texts import TEXTS, Apology
from gateway.settings.broker import BrokerSettings
from tests.gateway.works import Works, loud, open_works
from tests.record import passes
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import Nats
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.system.house import running

pytestmark = pytest.mark.slow

NOBODY = TEXTS["en"][Apology.NOBODY]
QUICKLY = 5.0
"""Seconds within which a device has to be told that nobody is there."""
ALL = ["redis", "nats", "mosquitto", pytest.param("rabbitmq", marks=pytest.mark.xdist_group("rabbitmq"))]
PARROT = """
import sys
from gateway.orchestrators.sdk import Orchestrator
import asyncio
parrot = Orchestrator("parrot")
@parrot.on_transcript
async def answer(heard):
    print("asked", flush=True)
    await asyncio.sleep(3600)
parrot.run_forever(sys.argv[1])
"""


@pytest.fixture
def url(request: pytest.FixtureRequest, server: str) -> str:
    found: Redis | Nats | RabbitMQ | Mosquitto = request.getfixturevalue(server)
    return found.url


@asynccontextmanager
async def works_over(url: str, folder: Path, **parts: Any) -> AsyncIterator[Works]:
    """Nobody but the works is at the broker."""
    broker = {"url": url, "client_id": folder.name.replace(".", "")[-40:]}
    beside = open_broker(url, BrokerSettings(**broker))
    async with open_works(subscribed=False, beside=beside, broker=broker, **parts) as works:
        yield works
    await beside.close()


# -- the silence about each


def test_silence_falls_once_after_each_sign_of_life() -> None:
    silence = Silence(3.0)
    silence.begin("a", 0.0)
    silence.begin("b", 1.0)
    assert silence.falls(2.9) == []
    silence.sign("a", 2.9)
    assert (silence.falls(4.0), silence.falls(4.0), silence.silent) == (["b"], [], ("b",))
    silence.sign("b", 4.0)
    assert silence.silent == ()
    assert silence.falls(7.0) == ["a", "b"]
    silence.end("a")
    silence.sign("a", 8.0)
    assert (silence.falls(20.0), silence.silent) == ([], ("b",))


# -- who is there


class Room(MemoryBroker):
    """A broker that shows so many readers."""

    shown: int | None = 0

    async def readers(self, topic: str, group: str = "") -> int:
        assert (topic, group) == (RESULTS_TOPIC, "")
        if self.shown is None:
            raise BrokerUnavailable("gone")
        return self.shown


def seen(one: Somebody, agent: str = "parrot", *, state: str = "here", ago: float = 0.0) -> None:
    presence = AgentPresence(agent=agent, instance="i_1", state=state)
    one.seen(presence, asyncio.get_running_loop().time() - ago)


@pytest.mark.parametrize(("shown", "there"), [(0, False), (1, True), (CANNOT_TELL, True), (None, True)])
async def test_whom_the_broker_shows_is_there_and_where_it_cannot_tell_somebody_may_be(
    shown: int | None,
    there: bool,  # noqa: FBT001 - a parameter
) -> None:
    room = Room(BrokerSettings())
    room.shown = shown
    assert await Somebody(room).is_there() is there


async def test_a_broker_that_is_away_for_a_moment_is_asked_again() -> None:
    room = Room(BrokerSettings())
    one, room.shown = Somebody(room), None
    assert await one.is_there()
    assert one.will_be_missed
    room.shown = 0
    assert not await one.is_there()
    room.shown = CANNOT_TELL
    assert await one.is_there()
    assert not one.will_be_missed


async def test_who_answered_within_the_hour_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Somebody(Room(BrokerSettings()))
    one.answered("slow program")
    assert await one.is_there()
    monkeypatch.setattr(somebody, "HEARD_OF_SECONDS", 0.0)
    assert not await one.is_there()


async def test_who_says_that_it_is_there_is_gone_when_it_does_not() -> None:
    room = Room(BrokerSettings())
    room.shown = CANNOT_TELL
    one = Somebody(room)
    assert not one.will_be_missed
    seen(one)
    one.answered("parrot")
    assert one.will_be_missed
    assert await one.is_there()
    seen(one, ago=3.0)
    room.shown = 1  # some brokers show who is gone for a while
    assert not await one.is_there(), "that it answered does not count: it would say that it is there"
    seen(one)
    seen(one, state="leaving")
    assert not await one.is_there()
    one.be_patient(asyncio.get_running_loop().time())
    assert await one.is_there(), "nobody could be heard of"


async def test_who_was_reading_before_it_was_asked_may_be_at_work() -> None:
    room = Room(BrokerSettings())
    room.shown = 1
    one, now = Somebody(room), asyncio.get_running_loop().time()
    assert not one.was_reading(now)
    assert await one.is_there()
    room.shown = 0  # some do not read while they are at work
    assert not await one.is_there()
    assert one.was_reading(now)
    assert not one.was_reading(now + 60.0)
    seen(one, ago=3.0)
    assert not one.was_reading(now)


async def test_of_many_that_come_and_go_only_so_many_are_remembered() -> None:
    one = Somebody(Room(BrokerSettings()))
    for number in range(1000):
        seen(one, f"a{number}")
        one.answered(f"a{number}")
    assert len(one._seen) == somebody.MOST_COPIES
    assert len(one._answered) == somebody.MOST_NAMES


# -- a device waits


async def test_who_takes_long_is_waited_for_and_the_device_told_so_after_each_sign_of_life() -> None:
    async with open_works(orchestrator={"patience_seconds": 0.2}) as works, works.board() as kitchen:
        saying = asyncio.create_task(kitchen.say(loud(1)))
        heard = await works.result()
        await works.events.first(StatusEvent, status="thinking", count=2)
        await works.reply(heard, "It is ", final=False, message_id="m_1")
        await works.events.first(StatusEvent, status="thinking", count=3)
        await works.reply(heard, "7:00.", message_id="m_2")
        assert (await saying).reply == "7:00."
        thinking = ["thinking"] * 3
        assert await kitchen.statuses(1, "idle") == ["listening", "transcribing", *thinking, "idle"]
        await works.idle()


@pytest.mark.parametrize("named", [False, True])
async def test_while_the_broker_is_away_nobody_is_known_to_be(named: bool) -> None:  # noqa: FBT001
    orchestrator = {"agents": {"parrot": {}}} if named else {}
    shared = {"url": "nats://127.0.0.1:1"}  # which it is told of only
    async with open_works(subscribed=False, broker=shared, orchestrator=orchestrator) as works:
        pipeline, now = works.pipeline, asyncio.get_running_loop().time

        async def may_be_there(seconds: float) -> bool:
            if pipeline.agents is not None:
                return pipeline.agents.is_present("parrot", now() + seconds)
            return await pipeline._somebody.is_there()

        pipeline.broker_changed(BrokerStatus(connected=False))
        assert await may_be_there(3_600.0)
        pipeline.broker_changed(BrokerStatus(connected=True))
        assert await may_be_there(ABSENT_SECONDS - 0.5)
        pipeline._somebody.be_patient(now() - ABSENT_SECONDS)
        assert not await may_be_there(ABSENT_SECONDS + 0.5)


async def test_a_team_at_work_is_waited_for_and_the_device_told_so() -> None:
    named = {"agents": {"parrot": {}}, "patience_seconds": 0.2}
    async with (
        open_works(orchestrator=named) as works,
        works.board() as kitchen,
        works.broker.subscribe(REQUESTS_TOPIC, "user.parrot", group="parrot") as requests,
    ):
        saying = asyncio.create_task(kitchen.say(loud(1)))
        request = decode_request((await anext(requests)).message.payload)
        await works.events.first(StatusEvent, status="thinking", count=2)
        facts = {"agent": "parrot", "request_id": request.request_id}
        await works.reply(request.transcript, "", final=False, progress="counting", message_id="m_1", **facts)
        await works.events.first(StatusEvent, detail="counting")
        await works.events.first(StatusEvent, status="thinking", count=4)
        await works.reply(request.transcript, "7", message_id="m_2", **facts)
        assert (await saying).reply == "7"
        await works.idle()


async def test_nobody_to_be_missed_is_waited_for_until_the_deadline() -> None:
    """Who reads may be a slow program, or an archive: nobody can know."""
    slow = {"patience_seconds": 0.05, "timeout_seconds": 1.0}
    async with open_works(orchestrator=slow) as works, works.board() as kitchen:
        said = await kitchen.say(loud(1))
        assert (said.reply, said.fallback) == (TEXTS["en"][Apology.LATE], True)
        assert len(works.events.of(StatusEvent, status="thinking")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("server", ALL)
async def test_with_nobody_there_the_fallback_is_at_the_device_within_5_s(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = "gateway.broker.backends.redis_streams.READING_SECONDS"
    monkeypatch.setattr(readers, 0.0)  # those of tests before this one
    now = asyncio.get_running_loop().time
    async with works_over(url, tmp_path) as works, works.board() as kitchen:
        began = now()
        said = await kitchen.say(loud(1))
        assert (said.reply, said.fallback) == (NOBODY, True)
        assert now() - began < QUICKLY
        await works.idle()


@pytest.mark.slow
@pytest.mark.parametrize("server", ["nats", "mosquitto"])
async def test_who_comes_is_used_and_who_leaves_is_not_waited_for(tmp_path: Path, url: str) -> None:
    parrot, now = Orchestrator("parrot"), asyncio.get_running_loop().time

    @parrot.on_transcript
    async def answer(heard: Any) -> str:
        return f"You said {heard.text}"

    quick = {"patience_seconds": 0.5}
    async with works_over(url, tmp_path, orchestrator=quick) as works, works.board() as kitchen:
        there = open_broker(url, BrokerSettings(url=url, client_id=f"{works.config.broker.client_id}-p"))
        for _ in range(2):
            with running(parrot.run(there)):
                await passes(lambda: works.pipeline._somebody._seen)
                assert (await kitchen.say(loud(1))).reply == "You said 16000"
            began = now()
            said = await kitchen.say(loud(1))
            assert (said.reply, said.fallback) == (NOBODY, True)
            assert now() - began < QUICKLY
            works.pipeline._somebody._seen.clear()
        await there.close()


@asynccontextmanager
async def killed_at_work(works: Works, url: str, told: Awaitable[Any]) -> AsyncIterator[float]:
    """An agent in a process of its own that is killed when it is asked; since when it is dead."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARROT, url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        await asyncio.wait_for(told, 30.0)
        while b"asked" not in await process.stdout.readline():
            pass
        process.kill()
        yield asyncio.get_running_loop().time()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "named"), [("redis", False), ("nats", True)]
)  # Redis shows who is gone as reading for longest
async def test_who_is_killed_at_work_is_missed(tmp_path: Path, url: str, named: bool) -> None:  # noqa: FBT001
    now, orchestrator = asyncio.get_running_loop().time, {"agents": {"parrot": {}}} if named else {}
    async with (
        works_over(url, tmp_path, orchestrator=orchestrator) as works,
        works.board() as kitchen,
    ):
        saying: asyncio.Task[Any] | None = None

        async def speak() -> None:
            nonlocal saying
            await passes(lambda: is_seen(works), 30.0)
            saying = asyncio.create_task(kitchen.say(loud(1)))

        async with killed_at_work(works, url, speak()) as killed:
            assert saying is not None
            said = await saying
            assert (said.reply, said.fallback) == (NOBODY, True)
            assert now() - killed < QUICKLY
        await works.idle()


def is_seen(works: Works) -> bool:
    """Whether the parrot has said that it is there."""
    now, agents = asyncio.get_running_loop().time(), works.pipeline.agents
    if agents is None:
        return bool(works.pipeline._somebody._seen)
    standing = agents.standing("parrot", now)
    return standing is not None and bool(standing.copies)


@pytest.mark.slow
async def test_with_none_of_the_named_there_the_fallback_is_at_the_device_within_5_s(
    tmp_path: Path, nats: Nats
) -> None:
    now, named = asyncio.get_running_loop().time, {"agents": {"parrot": {}, "other": {}}}
    async with works_over(nats.url, tmp_path, orchestrator=named) as works, works.board() as kitchen:
        for _ in range(2):  # as the gateway has just started, and later
            began = now()
            said = await kitchen.say(loud(1))
            assert (said.reply, said.fallback) == (NOBODY, True)
            assert now() - began < QUICKLY
        await works.idle()


async def test_presence_that_cannot_be_read_is_nobodys(tmp_path: Path, nats: Nats) -> None:
    async with works_over(nats.url, tmp_path) as works:
        key = RoutingKey("parrot", "i_1", "presence")
        await works.broker.publish(PRESENCE_TOPIC, key, b"?")
        await works.broker.publish(PRESENCE_TOPIC, key, encode(AgentPresence(agent="parrot", instance="i_1")))
        await passes(lambda: works.pipeline._somebody._seen)
        assert works.broker.dead_letters() == ()
