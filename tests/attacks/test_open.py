"""What the docs call closed is closed: the embedded MQTT broker, which whoever has an account here can reach."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import ClientSession

from firmware_bridge.embedded_broker.passwords import GATEWAY, Passwords
from firmware_bridge.link.frames import Header, Hello
from firmware_bridge.simulator.wires import Mqtt
from gateway.access.mqtt_secret import FILE, read_passwords
from gateway.access.principals import Role
from tests.attacks.castle import SPOKEN, Castle
from tests.record import PATIENCE
from tests.servers.process import free_port
from tests.system.house import Board, pcm, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.unwell(perhaps=("devices",)),
]  # who is refused is told of for a while

PORT = free_port()
CONFIG = {
    "devices": {"mqtt": {"url": "embedded", "embedded_port": PORT}, "users": {"kitchen": "bob"}},
    "web": {"require_token": True},
}
PREFIX = "earshot/v1"
URL = f"mqtt://127.0.0.1:{PORT}"
UP, DOWN, STATE = (f"{PREFIX}/kitchen/{leaf}" for leaf in ("up", "down", "state"))
HELLO = Hello(Header(credit=32), "kitchen", 7, "", 100, 0, 0, 0).to_bytes()


def _text(text: str | bytes) -> bytes:
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), bytearray((kind,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*head, length)) + body


def connect(
    user: str | None = None,
    password: str | None = None,
    *,
    client_id: str = "attacker",
    will: tuple[str, bytes] | None = None,
    flags: int = 0x02,
    name: str = "MQTT",
    level: int = 4,
) -> bytes:
    flags |= (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    tail = b""
    if will is not None:
        flags |= 0x24
        tail += _text(will[0]) + _text(will[1])
    tail += b"".join(_text(part) for part in (user, password) if part is not None)
    properties = b"\0" if level == 5 else b""
    return packet(0x10, _text(name) + bytes((level, flags, 0, 60)) + properties + _text(client_id) + tail)


def subscribe(*filters: str) -> bytes:
    return packet(0x82, b"\0\1" + b"".join(_text(one) + b"\0" for one in filters))


def publish(topic: str, payload: bytes, flags: int = 0) -> bytes:
    return packet(0x30 | flags, _text(topic) + (b"\0\7" if flags & 6 else b"") + payload)


PING = b"\xc0\0"
PONG = b"\xd0\0"


class Wire:
    """A socket to the broker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def says(self, data: bytes) -> bytes:
        """What comes back, up to as many bytes as one answer has; empty when it is closed."""
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(65536), PATIENCE)
        return b""

    async def is_cut_off(self, data: bytes = b"") -> bool:
        """Whether it is closed in the end, and nothing but a refusal came before."""
        answer = await self.says(data)
        while answer:
            assert answer[0] == 0x20, answer
            assert answer[3], answer
            answer = await self.says(b"")
        return True


def _of_processes(pid: int) -> list[str]:
    """The arguments and environments of a process and its children."""
    children = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    return [
        Path(f"/proc/{one}/{name}").read_bytes().decode("utf-8", "replace")
        for one in (str(pid), *(child for task in children for child in task))
        for name in ("cmdline", "environ")
    ]


@contextlib.asynccontextmanager
async def wire(user: str = "", castle: Castle | None = None, **more: Any) -> AsyncIterator[Wire]:
    """A connection; with ``user`` it has logged in."""
    one = Wire(*await asyncio.open_connection("127.0.0.1", PORT))
    try:
        if castle is not None:
            password = read_passwords(castle.folder).of(user)
            assert await one.says(connect(user, password, **more)) == b"\x20\2\0\0"
        yield one
    finally:
        one.writer.transport.abort()


@contextlib.asynccontextmanager
async def kitchen(castle: Castle) -> AsyncIterator[Board]:
    """Somebody else's board, which is answered after whatever is done beside it, on the link it has."""
    url = read_passwords(castle.folder).url(URL, "kitchen")
    async with Board("kitchen", Mqtt(url, "kitchen")) as board:
        await board.connected()
        link = board.end.link
        yield board
        said = await board.say(pcm(SPOKEN))
        assert (said.transcript, bool(said.reply), said.fallback) == (text(SPOKEN), True, False)
        assert board.end.link == link


