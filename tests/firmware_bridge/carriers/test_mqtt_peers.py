"""The devices' MQTT connection with a broker of a few lines at the other end, and what an address may look like."""

from __future__ import annotations

import asyncio
import string
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.carriers import mqtt_connection
from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials, MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import LastWill, MqttConnection, MqttSession

WELCOME = bytes.fromhex("20020000")
SECONDS = 10.0

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def peer(talk: Talk) -> AsyncIterator[BrokerAddress]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield BrokerAddress("127.0.0.1", server.sockets[0].getsockname()[1], "ann", "hidden")


async def packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head, length = await reader.readexactly(2)
    assert length < 0x80, "these tests send small packets"
    return head, await reader.readexactly(length)


async def opened(address: BrokerAddress, heard: list[tuple[str, bytes]], **more: Any) -> MqttConnection:
    async with asyncio.timeout(SECONDS):
        return await MqttConnection.open(
            address,
            MqttSession(client_id="one", **more),
            lambda message: heard.append((message.topic, message.payload)),
        )


def publication(topic: bytes, payload: bytes) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic + payload
    return bytes((0x30, len(body))) + body


# -- what a broker may say


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 200])
async def test_every_refusal_is_a_state_without_the_password(code: int) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(bytes((0x20, 2, 0, code)))
        await reader.read()

    async with peer(refuse) as address:
        with pytest.raises(MqttUnavailable) as caught:
            await opened(address, [])
    assert caught.value.reason
    assert caught.value.remedy
    assert "hidden" not in f"{caught.value.reason} {caught.value.remedy}"


@given(st.binary(max_size=50))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_rubbish_instead_of_a_welcome_is_a_state_and_nothing_worse(rubbish: bytes) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(rubbish)

    async with peer(babble) as address:
        with suppress(MqttUnavailable):
            connection = await opened(address, [])
            connection.abort()
    assert failures == []


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_rubbish_later_ends_the_connection_and_nothing_else(rubbish: list[bytes]) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(WELCOME + b"".join(rubbish))

    async with peer(babble) as address:
        connection = await opened(address, [])
        async with asyncio.timeout(SECONDS):
            assert await connection.ended()
        connection.abort()
    assert failures == []


async def test_a_topic_that_is_no_text_is_passed_over() -> None:
    async def mumble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(WELCOME + publication(b"\xff\xfe", b"whose?") + publication(b"a/up", b"mine"))

    heard: list[tuple[str, bytes]] = []
    async with peer(mumble) as address:
        connection = await opened(address, heard)
        async with asyncio.timeout(SECONDS):
            await connection.ended()
    assert heard == [("a/up", b"mine")]


@given(st.lists(st.integers(1, 30), max_size=10))
@settings(max_examples=20)
async def test_however_the_bytes_come_the_messages_are_the_same(cuts: list[int]) -> None:
    sent = b"".join(publication(b"a/up", b"%d" % number) for number in range(9))

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(WELCOME)
        rest = sent
        for cut in cuts:
            writer.write(rest[:cut])
            rest = rest[cut:]
            await asyncio.sleep(0)
        writer.write(rest)

    heard: list[tuple[str, bytes]] = []
    async with peer(dribble) as address:
        connection = await opened(address, heard)
        async with asyncio.timeout(SECONDS):
            await connection.ended()
    assert heard == [("a/up", b"%d" % number) for number in range(9)]


async def test_a_subscription_that_is_never_answered_is_given_up() -> None:
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(WELCOME)
        await reader.read()

    async with peer(ignore) as address:
        connection = await opened(address, [], connect_seconds=0.25)
        with pytest.raises(MqttUnavailable, match="does not answer"):
            await connection.subscribe("a/up")
        connection.abort()


