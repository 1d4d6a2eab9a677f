"""Two whole gateways and hubs by themselves over a real Redis: one house on each page, whoever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from gateway.client.listener import Listener, ListenerEvent
from gateway.config.configuration import GatewayConfig
from gateway.contract.events import (
    DeviceEvent,
    ErrorEvent,
    HealthEvent,
    ReplyEvent,
    SnapshotEvent,
    Subscribe,
    TranscriptionEvent,
)
from gateway.house_hub.running import HouseHub, NoHouse
from tests.record import PATIENCE, Record, passes
from tests.servers.process import free_port
from tests.servers.redis import Redis
from tests.system.house import RECORDINGS, House, board, open_house, pcm, running, settings, text
from tests.system.process import EARSHOT, Running, run

pytestmark = pytest.mark.slow

SPOKEN = min(RECORDINGS)


def shared(name: str, broker: str) -> dict[str, dict[str, object]]:
    return {"broker": {"url": broker, "client_id": name}, "house": {"share": True}}


@asynccontextmanager
async def open_hub(folder: Path, broker: str, name: str) -> AsyncIterator[HouseHub]:
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    config = msgspec.convert(settings(folder, **shared(name, broker)), GatewayConfig)
    async with HouseHub(config, name) as hub:
        await passes(lambda: hub.sharing.told(hub._told()).ready)
        yield hub


@asynccontextmanager
async def open_all(folder: Path, broker: str) -> AsyncIterator[tuple[House, House, HouseHub]]:
    async with AsyncExitStack() as stack:
        houses = []
        for name in ("hall", "attic"):
            (folder / name).mkdir()
            houses.append(await stack.enter_async_context(open_house(folder / name, **shared(name, broker))))
        hub = await stack.enter_async_context(open_hub(folder / "hub", broker, "hub"))
        await passes(lambda: len(hub.sharing.gateways()) == 2)
        yield houses[0], houses[1], hub


async def watch(listener: Listener, events: Record) -> None:
    async for event in listener:
        events(event)


def finals(events: list[ListenerEvent]) -> list[str]:
    return [one.correlation_id for one in events if isinstance(one, ReplyEvent) and one.final]


async def test_what_is_said_at_two_gateways_is_on_the_hubs_page(tmp_path: Path, redis: Redis) -> None:
    async with open_all(tmp_path, redis.url) as (hall, attic, hub):
        events = Record()
        async with Listener(hub.url) as listener, hall.board("kitchen") as one, attic.board("ward") as two:
            with running(watch(listener, events)):
                await asyncio.gather(one.say(pcm(SPOKEN)), two.say(pcm(SPOKEN)))
                for device_id in ("kitchen", "ward"):
                    heard = await events.first(TranscriptionEvent, device_id=device_id)
                    assert heard.text == text(SPOKEN)
                    await events.first(ReplyEvent, device_id=device_id, final=True)
                await passes(
                    lambda: {"kitchen", "ward"} <= {one.device_id for one in hub.hub.standing().devices}
                )
        gateways = {one.gateway for one in hub.hub.standing().health if one.component == "recognizer"}
        assert gateways == {"hall", "attic"}
        page = attic.gateway.hub.standing()
        assert {one.device_id for one in page.devices} >= {"kitchen", "ward"}, "and so it is on any gateway's"


async def test_a_listener_goes_on_at_another_hub_and_misses_no_final(tmp_path: Path, redis: Redis) -> None:
    async with AsyncExitStack() as stack:
        hall, attic, hub = await stack.enter_async_context(open_all(tmp_path, redis.url))
        second = await stack.enter_async_context(open_hub(tmp_path / "hub-2", redis.url, "hub-2"))
        events, expected = Record(), Record()
        first = AsyncExitStack()
        third = await first.enter_async_context(open_hub(tmp_path / "hub-3", redis.url, "hub-3"))
        listener = await stack.enter_async_context(Listener(third.url, others=[second.url, hub.url]))
        stack.enter_context(running(watch(listener, events)))
        writer = await stack.enter_async_context(Listener(hall.gateway.url))
        other = await stack.enter_async_context(Listener(attic.gateway.url))
        stack.enter_context(running(watch(writer, expected), watch(other, Record())))
        for number in range(12):
            await (writer, other)[number % 2].say(f"number {number}")
            if number == 5:
                await first.aclose()
        await passes(lambda: len(finals(events.items)) >= 12)
        await passes(lambda: len(finals(expected.items)) >= 12)
        assert sorted(finals(events.items)) == sorted(finals(expected.items))
        assert len(events.of(SnapshotEvent)) == 1, "it has gone on, and not begun anew"


async def test_an_event_stream_goes_on_at_another_hub(tmp_path: Path, redis: Redis) -> None:
    """With the id that the one has given: a browser's EventSource behind a balancer knows no other."""
    async with open_all(tmp_path, redis.url) as (hall, attic, hub), ClientSession() as session:
        async with open_hub(tmp_path / "hub-2", redis.url, "hub-2") as second:
            url = f"{second.url}events?kinds=reply"
            async with session.get(url) as stream, Listener(hall.gateway.url) as listener:
                await listener.say("one")
                last = await _read_until(stream.content, b'"final":true')
        async with Listener(attic.gateway.url) as listener:
            await listener.say("two")
            await passes(lambda: len(hub.hub.standing().conversation) >= 4)
        headers = {"Last-Event-ID": last}
        async with session.get(f"{hub.url}events?kinds=reply", headers=headers) as stream:
            again = await _read_until(stream.content, b'"final":true')
        assert again != last
        assert again.count(":") >= 2, "it names both gateways"


