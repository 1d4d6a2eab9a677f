"""A journal that is kept at two gateways: both ends, two files, one broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerUnavailable, Leases, MessageBroker, RoutingKey
from gateway.broker.opening import open_broker
from gateway.house.copies import copied_journal
from gateway.house.copies.copied_journal import TERM_NUMBERS, CopiedJournal, JournalCopies
from gateway.house.copies.keeping import CopyKeeper
from gateway.house.copies.wire import (
    COPIED_TOPIC,
    COPIES_TOPIC,
    PART_BYTES,
    BatchCopied,
    CopyPart,
    decode_copied,
    decode_part,
    encode,
    pack,
)
from gateway.house.row.tenure import Tenure
from gateway.journal import effects as e
from gateway.journal.errors import NotDurable
from gateway.journal.journal import Journal
from gateway.settings.broker import BrokerSettings
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import dead, letter, request, stream, utterance
from tests.record import PATIENCE, passes
from tests.servers.redis import Redis

KITCHEN, ATTIC = "kitchen", "attic"


class Place(Tenure):
    """A tenure that a test gives and takes away."""

    def __init__(self, broker: MessageBroker) -> None:
        super().__init__(cast("Leases", broker), KITCHEN, KITCHEN, lambda: False)
        self.has = True

    @property
    def holds(self) -> bool:
        return self.has


class Serving:
    """The gateway that has the place, as far as its journal goes."""

    def __init__(self, folder: Path, broker: MessageBroker) -> None:
        self.place = Place(broker)
        self.standing: list[tuple[bool, str]] = []
        self.is_there = True
        self.only_here: set[str] = set()
        self.journal = CopiedJournal(JournalSettings(path=f"{folder}/kitchen.db"))
        self.copies = JournalCopies(
            self.journal,
            broker,
            self.place,
            is_there=lambda: self.is_there,
            is_only_here=self.only_here.__contains__,
            on_standing=lambda well, reason: self.standing.append((well, reason)),
        )


class StandsBy:
    """The other one."""

    def __init__(self, folder: Path, broker: MessageBroker) -> None:
        self.journal = Journal(JournalSettings(path=f"{folder}/attic.db"))
        self.keeper = CopyKeeper(broker, self.journal, KITCHEN, ATTIC)

    async def utterances(self) -> list[str]:
        return [row.utterance_id async for row in self.journal.utterances()]


@asynccontextmanager
async def serving(folder: Path, broker: MessageBroker) -> AsyncIterator[Serving]:
    one = Serving(folder, broker)
    async with one.journal, working(one.copies.run):
        yield one


@asynccontextmanager
async def standing_by(folder: Path, broker: MessageBroker) -> AsyncIterator[StandsBy]:
    other = StandsBy(folder, broker)
    async with other.journal, working(other.keeper.run):
        yield other


@asynccontextmanager
async def working(*works: Callable[[], object]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(cast("asyncio.Future[None]", work())) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    one = MemoryBroker()
    yield one
    await one.close(0.1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copied_journal, "ALONE_SECONDS", 1.0)
    monkeypatch.setattr(copied_journal, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(copied_journal, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(copied_journal, "BEAT_SECONDS", 0.1)


async def together(one: Serving) -> None:
    await passes(lambda: one.copies.is_together)


async def test_what_is_durable_is_there_too(tmp_path: Path, broker: MemoryBroker) -> None:
    async with serving(tmp_path, broker) as kitchen, standing_by(tmp_path, broker) as attic:
        await together(kitchen)
        assert await kitchen.journal.commit(e.Heard(utterance("u_1")))
        assert await attic.utterances() == ["u_1"]
        assert not await kitchen.journal.commit(e.Heard(utterance("u_1"))), (
            "known already, as without the other"
        )
        await kitchen.journal.commit(e.Transcribed("u_1"), e.Queued(letter(1)), e.Asked(request()))
        assert await attic.utterances() == []
        assert [row.number for row in await attic.journal.letters(0, 10)] == [1]
        assert kitchen.standing[-1][0]


async def test_what_was_there_before_is_copied_first(tmp_path: Path, broker: MemoryBroker) -> None:
    async with serving(tmp_path, broker) as kitchen:
        kitchen.is_there = False
        for number in range(40):
            await kitchen.journal.commit(e.Heard(utterance(f"u_{number}", start=number)))
        assert not kitchen.copies.is_together
        async with standing_by(tmp_path, broker) as attic:
            kitchen.is_there = True
            ends = [kitchen.journal.commit(e.Transcribed(f"u_{number}")) for number in range(0, 40, 2)]
            await asyncio.gather(*ends)
            await together(kitchen)
            assert await attic.utterances() == [f"u_{number}" for number in range(1, 40, 2)]
            assert attic.keeper.is_current


async def test_alone_nobody_waits(tmp_path: Path, broker: MemoryBroker) -> None:
    async with serving(tmp_path, broker) as kitchen:
        kitchen.is_there = False
        await asyncio.wait_for(kitchen.journal.commit(e.Heard(utterance())), 5)
        await passes(lambda: kitchen.standing)
        assert kitchen.standing[-1] == (False, "nobody stands by")


async def test_one_that_does_not_answer_is_waited_for_no_longer_than_that(
    tmp_path: Path, broker: MemoryBroker
) -> None:
    async with serving(tmp_path, broker) as kitchen:
        async with standing_by(tmp_path, broker):
            await together(kitchen)
        kitchen.is_there = False
        await asyncio.wait_for(kitchen.journal.commit(e.Heard(utterance())), 20)
        assert kitchen.standing[-1][0] is False
        assert not kitchen.copies.is_together
        async with standing_by(tmp_path, broker) as attic:
            kitchen.is_there = True
            await together(kitchen)
            assert await attic.utterances() == ["u_1"], "it is copied anew"


async def test_a_disk_of_the_other_that_is_full_is_said(tmp_path: Path, broker: MemoryBroker) -> None:
    async with serving(tmp_path, broker) as kitchen, working(lambda: _refuse(broker, "its disk: it is full")):
        await passes(lambda: any("its disk" in reason for _, reason in kitchen.standing))
        assert not kitchen.copies.is_together
        await asyncio.wait_for(kitchen.journal.commit(e.Heard(utterance())), 20)


async def _refuse(broker: MemoryBroker, reason: str) -> None:
    async with broker.subscribe(COPIES_TOPIC) as copies:
        async for delivery in copies:
            part = decode_part(delivery.message.payload)
            told = BatchCopied(gateway=ATTIC, copy=part.copy, number=part.number, reason=reason)
            await broker.publish(COPIED_TOPIC, RoutingKey("house", KITCHEN, ATTIC), encode(told))
            await delivery.ack()


async def test_what_the_other_may_hear_too_is_not_durable_while_the_place_may_be_its(
    tmp_path: Path, broker: MemoryBroker
) -> None:
    async with serving(tmp_path, broker) as kitchen:
        kitchen.is_there = False
        await kitchen.journal.commit(e.Heard(utterance("u_before", session="s_0")))
        kitchen.place.has = False
        kitchen.only_here.add("door")
        await kitchen.journal.commit(e.Heard(utterance("u_door", session="s_2", device_id="door")))
        shared = kitchen.journal.commit(e.Heard(utterance("u_shared")))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(shared), 0.5)
        kitchen.is_there = True
        async with standing_by(tmp_path, broker) as attic:
            there = await attic.utterances()
            assert there == [], "who may have lost its place copies nothing"
        kitchen.is_there = False
        kitchen.place.has = True
        assert await asyncio.wait_for(shared, 10)


async def test_no_text_of_it_is_either(tmp_path: Path, broker: MemoryBroker) -> None:
    """It would be published, and asked again, when this one has its place back: the other one has done so already."""
    async with serving(tmp_path, broker) as kitchen:
        async with standing_by(tmp_path, broker):
            await together(kitchen)
            kitchen.place.has = kitchen.is_there = False
        heard = kitchen.journal.commit(e.Heard(utterance("u_1")))
        text = kitchen.journal.commit(e.Transcribed("u_1"), e.Queued(letter(1)), e.Asked(request()))
        await passes(lambda: not kitchen.copies.is_together)
        await asyncio.sleep(0.1)
        assert not heard.done()
        assert not text.done()
        kitchen.copies.give_up()
        with pytest.raises(NotDurable):
            await text
    async with Journal(JournalSettings(path=f"{tmp_path}/kitchen.db")) as journal:
        await journal.commit(e.CopyTaken())
        assert await journal.letters(0, 10) == []


async def test_who_is_cut_off_does_not_go_alone_however_long_its_lease(
    tmp_path: Path, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has been slow, and then the broker is not to be reached: it may have the place soon."""
    async with serving(tmp_path, broker) as kitchen:
        async with standing_by(tmp_path, broker):
            await together(kitchen)
        kitchen.is_there = False
        published = broker.publish

        async def cut_off(*_: object, **__: object) -> None:
            raise BrokerUnavailable("the network is parted")

        monkeypatch.setattr(broker, "publish", cut_off)
        said = kitchen.journal.commit(e.Heard(utterance()))
        await passes(lambda: not kitchen.copies.is_together)
        await asyncio.sleep(0.2)
        assert kitchen.place.holds
        assert not said.done(), "the other one hears the device itself"
        monkeypatch.setattr(broker, "publish", published)
        await asyncio.wait_for(said, 20)