async def test_one_forbidden_topic_of_two_is_enough() -> None:
    async def forbid(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(WELCOME)
        _, body = await packet(reader)
        writer.write(bytes((0x90, 4)) + body[:2] + b"\x00\x80")
        await reader.read()

    async with peer(forbid) as address:
        connection = await opened(address, [])
        with pytest.raises(MqttUnavailable, match="a/up, b/up"):
            await connection.subscribe("a/up", "b/up")
        await connection.close()


async def test_the_outbox_has_room_again_when_the_socket_has_taken_it() -> None:
    taken: asyncio.Queue[bytes] = asyncio.Queue()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(WELCOME)
        while True:
            taken.put_nowait((await packet(reader))[1])

    async with peer(swallow) as address:
        connection = await opened(address, [])
        for _ in range(3):
            while connection.publish("a/down", b"x"):
                pass
            async with asyncio.timeout(SECONDS):
                for _ in range(mqtt_connection.OUTBOX_MESSAGES):
                    assert await taken.get() == b"\x00\x06a/downx"
        assert connection.refused == 3
        connection.abort()


async def test_the_will_and_the_login_are_on_the_wire() -> None:
    said: list[bytes] = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.append((await packet(reader))[1])
        writer.write(WELCOME)
        await reader.read()

    async with peer(look) as address:
        connection = await opened(address, [], will=LastWill("a/state", b"offline"))
        connection.abort()
    (connect,) = said
    assert connect.startswith(b"\x00\x04MQTT\x04")
    assert connect[7] & 0b11100100 == 0b11100100, "user, password, a retained will"
    assert connect.endswith(b"\x00\x07a/state\x00\x07offline\x00\x03ann\x00\x06hidden")


# -- addresses


@given(st.text(max_size=30))
def test_whatever_a_url_is_no_password_of_it_is_shown(rest: str) -> None:
    said = ""
    try:
        BrokerAddress.parse(f"mqtt://ann:hidden{rest}@box")
    except ValueError as error:
        said = f"{error!r} {error.__cause__!r} {error.__context__ if not error.__suppress_context__ else ''}"
    assert "hidden" not in said


@given(st.text(string.printable, max_size=30), st.text(string.printable, max_size=30), st.integers(1, 65535))
def test_any_user_and_password_can_be_written_in_a_url(user: str, password: str, port: int) -> None:
    address = BrokerAddress.parse(f"mqtt://{quote(user, safe='')}:{quote(password, safe='')}@box:{port}")
    assert (address.username, address.password) == (user, password)
    assert (address.host, address.port) == ("box", port)
    assert str(address) == f"mqtt://box:{port}"


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://box:0",
        "mqtt://box:65536",
        "mqtt://box:-1",
        "mqtt://box:x",
        "mqtt://[::1",
        "mqtt://box#there",
        "mqtt://box:1883#there",
        "mqtt://box?x",
        "mqtt://ann:pass/word@box",
        "mqtt://ann:pass#word@box",
        "mqtt://ann:1883#word@box",
        "mqtt://bo\u2100x",
    ],
)
def test_half_an_address_is_refused_in_one_way(url: str) -> None:
    """Cut at a character that belongs to the password, it would lead to another host, named like the user."""
    with pytest.raises(ValueError, match=r"is not mqtt\[s\]://"):
        BrokerAddress.parse(url)


# -- files


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", "secret"),
        (b"secret\nnot this\n", "secret"),
        (b"se cret \r\n", "se cret "),
        (b"", ""),
        (b"\n", ""),
    ],
)
def test_a_password_is_the_first_line_of_its_file(tmp_path: Path, content: bytes, password: str) -> None:
    (tmp_path / "password").write_bytes(content)
    assert Credentials(password_file=str(tmp_path / "password")).password() == password


@pytest.mark.parametrize("kind", ["missing", "folder", "bytes"])
def test_a_password_that_cannot_be_read_is_a_state(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(MqttUnavailable, match=f"{path} cannot be read") as caught:
        BrokerAddress("box", username="ann", credentials=Credentials(password_file=str(path))).login()
    assert "Errno" not in caught.value.reason
    assert "password_file" in caught.value.remedy


def test_a_name_is_a_credential_of_systemd_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "mqtt").write_text("of systemd")
    (tmp_path / "mqtt").write_text("of the folder")
    monkeypatch.chdir(tmp_path)
    assert Credentials(password_file="mqtt").password() == "of the folder"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert Credentials(password_file="mqtt").password() == "of systemd"
    assert Credentials(password_file=str(tmp_path / "mqtt")).password() == "of the folder"


@pytest.mark.parametrize(("file", "login"), [("", ("ann", "url")), ("password", ("ann", "file"))])
def test_a_password_file_goes_before_the_urls(tmp_path: Path, file: str, login: tuple[str, str]) -> None:
    (tmp_path / "password").write_text("file\n")
    files = Credentials(password_file=str(tmp_path / file) if file else "")
    assert BrokerAddress("box", username="ann", password="url", credentials=files).login() == login
    assert BrokerAddress("box", password="url", credentials=files).login() is None


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_a_certificate_that_is_none_is_a_state_that_names_its_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "rubbish.pem").write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    files = {name: str(tmp_path / "rubbish.pem")}
    if name == "key_file":
        files["cert_file"] = str(tmp_path / "rubbish.pem")
    with pytest.raises(MqttUnavailable, match=r"rubbish\.pem") as caught:
        Credentials(**files).tls()
    assert name in caught.value.remedy