async def _read_until(stream: asyncio.StreamReader, words: bytes) -> str:
    """The id of the first block that has the words, none of which is a snapshot."""
    block = b""
    async with asyncio.timeout(PATIENCE):
        while True:
            line = await stream.readline()
            block += line
            if line == b"\n":
                assert b"event: snapshot" not in block or b"Last" not in block
                if words in block and b"event: reply" in block:
                    return block.partition(b"id: ")[2].partition(b"\n")[0].decode()
                block = b""


async def test_a_gateway_that_is_killed_is_shown_as_gone(tmp_path: Path, redis: Redis) -> None:
    (tmp_path / "hall").mkdir()
    async with (
        run(tmp_path / "hall", **shared("hall", redis.url)) as gateway,
        open_hub(tmp_path / "hub", redis.url, "hub") as hub,
    ):
        events = Record()
        async with Listener(hub.url, Subscribe(kinds=("device", "health"))) as listener:
            with running(watch(listener, events)):
                async with board(tmp_path / "hall", "kitchen") as one:
                    await one.connected()
                    await events.first(DeviceEvent, device_id="kitchen", state="connected")
                    await gateway.kill()
                    gone = await events.first(DeviceEvent, device_id="kitchen", state="disconnected")
                assert gone.reason == "the gateway hall is not there: nothing is heard of it"
                told = await events.first(HealthEvent, component="gateway", state="unhealthy")
                assert (told.gateway, told.works) == ("hall", False)


@asynccontextmanager
async def hub_process(folder: Path, *arguments: str) -> AsyncIterator[Running]:
    """``earshot hub`` as its own process."""
    log = folder / "hub.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *EARSHOT, "hub", *arguments, stdout=DEVNULL, stderr=errors, cwd=folder,
            env={**os.environ, "EARSHOT_LOG__FORMAT": "json", "STATE_DIRECTORY": str(folder)},
        )  # fmt: skip
    running_hub = Running(process, Record(), log)
    try:
        await passes(lambda: running_hub.logged("web server listening"))
        yield running_hub
    finally:
        await running_hub.close()


async def test_the_command_serves_the_house_and_a_kill_costs_its_listeners_nothing(
    tmp_path: Path, redis: Redis
) -> None:
    async with (
        open_all(tmp_path, redis.url) as (hall, _, hub),
        hub_process(tmp_path, "--broker", redis.url, "--port", "0", "--name", "hub-2") as process,
    ):
        url = process.logged("web server listening")[0]["url"]
        events = Record()
        async with Listener(url, others=[hub.url]) as listener, Listener(hall.gateway.url) as writer:
            with running(watch(listener, events), watch(writer, Record())):
                await writer.say("before")
                await events.first(ReplyEvent, final=True)
                await process.kill()
                await writer.say("after")
                await events.first(ReplyEvent, count=2, final=True)
                assert len(events.of(SnapshotEvent)) == 1


async def test_a_hub_that_is_told_to_end_says_goodbye_and_is_gone(tmp_path: Path, redis: Redis) -> None:
    async with open_hub(tmp_path / "hub", redis.url, "hub") as hub:
        async with hub_process(tmp_path, "--broker", redis.url, "--port", "0", "--name", "hub-2") as process:
            await passes(lambda: len(hub.presence.neighbours.here()) == 1)
            process.stop(signal.SIGINT)
            assert await process.ended() == 0
        await passes(lambda: hub.presence.neighbours.here() == [])
        (gone,) = hub.presence.neighbours.known()
        assert gone.gone == "it was stopped"


