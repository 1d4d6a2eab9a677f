"""What librdkafka's mock of a cluster lacks, put before it: TLS, logins, and the admin's requests.

It stands where a broker does, reads requests as Kafka's protocol guide spells them, answers those that are its own
and hands on the rest as they are. Its answers are spelled here byte by byte, so that the client library's reading of
them is held against something that is not itself. They are made after the protocol; no Kafka has said them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

from tests.servers.certificates import Certificates
from tests.servers.kafka import Kafka
from tests.servers.listener import close_listener
from tests.servers.process import free_port

DESCRIBE_GROUPS, LIST_GROUPS, SASL_HANDSHAKE, API_VERSIONS, CREATE_TOPICS = 15, 16, 17, 18, 19
DESCRIBE_CONFIGS, SASL_AUTHENTICATE, DELETE_GROUPS = 32, 36, 42
NEWEST: Final = {
    DESCRIBE_GROUPS: 3,
    LIST_GROUPS: 2,
    CREATE_TOPICS: 3,
    DESCRIBE_CONFIGS: 2,
    DELETE_GROUPS: 1,
}
"""What it answers, and up to which version."""
UNSUPPORTED_MECHANISM, ALREADY_EXISTS, LOGIN_FAILED = 33, 36, 58
NON_EMPTY_GROUP, NO_SUCH_GROUP = 68, 69
ITERATIONS = 4096


class Words:
    """A request's body, read from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, form: str) -> int:
        """``b``, ``h``, ``i`` or ``q``, as of ``struct``."""
        size = struct.calcsize(f">{form}")
        (value,) = struct.unpack(f">{form}", self._data[:size])
        self._data = self._data[size:]
        return int(value)

    def text(self) -> str:
        return self._take(self.number("h")).decode()

    def data(self) -> bytes:
        return self._take(self.number("i"))

    def texts(self) -> list[str]:
        return [self.text() for _ in range(self.number("i"))]

    def _take(self, size: int) -> bytes:
        taken, self._data = self._data[: max(size, 0)], self._data[max(size, 0) :]
        return taken


def text(value: str | None) -> bytes:
    if value is None:
        return struct.pack(">h", -1)
    return struct.pack(">h", len(value.encode())) + value.encode()


def data(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


def array(items: Sequence[bytes]) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


def number(form: str, value: int) -> bytes:
    return struct.pack(f">{form}", value)


@dataclass
class KafkaGate:
    """The way to the only broker of ``cluster``; ``url`` is its near end, and what the cluster says of itself.

    ``logins``: passwords by user; with any, nobody comes in without. ``denied``: the error's number for each
    request that is answered with it. ``newest``: up to which version it answers a request;
    without one it does not know it.
    """

    cluster: Kafka
    certificates: Certificates | None = None
    logins: Mapping[str, str] = field(default_factory=dict)
    mechanisms: Sequence[str] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    newest: Mapping[int, int] = field(default_factory=lambda: dict(NEWEST))
    denied: dict[int, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    """Members of each."""
    settings: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Of each topic, beside those that it was made with."""
    made: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Topics that somebody made here: partitions, copies."""
    port: int = field(default_factory=free_port)

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self.cluster.order(f"advertise {self.port}")
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._context())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await close_listener(self._server)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'kafkas' if self.certificates else 'kafka'}://127.0.0.1:{self.port}"

    def _context(self) -> ssl.SSLContext | None:
        if self.certificates is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.certificates.ca)
        context.load_cert_chain(self.certificates.server_cert, self.certificates.server_key)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        with suppress(OSError, EOFError, asyncio.CancelledError):
            beyond, onward = await asyncio.open_connection("127.0.0.1", self.cluster.port)
            ends.append(onward)
            await _Visit(self, reader, writer, beyond, onward).attend()
        for one in ends:
            one.close()
        await asyncio.gather(*(one.wait_closed() for one in ends), return_exceptions=True)


