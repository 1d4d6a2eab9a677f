"""Reading Redis streams: what the server's answers mean, at a server that answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.broker.backends.redis_streams import FORGOTTEN_SECONDS, Appetite, RedisConsumer, RedisListener
from gateway.broker.base import BrokerUnavailable
from gateway.broker.buffer import Readership
from gateway.broker.patterns import EVERYTHING
from gateway.broker.wire import Demand, RawMessage
from tests.gateway.broker.contract import until

STREAM = "earshot:pigeon.post"
LEASE_SECONDS = 30.0


class Server:
    """``StreamServer``, its client and its reader; ``answers`` by command, the last of each for ever.

    Its stream ends at 7-1, unless something else is said of it.
    """

    namespace = "earshot"

    def __init__(self, **answers: list[Any]) -> None:
        told = answers.pop("xinfo_stream", [{}])
        stream = [{"last-generated-id": b"7-1", **one} if isinstance(one, dict) else one for one in told]
        self.answers = {**answers, "xinfo_stream": stream}
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.failures: list[BrokerUnavailable] = []

    def __getattr__(self, command: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append((command, arguments, options))
            await asyncio.sleep(0)
            answers = self.answers.get(command, [None])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    def called(self, command: str) -> list[tuple[Any, ...]]:
        return [arguments for name, arguments, _ in self.calls if name == command]

    async def reader(self) -> Server:
        return self

    async def end_reading(self, _reader: Any, task: asyncio.Task[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

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


class Reader:
    """``Intake``."""

    def __init__(self) -> None:
        self.taken: list[RawMessage] = []
        self.gone = 0

    def take(self, received: RawMessage) -> None:
        self.taken.append(received)

    async def room(self) -> int:
        await asyncio.sleep(0)
        return 10

    def lost(self, messages: int) -> None:
        self.gone += messages


def entry(number: int) -> tuple[bytes, dict[bytes, bytes]]:
    return b"%d-0" % number, {b"key": b"ann.kitchen.s_1", b"body": b"%d" % number}


def consumer(server: Server, reader: Reader) -> RedisConsumer:
    demand = Demand(Readership("pigeon.post", EVERYTHING, "workers"), "r_1", 64)
    return RedisConsumer(server, server, demand, reader, LEASE_SECONDS)


def listener(server: Server, reader: Reader, after: str = "") -> RedisListener:
    return RedisListener(
        server, server, Demand(Readership("pigeon.post", EVERYTHING, ""), "r_1", 64, after), reader
    )


# -- without a group


@pytest.mark.parametrize(
    ("after", "info", "start"),
    [
        ("", {"last-generated-id": b"7-1"}, "7-1"),
        ("", BrokerUnavailable("no such key"), "0-0"),
        ("5-0", BrokerUnavailable("is not asked"), "5-0"),
    ],
)
async def test_a_listener_begins_where_the_stream_ends_or_behind_what_it_had(
    after: str, info: Any, start: str
) -> None:
    server, reader = Server(xinfo_stream=[info], xread=[[(STREAM, [entry(8), entry(9)])], []]), Reader()
    reading = listener(server, reader, after)
    await reading.begin()
    await until(lambda: len(server.called("xread")) > 1)
    assert [arguments[0] for arguments in server.called("xread")[:2]] == [{STREAM: start}, {STREAM: "9-0"}]
    assert [(one.payload, one.token, one.place) for one in reader.taken] == [
        (b"8", None, "8-0"),
        (b"9", None, "9-0"),
    ]
    await reading.close(())
    assert server.failures == []


async def test_a_listener_whose_stream_cannot_be_asked_does_not_begin() -> None:
    with pytest.raises(BrokerUnavailable, match="loading"):
        await listener(Server(xinfo_stream=[BrokerUnavailable("loading")]), Reader()).begin()


# -- with a group


async def test_what_was_given_to_it_and_never_settled_comes_first() -> None:
    own = [[(STREAM, [entry(1), (b"2-0", {})])], [(STREAM, [entry(3)])], [], [(STREAM, [entry(4)])], []]
    server, reader = (
        Server(xreadgroup=own, xautoclaim=[[b"0-0", []]], xinfo_groups=[[]], xinfo_stream=[{}]),
        Reader(),
    )
    reading = consumer(server, reader)
    await reading.begin()
    await until(lambda: len(reader.taken) == 3)
    begun = [options["id"] for name, _, options in server.calls if name == "xgroup_create"]
    assert [*begun, reading.place] == ["7-1", "7-1"]
    streams = [arguments[2][STREAM] for arguments in server.called("xreadgroup")]
    assert streams[:4] == ["0", b"2-0", b"3-0", ">"]
    assert [one.payload for one in reader.taken] == [b"1", b"3", b"4"]
    assert reader.gone == 1, "one was trimmed while it was pending"
    await reading.close(())


async def test_a_group_that_is_there_is_joined_and_its_dead_are_removed() -> None:
    long_ago, lately = 1000 * FORGOTTEN_SECONDS + 1, 1000 * FORGOTTEN_SECONDS - 1
    rows = [
        {"name": b"gone", "pending": 0, "idle": long_ago},
        {"name": b"gone and owes", "pending": 1, "idle": long_ago},
        {"name": b"lately", "pending": 0, "idle": lately},
    ]
    server = Server(xgroup_create=[BrokerUnavailable("BUSYGROUP")], xinfo_consumers=[rows], xreadgroup=[[]])
    reading = consumer(server, Reader())
    await reading.begin()
    assert server.called("xgroup_delconsumer") == [(STREAM, "workers", b"gone")]
    await reading.close(())


async def test_another_refusal_is_the_connections() -> None:
    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        await consumer(Server(xgroup_create=[BrokerUnavailable("WRONGTYPE")]), Reader()).begin()


async def test_what_others_let_go_is_taken_over_with_its_attempts() -> None:
    claimed = [b"0-0", [entry(1), entry(2), (b"3-0", {})], [b"4-0", b"5-0"]]
    pending = [{"message_id": b"1-0", "times_delivered": 3}, {"message_id": b"9-0", "times_delivered": 8}]
    server, reader = (
        Server(
            xautoclaim=[claimed, [b"0-0", []]], xpending_range=[pending], xinfo_groups=[[]], xinfo_stream=[{}]
        ),
        Reader(),
    )
    await consumer(server, reader)._sweep(10)
    assert [(one.payload, one.attempt, one.token) for one in reader.taken] == [
        (b"1", 3, b"1-0"),
        (b"2", 1, b"2-0"),
    ]
    assert reader.gone == 3, "one without fields, two that the server names as deleted"


@pytest.mark.parametrize(
    ("group", "stream", "lost"),
    [
        ({"lag": 7, "last-delivered-id": b"2-0"}, {"length": 5, "first-entry": entry(5)}, 2),
        ({"lag": 5, "last-delivered-id": b"2-0"}, {"length": 5, "first-entry": entry(3)}, 0),
        ({"lag": 7, "last-delivered-id": b"6-0"}, {"length": 5, "first-entry": entry(5)}, 0),
        ({"lag": 7, "last-delivered-id": b"2-0"}, {"length": 0, "first-entry": None}, 7),
        ({"lag": None, "last-delivered-id": b"2-0"}, {"length": 5, "first-entry": entry(5)}, 0),
        ({"last-delivered-id": b"2-0"}, {"length": 5, "first-entry": entry(5)}, 0),
        (None, {"length": 5, "first-entry": entry(5)}, 0),
    ],
    ids=["trimmed", "all there", "read already", "all of it", "unknown", "old server", "no group"],
)
async def test_what_was_trimmed_before_the_group_read_it(
    group: dict[str, Any] | None, stream: Any, lost: int
) -> None:
    groups = [{"name": b"others", "lag": 99, "last-delivered-id": b"0-0"}]
    if group is not None:
        groups.append({"name": b"workers", **group})
    server, reader = Server(xautoclaim=[[b"0-0", []]], xinfo_groups=[groups], xinfo_stream=[stream]), Reader()
    reading = consumer(server, reader)
    for _ in range(2):
        await reading._sweep(10)
        assert reader.gone == lost, "told once"


@pytest.mark.parametrize("owes", [True, False])
async def test_at_its_end_what_it_owes_looks_abandoned_or_it_is_removed(owes: bool) -> None:  # noqa: FBT001
    pending = [{"message_id": b"1-0"}, {"message_id": b"2-0"}] if owes else []
    server = Server(xreadgroup=[[]], xautoclaim=[[b"0-0", []]], xinfo_groups=[[]], xinfo_stream=[{}])
    server.answers["xpending_range"] = [pending]
    reading = consumer(server, Reader())
    await reading.begin()
    await reading.close([b"1-0"])
    claims = [(arguments, options) for name, arguments, options in server.calls if name == "xclaim"]
    if owes:
        ((arguments, options),) = claims
        assert arguments == (STREAM, "workers", "r_1", 0, [b"1-0", b"2-0"])
        assert options["idle"] == 1000 * LEASE_SECONDS
        assert server.called("xgroup_delconsumer") == []
    else:
        assert claims == []
        assert server.called("xgroup_delconsumer") == [(STREAM, "workers", "r_1")]


async def test_a_read_that_fails_is_the_connections_loss_unless_it_was_ended() -> None:
    server = Server(xreadgroup=[BrokerUnavailable("gone")])
    reading = consumer(server, Reader())
    await reading.begin()
    await until(lambda: bool(server.failures))
    ended = Server(xreadgroup=[BrokerUnavailable("gone")])
    reading = consumer(ended, Reader())
    await reading.begin()
    reading._stopped = True
    await until(lambda: not ended.failures and reading._task.done())
    assert ended.failures == []


def test_no_more_is_asked_for_at_once_than_there_is_room_for_in_memory() -> None:
    appetite = Appetite()
    asked = []
    for size in [100] * 12 + [9_000_000] + [100] * 12 + [500_000_000]:
        asked.append(appetite.entries(128))
        appetite.had([("1-0", {b"body": bytes(1)}), ("2-0", {b"key": b"u.d.s", b"body": range(size)})])
    assert asked[:9] == [1, 2, 4, 8, 16, 32, 64, 128, 128]
    assert asked[13:16] == [1, 2, 4]
    assert appetite.entries(128) == 1
    appetite.had([("1-0", {})])
    appetite.had([("1-0", None)])
    assert appetite.entries(1) == 1
