"""A right that has ended is used on: what it opened while it was good is kept open, and half of something is said."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType
from click.testing import CliRunner

from firmware_bridge.link.frames import Header, Hello, Welcome, decode
from gateway.access.principals import Role
from gateway.client.credentials import Introduction
from gateway.client.device_socket import WebSocketWire
from gateway.commands.cli import main
from tests.attacks.castle import Castle
from tests.record import PATIENCE
from tests.system.house import Board, pcm

pytestmark = pytest.mark.slow

CONFIG = {
    "orchestrator": {"app": "builtin"},
    "devices": {"users": {"kitchen": "ann"}},
    "web": {"require_token": True, "uploads": {"stall_seconds": 30.0}},
}
AT_ONCE = 2.5
"""A second, on a machine that has other things to do, too."""

End = Callable[[Castle, str, str], None]


def revoke(castle: Castle, token_id: str, _name: str) -> None:
    castle.keyring.file.revoke(token_id)


def rotate(castle: Castle, _token_id: str, name: str) -> None:
    castle.keyring.file.rotate(name, days=1, overlap=0.2)


def revoke_all(castle: Castle, _token_id: str, _name: str) -> None:
    done = CliRunner().invoke(main, ["token", "--config", str(castle.config), "revoke", "--all"])
    assert done.exit_code == 0, done.output
    castle.watch_again()


def take_its_row(castle: Castle, token_id: str, _name: str) -> None:
    castle.keyring.put(
        [one for one in castle.keyring.file.read().tokens.values() if one.token_id != token_id]
    )


ENDS = pytest.mark.parametrize("end", [revoke, rotate, revoke_all, take_its_row])
ROADS = pytest.mark.parametrize("road", ["ws", "events", "device"])


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def until_over(
    castle: Castle, client: ClientSession, road: str, stack: AsyncExitStack, **how: Any
) -> Any:
    """Go that way; what is returned is to be awaited, and is done when the gateway has ended it."""
    url = castle.url + road
    if road == "events":
        response = await stack.enter_async_context(client.get(url, **how))
        assert response.status == 200
        return _drained(response.content.read())
    ws = await stack.enter_async_context(client.ws_connect(url, **how))
    if road == "device":
        hello = Hello(Header(credit=32), f"web-{castle.somebody}", 7, "test", 0, 0, 0, 0, 2048)
        await ws.send_bytes(hello.to_bytes())
        assert isinstance(decode((await ws.receive(PATIENCE)).data), Welcome)
    else:
        await ws.send_json({"type": "subscribe"})
        await ws.receive(PATIENCE)
    return _closed(ws)


async def _closed(ws: ClientWebSocketResponse) -> None:
    while (await ws.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
        pass


async def _drained(reading: Any) -> None:
    try:
        await reading
    except ClientError:
        return


@ROADS
@ENDS
async def test_a_token_that_ends_takes_along_what_it_opened(
    castle: Castle, client: ClientSession, road: str, end: End
) -> None:
    castle.somebody = name = f"{end.__name__}_{road}"
    token, text = castle.keyring.make(name)
    async with AsyncExitStack() as stack:
        over = await until_over(castle, client, road, stack, headers=bearer(text))
        end(castle, token.token_id, name)
        async with asyncio.timeout(AT_ONCE):
            await over


@ROADS
async def test_a_signed_token_ends_with_its_key(castle: Castle, client: ClientSession, road: str) -> None:
    castle.somebody = f"signed_{road}"
    _, text = castle.keyring.make_old(castle.somebody)
    async with AsyncExitStack() as stack:
        over = await until_over(castle, client, road, stack, headers=bearer(text))
        castle.keyring.key.unlink()
        async with asyncio.timeout(AT_ONCE):
            await over


@ROADS
async def test_a_token_whose_time_has_come(castle: Castle, client: ClientSession, road: str) -> None:
    castle.somebody = f"brief_{road}"
    _, text = castle.keyring.make(castle.somebody, days=1.0 / 86_400)
    async with AsyncExitStack() as stack:
        over = await until_over(castle, client, road, stack, headers=bearer(text))
        async with asyncio.timeout(1.0 + AT_ONCE):
            await over


async def sign_in(castle: Castle, client: ClientSession, text: str) -> dict[str, str]:
    """What a page shows from then on."""
    origin = {"Origin": castle.url.rstrip("/")}
    url = f"{castle.url}api/v1/session"
    async with client.post(url, json={"token": text}, headers=origin) as answer:
        assert answer.status == 200
        return {**origin, "Cookie": f"earshot={answer.cookies['earshot'].value}"}


@ROADS
async def test_a_page_that_signs_out_leaves_nothing_open(castle: Castle, road: str) -> None:
    castle.somebody = f"page_{road}"
    text = castle.token(castle.somebody)
    async with ClientSession() as thief, ClientSession() as page, AsyncExitStack() as stack:
        shown, another = await sign_in(castle, page, text), await sign_in(castle, page, text)
        over = await until_over(castle, thief, road, stack, headers=shown)
        stays = asyncio.create_task(
            await until_over(castle, thief, "ws", stack, headers=another), name="another page"
        )
        async with (
            ClientSession() as last,
            last.delete(f"{castle.url}api/v1/session", headers=shown) as answer,
        ):
            assert answer.status == 204
        async with asyncio.timeout(AT_ONCE):
            await over
        assert not stays.done(), "another page of the same token is another"
        stays.cancel()


@ENDS
async def test_a_page_ends_with_its_token(castle: Castle, client: ClientSession, end: End) -> None:
    name = f"page_{end.__name__}"
    token, text = castle.keyring.make(name)
    shown = await sign_in(castle, client, text)
    end(castle, token.token_id, name)

    async def is_out() -> bool:
        async with ClientSession() as page, page.get(f"{castle.url}api/v1/session", headers=shown) as answer:
            return answer.status == 401

    async with asyncio.timeout(AT_ONCE):
        while not await is_out():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.1)


async def test_an_upload_under_way(castle: Castle, client: ClientSession) -> None:
    token, text = castle.keyring.make("uploader")
    begun = asyncio.Event()

    async def drip() -> AsyncIterator[bytes]:
        yield b"RIFF"
        while True:
            begun.set()
            await asyncio.sleep(0.1)
            yield bytes(1_000)

    async def upload() -> int:
        headers = {**bearer(text), "Content-Type": "audio/wav"}
        async with client.post(f"{castle.url}api/v1/transcriptions", data=drip(), headers=headers) as answer:
            return answer.status

    sending = asyncio.create_task(upload())
    await begun.wait()
    castle.keyring.file.revoke(token.token_id)
    async with asyncio.timeout(AT_ONCE):
        try:
            assert await sending >= 400
        except ClientError:
            return


async def test_what_is_half_said_never_was(castle: Castle, client: ClientSession) -> None:
    token, text = castle.keyring.make("halfway")
    board = Board("web-halfway", WebSocketWire(castle.url, Introduction(text)), speed=1.0)
    async with board:
        await board.connected()
        saying = asyncio.create_task(board.say(pcm("u05")))

        async def sessions() -> list[Any]:
            open_ones = (await castle.ask(client, "sessions"))["sessions"]
            return [one for one in open_ones if one["device_id"] == "web-halfway"]

        while not await sessions():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        castle.keyring.file.revoke(token.token_id)
        async with asyncio.timeout(AT_ONCE):
            while await sessions():  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.05)
        saying.cancel()
    said = (await castle.ask(client, "utterances?device_id=web-halfway"))["utterances"]
    assert said == []


def give_to(castle: Castle, user: str) -> None:
    """By a reload, as an administrator does it."""
    config = json.loads(castle.config.read_text())
    config["devices"]["users"]["kitchen"] = user
    castle.config.write_text(json.dumps(config))
    castle.process.send_signal(signal.SIGHUP)


async def test_a_board_that_is_another_users_now(castle: Castle, client: ClientSession) -> None:
    """One stream of it goes on for hours; the former user hears no more of it."""
    async with castle.board("kitchen", speed=4.0) as board:
        await board.connected()
        first = asyncio.create_task(board.say(pcm("u05") * 4))

        async def user() -> str:
            sessions = (await castle.ask(client, "sessions"))["sessions"]
            return next((one["user_id"] for one in sessions if one["device_id"] == "kitchen"), "")

        async def becomes(name: str) -> None:
            async with asyncio.timeout(PATIENCE):
                while await user() != name:  # noqa: ASYNC110 - nothing announces it
                    await asyncio.sleep(0.02)

        await becomes("ann")
        give_to(castle, "bob")
        await becomes("bob")
        first.cancel()
        await board.goodbye()
    give_to(castle, "ann")


async def test_whoever_speaks_for_a_board_that_is_another_users_now(
    castle: Castle, client: ClientSession
) -> None:
    text = castle.token("ann_s", Role.OPERATOR, users=("ann",))
    ws = await client.ws_connect(f"{castle.url}device", headers=bearer(text))
    await ws.send_bytes(Hello(Header(credit=32), "kitchen", 9, "test", 0, 0, 0, 0, 2048).to_bytes())
    assert isinstance(decode((await ws.receive(PATIENCE)).data), Welcome)
    give_to(castle, "bob")
    try:
        async with asyncio.timeout(AT_ONCE):
            await _closed(ws)
    finally:
        give_to(castle, "ann")