async def test_a_hub_without_its_broker_serves_and_says_so(tmp_path: Path) -> None:
    away = f"redis://127.0.0.1:{free_port()}"
    config = msgspec.convert(settings(tmp_path, **shared("hub", away)), GatewayConfig)
    async with HouseHub(config) as hub, ClientSession() as session:
        assert hub.name == "hub-hub"
        await passes(lambda: "broker" in hub.health.report().components)
        assert hub.health.report().components["broker"].state == "unhealthy"
        async with session.get(f"{hub.url}readyz") as answer:
            assert answer.status == 503
            told = await answer.json()
        assert told["components"]["broker"]["reason"].endswith("what the gateways show is not seen here")
        async with session.get(hub.url) as page:
            assert page.status == 200
        async with session.get(f"{hub.url}api/v1/health") as answer:
            assert answer.status == 200
        await passes(lambda: hub.machine.latest is not None)
        async with session.get(f"{hub.url}metrics") as answer:
            names = {line.split("{")[0].split(" ")[0] for line in (await answer.text()).splitlines()}
        assert {
            "earshot_process_resident_memory_bytes",
            "earshot_host_cores",
            "earshot_house_work_total",
        } <= names
        assert "earshot_http_requests_total" in names


async def test_a_hub_is_ready_once_it_knows_what_there_is(tmp_path: Path, redis: Redis) -> None:
    """So who starts hubs again one after the other, each when the last is ready, loses nothing that they knew."""
    async with open_hub(tmp_path / "hub-1", redis.url, "hub-1") as first:
        config = msgspec.convert(settings(tmp_path, **shared("hub-2", redis.url)), GatewayConfig)
        async with HouseHub(config, "hub-2") as second:
            assert second.health.report().components["house"].state == "unhealthy"
            await second.sharing.known()
            await passes(lambda: second.health.report().components["house"].state == "healthy")
            assert second.health.report().ready
            assert first.well
            assert second.well


async def test_what_only_a_gateway_has_is_not_at_a_hub(tmp_path: Path, redis: Redis) -> None:
    async with open_hub(tmp_path / "hub", redis.url, "hub") as hub, ClientSession() as session:
        async with session.get(f"{hub.url}api/v1/models") as answer:
            assert answer.status == 503
            assert "Retry-After" not in answer.headers
            told = await answer.json()
        assert told["detail"].startswith("this is a hub")
        assert told["remedy"] == "ask the gateway itself"
        with pytest.raises(WSServerHandshakeError) as refused:
            await session.ws_connect(f"{hub.url}device")
        assert refused.value.status == 503
        events = Record()
        async with Listener(hub.url) as listener:
            with running(watch(listener, events)):
                await listener.say("is anybody there?")
                refused = await events.first(ErrorEvent)
                assert refused.code == "not_said"


async def _hub(folder: Path, *arguments: str, **environ: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *EARSHOT, "hub", *arguments, stdout=DEVNULL, stderr=PIPE, cwd=folder,
        env={**os.environ, "STATE_DIRECTORY": str(folder), **environ},
    )  # fmt: skip
    _, errors = await asyncio.wait_for(process.communicate(), 2 * PATIENCE)
    return process.returncode, errors.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--broker"),
        (("--broker", "ftp://nobody"), "no broker is called"),
        (("--broker", "redis://localhost", "--name", "a b"), "A-Z a-z 0-9 _ -"),
        (("--broker", "redis://localhost", "--host", "0.0.0.0"), "token"),
    ],
)
async def test_a_hub_that_cannot_be_says_why(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    status, errors = await _hub(tmp_path, *arguments)
    assert status in (1, 2)
    assert says in errors
    assert "Traceback" not in errors


async def test_a_port_that_is_taken_is_named(tmp_path: Path, redis: Redis) -> None:
    async with open_hub(tmp_path / "hub", redis.url, "hub") as hub:
        port = hub.url.rpartition(":")[2].strip("/")
        status, errors = await _hub(tmp_path, "--broker", redis.url, "--port", port, "--name", "b")
    assert status == 1
    assert port in errors


def test_a_hub_needs_a_broker_that_it_shares() -> None:
    with pytest.raises(NoHouse) as refused:
        HouseHub(GatewayConfig())
    assert "--broker" in refused.value.remedy
    assert json.dumps(str(refused.value))
