"""Who may speak as which device, and who hears of it: tokens at /device, /ws and /events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from firmware_bridge.link.frames import FaultCode
from firmware_bridge.simulator.user import FaultShown
from gateway.access.principals import Role
from gateway.contract.events import DeviceEvent, ReplyEvent, SaidEvent, TranscriptionEvent, decode_event
from tests.gateway.access.keyring import Keyring
from tests.gateway.events import reply, status
from tests.gateway.web.house import PATIENCE, bearer, until
from tests.gateway.web.site import Site, open_site
from tests.gateway.works import loud


@pytest.fixture
async def site(keyring: Keyring) -> AsyncIterator[Site]:
    async with open_site(folder=keyring.folder, web={"require_token": True}) as opened:
        yield opened


async def refused(site: Site, name: str, token: str) -> str:
    """What a device is told that may not be one of that name."""
    async with site.board(name, token) as board:
        fault = await board.told.first(FaultShown)
    assert not site.parts.events.of(DeviceEvent)
    return str(fault.message)


class TestDevices:
    async def test_without_a_token(self, site: Site, client: ClientSession) -> None:
        with pytest.raises(WSServerHandshakeError, match="401"):
            await client.ws_connect(site.url + "device")

    async def test_an_orchestrators_token_is_no_devices(
        self, site: Site, client: ClientSession, keyring: Keyring
    ) -> None:
        token = keyring.token("agent", Role.ORCHESTRATOR)
        with pytest.raises(WSServerHandshakeError, match="403"):
            await client.ws_connect(site.url + "device", headers=bearer(token))

    @pytest.mark.parametrize(
        ("role", "devices", "name"),
        [
            (Role.DEVICE, ("kitchen",), "kitchen"),
            (Role.DEVICE, ("study", "kitchen"), "kitchen"),
            (Role.LISTENER, (), "web-ann-7"),
            (Role.LISTENER, ("kitchen",), "web-ann"),
            (Role.LISTENER, ("kitchen",), "web-ann-phone"),
            (Role.OPERATOR, (), "kitchen"),
        ],
    )
    async def test_who_may(
        self, site: Site, keyring: Keyring, role: Role, devices: tuple[str, ...], name: str
    ) -> None:
        async with site.board(name, keyring.token("ann", role, devices=devices)) as board:
            saying = asyncio.create_task(board.say(loud(1)))
            heard = await site.parts.result(device_id=name)
            await site.parts.reply(heard, "yes")
            assert (await saying).reply == "yes"

    @pytest.mark.parametrize(
        ("role", "devices", "name"),
        [
            (Role.DEVICE, ("kitchen",), "study"),
            (Role.DEVICE, ("kitchen",), "web-bob"),
            (Role.LISTENER, (), "kitchen"),
            (Role.LISTENER, (), "web-bob"),
            (Role.LISTENER, ("kitchen",), "kitchen"),
            (Role.LISTENER, ("kitchen",), "web-bob"),
            (Role.LISTENER, ("kitchen",), "web-annabel"),
        ],
    )
    async def test_who_may_not(
        self, site: Site, keyring: Keyring, role: Role, devices: tuple[str, ...], name: str
    ) -> None:
        why = await refused(site, name, keyring.token("ann", role, devices=devices))
        may_be = "kitchen" if role is Role.DEVICE else "web-ann"
        assert why == f"ann may not be the device {name}, but {may_be}"

    async def test_a_users_token_speaks_for_the_user(self, site: Site, keyring: Keyring) -> None:
        async with site.board("web-tablet-7", keyring.token("tablet", users=("anna",))) as board:
            saying = asyncio.create_task(board.say(loud(1)))
            heard = await site.parts.result()
            await site.parts.reply(heard, "yes")
            await saying
        assert heard.user_id == "anna"

    async def test_who_is_refused_owns_nothing(self, site: Site, keyring: Keyring) -> None:
        """A second one of the name is sent away, whoever vouches for it: the first one's words stay its owner's."""
        first, second = (keyring.token(name, Role.OPERATOR, users=(name,)) for name in ("anna", "eve"))
        anyone = keyring.token("anyone", Role.OPERATOR)
        async with site.board("web-anna-7", first) as board:
            await board.connected()
            for token, code in ((second, FaultCode.REFUSED), (anyone, FaultCode.DUPLICATE_ID)):
                async with site.board("web-anna-7", token) as other:
                    assert (await other.told.first(FaultShown)).code is code
                assert site.parts.pipeline.user("web-anna-7") == "anna"

    @pytest.mark.slow
    async def test_a_revoked_token_takes_its_device_off_the_line(self, site: Site, keyring: Keyring) -> None:
        token, text = keyring.make("board", Role.DEVICE, devices=("kitchen",))
        async with site.board("kitchen", text) as board:
            await board.connected()
            keyring.file.revoke(token.token_id)
            await site.parts.events.first(DeviceEvent, device_id="kitchen", state="disconnected")


class TestSay:
    async def test_its_name_is_the_devices_and_its_answer_is_heard(
        self, site: Site, client: ClientSession, keyring: Keyring
    ) -> None:
        """A listener of the kitchen speaks: it hears the kitchen, itself, and nobody else."""
        token = keyring.token("hall-tablet", devices=("kitchen",))
        async with client.ws_connect(site.url + "ws", headers=bearer(token)) as ws:
            await ws.send_str('{"type":"subscribe"}')
            await ws.receive_str(timeout=PATIENCE)
            await ws.send_str('{"type":"say","text":"good night"}')
            site.parts.hub.publish(status(device="study"))
            heard = await site.parts.result()
            assert heard.device_id.startswith("web-hall_tablet_")
            await site.parts.reply(heard, "sleep well")
            seen = []
            while not (seen and isinstance(seen[-1], ReplyEvent)):
                seen.append(decode_event(await ws.receive_str(timeout=PATIENCE)))
        assert {type(event) for event in seen} >= {SaidEvent, TranscriptionEvent, ReplyEvent}
        assert {event.device_id for event in seen if isinstance(event, ReplyEvent)} == {heard.device_id}
        assert "study" not in {getattr(event, "device_id", "") for event in seen}

    async def test_another_listener_of_the_kitchen_hears_none_of_it(
        self, site: Site, client: ClientSession, keyring: Keyring
    ) -> None:
        async with client.ws_connect(
            site.url + "ws", headers=bearer(keyring.token("bob", devices=("kitchen",)))
        ) as ws:
            await ws.send_str('{"type":"subscribe"}')
            await ws.receive_str(timeout=PATIENCE)
            async with client.ws_connect(
                site.url + "ws", headers=bearer(keyring.token("ann", devices=("kitchen",)))
            ) as other:
                await other.send_str('{"type":"subscribe"}')
                await other.send_str('{"type":"say","text":"a secret"}')
                await site.parts.result(text="a secret")
            site.parts.hub.publish(reply("for all in the kitchen"))
            event = decode_event(await ws.receive_str(timeout=PATIENCE))
            assert isinstance(event, ReplyEvent)
            assert event.text == "for all in the kitchen"


class TestStreams:
    async def test_a_scope_bounds_the_stream(
        self, site: Site, client: ClientSession, keyring: Keyring
    ) -> None:
        token = keyring.token("panel", devices=("study",))
        url = f"{site.url}events?devices=kitchen,study&kinds=status"
        async with client.get(url, headers=bearer(token)) as response:
            assert response.status == 200
            async with asyncio.timeout(PATIENCE):
                await response.content.readuntil(b"event: snapshot\n")
                await response.content.readuntil(b"\n\n")
                site.parts.hub.publish(status(device="kitchen"))
                site.parts.hub.publish(status(device="study"))
                assert b'"device_id":"study"' in await response.content.readuntil(b"\n\n")

    async def test_a_revoked_token_ends_the_stream(
        self, site: Site, client: ClientSession, keyring: Keyring
    ) -> None:
        token, text = keyring.make("panel")
        listeners = site.parts.hub.stats().listeners
        async with client.get(f"{site.url}events", headers=bearer(text)) as response:
            assert response.status == 200
            keyring.file.revoke(token.token_id)
            await until(lambda: site.parts.hub.stats().listeners == listeners)

    async def test_without_a_token(self, site: Site, client: ClientSession) -> None:
        async with client.get(f"{site.url}events") as response:
            assert response.status == 401
            assert response.content_type == "application/problem+json"
