"""A whole gateway behind the locked door: devices, listeners and what each of them is let do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from firmware_bridge.link.frames import Fault, FaultCode, Header, Hello
from firmware_bridge.simulator.user import WireChanged, WireMissing
from gateway.access.principals import Role
from gateway.client.credentials import Introduction
from gateway.client.listener import Listener
from gateway.contract.events import (
    ErrorEvent,
    ListenerEvent,
    SaidEvent,
    SnapshotEvent,
    Subscribe,
    TranscriptionEvent,
)
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.house import PATIENCE, bearer
from tests.gateway.web.site import Site, open_site
from tests.gateway.web.test_device_sockets import closed, frame
from tests.gateway.works import loud


@pytest.fixture
async def site(keyring: Keyring) -> AsyncIterator[Site]:
    async with open_site(folder=keyring.folder, web={"require_token": True}) as opened:
        yield opened


async def say(site: Site, name: str, token: str) -> None:
    """What a device says is heard, and answered."""
    async with site.board(name, token) as board:
        saying = asyncio.create_task(board.say(loud(0.5)))
        heard = await site.parts.result(device_id=name)
        await site.parts.reply(heard, "well")
        assert (await asyncio.wait_for(saying, PATIENCE)).reply == "well"


async def hear(listener: Listener) -> ListenerEvent:
    return await asyncio.wait_for(anext(listener), PATIENCE)


async def test_a_board_with_its_token(site: Site, keyring: Keyring) -> None:
    await say(site, "kitchen", keyring.token("board", Role.DEVICE, devices=("kitchen",)))


async def test_a_listener_is_its_own_device(site: Site, keyring: Keyring) -> None:
    await say(site, "web-ann", keyring.token("ann"))


@pytest.mark.parametrize(
    ("role", "devices", "name"),
    [
        (Role.DEVICE, ("kitchen",), "study"),
        (Role.LISTENER, (), "kitchen"),
        (Role.LISTENER, ("study",), "web-bob"),
    ],
)
async def test_nobody_is_a_device_that_is_not_theirs(
    site: Site, keyring: Keyring, *, role: Role, devices: tuple[str, ...], name: str
) -> None:
    headers = bearer(keyring.token("ann", role, devices=devices))
    async with ClientSession() as client, client.ws_connect(site.url + "device", headers=headers) as ws:
        await ws.send_bytes(Hello(Header(credit=32), name, 7, "test", 100, 0, 0, 0, 2048).to_bytes())
        fault = await frame(ws)
        assert isinstance(fault, Fault)
        assert fault.code is FaultCode.REFUSED
        assert (await closed(ws))[0] == 1008


@pytest.mark.parametrize("token", ["", "x.y.z"])
async def test_a_board_without_a_token_stays_outside(site: Site, keyring: Keyring, token: str) -> None:
    keyring.token()
    async with site.board("kitchen", token) as board:
        await board.told.until(lambda: bool(board.told.of(WireMissing)))
        (missing, *_) = board.told.of(WireMissing)
        assert "401" in missing.reason


async def test_an_orchestrator_neither_speaks_nor_is_a_device(
    site: Site, keyring: Keyring, client: ClientSession
) -> None:
    token = keyring.token("brain", Role.ORCHESTRATOR)
    with pytest.raises(WSServerHandshakeError, match="403"):
        await client.ws_connect(site.url + "device", headers=bearer(token))
    async with Listener(site.url, introduction=Introduction(token)) as listener:
        assert isinstance(await hear(listener), SnapshotEvent)
        await listener.say("turn on the light")
        event = await hear(listener)
        assert isinstance(event, ErrorEvent)
        assert event.code == "not_said"


@pytest.mark.slow
async def test_a_revoked_board_is_cut_off(site: Site, keyring: Keyring) -> None:
    token, text = keyring.make("board", Role.DEVICE, devices=("kitchen",))
    async with site.board("kitchen", text) as board:
        await board.told.until(lambda: any(one.up for one in board.told.of(WireChanged)))
        keyring.file.revoke(token.token_id)
        await board.told.until(lambda: not all(one.up for one in board.told.of(WireChanged)))
        await board.told.until(lambda: "401" in "".join(one.reason for one in board.told.of(WireMissing)))


async def test_a_listener_asks_for_another_users_session(site: Site, keyring: Keyring) -> None:
    """It is not there for them: neither live, nor in the picture of how things stand, nor when they resume."""
    board = keyring.token("board", Role.DEVICE, devices=("kitchen",))
    mine, theirs = (
        keyring.token(name, devices=(device,)) for name, device in (("ann", "kitchen"), ("eve", "study"))
    )
    async with (
        Listener(site.url, introduction=Introduction(mine)) as ann,
        Listener(site.url, introduction=Introduction(theirs)) as eve,
    ):
        assert isinstance(await hear(ann), SnapshotEvent)
        first = await hear(eve)
        await say(site, "kitchen", board)
        while not isinstance(event := await hear(ann), TranscriptionEvent):
            pass
        session = event.session_id
        await eve.say("what was said in the kitchen?")
        while not isinstance(own := await hear(eve), SaidEvent):
            assert getattr(own, "device_id", "web-eve") == "web-eve", own
    for wanted in (
        Subscribe(sessions=(session,)),
        Subscribe(devices=("kitchen",)),
        Subscribe(epoch=first.epoch, seq=first.seq, sessions=(session,)),
        Subscribe(epoch=first.epoch, seq=first.seq),
    ):
        async with Listener(site.url, wanted, Introduction(theirs)) as again:
            await again.say("and now?")
            while not isinstance(seen := await hear(again), SaidEvent):
                assert session not in repr(seen)


@pytest.mark.parametrize(
    "path", ["utterances", "sessions", "devices", "devices/kitchen", "utterances?device_id=kitchen"]
)
async def test_nor_is_it_in_the_api(
    keyring: Keyring, client: ClientSession, tmp_path: Path, path: str
) -> None:
    async with open_site(
        journal=tmp_path / "journal.db", folder=keyring.folder, web={"require_token": True}
    ) as site:
        await say(site, "kitchen", keyring.token("board", Role.DEVICE, devices=("kitchen",)))
        theirs = keyring.token("eve", devices=("study",))
        async with client.get(f"{site.url}api/v1/{path}", headers=bearer(theirs)) as answer:
            assert answer.status in {200, 404}
            assert "kitchen" not in (await answer.text()).replace("/api/v1/", "")