async def test_what_was_alone_stays_when_the_place_was_lost(tmp_path: Path, broker: MemoryBroker) -> None:
    """The gateway was cut off, another had its place, and both have spoken with devices."""
    async with serving(tmp_path, broker) as kitchen:
        kitchen.is_there = False
        await kitchen.journal.commit(e.Heard(utterance("u_alone", session="s_1")))
        kitchen.place.has = False
        kitchen.only_here.add("door")
        await kitchen.journal.commit(e.Heard(utterance("u_door", session="s_2", device_id="door")))
        kitchen.journal.commit(e.Heard(utterance("u_heard_there_too", session="s_3")))
        await kitchen.journal.commit(e.Died(dead()))  # all before is written
    async with Journal(JournalSettings(path=f"{tmp_path}/kitchen.db")) as journal:
        await journal.commit(e.CopyTaken())
        assert [row.utterance_id async for row in journal.utterances()] == ["u_alone", "u_door"]


async def test_a_lost_word_is_asked_for_again_and_nothing_is_written_twice(
    tmp_path: Path, broker: MemoryBroker
) -> None:
    async with standing_by(tmp_path, broker) as attic:
        key = RoutingKey("house", KITCHEN, "journal")
        told: list[BatchCopied] = []
        async with working(lambda: _collect(broker, told)):
            first = _part(1, [(e.CopyTaken(), e.StreamOpened(stream()))])
            second = _part(2, [(e.Heard(utterance()),)])
            fifth = _part(5, [(e.Heard(utterance("u_5", start=5)),)])
            await asyncio.sleep(0.1)
            for part in (second, first, second, second, fifth):
                await broker.publish(COPIES_TOPIC, key, encode(part))
            await passes(lambda: len(told) == 5)
        assert [one.reason for one in told] == [
            "the beginning of this copy is not here",
            "",
            "",
            "",
            told[0].reason,
        ]
        assert await attic.utterances() == ["u_1"]
        assert not attic.keeper.is_current, "something was missed"