class TestLogin:
    LOGINS: ClassVar[dict[str, bytes]] = {
        "nobody": connect(),
        "nobody, kept": connect(flags=0),
        "name only": connect("kitchen"),
        "empty": connect("", ""),
        "empty password": connect("kitchen", ""),
        "wrong": connect("kitchen", "a" * 20),
        "the gateway": connect(GATEWAY, "a" * 20),
        "the gateway's client id": connect("kitchen", "a" * 20, client_id="earshot-00000000"),
        "its client id": connect(client_id="kitchen"),
        "its client id, kept": connect(client_id="kitchen", flags=0),
        "inside the broker": connect(client_id="kitchen/kitchen", flags=0),
        "a will": connect(will=(DOWN, b"x")),
        "no name": connect(None, "x" * 20),
        "nul": connect("kit\0chen", "a" * 20),
        "markup": connect("<b>", "a" * 20),
        "long": connect("k" * 60_000, "a" * 20),
        "reserved": connect("kitchen", "a" * 20, flags=0x03),
        "mqtt 5": connect("kitchen", "a" * 20, level=5),
        "mqtt 3": connect("kitchen", "a" * 20, name="MQIsdp", level=3),
        "other": connect("kitchen", "a" * 20, name="HTTP", level=4),
        "cut": packet(0x10, b"\0\4MQTT\4\xc2\0\x3c\0"),
        "subscribe first": subscribe("#"),
        "publish first": publish(DOWN, HELLO),
        "ping first": PING,
        "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "endless length": b"\x10\xff\xff\xff\xff\xff\xff",
        "huge": b"\x10\xff\xff\xff\x7f" + bytes(100),
        "zeros": bytes(64),
    }

    @pytest.mark.parametrize("said", LOGINS.values(), ids=LOGINS)
    async def test_nobody_gets_in(self, castle: Castle, said: bytes) -> None:
        async with wire() as one:
            assert await one.is_cut_off(said)

    async def test_and_whoever_is_there_stays_where_it_is(self, castle: Castle) -> None:
        """Nothing of a connection that has not logged in ends one that has."""
        async with kitchen(castle):
            for said in self.LOGINS.values():
                async with wire() as one:
                    assert await one.is_cut_off(said)

    async def test_another_devices_password(self, castle: Castle) -> None:
        passwords = read_passwords(castle.folder)
        for user, other in (
            ("kitchen", "attic"),
            (GATEWAY, "attic"),
            ("attic", GATEWAY),
            ("Kitchen", "kitchen"),
        ):
            async with wire() as one:
                assert await one.is_cut_off(connect(user, passwords.of(other)))

    async def test_a_will_that_is_anothers(self, castle: Castle) -> None:
        password = read_passwords(castle.folder).of("attic")
        async with kitchen(castle):
            for topic in (UP, DOWN, STATE, f"{PREFIX}/attic/down", "$SYS/x", "#"):
                async with wire() as one:
                    assert await one.is_cut_off(connect("attic", password, will=(topic, b"offline")))


