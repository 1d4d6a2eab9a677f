"""Devices on WebSockets: the same speech, the same answers as on any carrier, and nothing that ends the gateway."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from firmware_bridge.link.frames import (
    Codec,
    DeviceFrame,
    Fault,
    FaultCode,
    Header,
    Hello,
    Ping,
    Welcome,
    decode,
)
from firmware_bridge.link.wires import WEB
from firmware_bridge.simulator.user import ReplyShown, WireMissing
from gateway.client.device_socket import WebSocketWire
from gateway.contract.events import DeliveryEvent, DeviceEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import is_token
from gateway.web import device_sockets
from tests.gateway.web.house import PATIENCE, House, opening_slowly
from tests.gateway.web.site import Site, open_site
from tests.gateway.works import loud
from tests.record import passes
from tests.system.house import Board

HELLO = Hello(Header(credit=32), "web-page", 7, "test", 100, 0, 0, 0, 2048)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


async def frame(ws: ClientWebSocketResponse) -> DeviceFrame:
    message = await ws.receive(PATIENCE)
    assert message.type is WSMsgType.BINARY, message
    return decode(message.data)


async def closed(ws: ClientWebSocketResponse) -> tuple[int, str]:
    """The code and reason with which the gateway closes, whatever it says before."""
    while True:
        message = await ws.receive(PATIENCE)
        if message.type is WSMsgType.CLOSE:
            return message.data, message.extra or ""
        assert message.type is WSMsgType.BINARY, message


def heard_to(site: Site) -> int:
    """How much of what is being said has arrived, in samples."""
    return max((c.heard_to for c in site.parts.pipeline._hearing.streams.values()), default=0)


async def greet(ws: ClientWebSocketResponse, hello: Hello = HELLO) -> Welcome:
    await ws.send_bytes(hello.to_bytes())
    welcome = await frame(ws)
    assert isinstance(welcome, Welcome)
    return welcome


class TestSpeech:
    @pytest.mark.parametrize("codec", [Codec.PCM16, Codec.IMA_ADPCM])
    async def test_a_listener_that_speaks_is_one_more_device(self, site: Site, codec: Codec) -> None:
        async with site.board(codec=codec) as board:
            saying = asyncio.create_task(board.say(loud(1)))
            heard = await site.parts.result()
            await site.parts.reply(heard, "as you wish")
            said = await saying
            await site.parts.events.first(DeliveryEvent)
        assert (said.transcript, said.reply) == ("16000", "as you wish")
        assert heard.device_id == "web-page"
        assert heard.correlation_id.startswith(f"web-{heard.session_id}-")
        assert is_token(heard.correlation_id)
        for kind in (TranscriptionEvent, ReplyEvent):
            event = await site.parts.events.first(kind)
            assert event.correlation_id == heard.correlation_id
        assert (await site.parts.events.first(DeviceEvent)).link == WEB

    async def test_a_board_on_the_web_has_ids_like_any_other(self, site: Site) -> None:
        async with site.board("kitchen") as board:
            saying = asyncio.create_task(board.say(loud(1)))
            heard = await site.parts.result()
            assert heard.correlation_id.startswith("c_")
            await site.parts.reply(heard, "yes")
            await saying

    async def test_every_sample_arrives_once_however_often_the_socket_breaks(self, site: Site) -> None:
        async with site.board(speed=8.0) as board:
            await board.connected()
            saying = asyncio.create_task(board.say(loud(8)))
            for seconds in (1, 3, 5):
                await passes(lambda s=seconds: heard_to(site) >= 16_000 * s)
                board.unplug()
                await site.parts.events.first(DeviceEvent, state="disconnected")
                site.parts.events.items.clear()
                board.replug()
            heard = await site.parts.result()
            await site.parts.reply(heard, "all of it")
            said = await saying
        assert (said.transcript, said.reply) == (str(8 * 16_000), "all of it")
        assert heard.audio.gaps == 0

    async def test_an_answer_waits_for_the_device_that_lost_its_socket(self, site: Site) -> None:
        async with site.board() as board:
            saying = asyncio.create_task(board.say(loud(1)))
            heard = await site.parts.result()
            board.unplug()
            await site.parts.events.first(DeviceEvent, state="disconnected")
            await site.parts.reply(heard, "still here")
            await site.parts.events.first(ReplyEvent, final=True)
            assert not board.told.of(ReplyShown)
            board.replug()
            assert (await saying).reply == "still here"

    async def test_a_device_moves_between_carriers(self, site: Site) -> None:
        async with site.parts.board("kitchen") as board:
            await board.connected()
            boot = board.end.boot
        async with site.board("kitchen", boot=boot) as moved:
            await moved.connected()
            (known,) = site.parts.bridge.devices()
            assert (known.link, known.boot, known.connected) == (WEB, boot, True)

    async def test_two_devices_of_one_name_do_no_harm(self, site: Site) -> None:
        async with site.board() as first, site.board() as second:
            await first.connected()
            saying = asyncio.create_task(first.say(loud(1)))
            heard = await site.parts.result()
            await site.parts.reply(heard, "for the first")
            assert (await saying).reply == "for the first"
            assert not second.told.of(ReplyShown)


class TestBadInput:
    async def test_text_is_refused(self, site: Site, client: ClientSession) -> None:
        async with client.ws_connect(site.url + "device") as ws:
            await ws.send_str("HELLO")
            assert await closed(ws) == (1003, "only binary messages, one frame in each")
        async with client.ws_connect(site.url + "device") as ws:
            await greet(ws)
            await ws.send_str("{}")
            assert (await closed(ws))[0] == 1003
        await site.well()

    @pytest.mark.parametrize(
        "garbage", [b"", b"\x00", b"\xff" * 2000, b"\x01" * 19, HELLO.to_bytes()[:-5]], ids=len
    )
    async def test_what_is_no_frame_costs_nothing_but_itself(
        self, site: Site, client: ClientSession, garbage: bytes
    ) -> None:
        async with client.ws_connect(site.url + "device") as ws:
            await ws.send_bytes(garbage)
            await greet(ws)
            await ws.send_bytes(garbage)
            await ws.send_bytes(Ping(Header(link=9)).to_bytes())
            while not isinstance(answer := await frame(ws), Fault):
                pass
            assert answer.code in {FaultCode.SAY_HELLO, FaultCode.MALFORMED, FaultCode.UNSUPPORTED_VERSION}
        await site.well()

    async def test_a_stranger_is_told_to_say_hello(self, site: Site, client: ClientSession) -> None:
        async with client.ws_connect(site.url + "device") as ws:
            await ws.send_bytes(Ping(Header(link=9)).to_bytes())
            fault = await frame(ws)
            assert isinstance(fault, Fault)
            assert fault.code is FaultCode.SAY_HELLO
            await greet(ws)

    async def test_a_bad_name_is_told_why(self, site: Site, client: ClientSession) -> None:
        async with client.ws_connect(site.url + "device") as ws:
            bad = Hello(Header(credit=32), "no good name", 7, "test", 100, 0, 0, 0, 2048)
            await ws.send_bytes(bad.to_bytes())
            fault = await frame(ws)
            assert isinstance(fault, Fault)
            assert fault.code is FaultCode.BAD_ID

    async def test_a_message_longer_than_any_frame(self, site: Site, client: ClientSession) -> None:
        async with client.ws_connect(site.url + "device") as ws:
            await greet(ws)
            await ws.send_bytes(bytes(9_000))
            assert (await closed(ws))[0] == 1009
        await site.well()

    async def test_another_name_on_the_same_socket(self, site: Site, client: ClientSession) -> None:
        async with client.ws_connect(site.url + "device") as ws:
            await greet(ws)
            other = Hello(Header(credit=32), "web-other", 8, "test", 100, 0, 0, 0, 2048)
            await ws.send_bytes(other.to_bytes())
            fault = await frame(ws)
            assert isinstance(fault, Fault)
            assert fault.code is FaultCode.BAD_ID

    async def test_who_never_says_hello_is_closed(
        self, site: Site, client: ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(device_sockets, "HELLO_SECONDS", 0.1)
        async with client.ws_connect(site.url + "device") as ws:
            assert await closed(ws) == (1008, "no HELLO has come")

    async def test_a_plain_request_is_no_device(self, site: Site, client: ClientSession) -> None:
        async with client.get(site.url + "device") as response:
            assert response.status == 400

    async def test_a_foreign_page_is_no_device(self, site: Site, client: ClientSession) -> None:
        with pytest.raises(WSServerHandshakeError, match="403"):
            await client.ws_connect(site.url + "device", headers={"Origin": "http://evil.example"})


class TestSlow:
    async def test_a_device_that_never_reads_delays_nobody(self, site: Site) -> None:
        """Its frames are not taken once its queue is full; the link would send them again."""
        stuck = await asyncio.to_thread(hello_and_never_read, site.url)
        with stuck:
            await site.parts.events.first(DeviceEvent, device_id="web-stuck", state="connected")
            for number in range(400):
                site.parts.bridge.send_reply("web-stuck", 1, 1, f"c_{number}", "x" * 2_000, final=True)
                site.parts.bridge._flush()
            await site.well()
        await site.parts.events.first(DeviceEvent, device_id="web-stuck", state="disconnected")

    async def test_more_devices_than_there_may_be(self, client: ClientSession) -> None:
        async with (
            open_site(devices={"max_devices": 1}) as site,
            client.ws_connect(site.url + "device"),
            client.ws_connect(site.url + "device"),
        ):
            with pytest.raises(WSServerHandshakeError, match="503"):
                await client.ws_connect(site.url + "device")

    async def test_whoever_does_not_begin_a_websocket_takes_nobodys_place(
        self, client: ClientSession
    ) -> None:
        async with open_site(devices={"max_devices": 1}) as site:
            device = client.ws_connect(site.url + "device")
            async with device as first, client.ws_connect(site.url + "device") as second:
                for wrong in ({}, {"Sec-WebSocket-Version": "1"}, {"Sec-WebSocket-Key": "short"}):
                    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
                    headers = {**upgrade, "Sec-WebSocket-Key": "x" * 22 + "==", **wrong} if wrong else {}
                    async with client.get(site.url + "device", headers=headers) as response:
                        assert response.status == 400, wrong
                await greet(first)
                await second.send_bytes(replace(HELLO, device_id="web-other").to_bytes())
                assert await frame(second), "though there is no room for it"


def hello_and_never_read(url: str) -> socket.socket:
    """A WebSocket that says HELLO and has stopped reading, with as small a buffer as the system gives."""
    host, port = url.split("/")[2].split(":")
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect((host, int(port)))
    stuck.sendall(
        f"GET /device HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    hello = Hello(Header(credit=256), "web-stuck", 1, "test", 0, 0, 0, 0, 2048).to_bytes()
    stuck.sendall(bytes((0x82, 0x80 | 126)) + len(hello).to_bytes(2, "big") + bytes(4) + hello)
    return stuck


class TestGatewayComesAndGoes:
    async def test_before_it_is_up_there_is_nobody_to_talk_to(self, house: House) -> None:
        board = Board("web-page", WebSocketWire(house.url))
        async with board:
            missing = await board.told.first(WireMissing)
        assert "503" in missing.reason

    async def test_it_says_goodbye(self, client: ClientSession) -> None:
        async with open_site() as site:
            ws = await client.ws_connect(site.url + "device")
            await greet(ws)
            waiting = await client.ws_connect(site.url + "device")
            closing = asyncio.gather(closed(ws), closed(waiting))
        assert [code for code, _ in await closing] == [1001, 1001]

    async def test_it_stops_while_a_socket_is_being_opened(
        self, client: ClientSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opening = opening_slowly(monkeypatch)
        async with open_site() as site:
            connecting = asyncio.create_task(client.ws_connect(site.url + "device"))
            await opening.wait()
        with pytest.raises(ClientError):
            await connecting


@pytest.mark.parametrize("url", ["kitchen", "ftp://127.0.0.1/", "http://", "ws://127.0.0.1:0/"])
def test_what_is_no_address_of_a_gateway(url: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        WebSocketWire(url)
