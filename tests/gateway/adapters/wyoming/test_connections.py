"""Connections of programs that speak Wyoming, and of those that do not: the end of one is not another's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from wyoming.client import AsyncTcpClient, AsyncUnixClient
from wyoming.ping import Ping

from gateway.adapters import doors
from gateway.adapters.wyoming import connection, places, server, way_back
from gateway.adapters.wyoming.events import WyomingEvent
from gateway.adapters.wyoming.info import Info
from gateway.adapters.wyoming.way_back import WayBack
from gateway.observing.health import ComponentHealth, HealthState
from tests.gateway.adapters.wyoming.programs import ask, client, read, rest, say, served, spoken
from tests.gateway.works import Works, loud, open_works, quiet
from tests.record import PATIENCE, passes
from tests.system.house import running

HELLO = quiet(0.3) + loud(0.5) + quiet(0.2)


@pytest.fixture
async def works(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Works]:
    monkeypatch.setattr(doors, "SHOWN_SECONDS", 0.01)
    async with open_works(watched=False, subscribed=False) as works:
        await works.ready()
        yield works
        assert not works.health.mishaps.counts


def shown(works: Works) -> ComponentHealth:
    return works.health.report().components.get("wyoming", ComponentHealth(HealthState.UNHEALTHY))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\n",
        b"{" * 70_000,
        b'{"type":"audio-chunk","payload_length":99999999999}\n',
        spoken(HELLO, stop=False) + b"\x00\n",
    ],
    ids=["empty", "http", "tls", "long", "huge", "late"],
)
async def test_garbage_is_told_and_ends_its_own_connection_alone(works: Works, garbage: bytes) -> None:
    async with served(works) as server, client(server) as other:
        async with client(server) as program:
            await say(program, garbage)
            *_, last = await rest(program)
            assert (last.type, last.data["code"]) == ("error", "malformed")
        assert (await ask(other, HELLO)).type == "transcript"


async def test_an_event_that_is_malformed_is_told_and_the_next_one_is_heard(works: Works) -> None:
    async with served(works) as server, client(server) as program:
        await say(
            program, b'{"type":"transcribe","data":{"language":5}}\n{"type":"nobody-knows","data":{}}\n'
        )
        told = await read(program)
        assert (told.type, told.data["code"]) == ("error", "malformed")
        assert "$.language" in told.data["text"]
        assert (await ask(program, HELLO)).type == "transcript"


async def test_out_of_order_and_twice_is_heard_as_well_as_it_can_be(works: Works) -> None:
    start, *_ = spoken(HELLO).partition(b'{"type": "audio-chunk"')
    async with served(works) as server, client(server) as program:
        chunks = spoken(HELLO)[len(start) :]
        await say(program, start + start + spoken(HELLO, stop=False) + start + chunks)
        assert (await read(program, "transcript")).data["text"]
        await say(program, chunks)  # without a beginning
        assert (await read(program, "transcript")).data["text"]
        await program.write_event(Ping(text="x").event())
        assert (await read(program, "pong", "transcript", "error")).data == {"text": "x"}


async def test_a_connection_cut_in_the_middle_of_anything_leaves_nothing_behind(works: Works) -> None:
    data = spoken(HELLO)
    async with served(works) as server:
        for at in range(1, len(data), len(data) // 20):
            async with client(server) as program:
                await say(program, data[:at])
        await passes(lambda: not server._connections)
        assert not works.pipeline.dictations._open
        async with client(server) as program:
            assert (await ask(program, HELLO)).type == "transcript"


async def test_who_says_nothing_leaves_but_not_while_waiting_for_us(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.05)
    async with served(works) as server, client(server) as program, client(server) as silent:
        works.engine.go.clear()
        await say(program, spoken(HELLO))
        await works.engine.working()
        [told] = await rest(silent)
        assert (told.type, told.data["code"]) == ("error", "timeout")
        works.engine.go.set()
        assert (await read(program, "transcript")).data["text"]
        assert [event.type for event in await rest(program)] == ["transcript-stop", "error"]


async def test_who_does_not_read_is_cut_off(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way_back, "MOST_UNREAD_BYTES", 10_000)
    async with served(works) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.places[0].port, limit=1_000)
        ping = b'{"type":"ping","data":{"text":"%b"}}\n' % (b"x" * 60_000)

        async def never_read() -> None:
            while True:
                writer.write(ping)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await never_read()
        writer.transport.abort()
        await passes(lambda: not server._connections)


async def test_so_many_come_in_and_no_more_and_one_address_leaves_room(works: Works) -> None:
    async with served(works, connections=4) as server:
        programs = [client(server) for _ in range(3)]
        for program in programs[:2]:
            await program.connect()
            await program.write_event(Ping().event())
            assert (await read(program)).type == "pong"
        await programs[2].connect()
        [told] = await rest(programs[2])
        assert (told.type, told.data["code"]) == ("error", "not-allowed")
        assert "open already" in told.data["text"]
        for program in programs:
            await program.disconnect()


async def test_health_shows_who_is_there_by_name(works: Works) -> None:
    async with served(works) as server:
        async with client(server) as program:
            await program.write_event(Ping().event())
            await read(program)
            await passes(lambda: "this machine, 1 connection" in str(shown(works).detail))
            assert f"tcp://127.0.0.1:{server.places[0].port}" in str(shown(works).detail)
        await passes(lambda: "nobody is there" in str(shown(works).detail))


class Strange:
    """A service that goes wrong."""

    is_busy = False

    async def info(self) -> Info:
        raise ValueError("nobody knows")

    def begin(self, line: WayBack) -> Strange:
        return self

    def takes(self, event: WyomingEvent) -> bool:
        return True

    async def take(self, event: WyomingEvent) -> None:
        raise ValueError("nobody knows")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("said", [b'{"type":"describe"}\n', spoken(HELLO)], ids=["described", "spoken"])
async def test_what_goes_wrong_inside_is_the_end_of_one_connection(works: Works, said: bytes) -> None:
    async with served(works, services=[Strange()]) as server:
        for _ in range(2):
            async with client(server) as program:
                await say(program, said)
                assert await rest(program) == []
    assert works.health.mishaps.counts.pop("wyoming connection") == 2


class Watchful:
    """A service that notes how often others have had their turn."""

    is_busy = False

    def __init__(self) -> None:
        self.turns = 0
        self.seen: list[int] = []

    async def others(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    async def info(self) -> Info:
        return Info()

    def begin(self, line: WayBack) -> Watchful:
        return self

    def takes(self, event: WyomingEvent) -> bool:
        return True

    async def take(self, event: WyomingEvent) -> None:
        self.seen.append(self.turns)

    def close(self) -> None:
        pass


async def test_who_sends_much_at_once_lets_others_have_their_turn_behind_every_event(works: Works) -> None:
    service = Watchful()
    async with served(works, services=[service]) as server, client(server) as program:
        with running(service.others()):
            await say(program, b'{"type":"audio-stop"}\n' * 200)
            await passes(lambda: len(service.seen) == 200)
    assert len(set(service.seen)) == 200


# -- where they come to


async def test_a_unix_socket_is_its_groups_and_is_gone_in_the_end(works: Works, tmp_path: Path) -> None:
    path = tmp_path / "wyoming.sock"
    async with served(works, f"unix://{path}"):
        assert path.stat().st_mode & 0o777 == 0o660
        async with AsyncUnixClient(path, read_timeout=PATIENCE) as program:
            assert (await ask(program, HELLO)).type == "transcript"
            await passes(lambda: "this machine, 1 connection" in str(shown(works).detail))
    await passes(lambda: not path.exists())


async def test_a_socket_that_somebody_left_behind_is_replaced(works: Works, tmp_path: Path) -> None:
    path = tmp_path / "wyoming.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with served(works, f"unix://{path}", "tcp://127.0.0.1:0") as server:
        async with AsyncUnixClient(path, read_timeout=PATIENCE) as program:
            assert (await ask(program, HELLO)).type == "transcript"
        assert server.places[0].url == f"unix://{path}"


def something_else(path: Path) -> None:
    path.write_text("mine")


def somebody(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    return listening


def no_folder(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (something_else, "something else than a socket"),
        (somebody, "another program listens there"),
        (no_folder, "No such file"),
    ],
)
async def test_a_place_that_cannot_be_had_is_shown_with_what_to_do_and_tried_again(
    works: Works,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: Callable[[Path], socket.socket | None],
    why: str,
) -> None:
    monkeypatch.setattr(server, "AGAIN_SECONDS", 0.01)
    path = tmp_path / "run" / "wyoming.sock"
    path.parent.mkdir()
    listening = there(path)

    async def clear_the_way() -> None:
        await passes(lambda: why in shown(works).reason)
        assert shown(works).remedy
        assert shown(works).state == "degraded"
        assert shown(works).works is not False  # there is the other place
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)

    clearing = asyncio.create_task(clear_the_way())
    async with served(works, "tcp://127.0.0.1:0", f"unix://{path}"):
        await clearing
        await passes(lambda: shown(works).state == "healthy")
    if listening is not None:
        listening.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
async def test_all_addresses_of_both_kinds_can_be_one_place(works: Works) -> None:
    async with served(works, "tcp://[::]:0") as server:
        for host in ("127.0.0.1", "::1"):
            port = server.places[0].port
            async with AsyncTcpClient(host, port, read_timeout=PATIENCE) as program:
                assert (await ask(program, HELLO)).type == "transcript"
        await passes(lambda: "tcp://[::]:" in str(shown(works).detail))


@pytest.mark.parametrize(
    ("url", "why"),
    [("tcp://192.0.2.1:9", "no such address"), ("tcp://nobody.invalid:9", "no such address")],
)
async def test_an_address_that_is_not_here_is_refused(url: str, why: str) -> None:
    with pytest.raises(places.CannotTakePlace, match=why) as refused:
        await places.taken(url, lambda _reader, _writer: None)
    assert refused.value.remedy


async def test_a_port_that_somebody_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"tcp://localhost:{other.getsockname()[1]}"
        with pytest.raises(places.CannotTakePlace, match="another program"):
            await places.taken(url, lambda _reader, _writer: None)


@pytest.mark.parametrize("host", ["localhost", "127.1"])
async def test_where_a_name_leads_is_known_by_its_address(host: str) -> None:
    place = await places.taken(f"tcp://{host}:0", lambda _reader, _writer: None)
    await place.close()
    assert (place.host, place.url) == ("127.0.0.1", f"tcp://127.0.0.1:{place.port}")