async def _collect(broker: MemoryBroker, told: list[BatchCopied]) -> None:
    async with broker.subscribe(COPIED_TOPIC) as copied:
        async for delivery in copied:
            told.append(decode_copied(delivery.message.payload))
            await delivery.ack()


def _part(number: int, commits: list[tuple[e.Effect, ...]]) -> CopyPart:
    return CopyPart(gateway=KITCHEN, copy="copy1", number=number, data=pack(commits))


async def test_garbage_between_does_no_harm(tmp_path: Path, broker: MemoryBroker) -> None:
    async with serving(tmp_path, broker) as kitchen, standing_by(tmp_path, broker) as attic:
        await together(kitchen)
        key = RoutingKey("house", KITCHEN, "journal")
        for topic in (COPIES_TOPIC, COPIED_TOPIC):
            for payload in (b"", b"\xc1", b"{}", bytes(1000), encode({"gateway": "x"})):
                await broker.publish(topic, key, payload)
        await kitchen.journal.commit(e.Heard(utterance()))
        assert await attic.utterances() == ["u_1"]


async def test_a_copy_that_was_given_up_is_not_current(tmp_path: Path, broker: MemoryBroker) -> None:
    async with standing_by(tmp_path, broker) as attic:
        async with serving(tmp_path, broker) as kitchen:
            await together(kitchen)
            await kitchen.journal.commit(e.Heard(utterance()))
            assert attic.keeper.is_current
            copy = kitchen.copies._copy
        key = RoutingKey("house", KITCHEN, "journal")
        await broker.publish(
            COPIES_TOPIC, key, encode(CopyPart(gateway=KITCHEN, copy=copy, number=2, void=True))
        )
        await passes(lambda: not attic.keeper._copy)
        await attic.keeper.give_up_what_is_old()
        assert await attic.utterances() == [], "its gateway has gone on with it"


