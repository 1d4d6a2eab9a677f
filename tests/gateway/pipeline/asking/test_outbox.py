"""Messages on their way to the broker: each leaves the journal with its receipt, in order within its device."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerError, BrokerStatus, BrokerUnavailable, Durability, Receipt
from gateway.broker.opening import open_broker
from gateway.contract.agents import REQUESTS_TOPIC, AgentRequest, ConversationTurn, decode_request
from gateway.contract.messages import AudioFacts, TranscriptionMessage, encode
from gateway.journal import AnyJournal, Journal, NoJournal
from gateway.journal.effects import Queued
from gateway.journal.records import LetterRow
from gateway.pipeline.asking import outbox as module
from gateway.pipeline.asking.outbox import HELD_LETTERS, UNJOURNALED_LETTERS, Fate, Outbox, Posted, Refused
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.pipeline.erasing import Whose
from gateway.settings.broker import BrokerSettings
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import letter
from tests.servers import redis as redis_servers
from tests.servers.process import needs
from tests.servers.redis import Redis
from tests.system.house import passes
from transcription.priority import Priority


class Broker(MemoryBroker):
    """As safe as is asked for, away when it is told to be, and it refuses some."""

    def __init__(self, durability: Durability = Durability.FSYNC) -> None:
        super().__init__()
        self.away = False
        self.refuses: set[str] = set()
        self.took: list[str] = []
        self.tried = 0
        self.durability = durability

    async def publish(self, *arguments: Any, message_id: str = "", **options: Any) -> Receipt:
        self.tried += 1
        if self.away:
            raise BrokerUnavailable("out of reach")
        if message_id in self.refuses:
            raise BrokerError("never")
        await super().publish(*arguments, message_id=message_id, **options)
        await asyncio.sleep(0)
        self.took.append(message_id)
        return Receipt(message_id, self.durability)


class Owner:
    """Who is told; awaits answers to some."""

    def __init__(self) -> None:
        self.published: list[int] = []
        self.refused: list[tuple[int, str]] = []
        self.unanswered = Unanswered()

    def __call__(self, fate: Fate) -> None:
        match fate:
            case Posted(row):
                self.published.append(row.number)
            case Refused(row, reason):
                self.refused.append((row.number, reason))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with Journal(JournalSettings(path=str(tmp_path / "journal.db"))) as one:
        yield one


@asynccontextmanager
async def opened(broker: Broker, journal: AnyJournal, owner: Owner | None = None) -> AsyncIterator[Outbox]:
    owner = owner or Owner()
    async with Outbox(broker, journal, owner.unanswered, owner) as outbox:
        outbox.start()
        yield outbox


async def queue(outbox: Outbox, journal: AnyJournal, row: LetterRow) -> None:
    await journal.commit(Queued(row))
    outbox.put(row, journaled=True)


async def numbers(journal: Journal) -> list[int]:
    return [row.number for row in await journal.letters(0, 10_000)]


async def test_a_message_leaves_the_journal_with_its_receipt(journal: Journal) -> None:
    broker, owner = Broker(), Owner()
    async with opened(broker, journal, owner) as outbox:
        await queue(outbox, journal, letter(1))
        await passes(lambda: owner.published == [1])
        await journal.commit()
        assert await numbers(journal) == []


async def test_nothing_is_published_before_the_start(journal: Journal) -> None:
    broker, owner = Broker(), Owner()
    async with Outbox(broker, journal, owner.unanswered, owner) as outbox:
        await queue(outbox, journal, letter(1))
        await asyncio.sleep(0)
        assert not broker.tried
        outbox.start()
        await passes(lambda: broker.took == ["m_1"])


async def test_what_was_left_is_published_first_and_in_order(journal: Journal) -> None:
    for number in range(1, 21):
        await journal.commit(Queued(letter(number)))
    broker = Broker()
    async with opened(broker, journal) as outbox:
        await queue(outbox, journal, letter(21))
        await passes(lambda: len(broker.took) == 21)
    assert broker.took == [f"m_{number}" for number in range(1, 22)]


class Slow(Broker):
    """One message is on its way for long."""

    def __init__(self, slow: str) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self._slow = slow

    async def publish(self, *arguments: Any, message_id: str = "", **options: Any) -> Receipt:
        if message_id == self._slow:
            await self.go.wait()
        return await super().publish(*arguments, message_id=message_id, **options)


async def test_what_a_device_says_in_session_after_session_is_published_in_order_and_holds_up_nobody_else(
    journal: Journal,
) -> None:
    broker = Slow("m_1")
    rows = [
        letter(1, session_id="s_1"),
        letter(2, session_id="s_2"),
        letter(3, session_id="s_3", device_id="garden"),
        letter(4, session_id="s_2", topic="dead.letters"),
    ]
    async with opened(broker, journal) as outbox:
        for row in rows:
            await queue(outbox, journal, row)
        await passes(lambda: broker.took == ["m_3", "m_4"])
        broker.go.set()
        await passes(lambda: broker.took[2:] == ["m_1", "m_2"])


@pytest.mark.slow
async def test_a_broker_that_is_away_is_waited_for_and_the_order_kept(journal: Journal) -> None:
    broker = Broker()
    broker.away = True
    devices = ["kitchen", "garden", "cellar"]
    chance = random.Random(5)
    rows = [letter(number, device_id=chance.choice(devices)) for number in range(1, 61)]
    async with opened(broker, journal) as outbox:
        for row in rows:
            await queue(outbox, journal, row)
        await passes(lambda: broker.tried >= 6)
        assert broker.took == []
        assert len(await numbers(journal)) == 60
        broker.away = False
        await passes(lambda: len(broker.took) == 60)
        for device in devices:
            of_device = {row.message_id for row in rows if row.device_id == device}
            took = [int(one[2:]) for one in broker.took if one in of_device]
            assert took == sorted(took)
        await journal.commit()
        assert await numbers(journal) == []


@pytest.mark.slow
async def test_what_does_not_fit_into_memory_waits_in_the_journal(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_LETTERS", 10)
    monkeypatch.setattr(module, "PAGE", 7)
    broker = Broker()
    broker.away = True
    async with opened(broker, journal) as outbox:
        for number in range(1, 101):
            await queue(outbox, journal, letter(number, device_id=f"d_{number % 3}"))
        assert outbox.waiting <= 20
        broker.away = False
        await passes(lambda: len(broker.took) == 100)
        await passes(lambda: not outbox.waiting)
        assert len(set(broker.took)) == 100
        for device in range(3):
            took = [int(one[2:]) for one in broker.took if int(one[2:]) % 3 == device]
            assert took == sorted(took)
        await journal.commit()
        assert await numbers(journal) == []


async def test_a_receipt_of_mere_memory_is_kept_until_the_answer(journal: Journal) -> None:
    broker, owner = Broker(Durability.MEMORY), Owner()
    owner.unanswered.expect("c_1")
    async with opened(broker, journal, owner) as outbox:
        await queue(outbox, journal, letter(1, correlation_id="c_1"))
        await queue(outbox, journal, letter(2, correlation_id="c_2"))
        await passes(lambda: owner.published == [1, 2])
        await journal.commit()
        assert await numbers(journal) == [1], "nobody waits for an answer to the second"
        await journal.commit(*owner.unanswered.end("c_1"))
        assert await numbers(journal) == []
        assert owner.unanswered.end("c_1") == ()


# -- a broker that forgets

THERE, LOST = BrokerStatus(connected=True), BrokerStatus(connected=False)


async def forgotten(outbox: Outbox, journal: Journal, broker: Broker, owner: Owner, count: int) -> None:
    """So many messages of one session in a broker that only has them in memory, all to be answered."""
    for number in range(1, count + 1):
        owner.unanswered.expect(f"c_{number}")
        await queue(outbox, journal, letter(number, session_id="s_1", correlation_id=f"c_{number}"))
    await passes(lambda: len(broker.took) == count)


async def test_what_the_broker_may_have_forgotten_is_published_again_in_order(journal: Journal) -> None:
    broker, owner = Broker(Durability.MEMORY), Owner()
    async with opened(broker, journal, owner) as outbox:
        await forgotten(outbox, journal, broker, owner, 3)
        await journal.commit(*owner.unanswered.end("c_2"))
        broker.away = True
        outbox.broker_changed(LOST)
        tried = broker.tried
        await queue(outbox, journal, letter(4, session_id="s_1", correlation_id="c_4"))
        await passes(lambda: broker.tried > tried)  # it is being published when the broker comes back
        outbox.broker_changed(THERE)
        broker.away = False
        await passes(lambda: len(broker.took) == 6)
        assert broker.took == ["m_1", "m_2", "m_3", "m_1", "m_3", "m_4"]
        await journal.commit()
        assert await numbers(journal) == [1, 3]


async def test_it_is_published_once_more_when_readers_are_back_unless_it_was_answered(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)
    broker, owner = Broker(Durability.MEMORY), Owner()
    async with opened(broker, journal, owner) as outbox:
        await forgotten(outbox, journal, broker, owner, 2)
        outbox.broker_changed(THERE)
        await passes(lambda: len(broker.took) == 4)
        await journal.commit(*owner.unanswered.end("c_1"))
        await passes(lambda: len(broker.took) == 5)
        assert broker.took == ["m_1", "m_2", "m_1", "m_2", "m_2"]


async def test_what_was_published_before_its_readers_were_back_is_published_once_more(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.2)
    broker, owner = Broker(Durability.MEMORY), Owner()
    async with opened(broker, journal, owner) as outbox:
        outbox.broker_changed(THERE)
        await forgotten(outbox, journal, broker, owner, 2)
        await journal.commit(*owner.unanswered.end("c_1"))
        await passes(lambda: broker.took == ["m_1", "m_2", "m_2"])


async def test_a_broker_that_was_not_restarted_has_forgotten_nothing(journal: Journal) -> None:
    broker, owner = Broker(Durability.MEMORY), Owner()
    async with opened(broker, journal, owner) as outbox:
        outbox.broker_changed(BrokerStatus(connected=True, instance="first"))
        await forgotten(outbox, journal, broker, owner, 2)
        outbox.broker_changed(LOST)
        outbox.broker_changed(BrokerStatus(connected=True, instance="first"))
        await queue(outbox, journal, letter(3, session_id="s_1"))
        await passes(lambda: broker.took == ["m_1", "m_2", "m_3"])
        outbox.broker_changed(BrokerStatus(connected=True, instance="second"))
        await passes(lambda: broker.took == ["m_1", "m_2", "m_3", "m_1", "m_2"])


async def test_two_losses_in_a_row_publish_nothing_twice_at_a_time(journal: Journal) -> None:
    broker, owner = Broker(Durability.MEMORY), Owner()
    async with opened(broker, journal, owner) as outbox:
        await forgotten(outbox, journal, broker, owner, 2)
        broker.away = True
        outbox.broker_changed(THERE)
        outbox.broker_changed(LOST)
        outbox.broker_changed(THERE)
        assert outbox.waiting == 2
        broker.away = False
        await passes(lambda: broker.took == ["m_1", "m_2", "m_1", "m_2"])
        await passes(lambda: not outbox.waiting)


async def test_what_is_answered_before_its_turn_is_not_published_again(journal: Journal) -> None:
    broker, owner = Broker(Durability.MEMORY), Owner()
    async with opened(broker, journal, owner) as outbox:
        await forgotten(outbox, journal, broker, owner, 2)
        broker.away = True
        outbox.broker_changed(THERE)
        await journal.commit(*owner.unanswered.end("c_1"), *owner.unanswered.end("c_2"))
        broker.away = False
        await passes(lambda: not outbox.waiting)
        assert broker.took in (["m_1", "m_2"], ["m_1", "m_2", "m_1"]), "the first was under way already"
        await journal.commit()
        assert await numbers(journal) == []


async def test_what_is_safe_the_second_time_leaves_the_journal(journal: Journal) -> None:
    broker, owner = Broker(Durability.MEMORY), Owner()
    async with opened(broker, journal, owner) as outbox:
        await forgotten(outbox, journal, broker, owner, 1)
        broker.durability = Durability.FSYNC
        outbox.broker_changed(THERE)
        await passes(lambda: broker.took == ["m_1", "m_1"] and not outbox.waiting)
        await journal.commit()
        assert await numbers(journal) == []
        assert owner.unanswered.end("c_1") == ()


@pytest.mark.slow
async def test_a_redis_that_keeps_nothing_gets_again_what_died_with_it(
    journal: Journal, tmp_path: Path
) -> None:
    needs(redis_servers.REDIS)
    folder = tmp_path / "server"
    folder.mkdir()
    server, owner, settings = Redis(folder, keeps=redis_servers.FORGETFUL).start(), Owner(), BrokerSettings()
    for number in (1, 2, 3):
        owner.unanswered.expect(f"c_{number}")
    statuses: list[BrokerStatus] = []
    broker = open_broker(server.url, settings, statuses.append)
    try:
        async with Outbox(broker, journal, owner.unanswered, owner) as outbox:
            outbox.start()
            for number in (1, 2):
                await queue(outbox, journal, letter(number, session_id="s_1", correlation_id=f"c_{number}"))
            await passes(lambda: owner.published == [1, 2])
            assert statuses[-1].instance
            outbox.broker_changed(statuses[-1])
            server.kill()
            await passes(lambda: not statuses[-1].connected)
            statuses.clear()
            server.start()
            await read_from_the_start(server.url)
            await passes(lambda: statuses and statuses[-1].connected)
            outbox.broker_changed(statuses[-1])
            await queue(outbox, journal, letter(3, session_id="s_1", correlation_id="c_3"))
            await passes(lambda: owner.published == [1, 2, 1, 2, 3])
            assert await read_again(server.url, 3) == ["m_1", "m_2", "m_3"]
    finally:
        await broker.close(0.1)
        server.kill()


async def read_from_the_start(url: str) -> None:
    """From now on the server keeps messages for a group of readers."""
    reader = open_broker(url, BrokerSettings())
    async with reader.subscribe("transcription.results", group="readers"):
        pass
    await reader.close(0.1)


async def read_again(url: str, count: int) -> list[str]:
    """What the server has for them."""
    reader = open_broker(url, BrokerSettings())
    async with asyncio.timeout(30), reader.subscribe("transcription.results", group="readers") as results:
        ids = []
        while len(ids) < count:
            delivery = await anext(results)
            ids.append(delivery.message.message_id)
            await delivery.ack()
    await reader.close(0.1)
    return ids


# -- a message that cannot be published


async def test_a_message_the_broker_never_takes_is_a_dead_letter_and_holds_nobody_up(
    journal: Journal,
) -> None:
    broker, owner = Broker(), Owner()
    broker.refuses.add("m_1")
    async with opened(broker, journal, owner) as outbox:
        await queue(outbox, journal, letter(1))
        await queue(outbox, journal, letter(2))
        await passes(lambda: owner.published == [2])
        await journal.commit()
    assert owner.refused == [(1, "never")]
    assert await numbers(journal) == []
    (dead,) = [row async for row in journal.dead_letters()]
    assert (dead.subject, dead.reason) == ("m_1", "never")


async def test_without_a_journal_messages_are_published_from_memory() -> None:
    broker, owner = Broker(), Owner()
    async with opened(broker, NoJournal(), owner) as outbox:
        broker.away = True
        for number in (1, 2, 3):
            outbox.put(letter(number), journaled=False)
        await passes(lambda: broker.tried > 1)
        broker.away = False
        await passes(lambda: owner.published == [1, 2, 3])


async def test_without_a_journal_what_waits_is_bounded_and_counted() -> None:
    broker = Broker()
    broker.away = True
    async with opened(broker, NoJournal()) as outbox:
        for number in range(UNJOURNALED_LETTERS + 3):
            outbox.put(letter(number + 1), journaled=False)
        assert outbox.waiting == UNJOURNALED_LETTERS > HELD_LETTERS
        assert outbox.lost == 3


async def test_a_journal_that_cannot_be_read_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(Journal):
        reads = 0

        async def letters(self, after: int, limit: int, priority: Priority | None = None) -> list[LetterRow]:
            self.reads += 1
            return await super().letters(after, limit, priority)

    monkeypatch.setattr(module, "LONGEST_RETRY_SECONDS", 0.001)
    (tmp_path / "journal.db").mkdir()
    with capture_logs() as logs:
        async with (
            Counting(JournalSettings(path=str(tmp_path / "journal.db"))) as journal,
            opened(Broker(), journal),
        ):
            await passes(lambda: journal.reads > 3)
    assert len([line for line in logs if line["event"] == "the outbox cannot be read"]) == 1


async def test_what_is_erased_while_the_broker_is_away_is_never_published(journal: Journal) -> None:
    broker, owner = Broker(), Owner()
    broker.away = True
    async with opened(broker, journal, owner) as outbox:
        for number, user in enumerate(("ann", "bob", "ann"), 1):
            await journal.commit(Queued(one := letter(number, user_id=user, correlation_id=f"c_{number}")))
            outbox.put(one, journaled=True)
        await passes(lambda: broker.tried and outbox.waiting == 3)
        assert outbox.erase(lambda one: one.user_id == "ann") == {"c_1", "c_3"}
        broker.refuses.add("m_1")  # were it tried once more, it would become a dead letter
        broker.away = False
        await passes(lambda: not outbox.waiting)
    assert broker.took == ["m_2"]
    assert [row async for row in journal.dead_letters()] == []
    assert await journal.letters(0, 9) == []


async def test_what_an_agent_is_asked_loses_the_turns_that_are_erased(journal: Journal) -> None:
    """The question stays: only what was said before it is not handed on."""
    turns = tuple(ConversationTurn(text=f"secret {name}", correlation_id=name) for name in ("c_1", "c_2"))
    heard = TranscriptionMessage(
        session_id="s_1", user_id="ann", device_id="kitchen", text="and now?", timestamp=1.0, success=True,
        message_id="m", correlation_id="c_3", utterance_id="u", audio=AudioFacts(seconds=1.0),
    )  # fmt: skip
    asked = AgentRequest(request_id="q_1", agent="lights", transcript=heard, conversation=turns)
    facts = {"topic": REQUESTS_TOPIC, "correlation_id": "c_3", "agent": "lights", "request_id": "q_1"}
    broker, owner = Broker(Durability.MEMORY), Owner()
    broker.away = True
    owner.unanswered.expect("q_1")
    async with opened(broker, journal, owner) as outbox, broker.subscribe(REQUESTS_TOPIC) as requests:
        await queue(outbox, journal, letter(1, payload=encode(asked), **facts))
        await passes(lambda: broker.tried)
        whose = Whose(correlation_id="c_1", utterance_id="u_1")
        assert outbox.erase(whose, whose.without) == set()
        await journal.commit()
        (kept,) = await journal.letters(0, 9)
        assert [turn.text for turn in decode_request(kept.payload).conversation] == ["secret c_2"]
        broker.away = False
        delivery = await anext(aiter(requests))
        assert b"secret c_1" not in delivery.message.payload
        assert decode_request(delivery.message.payload).transcript.text == "and now?"
        await passes(lambda: not outbox.waiting)
        whose = Whose(correlation_id="c_2", utterance_id="u_2")
        outbox.erase(whose, whose.without)  # it may have to be published once more
        (kept,) = owner.unanswered.kept()
        assert b"secret" not in kept.payload


# -- by urgency

U, N, B = "urgent", "normal", "background"


async def test_of_devices_that_wait_an_urgent_one_is_next_and_each_class_has_its_tenth(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT", 1)
    rows = [
        letter(number, device_id=f"d_{number}", priority=B if number <= 4 else N if number <= 8 else U)
        for number in range(1, 49)
    ]
    broker, owner = Broker(), Owner()
    async with Outbox(broker, journal, owner.unanswered, owner) as outbox:
        outbox._backlogs = {one: module._Backlog(more=False) for one in Priority}
        for row in rows:
            await queue(outbox, journal, row)
        outbox.start()
        await passes(lambda: len(broker.took) == len(rows))
    kinds = "".join(rows[int(one[2:]) - 1].priority[0] for one in broker.took)
    assert kinds == "u" + "uuuuuuunb" * 4 + "u" * 11


@pytest.mark.slow
async def test_a_device_that_says_much_gives_way_after_each_message(journal: Journal) -> None:
    broker, owner = Broker(), Owner()
    long = [letter(number, device_id=f"d_{number % 64}", priority=B) for number in range(1, 321)]
    alarm = letter(321, device_id="alarm", priority=U)
    broker.away = True
    async with opened(broker, journal, owner) as outbox:
        for row in long:
            await queue(outbox, journal, row)
        await passes(lambda: broker.tried >= 64)
        await queue(outbox, journal, alarm)
        broker.away = False
        await passes(lambda: len(broker.took) == 321)
    assert broker.took.index("m_321") <= 64, "behind what was on the wire, and nothing else"
    for device in range(64):
        took = [one for one in (int(one[2:]) for one in broker.took) if one < 321 and one % 64 == device]
        assert took == sorted(took)


@pytest.mark.slow
async def test_what_is_urgent_does_not_wait_for_the_pages_of_the_journal_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HELD_LETTERS", 10)
    monkeypatch.setattr(module, "PAGE", 5)
    monkeypatch.setattr(module, "IN_FLIGHT", 2)
    path = str(tmp_path / "journal.db")
    async with Journal(JournalSettings(path=path)) as journal:
        for number in range(1, 101):
            await journal.commit(Queued(letter(number, device_id=f"d_{number % 9}", priority=B)))
        await journal.commit(Queued(letter(101, device_id="alarm", priority=U)))
    broker = Broker()
    broker.away = True
    async with Journal(JournalSettings(path=path)) as journal, opened(broker, journal) as outbox:
        await passes(lambda: outbox.waiting > 5)
        await queue(outbox, journal, letter(102, device_id="alarm", priority=U))
        broker.away = False
        await passes(lambda: len(broker.took) == 102)
        await passes(lambda: not outbox.waiting)
        await journal.commit()
        assert await numbers(journal) == []
    first, second = broker.took.index("m_101"), broker.took.index("m_102")
    assert first < second <= 6
    for device in range(9):
        took = [one for one in (int(one[2:]) for one in broker.took) if one < 101 and one % 9 == device]
        assert took == sorted(took)


async def test_what_is_urgent_is_not_lost_because_of_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNJOURNALED_LETTERS", 3)
    broker = Broker()
    broker.away = True
    async with opened(broker, NoJournal()) as outbox:
        for number in range(1, 6):
            outbox.put(letter(number, priority=B), journaled=False)
        outbox.put(letter(6, device_id="alarm", priority=U), journaled=False)
        assert (outbox.waiting, outbox.lost) == (4, 2)


async def test_each_attempt_is_counted_by_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY_SECONDS", 0.001)
    broker, owner = Broker(), Owner()
    broker.away, broker.refuses = True, {"m_2"}
    async with Outbox(broker, NoJournal(), owner.unanswered, owner) as outbox:
        assert outbox.attempts == {"published": 0, "delayed": 0, "refused": 0, "failed": 0}
        outbox.start()
        outbox.put(letter(1), journaled=False)
        outbox.put(letter(2), journaled=False)
        await passes(lambda: outbox.attempts["delayed"] >= 2)
        broker.away = False
        await passes(lambda: not outbox.waiting)
    assert (outbox.attempts["published"], outbox.attempts["refused"]) == (1, 1)
    assert sum(outbox.attempts.values()) == broker.tried
