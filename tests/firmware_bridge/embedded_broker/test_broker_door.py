"""The door of the embedded broker, without the broker: what gets through it is sound, and the client's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.embedded_broker import broker_door
from firmware_bridge.embedded_broker.broker_door import BrokerDoor, ConnectPacket, Topics, read_connect
from firmware_bridge.embedded_broker.passwords import GATEWAY, Passwords

PASSWORDS = Passwords(b"secret")
CONNACK = b"\x20\2\0\0"


def connect(user: str = "kitchen", client_id: str = "board", keep_alive: int = 60) -> bytes:
    parts = (client_id, user, PASSWORDS.of(user))
    texts = b"".join(len(one).to_bytes(2, "big") + one.encode() for one in parts)
    body = b"\0\4MQTT\4\xc2" + keep_alive.to_bytes(2, "big") + texts
    return bytes((0x10, len(body))) + body


class Broker:
    """Takes all that comes through the door, and says that a client is in."""

    def __init__(self) -> None:
        self.got: dict[str, bytes] = {}
        self.left: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self, packets: Any, answers: Any) -> None:
        head = await packets.read(2)
        body = await packets.read(head[1])
        name = read_name(body)
        self.got[name] = b""
        answers.write(CONNACK)
        while data := await packets.read(1):
            self.got[name] += data
        self.left.put_nowait(name)


def read_name(body: bytes) -> str:
    size = int.from_bytes(body[10:12], "big")
    return body[12 : 12 + size].decode()


@pytest.fixture
async def opened() -> AsyncIterator[tuple[Broker, int]]:
    broker = Broker()
    server = await asyncio.start_server(BrokerDoor(PASSWORDS, "a", broker.serve).admit, "127.0.0.1", 0)
    async with server:
        yield broker, server.sockets[0].getsockname()[1]


async def log_in(port: int, *said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(said))
    assert await reader.readexactly(4) == CONNACK
    return reader, writer


async def test_what_is_its_own_comes_through_and_is_kept_by_nobody(opened: tuple[Broker, int]) -> None:
    broker, port = opened
    topic = b"a/kitchen/up"
    publish = bytes((0x31, 2 + len(topic) + 3)) + len(topic).to_bytes(2, "big") + topic + b"abc"
    _, writer = await log_in(port, connect(), publish, b"\xc0\0", b"\xe0\0")
    writer.close()
    assert await broker.left.get() == "kitchen/board"
    assert broker.got["kitchen/board"] == b"\x30" + publish[1:] + b"\xc0\0\xe0\0"


async def test_who_is_silent_is_cut_off(opened: tuple[Broker, int], monkeypatch: pytest.MonkeyPatch) -> None:
    broker, port = opened
    for name in ("LOGIN_SECONDS", "IDLE_SECONDS", "PACKET_SECONDS"):
        monkeypatch.setattr(broker_door, name, 0.05)
    for said in (b"", b"\x10", connect()[:9]):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await reader.read() == b""
        writer.close()
    for said in (b"", b"\xc0", b"\x30\x09\0"):
        reader, writer = await log_in(port, connect(keep_alive=0), said)
        assert await reader.read() == b""
        assert await broker.left.get() == "kitchen/board"
        writer.close()


async def test_a_client_takes_the_place_of_its_own_older_one(opened: tuple[Broker, int]) -> None:
    broker, port = opened
    first, one = await log_in(port, connect())
    other, two = await log_in(port, connect("attic"))
    again, three = await log_in(port, connect())
    assert await first.read() == b""
    assert await broker.left.get() == "kitchen/board"
    for writer in (two, three):
        writer.write(b"\xe0\0")
        writer.write_eof()
    assert {await broker.left.get(), await broker.left.get()} == {"kitchen/board", "attic/board"}
    assert (await other.read(), await again.read()) == (b"", b"")
    for writer in (one, two, three):
        writer.close()


def test_a_password_is_one_devices() -> None:
    assert PASSWORDS.let_in("kitchen", PASSWORDS.of("kitchen").encode())
    assert PASSWORDS.let_in(GATEWAY, PASSWORDS.of(GATEWAY).encode())
    assert len({PASSWORDS.of(user) for user in ("kitchen", "attic", "Kitchen", GATEWAY)}) == 4
    assert Passwords(b"another").of("kitchen") != PASSWORDS.of("kitchen")
    for user in ("", "a/b", "@other", "x" * 65, "ä"):
        assert not PASSWORDS.let_in(user, PASSWORDS.of(user).encode())
    assert PASSWORDS.url("mqtt://127.0.0.1:1883", GATEWAY).startswith("mqtt://%40gateway:")


@given(st.text(max_size=40), st.text(alphabet="a+#/bkitchenupdowst$", max_size=40))
def test_no_device_has_a_topic_of_another(user: str, topic: str) -> None:
    topics = Topics("a", user)
    if topics.may_publish(topic) and user != GATEWAY:
        assert topic in (f"a/{user}/up", f"a/{user}/state")
    if topics.may_read(topic) and user != GATEWAY:
        assert topic == f"a/{user}/down"


@given(st.binary(max_size=60))
def test_no_connect_is_worse_than_cut_off(body: bytes) -> None:
    try:
        said = read_connect(b"\0\4MQTT\4" + body)
    except broker_door._CutOff:
        return
    assert isinstance(said, ConnectPacket)
    assert said.to_bytes()[0] == 0x10


@given(st.lists(st.binary(max_size=24), max_size=4))
def test_whatever_comes_the_door_stays(parts: list[bytes]) -> None:
    async def attack() -> None:
        broker = Broker()
        server = await asyncio.start_server(BrokerDoor(PASSWORDS, "a", broker.serve).admit, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            for said in (parts, [connect(), *parts]):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"".join(said))
                writer.write_eof()
                await reader.read()
                writer.close()
            _, writer = await log_in(port, connect("attic"))
            writer.close()

    asyncio.run(attack())