class TestTopics:
    @pytest.mark.parametrize(
        "topic_filter",
        [
            "#", "+/#", f"{PREFIX}/#", f"{PREFIX}/+/up", f"{PREFIX}/+/down", UP, DOWN, STATE, f"{PREFIX}/attic/#",
            f"{PREFIX}/attic/+", f"{PREFIX}/attic/up", f"{PREFIX}/attic/../kitchen/down", "$SYS/#", "$share/x/#",
            f"{PREFIX}/attic/down/#", "",
        ],
    )  # fmt: skip
    async def test_nothing_of_others_is_read(self, castle: Castle, topic_filter: str) -> None:
        async with wire("attic", castle) as one:
            async with kitchen(castle):
                assert await one.says(subscribe(topic_filter)) == b"\x90\3\0\1\x80"
                assert (
                    await one.says(subscribe(f"{PREFIX}/attic/down", topic_filter)) == b"\x90\4\0\1\x80\x80"
                )
            assert await one.says(PING) == PONG, "nothing came in between"

    @pytest.mark.parametrize(
        ("topic", "payload", "flags"),
        [
            (DOWN, HELLO, 0),
            (UP, HELLO, 0),
            (UP, HELLO, 2),
            (UP, HELLO, 1),
            (STATE, b"offline", 0),
            (STATE, b"offline", 1),
            (f"{PREFIX}/attic/down", HELLO, 0),
            (f"{PREFIX}/attic/other", HELLO, 0),
            (f"{PREFIX}/+/up", HELLO, 0),
            ("#", HELLO, 0),
            ("", HELLO, 0),
            ("$SYS/broker", HELLO, 0),
            (f"{PREFIX}/attic/up", bytes(9_000), 0),
            (f"{PREFIX}/attic/up", HELLO, 6),
        ],
        ids=lambda part: str(part)[:32] if isinstance(part, (str, int)) else "",
    )
    async def test_nor_is_anything_said_for_them(
        self, castle: Castle, topic: str, payload: bytes, flags: int
    ) -> None:
        async with kitchen(castle), wire("attic", castle) as one:
            assert await one.is_cut_off(publish(topic, payload, flags))

    @pytest.mark.parametrize(
        "said",
        [
            connect(),
            packet(0x20, b"\0\0"),
            packet(0xD0, b""),
            packet(0xF0, b""),
            packet(0x00, b""),
            packet(0x80, b"\0\1\0\1a\0"),
            packet(0x82, b"\0\1"),
            packet(0x82, b"\0\1\0\5a"),
            packet(0x82, b"\0\1\0\1a\3"),
            packet(0x82, b"\0\1" + _text("a\0b") + b"\0"),
            packet(0x30, b"\0"),
            packet(0x30, b"\0\2\xff\xfe"),
            packet(0x40, b"\0"),
            packet(0xC0, b"x"),
            subscribe(*["a"] * 9),
        ],
        ids=lambda said: said[:8].hex(),
    )
    async def test_packets_that_are_none(self, castle: Castle, said: bytes) -> None:
        async with wire("attic", castle) as one:
            assert await one.is_cut_off(said)

    async def test_the_client_id_of_another(self, castle: Castle) -> None:
        """Only its own user's connections give way to a client."""
        async with kitchen(castle):
            for client_id in ("kitchen", "kitchen/kitchen", "@gateway/x", ""):
                async with wire("attic", castle, client_id=client_id) as one:
                    assert await one.says(PING) == PONG

    async def test_a_hello_of_another_on_its_own_topic(self, castle: Castle) -> None:
        async with kitchen(castle), wire("attic", castle) as one:
            assert (await one.says(subscribe(f"{PREFIX}/attic/down")))[0] == 0x90
            answer = await one.says(publish(f"{PREFIX}/attic/up", HELLO))
            assert b"this topic is attic's" in answer


class TestCrowds:
    async def test_silent_connections(self, castle: Castle) -> None:
        """Five hundred that say nothing: whoever has a password gets in at once, and the oldest are cut off."""
        crowd = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(300)]
        async with kitchen(castle):
            crowd += [socket.create_connection(("127.0.0.1", PORT)) for _ in range(200)]
        crowd[0].settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            assert crowd[0].recv(1) == b""
        for one in crowd:
            one.close()

    async def test_half_a_packet(self, castle: Castle) -> None:
        crowd = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(50)]
        for one in crowd:
            one.sendall(b"\x10\x7f\0\4MQ")
        async with kitchen(castle):
            for one in crowd:
                one.sendall(b"T")
        for one in crowd:
            one.close()

    async def test_many_of_one_device(self, castle: Castle) -> None:
        """Its fifth connection takes the first one's place, and nobody else's."""
        async with kitchen(castle), contextlib.AsyncExitStack() as stack:
            attic = [
                await stack.enter_async_context(wire("attic", castle, client_id=f"a{n}")) for n in range(20)
            ]
            assert [bool(await one.says(PING)) for one in attic[-4:]] == [True] * 4
            assert not await attic[0].says(b"")

    async def test_who_reads_nothing(self, castle: Castle) -> None:
        """Answers to a million pings are not kept for it."""
        async with kitchen(castle), wire("attic", castle) as one:
            one.writer.transport.pause_reading()  # type: ignore[attr-defined]
            with contextlib.suppress(ConnectionError, TimeoutError):
                for _ in range(200):
                    one.writer.write(PING * 2000)
                    await asyncio.wait_for(one.writer.drain(), 0.5)