async def test_speech_of_minutes_is_copied_in_parts(tmp_path: Path, redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        one, other = (
            open_broker(redis.url, BrokerSettings(url=redis.url, client_id=name)) for name in (KITCHEN, ATTIC)
        )
        for broker in (one, other):
            stack.push_async_callback(broker.close, 0.1)
        kitchen = await stack.enter_async_context(serving(tmp_path, one))
        attic = await stack.enter_async_context(standing_by(tmp_path, other))
        await together(kitchen)
        long = utterance(audio=bytes(range(256)) * (PART_BYTES // 100))
        for _ in range(3):
            with suppress(NotDurable):
                await kitchen.journal.commit(e.Heard(long, again=True))
        async with asyncio.timeout(PATIENCE):
            while (row := await attic.journal.utterance("u_1")) is None:  # on a slow disk it is copied anew  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert row.audio == long.audio


async def test_the_messages_of_two_terms_have_numbers_of_their_own(
    tmp_path: Path, broker: MemoryBroker
) -> None:
    async with serving(tmp_path, broker) as kitchen:
        first = kitchen.journal.next_number()
        assert first % TERM_NUMBERS == 0
        await kitchen.journal.commit(e.Queued(letter(first)))
    async with serving(tmp_path, broker) as kitchen:
        assert kitchen.journal.next_number() == first + TERM_NUMBERS


async def test_who_leaves_waits_for_the_others_disk(tmp_path: Path, broker: MemoryBroker) -> None:
    async with serving(tmp_path, broker) as kitchen, standing_by(tmp_path, broker) as attic:
        await together(kitchen)
        kitchen.journal.commit(e.Heard(utterance()))
        await kitchen.copies.flush(10)
        assert await attic.utterances() == ["u_1"]


async def test_who_has_lost_its_place_keeps_nobody_waiting(tmp_path: Path, broker: MemoryBroker) -> None:
    async with serving(tmp_path, broker) as kitchen:
        kitchen.is_there = False
        kitchen.place.has = False
        held = kitchen.journal.commit(e.Heard(utterance()))
        await asyncio.sleep(0.1)
        assert not held.done()
        kitchen.copies.give_up()
        with pytest.raises(NotDurable, match="another gateway has the place"):
            await held
        assert await asyncio.wait_for(kitchen.journal.commit(e.Heard(utterance("u_2", start=5))), 10)
