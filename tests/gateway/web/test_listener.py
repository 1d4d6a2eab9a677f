"""The Python listener: every event once, across lost connections and restarts."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client.credentials import Introduction
from gateway.client.listener import BadAddress, GatewayUnreachable, Listener, ListenerRefused
from gateway.contract.events import ListenerEvent, ReplyEvent, SnapshotEvent, Subscribe
from gateway.hub.hub import Hub
from gateway.observing.health import Health
from gateway.settings.web import WebSettings
from tests.gateway.access.keyring import Keyring
from tests.gateway.events import reply, status
from tests.gateway.web.house import PATIENCE, House, until, web_server


async def hear(listener: Listener) -> ListenerEvent:
    return await asyncio.wait_for(anext(listener), PATIENCE)


async def test_events_are_typed_and_in_order(house: House) -> None:
    async with Listener(house.url) as listener:
        assert isinstance(await hear(listener), SnapshotEvent)
        house.publish(status(), reply("one"), reply("two"))
        seqs = [(await hear(listener)).seq for _ in range(3)]
    assert seqs == sorted(seqs)
    await until(lambda: house.hub.stats().listeners == 0)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "http://localhost:{}/", "http://127.0.0.1:{}/ws"])
async def test_any_way_to_write_the_address(house: House, url: str) -> None:
    async with Listener(url.format(house.port)) as listener:
        assert isinstance(await hear(listener), SnapshotEvent)


async def test_a_filter(house: House) -> None:
    async with Listener(house.url, Subscribe(kinds=("reply",))) as listener:
        await hear(listener)
        house.publish(status(), reply("only this"))
        assert isinstance(await hear(listener), ReplyEvent)


async def test_a_restarted_server_is_found_again_and_nothing_final_is_missed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub = Hub(WebSettings(port=0))
    health = Health(hub.publish)
    async with web_server(hub, health) as first:
        url = first.url
        listener = await Listener(url).__aenter__()
        await hear(listener)
        hub.publish(reply("before"))
        assert (await hear(listener)).seq == 1
    hub.publish(reply("while away"))
    waiting = asyncio.ensure_future(hear(listener))
    port = int(url.rsplit(":", 1)[1].strip("/"))
    async with web_server(hub, health, port=port):
        assert (await waiting).seq == 2
        hub.publish(reply("after"))
        assert (await hear(listener)).seq == 3
        await listener.__aexit__(None, None, None)
    assert "connect" not in capsys.readouterr().out, "its user's output is its user's"


async def test_a_new_gateway_starts_over_with_a_snapshot() -> None:
    hub = Hub(WebSettings(port=0))
    async with web_server(hub) as first:
        url = first.url
        listener = await Listener(url).__aenter__()
        old = await hear(listener)
    new = Hub(WebSettings(port=int(url.rsplit(":", 1)[1].strip("/"))))
    new.publish(reply())
    async with web_server(new):
        event = await hear(listener)
        await listener.__aexit__(None, None, None)
    assert isinstance(event, SnapshotEvent)
    assert event.epoch == new.epoch != old.epoch
    assert len(event.conversation) == 1


async def test_nobody_at_home(unused_tcp_port: int) -> None:
    with pytest.raises(GatewayUnreachable, match=str(unused_tcp_port)):
        await Listener(f"http://127.0.0.1:{unused_tcp_port}/").__aenter__()


async def test_what_the_gateway_does_not_understand_is_raised(house: House) -> None:
    listener = Listener(house.url)
    async with listener:
        await hear(listener)
        assert listener._socket is not None
        await listener._socket.send_bytes(b"nonsense")
        with pytest.raises(ListenerRefused, match="binary messages are not understood"):
            await hear(listener)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "http://ann:secret@127.0.0.1/",
        "ftp://127.0.0.1/",
        "http://",
        "http://[::1",
        "http://a:99999/",
        "http://127.1/",
    ],
)
async def test_what_is_not_an_address(url: str) -> None:
    with pytest.raises(BadAddress):
        await Listener(url).__aenter__()


@pytest.mark.parametrize(
    ("answer", "error"), [("403 Forbidden", ListenerRefused), ("503 Busy", GatewayUnreachable)]
)
async def test_a_server_that_is_not_for_us(answer: str, error: type[Exception]) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as elsewhere:
        port = elsewhere.sockets[0].getsockname()[1]
        with pytest.raises(error, match=answer[:3]):
            await Listener(f"http://127.0.0.1:{port}/").__aenter__()


class TestFewListeners:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, max_listeners=1)

    async def test_it_waits_for_its_turn(self, house: House) -> None:
        async with Listener(house.url) as first, Listener(house.url) as second:
            await hear(first)
            waiting = asyncio.ensure_future(hear(second))
            await until(lambda: house.hub.stats().refused > 0)
            await first.__aexit__(None, None, None)
            assert isinstance(await waiting, SnapshotEvent)


class TestLocked:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(port=0, require_token=True)

    async def test_a_token_is_shown(self, house: House, keyring: Keyring) -> None:
        async with Listener(house.url, introduction=Introduction(keyring.token())) as listener:
            assert isinstance(await hear(listener), SnapshotEvent)

    async def test_without_one_it_is_refused(self, house: House) -> None:
        async with Listener(house.url) as listener:
            with pytest.raises(ListenerRefused, match="a token is needed"):
                await hear(listener)

    async def test_with_a_wrong_one_it_is_refused(self, house: House) -> None:
        with pytest.raises(ListenerRefused, match="401"):
            await Listener(house.url, introduction=Introduction("x.y.z")).__aenter__()

    async def test_a_revoked_one_is_not_tried_again(self, house: House, keyring: Keyring) -> None:
        token, text = keyring.make()
        async with Listener(house.url, introduction=Introduction(text)) as listener:
            await hear(listener)
            keyring.file.revoke(token.token_id)
            with pytest.raises(ListenerRefused, match="revoked"):
                await hear(listener)
