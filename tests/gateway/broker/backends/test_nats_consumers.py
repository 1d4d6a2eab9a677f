"""Pulling from JetStream: how much is asked for and when, at a server of a few lines."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from gateway.broker.backends import nats_consumers
from gateway.broker.backends.nats_consumers import BATCH, LET_GO, TAKE_BACK, Deliveries, JetStreamConsumer
from gateway.broker.base import BrokerRefused, BrokerUnavailable
from gateway.broker.buffer import Readership
from gateway.broker.patterns import EVERYTHING
from gateway.broker.wire import Demand, RawMessage
from tests.gateway.broker.contract import until

TOPIC = "pigeon.post"


class Message(Struct):
    """As much of a message of nats-py as is read."""

    subject: str
    data: bytes = b""
    headers: dict[str, str] | None = None
    reply: str = ""


class Server:
    """``JetStream``, its client and its streams: it notes what is asked for, and answers when a test says so."""

    def __init__(self) -> None:
        self.client: Any = self
        self.streams = self
        self.asked: list[int] = []
        self.told: list[tuple[str, bytes]] = []
        self.flushed = 0
        self.lost = 0
        self.now = Deliveries(last=0, settled_to=0, count=0, unsettled=0, requests=0)
        self.forgotten: list[tuple[str, str]] = []
        self.subscribed = True
        self.failures: list[BrokerUnavailable] = []
        self._take: Any = None

    # -- the client

    def new_inbox(self) -> str:
        return "_INBOX.one"

    async def subscribe(self, inbox: str, cb: Any) -> Server:
        assert inbox == "_INBOX.one"
        self._take = cb
        return self

    async def unsubscribe(self) -> None:
        self.subscribed = False

    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        if reply:
            assert subject == "$JS.API.CONSUMER.MSG.NEXT.earshot=pigeon=post.workers"
            self.asked.append(json.loads(payload)["batch"])
        else:
            self.told.append((subject, payload))

    async def flush(self) -> None:
        self.flushed += 1

    # -- the connection

    def start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except BrokerUnavailable as error:
                self.failures.append(error)

        task = asyncio.get_running_loop().create_task(guarded(), name=name)
        task.add_done_callback(lambda _: work.close())
        return task

    @contextmanager
    def translated(self) -> Iterator[None]:
        yield

    async def forget(self, stream: str, consumer: str) -> None:
        self.forgotten.append((stream, consumer))
        raise BrokerRefused("not allowed")

    async def deliveries(self, _stream: str, _consumer: str) -> Deliveries:
        return self.now

    async def unread(self, _stream: str, _consumer: str) -> int:
        return self.lost

    # -- what a test has it do

    async def deliver(self, number: int) -> None:
        reply = f"$JS.ACK.stream.consumer.1.{number}.{number}.1700000000000000000.0"
        await self._take(
            Message(f"{TOPIC}.ann.kitchen.s_1", b"%d" % number, {"Nats-Msg-Id": f"m_{number}"}, reply)
        )

    async def end_request(self, status: str, description: str = "") -> None:
        await self._take(Message("_INBOX.one", headers={"Status": status, "Description": description}))


class Reader:
    """``Intake`` with as much room as a test gives it."""

    def __init__(self, room: int) -> None:
        self.room_left = room
        self.there_is = asyncio.Event()
        self.taken: list[RawMessage] = []
        self.gone = 0

    def take(self, received: RawMessage) -> None:
        self.taken.append(received)
        self.room_left -= 1

    async def room(self) -> int:
        while self.room_left <= 0:
            self.there_is.clear()
            await self.there_is.wait()
        return self.room_left

    def lost(self, messages: int) -> None:
        self.gone += messages

    def free(self, room: int) -> None:
        self.room_left += room
        self.there_is.set()


def consumer(server: Server, reader: Reader, group: str = "workers", after: str = "") -> JetStreamConsumer:
    demand = Demand(Readership(TOPIC, EVERYTHING, group), "r_1", 64, after)
    return JetStreamConsumer(server, "workers", "", demand, reader)


@pytest_asyncio.fixture
async def server() -> Server:
    return Server()


async def test_it_asks_for_as_much_as_there_is_room_for_and_then_for_the_next(server: Server) -> None:
    reader = Reader(3)
    pulling = consumer(server, reader)
    await pulling.begin()
    await until(lambda: server.asked == [3])
    for number in range(3):
        assert server.asked == [3], "one request at a time"
        await server.deliver(number)
    reader.free(2)
    await until(lambda: server.asked == [3, 2])
    assert [one.payload for one in reader.taken] == [b"0", b"1", b"2"]
    assert [one.attempt for one in reader.taken] == [1, 1, 1]
    await pulling.close(())


async def test_never_more_than_a_batch_at_once(server: Server) -> None:
    pulling = consumer(server, Reader(10 * BATCH))
    await pulling.begin()
    await until(lambda: bool(server.asked))
    assert server.asked == [BATCH]
    await pulling.close(())


@pytest.mark.parametrize("status", ["404", "408", "409", "503"])
async def test_a_request_that_is_over_is_made_again(server: Server, status: str) -> None:
    pulling = consumer(server, Reader(5))
    await pulling.begin()
    await until(lambda: server.asked == [5])
    await server.deliver(1)
    await server.end_request(status)
    await until(lambda: server.asked == [5, 4])
    assert server.failures == []
    await pulling.close(())


async def test_a_heartbeat_is_no_end(server: Server) -> None:
    pulling = consumer(server, Reader(5))
    await pulling.begin()
    await until(lambda: server.asked == [5])
    await server.end_request("100", "Idle Heartbeat")
    for _ in range(10):
        await asyncio.sleep(0)
    assert server.asked == [5]
    await pulling.close(())


async def test_a_consumer_that_was_deleted_ends_the_connection(server: Server) -> None:
    """The next one declares it again."""
    pulling = consumer(server, Reader(5))
    await pulling.begin()
    await until(lambda: server.asked == [5])
    await server.end_request("409", "Consumer Deleted")
    await until(lambda: bool(server.failures))
    assert "deleted" in str(server.failures[0])
    await pulling.close(())


@pytest.mark.slow
async def test_a_server_that_does_not_end_a_request_hangs(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_consumers, "REQUEST_SECONDS", 0.01)
    monkeypatch.setattr(nats_consumers, "GRACE_SECONDS", 0.01)
    pulling = consumer(server, Reader(5))
    await pulling.begin()
    await until(lambda: bool(server.failures))
    assert "does not answer" in str(server.failures[0])
    await pulling.close(())


@pytest.mark.parametrize(
    ("now", "taken_back"),
    [
        (Deliveries(last=9, settled_to=6, count=12, unsettled=3, requests=0), [7, 8, 9]),
        (Deliveries(last=9, settled_to=6, count=12, unsettled=3, requests=1), [7, 8, 9]),
        (Deliveries(last=9, settled_to=6, count=12, unsettled=3, requests=2), []),
        (Deliveries(last=9, settled_to=9, count=12, unsettled=0, requests=0), []),
        (Deliveries(last=5000, settled_to=2, count=9, unsettled=2, requests=0), list(range(3977, 5001))),
    ],
    ids=["nobody waits", "the lost one waits", "others wait", "nothing is owed", "too many to look at"],
)
async def test_after_a_loss_what_it_swallowed_is_taken_back(
    server: Server, now: Deliveries, taken_back: list[int]
) -> None:
    server.now = now
    pulling = consumer(server, Reader(5), after="6")
    await pulling.begin()
    stream = "$JS.ACK.earshot=pigeon=post.workers.1."
    assert server.told == [(f"{stream}{number}.{now.count}.0.0", TAKE_BACK) for number in taken_back]
    await pulling.close(())


async def test_what_the_stream_gave_up_unread_is_told_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_consumers, "LOOK_SECONDS", -1.0)
    reader = Reader(5)
    pulling = consumer(server, reader)
    await pulling.begin()
    await until(lambda: bool(server.asked))
    for lost, told in ((0, 0), (7, 7), (7, 7), (9, 9), (0, 9), (2, 11)):
        server.lost, requests = lost, len(server.asked)
        await server.end_request("408")
        await until(lambda: len(server.asked) > requests and reader.gone >= told)  # noqa: B023 - awaited here
        assert reader.gone == told
    await pulling.close(())


async def test_each_delivery_is_settled_on_its_own_subject_and_the_server_has_heard_it(
    server: Server,
) -> None:
    reader = Reader(5)
    pulling = consumer(server, reader)
    await pulling.begin()
    await until(lambda: bool(server.asked))
    await server.deliver(1)
    await server.deliver(2)
    tokens = [one.token for one in reader.taken]
    await pulling.renew(tokens)
    await pulling.settle(tokens[:1])
    assert server.flushed == 2, "a ping behind what was said"
    await pulling.close(tokens[1:])
    assert server.told == [
        (tokens[0], b"+WPI"),
        (tokens[1], b"+WPI"),
        (tokens[0], b"+ACK"),
        (tokens[1], LET_GO),
    ]
    assert not server.subscribed
    assert server.forgotten == [], "a group's consumer stays"


async def test_without_a_group_nothing_is_owed_and_nothing_is_left(server: Server) -> None:
    reader = Reader(5)
    pulling = consumer(server, reader, group="")
    await pulling.begin()
    await until(lambda: bool(server.asked))
    await server.deliver(1)
    server.lost = 9
    await server.end_request("408")
    await until(lambda: len(server.asked) == 2)
    assert reader.taken[0].token is None
    assert reader.gone == 0, "a subscription that began later has lost nothing"
    await pulling.close(())
    assert server.forgotten == [("earshot=pigeon=post", "workers")], "not being allowed to is no harm"


@given(st.lists(st.sampled_from(["deliver", "free", "408", "100"]), max_size=40))
async def test_never_more_is_asked_for_than_there_is_room_for(steps: Sequence[str]) -> None:
    server, reader = Server(), Reader(4)
    pulling = consumer(server, reader)
    await pulling.begin()
    await until(lambda: bool(server.asked))
    number, open_requests = 0, 0
    for step in steps:
        for _ in range(4):
            await asyncio.sleep(0)
        open_requests = sum(server.asked) - number
        if step == "deliver" and reader.room_left and server.asked and open_requests:
            number += 1
            await server.deliver(number)
        elif step == "free":
            reader.free(1)
        elif step in ("408", "100"):
            await server.end_request(step)
        assert all(0 < asked <= BATCH for asked in server.asked)
        assert reader.room_left >= 0
    assert [one.payload for one in reader.taken] == [b"%d" % n for n in range(1, number + 1)]
    assert server.failures == []
    await pulling.close(())