@dataclass
class _Visit:
    """One connection; its requests are answered one after the other, as Kafka does it."""

    gate: KafkaGate
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    beyond: asyncio.StreamReader
    onward: asyncio.StreamWriter
    mechanism: str = ""
    scram: _Scram | None = None

    def __post_init__(self) -> None:
        self.known = not self.gate.logins

    async def attend(self) -> None:
        while True:
            request = await _frame(self.reader)
            kind, version, turn = struct.unpack(">hhi", request[:8])
            words = Words(request[8:])
            words.text()  # who it is
            if kind in {SASL_HANDSHAKE, SASL_AUTHENTICATE}:
                answer = self._login(kind, words)
            elif kind == API_VERSIONS:
                answer = self._with_ours(await self._ask(request))
            elif not self.known:
                return  # as Kafka hangs up on whoever has not said who he is
            elif kind in self.gate.newest:
                answer = self._answer(kind, version, words)
            else:
                answer = await self._ask(request)
            self.writer.write(data(number("i", turn) + answer))
            await self.writer.drain()

    async def _ask(self, request: bytes) -> bytes:
        self.onward.write(data(request))
        return (await _frame(self.beyond))[4:]

    def _with_ours(self, answer: bytes) -> bytes:
        """Of version 0: an error and a list, to which those are added that the mock has not."""
        words = Words(answer)
        error = words.number("h")
        told = {}
        for _ in range(words.number("i")):
            kind, least, most = (words.number("h") for _ in range(3))
            told[kind] = (least, most)
        told |= {kind: (0, most) for kind, most in self.gate.newest.items()}
        told |= {SASL_HANDSHAKE: (0, 1), SASL_AUTHENTICATE: (0, 0)}
        return number("h", error) + array(
            [struct.pack(">hhh", kind, *versions) for kind, versions in sorted(told.items())]
        )

    # -- who it is

    def _login(self, kind: int, words: Words) -> bytes:
        if kind == SASL_HANDSHAKE:
            self.mechanism = words.text()
            known = self.mechanism in self.gate.mechanisms
            return number("h", 0 if known else UNSUPPORTED_MECHANISM) + array(
                [text(one) for one in self.gate.mechanisms]
            )
        try:
            answer = self._step(words.data())
        except (ValueError, KeyError):
            return (
                number("h", LOGIN_FAILED)
                + text("Authentication failed: Invalid username or password")
                + data(b"")
            )
        return number("h", 0) + text(None) + data(answer)

    def _step(self, come: bytes) -> bytes:
        if self.mechanism == "PLAIN":
            _, user, password = come.decode().split("\0")
            if not hmac.compare_digest(self.gate.logins[user], password):
                raise ValueError(user)
            self.known = True
            return b""
        if self.scram is None:
            self.scram = _Scram(
                self.mechanism.removeprefix("SCRAM-").replace("-", "").lower(), self.gate.logins
            )
            return self.scram.first(come.decode()).encode()
        answer = self.scram.final(come.decode())
        self.known = True
        return answer.encode()

    # -- the admin

    def _answer(self, kind: int, version: int, words: Words) -> bytes:
        error = self.gate.denied.get(kind, 0)
        unhurried = number("i", 0) if version >= (2 if kind == CREATE_TOPICS else 1) else b""
        match kind:
            case 19:
                return unhurried + self._create(version, words, error)
            case 32:
                return number("i", 0) + self._describe(version, words, error)
            case 15:
                return unhurried + array([self._group(name, version, error) for name in words.texts()])
            case 16:
                listed = [text(name) + text("consumer") for name in self.gate.groups]
                return unhurried + number("h", error) + array(listed)
            case _:
                gone = [text(name) + number("h", error or self._delete(name)) for name in words.texts()]
                return number("i", 0) + array(gone)

    def _create(self, version: int, words: Words, error: int) -> bytes:
        answers = []
        for _ in range(words.number("i")):
            name, partitions, copies, assigned = (
                words.text(),
                words.number("i"),
                words.number("h"),
                words.number("i"),
            )
            assert not assigned
            options = {words.text(): words.text() for _ in range(words.number("i"))}
            result = error or (ALREADY_EXISTS if name in self.gate.made else 0)
            if not result:
                self.gate.made[name] = (partitions, copies)
                self.gate.settings[name] = {**options, **self.gate.settings.get(name, {})}
                self.gate.cluster.order(f"topic {name} {partitions} 1")
            answers.append(text(name) + number("h", result) + (text(None) if version else b""))
        return array(answers)

    def _describe(self, version: int, words: Words, error: int) -> bytes:
        answers = []
        for _ in range(words.number("i")):
            kind, name = words.number("b"), words.text()
            assert (kind, words.number("i")) == (2, -1), "a topic, all of its settings"
            told = self.gate.settings.get(name, {})
            entries = [] if error else [_setting(version, *pair) for pair in told.items()]
            answers.append(number("h", error) + text(None) + number("b", kind) + text(name) + array(entries))
        return array(answers)

    def _group(self, name: str, version: int, error: int) -> bytes:
        member = text("m-1") + text("us") + text("/127.0.0.1") + data(b"") * 2
        members = self.gate.groups.get(name, 0)
        state = "Stable" if members else ("Empty" if name in self.gate.groups else "Dead")
        told = number("h", error) + text(name) + text(state) + text("consumer") + text("sticky")
        return told + array([member] * members) + (number("i", -(2**31)) if version >= 3 else b"")

    def _delete(self, name: str) -> int:
        members = self.gate.groups.get(name)
        if members is None:
            return NO_SUCH_GROUP
        if members:
            return NON_EMPTY_GROUP
        del self.gate.groups[name]
        return 0


