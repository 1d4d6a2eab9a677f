"""Wi-Fi by Improv over the serial line: the packets of the public specification, whatever else the line carries."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.frames import Header, Ping
from firmware_bridge.link.framing import encode_serial
from tests.firmware_bridge.esp32.made import COMPONENT, STRICT, compiler, library

STATE, ERROR, COMMAND, RESULT = 1, 2, 3, 4
JOIN, ASK_STATE, ASK_INFO, ASK_NETWORKS = 1, 2, 3, 4
READY, JOINING, JOINED = 2, 3, 4

_OUT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint8), ctypes.c_size_t)
_JOIN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
_SCAN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Port(ctypes.Structure):
    _fields_ = (
        ("owner", ctypes.c_void_p),
        ("out", _OUT),
        ("join", _JOIN),
        ("scan", _SCAN),
        *((name, ctypes.c_char_p) for name in ("firmware", "version", "chip", "name")),
    )


def packet(kind: int, data: bytes) -> bytes:
    head = b"IMPROV\x01" + bytes((kind, len(data))) + data
    return head + bytes((sum(head) & 0xFF,)) + b"\n"


def command(number: int, data: bytes = b"") -> bytes:
    return packet(COMMAND, bytes((number, len(data))) + data)


def texts(*parts: bytes) -> bytes:
    return b"".join(bytes((len(part),)) + part for part in parts)


def result(number: int, *parts: bytes) -> bytes:
    data = texts(*parts)
    return packet(RESULT, bytes((number, len(data))) + data)


@dataclass
class Board:
    """earshot_improv with a line, and a Wi-Fi that is asked to be joined."""

    joined: bool = False
    said: list[bytes] = field(default_factory=list)
    wanted: list[tuple[bytes, bytes]] = field(default_factory=list)
    scans: int = 0

    def __post_init__(self) -> None:
        self._c = library("earshot_improv.c")
        self._port = _Port(
            None,
            _OUT(self._out),
            _JOIN(self._join),
            _SCAN(self._scan),
            b"Earshot",
            b"0.1.0",
            b"ESP32-C3",
            b"kitchen",
        )
        self._object = ctypes.create_string_buffer(1024)
        self._c.earshot_improv_init(self._object, ctypes.byref(self._port), int(self.joined))

    def _out(self, _owner: int, data: ctypes.Array[ctypes.c_uint8], count: int) -> None:
        self.said.append(bytes(data[:count]))

    def _join(self, _owner: int, ssid: bytes, password: bytes) -> None:
        self.wanted.append((ssid, password))

    def _scan(self, _owner: int) -> None:
        self.scans += 1

    def hears(self, line: bytes) -> list[bytes]:
        before = len(self.said)
        self._c.earshot_improv_feed(self._object, line, ctypes.c_size_t(len(line)))
        return self.said[before:]

    def is_joined(self, url: bytes | None) -> None:
        self._c.earshot_improv_joined(self._object, ctypes.c_char_p(url))

    def fails(self) -> None:
        self._c.earshot_improv_failed(self._object)

    def finds(self, *networks: tuple[bytes, int, bool]) -> None:
        for ssid, rssi, locked in networks:
            self._c.earshot_improv_network(self._object, ssid, rssi, int(locked))
        self._c.earshot_improv_networks_end(self._object)


def test_a_board_is_told_its_wi_fi() -> None:
    board = Board()
    assert board.hears(command(ASK_STATE)) == [packet(STATE, bytes((READY,)))]
    assert board.hears(command(ASK_INFO)) == [result(ASK_INFO, b"Earshot", b"0.1.0", b"ESP32-C3", b"kitchen")]
    assert board.hears(command(JOIN, texts(b"House", b"secret"))) == [
        packet(ERROR, b"\0"),
        packet(STATE, bytes((JOINING,))),
    ]
    assert board.wanted == [(b"House", b"secret")]
    board.is_joined(b"http://box:8080/")
    assert board.said[-2:] == [packet(STATE, bytes((JOINED,))), result(JOIN, b"http://box:8080/")]
    assert board.hears(command(ASK_STATE)) == [
        packet(STATE, bytes((JOINED,))),
        result(ASK_STATE, b"http://box:8080/"),
    ]


def test_a_wrong_password_can_be_given_again() -> None:
    board = Board()
    board.hears(command(JOIN, texts(b"House", b"wrong")))
    board.fails()
    assert board.said[-2:] == [packet(STATE, bytes((READY,))), packet(ERROR, b"\3")]
    board.hears(command(JOIN, texts(b"House", b"right")))
    assert board.wanted == [(b"House", b"wrong"), (b"House", b"right")]


def test_networks_are_told_when_they_were_asked_for() -> None:
    board = Board()
    board.finds((b"Nobody asked", -1, False))
    assert board.said == []
    board.hears(command(ASK_NETWORKS))
    assert board.scans == 1
    board.finds((b"House", -57, True), (b"Guests", -101, False))
    assert board.said == [
        result(ASK_NETWORKS, b"House", b"-057", b"YES"),
        result(ASK_NETWORKS, b"Guests", b"-101", b"NO"),
        result(ASK_NETWORKS),
    ]


def test_an_open_wi_fi_has_no_password() -> None:
    board = Board()
    board.hears(command(JOIN, texts(b"Guests", b"")))
    assert board.wanted == [(b"Guests", b"")]


def test_a_wi_fi_that_comes_by_itself_is_no_answer() -> None:
    board = Board(joined=True)
    board.is_joined(b"http://box:8080/")
    assert board.said == []
    assert board.hears(command(ASK_STATE))[0] == packet(STATE, bytes((JOINED,)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        texts(b"", b"secret"),
        texts(b"House"),
        texts(b"House", b"secret") + b"more",
        texts(b"House", b"secret")[:-1],
        texts(b"H" * 33, b"secret"),
        texts(b"House", b"s" * 65),
        texts(b"Ho\0se", b"secret"),
        texts(b"House", b"se\0ret"),
        b"\xff",
    ],
)
def test_settings_that_are_none_are_refused_and_nothing_is_joined(data: bytes) -> None:
    board = Board()
    assert board.hears(command(JOIN, data)) == [packet(ERROR, b"\1")]
    assert board.wanted == []


def test_what_it_does_not_know_is_said_to_be_unknown() -> None:
    assert Board().hears(command(9)) == [packet(ERROR, b"\2")]


def test_a_broken_packet_is_said_to_be_broken_and_the_next_is_read() -> None:
    board, broken = Board(), bytearray(command(ASK_STATE))
    broken[-2] ^= 1
    assert board.hears(bytes(broken)) == [packet(ERROR, b"\1")]
    assert board.hears(command(ASK_STATE)) == [packet(STATE, bytes((READY,)))]


def test_packets_of_others_are_not_answered() -> None:
    assert Board().hears(packet(STATE, b"\2") + packet(ERROR, b"\0") + result(ASK_STATE, b"http://x")) == []


def test_frames_of_earshot_around_a_packet_are_none_of_its_business() -> None:
    frames = encode_serial(Ping(Header(link=3, acknowledge=7))) * 20
    board = Board()
    assert board.hears(frames + b"I (31) boot: ESP-IDF\nIMPROIMPRO" + command(ASK_STATE) + frames) == [
        packet(STATE, bytes((READY,)))
    ]


@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.sampled_from([command(ASK_STATE), b"IMPROV\x01", b"IM"])),
        max_size=12,
    ),
    st.data(),
)
def test_anything_in_any_pieces_is_answered_with_whole_packets(
    parts: list[bytes], data: st.DataObject
) -> None:
    line, board, whole = b"".join(parts), Board(), Board()
    at = 0
    while at < len(line):
        step = data.draw(st.integers(1, len(line)))
        board.hears(line[at : at + step])
        at += step
    whole.hears(line)
    assert board.said == whole.said
    for said in board.said:
        assert said == packet(said[7], said[9:-2])


@pytest.mark.slow
def test_the_published_client_tells_a_board_its_wi_fi(tmp_path: Path) -> None:
    """``npx esbuild node_modules/improv-wifi-serial-sdk/dist/serial.js --bundle --format=esm --outfile=sdk.mjs``"""
    sdk = os.environ.get("IMPROV_SDK")
    if sdk is None:
        pytest.skip("IMPROV_SDK names no bundle of npm's improv-wifi-serial-sdk")
    here, board = Path(__file__).parent, tmp_path / "board"
    sources = (here / "improv_jig.c", COMPONENT / "src" / "earshot_improv.c")
    command = [compiler(), *STRICT, "-D_GNU_SOURCE", f"-I{COMPONENT / 'src'}", "-o", board, *sources]
    subprocess.run(command, check=True)
    client = [compiler("node"), here / "improv_client.mjs", sdk, board]
    told = json.loads(subprocess.run(client, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert told["info"]["name"] == "kitchen"
    assert [(one["name"], one["rssi"], one["secured"]) for one in told["networks"]] == [
        ("Guests", -80, False),
        ("House", -57, True),
    ]
    assert told["refused"] == "UNABLE_TO_CONNECT"
    assert (told["state"], told["url"]) == (JOINED, "http://box:8080/")
    assert told["hostname"] == "UNKNOWN_RPC_COMMAND"
