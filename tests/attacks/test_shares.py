"""One token, or one address, takes all there is of something that everybody needs."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from firmware_bridge.link.frames import DeviceFrame, Header, Hello, Welcome, decode
from gateway.access.limits import Buckets, Rate
from gateway.access.page_sessions import MAX_SESSIONS, PageSessions
from gateway.access.principals import Role
from gateway.settings.web import WebLimitSettings
from gateway.web.entrance.doorstep import FRAMES_OF_A_SOCKET, FRAMES_OF_AN_ADDRESS
from tests.attacks.castle import Castle
from tests.gateway.web.raw import connection, frame, handshake
from tests.record import PATIENCE
from tests.servers.process import free_port
from tests.system.house import RECORDINGS

pytestmark = [pytest.mark.slow, pytest.mark.unwell(perhaps=("devices",))]

DEVICES, SESSIONS, LISTENERS = 8, 24, 12
CONFIG = {
    "orchestrator": {"app": "tests.attacks.slow_house:house", "timeout_seconds": 3},
    "devices": {"max_devices": DEVICES, "users": {"kitchen": "ann", "cellar": "ann"}},
    "sessions": {"max_sessions": SESSIONS},
    "history": {"mb": 1},
    "web": {
        "require_token": True,
        "max_listeners": LISTENERS,
        "uploads": {"stall_seconds": 1.0},
        "limits": {"requests_per_second": 1_000, "messages_per_second": 200},
    },
}
ENVIRON = {"PYTHONPATH": str(Path(__file__).parents[2])}
MINE, ANOTHER = "mallory", "bob"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def mallory(standing_castle: Castle) -> str:
    return standing_castle.token(MINE)


@pytest.fixture(scope="module")
def bob(standing_castle: Castle) -> str:
    return standing_castle.token(ANOTHER)


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def call(
    castle: Castle, client: ClientSession, token: str, method: str, path: str, **options: Any
) -> tuple[int, Any]:
    url = f"{castle.url}api/v1{path}"
    async with client.request(method, url, headers=bearer(token), **options) as response:
        body = await response.read()
        return response.status, json.loads(body) if body else None


async def socket(
    castle: Castle, client: ClientSession, token: str, path: str = "device"
) -> ClientWebSocketResponse:
    return await client.ws_connect(castle.url + path, headers=bearer(token))


async def hello(ws: ClientWebSocketResponse, device_id: str) -> DeviceFrame | None:
    """The answer; None: the socket was closed."""
    await ws.send_bytes(Hello(Header(credit=32), device_id, 7, "test", 0, 0, 0, 0, 2048).to_bytes())
    message = await ws.receive(PATIENCE)
    return decode(message.data) if message.type is WSMsgType.BINARY else None


async def is_over(ws: ClientWebSocketResponse) -> bool:
    """Whether the gateway has closed it, whatever it says before."""
    async with asyncio.timeout(PATIENCE):
        while (await ws.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
            pass
    return True


async def fill_fleet(
    stack: AsyncExitStack, castle: Castle, client: ClientSession, token: str
) -> list[ClientWebSocketResponse]:
    """One token has all places of the fleet that no board needs."""
    taken: list[ClientWebSocketResponse] = []
    while True:
        ws = await stack.enter_async_context(await socket(castle, client, token))
        if not isinstance(await hello(ws, f"web-{MINE}-{len(taken)}"), Welcome):
            return taken
        taken.append(ws)


class TestFleet:
    async def test_a_board_finds_room_among_visitors(
        self, castle: Castle, client: ClientSession, mallory: str
    ) -> None:
        """The witness, which the castle has speak, is a board; here it is asked for while they are there."""
        async with AsyncExitStack() as stack:
            await fill_fleet(stack, castle, client, mallory)
            async with castle.board("kitchen") as board:
                async with asyncio.timeout(PATIENCE):
                    await board.connected()
                await board.goodbye()

    async def test_boards_on_the_web_find_room_too(
        self, castle: Castle, client: ClientSession, mallory: str
    ) -> None:
        token = castle.token("garden", Role.DEVICE, devices=("garden",))
        async with AsyncExitStack() as stack:
            await fill_fleet(stack, castle, client, mallory)
            ws = await stack.enter_async_context(await socket(castle, client, token))
            assert isinstance(await hello(ws, "garden"), Welcome)

    async def test_whoever_has_most_makes_room_for_another_and_not_for_themselves(
        self, castle: Castle, client: ClientSession, mallory: str, bob: str
    ) -> None:
        async with AsyncExitStack() as stack:
            await fill_fleet(stack, castle, client, mallory)
            theirs = await stack.enter_async_context(await socket(castle, client, bob))
            assert isinstance(await hello(theirs, f"web-{ANOTHER}"), Welcome)

    async def test_visitors_that_left_push_no_board_out(
        self, castle: Castle, client: ClientSession, mallory: str
    ) -> None:
        """A board that is away for a moment keeps its place, whoever comes and goes meanwhile."""
        token = castle.token("attic", Role.DEVICE, devices=("attic",))
        ws = await socket(castle, client, token)
        first = await hello(ws, "attic")
        assert isinstance(first, Welcome)
        await ws.close()
        for number in range(2 * DEVICES):
            async with await socket(castle, client, mallory) as visitor:
                assert isinstance(await hello(visitor, f"web-{MINE}-v{number}"), Welcome)
        async with await socket(castle, client, token) as again:
            welcome = await hello(again, "attic")
            assert isinstance(welcome, Welcome)
            assert welcome.header.link == first.header.link, "it goes on where it was"

    async def test_sockets_that_say_nothing(
        self, castle: Castle, client: ClientSession, mallory: str, bob: str
    ) -> None:
        async with AsyncExitStack() as stack:
            silent = []  # what is open when one is refused stays
            with pytest.raises(WSServerHandshakeError, match="503"):  # noqa: PT012
                for _ in range(2 * DEVICES + 1):  # less where some that left have not been missed yet
                    silent.append(await stack.enter_async_context(await socket(castle, client, mallory)))  # noqa: PERF401
            theirs = await stack.enter_async_context(await socket(castle, client, bob))
            assert isinstance(await hello(theirs, f"web-{ANOTHER}"), Welcome)
            assert await is_over(silent[0])


@pytest.mark.parametrize("opcode", [0x2, 0x9, 0xA], ids=["empty messages", "pings", "pongs"])
@pytest.mark.parametrize("path", ["/device", "/ws"])
async def test_frames_are_read_as_fast_as_anybody_may_say_them(
    castle: Castle, mallory: str, path: str, opcode: int
) -> None:
    """Megabytes of the smallest frames there are; the gateway stops reading long before their end."""
    async with connection(castle.port) as raw:
        raw.send(handshake(castle.port, f"Authorization: Bearer {mallory}\r\n", path))
        assert (await raw.head())[0] == 101
        many = frame(opcode, b"") * 10_000
        with pytest.raises((TimeoutError, ConnectionError)):  # noqa: PT012
            async with asyncio.timeout(1.0):
                for _ in range(500):
                    raw.send(many)
                    await raw.writer.drain()


def test_forty_boards_that_speak_behind_one_address_wait_for_nobody() -> None:
    """What an honest house sends is not slowed down: fifty frames a second of each board, for as long as it likes."""
    limits = WebLimitSettings()
    board = Buckets(Rate(limits.messages_per_second * FRAMES_OF_A_SOCKET, 1.0))
    house = Buckets(Rate(limits.messages_per_second * FRAMES_OF_AN_ADDRESS, 1.0))
    for tick in range(500):
        now = tick * 0.02
        assert board.owe("board", now, 1) <= 0.02
        assert sum(house.owe("house", now, 1) for _ in range(40)) / 40 <= 0.02


class TestSessions:
    async def test_texts_leave_room_for_boards_and_for_others(
        self, castle: Castle, client: ClientSession, mallory: str, bob: str
    ) -> None:
        said = [
            (await call(castle, client, mallory, "POST", "/say", json={"text": f"wait {number}"}))[0]
            for number in range(SESSIONS)
        ]
        assert said.count(202) == SESSIONS // 2
        assert (await call(castle, client, bob, "POST", "/say", json={"text": "me too"}))[0] == 202
        await castle.witness_is_answered()


async def test_long_texts_push_no_board_out_of_the_history(
    castle: Castle, client: ClientSession, mallory: str, bob: str
) -> None:
    await castle.witness_is_answered()
    before = (await castle.ask(client, "utterances?device_id=witness&limit=200"))["utterances"]
    assert (await call(castle, client, bob, "POST", "/say", json={"text": "good morning"}))[0] == 202
    for _ in range(28):
        words = {"json": {"text": "ä" * 4_000}}
        said = await asyncio.gather(
            *(call(castle, client, mallory, "POST", "/say", **words) for _ in range(5))
        )
        assert {status for status, _ in said} <= {202, 503}
    after = (await castle.ask(client, "utterances?device_id=witness&limit=200"))["utterances"]
    assert [one["utterance_id"] for one in after] == [one["utterance_id"] for one in before]
    assert (await castle.ask(client, f"utterances?device_id=web-{ANOTHER}"))["utterances"]


def test_pages_that_sign_in_again_and_again_sign_nobody_out() -> None:
    """From as many threads as the gateway has, which is how it signs them in."""
    pages = PageSessions(None, time.time)
    theirs = pages.begin("t_bob")
    with ThreadPoolExecutor(8) as threads:
        mine = list(threads.map(lambda _: pages.begin("t_mallory"), range(MAX_SESSIONS + 100)))
    assert len(pages) == MAX_SESSIONS
    assert pages.find(theirs) == "t_bob"
    assert [pages.find(mine[0]), pages.find(mine[-1])] == [None, "t_mallory"]


class TestUploads:
    async def drip(self, seconds: float) -> AsyncIterator[bytes]:
        """Enough to keep a place, and no more."""
        yield b"RIFF"
        async with asyncio.timeout(seconds):
            while True:
                await asyncio.sleep(0.2)
                yield b"\0"

    async def test_what_comes_byte_by_byte_keeps_no_place(
        self, castle: Castle, client: ClientSession, mallory: str
    ) -> None:
        headers = {**bearer(mallory), "Content-Type": "audio/wav"}
        async with client.post(
            f"{castle.url}api/v1/transcriptions", data=self.drip(PATIENCE), headers=headers
        ) as answer:
            assert answer.status == 408
            assert "32 a second" in (await answer.json())["detail"]

    async def test_one_token_leaves_places_for_others(
        self, castle: Castle, client: ClientSession, mallory: str, bob: str
    ) -> None:
        async def upload(token: str, body: Any) -> int:
            headers = {**bearer(token), "Content-Type": "audio/wav"}
            url = f"{castle.url}api/v1/transcriptions"
            async with ClientSession() as own, own.post(url, data=body, headers=headers) as answer:
                return answer.status

        kept = [asyncio.create_task(upload(mallory, self.drip(PATIENCE))) for _ in range(3)]
        done, waiting = await asyncio.wait(kept, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [429]
        assert len(waiting) == 2, "as many as an honest one may send at once"
        assert await upload(bob, RECORDINGS["u05"].path.read_bytes()) == 200
        assert [await task for task in waiting] == [408, 408]


class TestListeners:
    async def test_whoever_has_most_makes_room(
        self, castle: Castle, client: ClientSession, mallory: str, bob: str
    ) -> None:
        async with AsyncExitStack() as stack:
            mine = [
                await stack.enter_async_context(await listen(castle, client, mallory))
                for _ in range(LISTENERS)
            ]
            assert await is_over(await socket(castle, client, mallory, "ws"))
            theirs = await stack.enter_async_context(await listen(castle, client, bob))
            assert await is_over(mine[0])
            assert not theirs.closed

    async def test_event_streams_are_the_same_table(
        self, castle: Castle, client: ClientSession, mallory: str, bob: str
    ) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(LISTENERS):
                stream = client.get(f"{castle.url}events", headers=bearer(mallory))
                assert (await stack.enter_async_context(stream)).status == 200
            async with client.get(f"{castle.url}events", headers=bearer(mallory)) as answer:
                assert answer.status == 503
            theirs = await stack.enter_async_context(await listen(castle, client, bob))
            assert not theirs.closed


async def listen(castle: Castle, client: ClientSession, token: str) -> ClientWebSocketResponse:
    """On /ws, and told what there is."""
    ws = await socket(castle, client, token, "ws")
    await ws.send_json({"type": "subscribe"})
    assert (await ws.receive(PATIENCE)).type is WSMsgType.TEXT
    return ws


async def test_announcements_for_a_device_that_is_away(castle: Castle, client: ClientSession) -> None:
    path, words = "/devices/cellar/announcements", {"text": "wait"}
    mine, theirs = (castle.token(name, Role.ORCHESTRATOR) for name in ("cook", "butler"))
    said = [(await call(castle, client, mine, "POST", path, json=words))[0] for _ in range(20)]
    assert said == [202] * 16 + [429] * 4
    assert (await call(castle, client, theirs, "POST", path, json=words))[0] == 202


class TestOpenFiles:
    def run(self, folder: Path, files: int) -> subprocess.Popen[bytes]:
        """A gateway of its own that may have so many files open."""
        config = folder / "config.yaml"
        config.write_text(
            json.dumps({"web": {"port": free_port()}, "journal": {"path": str(folder / "j.db")}})
        )
        return subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", "--config", str(config)],
            cwd=folder, stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)),  # noqa: PLW1509
        )  # fmt: skip

    def test_too_few_are_told_and_no_traceback(self, tmp_path: Path) -> None:
        gateway = self.run(tmp_path, 24)
        _, told = gateway.communicate(timeout=PATIENCE)
        assert gateway.returncode == 2
        assert b"64 are the least" in told
        assert b"Traceback" not in told

    async def test_connections_leave_descriptors_for_everything_else(self, tmp_path: Path) -> None:
        """More of them than there are files: the last ones are told so, and everything else goes on."""
        gateway = self.run(tmp_path, 128)
        port = json.loads((tmp_path / "config.yaml").read_text())["web"]["port"]
        try:
            async with ClientSession() as client, AsyncExitStack() as stack:
                while True:
                    with suppress(ClientError):
                        async with client.get(f"http://127.0.0.1:{port}/livez"):
                            break
                    await asyncio.sleep(0.1)
                for _ in range(150):
                    await stack.enter_async_context(connection(port))
                open_files = os.listdir(f"/proc/{gateway.pid}/fd")  # noqa: PTH208
                assert len(open_files) < 120
            async with ClientSession() as client:
                found = await found_health(client, port)
                assert found["open files"]["state"] == "degraded"
                assert "32 connections" in found["open files"]["reason"]
                assert found["journal"]["state"] == "healthy"
        finally:
            gateway.terminate()
            _, told = await asyncio.to_thread(gateway.communicate)
        assert b"Traceback" not in told


async def found_health(client: ClientSession, port: int) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(ClientError):
                async with client.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status != 429:
                        components: dict[str, Any] = (await answer.json())["components"]
                        return components
            await asyncio.sleep(0.1)