class TestSecrets:
    async def test_who_may_ask_for_a_password(self, castle: Castle) -> None:
        async with ClientSession() as client:
            for name, role, scope, status in (
                ("listens", Role.LISTENER, {}, 403),
                ("board", Role.DEVICE, {"devices": ("kitchen",)}, 403),
                ("answers", Role.ORCHESTRATOR, {}, 403),
                ("of-ann", Role.OPERATOR, {"users": ("ann",)}, 404),
                ("of-attic", Role.OPERATOR, {"devices": ("attic",)}, 404),
                ("of-bob", Role.OPERATOR, {"users": ("bob",)}, 200),
                ("of-all", Role.OPERATOR, {}, 200),
            ):
                headers = {"Authorization": f"Bearer {castle.token(name, role, **scope)}"}
                url = f"{castle.url}api/v1/devices/kitchen/mqtt"
                async with client.get(url, headers=headers) as response:
                    assert response.status == status, name
                    told = await response.text()
                assert (read_passwords(castle.folder).of("kitchen") in told) == (status == 200)
                assert read_passwords(castle.folder).of(GATEWAY) not in told
            async with client.get(f"{castle.url}api/v1/devices/kitchen/mqtt") as response:
                assert response.status == 401
            for odd in ("@gateway", "%40gateway", "..", "a%2Fb", "x" * 65):
                headers = {"Authorization": f"Bearer {castle.token('all', Role.OPERATOR)}"}
                async with client.get(f"{castle.url}api/v1/devices/{odd}/mqtt", headers=headers) as response:
                    assert response.status in (404, 422), odd

    async def test_where_they_are_not(self, castle: Castle) -> None:
        """Neither in the configuration, nor in the log, nor in any process's arguments or environment."""
        secret = (castle.folder / FILE).read_text().strip()
        assert (castle.folder / FILE).stat().st_mode & 0o777 == 0o600
        passwords = Passwords(bytes.fromhex(secret))
        found = [secret, passwords.of(GATEWAY), passwords.of("kitchen")]
        async with kitchen(castle), ClientSession() as client:
            told = [
                str(await castle.ask(client, path))
                for path in ("configuration", "health", "links", "devices")
            ]
        told += _of_processes(castle.process.pid)
        told.append((castle.folder / "log").read_text())
        assert not [one for one in found if one in "".join(told)]

    async def test_who_may_read_them_needs_not_be_told(self, castle: Castle) -> None:
        """Commands of the gateway's own user find them by themselves; a password on the way is shown by no command."""
        earshot = [sys.executable, "-m", "gateway"]
        config = ["--config", str(castle.config)]
        env = {**os.environ, "EARSHOT_TOKEN": ""}
        asking = await asyncio.create_subprocess_exec(
            *earshot, "devices", *config, "mqtt-password", "kitchen", stdout=asyncio.subprocess.PIPE, env=env
        )
        told, _ = await asking.communicate()
        assert told.decode().strip() == read_passwords(castle.folder).of("kitchen")
        speaking = await asyncio.create_subprocess_exec(
            *earshot, "simulate", "--mqtt", URL, "--id", "kitchen", "--speed", "16", *config,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=env,
        )  # fmt: skip
        said, _ = await speaking.communicate()
        assert speaking.returncode == 0, said
        assert told.strip() not in said