def _setting(version: int, name: str, value: str | None) -> bytes:
    """Read-only, where it comes from, secret; from version 1 on what it overrides."""
    told = text(name) + text(value) + struct.pack(">bbb", 0, 1, 0)
    return told + (array([text(name) + text("1") + number("b", 5)]) if version else b"")


class _Scram:
    """The server's side of RFC 5802."""

    def __init__(self, digest: str, logins: Mapping[str, str]) -> None:
        self._digest = digest
        self._logins = logins
        self._salt = secrets.token_bytes(16)

    def first(self, come: str) -> str:
        self._bare = come.removeprefix("n,,")
        told = _fields(self._bare)
        self._password = self._logins[told["n"].replace("=2C", ",").replace("=3D", "=")]
        self._nonce = told["r"] + secrets.token_urlsafe(12)
        self._told = f"r={self._nonce},s={base64.b64encode(self._salt).decode()},i={ITERATIONS}"
        return self._told

    def final(self, come: str) -> str:
        told = _fields(come)
        if told["r"] != self._nonce:
            raise ValueError("another's")
        salted = hashlib.pbkdf2_hmac(self._digest, self._password.encode(), self._salt, ITERATIONS)
        client = self._mac(salted, "Client Key")
        stored = hashlib.new(self._digest, client).digest()
        said = f"{self._bare},{self._told},{come.rpartition(',p=')[0]}"
        proof = bytes(a ^ b for a, b in zip(client, self._mac(stored, said), strict=True))
        if not hmac.compare_digest(proof, base64.b64decode(told["p"])):
            raise ValueError("the password is wrong")
        return f"v={base64.b64encode(self._mac(self._mac(salted, 'Server Key'), said)).decode()}"

    def _mac(self, key: bytes, said: str) -> bytes:
        return hmac.digest(key, said.encode(), self._digest)


def _fields(said: str) -> dict[str, str]:
    return {one[0]: one[2:] for one in said.split(",")}


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(struct.unpack(">i", await reader.readexactly(4))[0])
