"""The set-up page of a board reads forms as browsers send them, and answers DNS with its own address alone."""

from __future__ import annotations

import ctypes
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.firmware_bridge.esp32.made import library

ADDRESS = bytes((192, 168, 4, 1))
MOST = 512


def field(form: str, name: str, room: int = 65) -> str | None:
    c = library("earshot_portal.c")
    c.earshot_form_field.restype = ctypes.c_bool
    out = ctypes.create_string_buffer(b"\xee" * (room + 8), room + 8)
    found = c.earshot_form_field(form.encode(), name.encode(), out, ctypes.c_size_t(room))
    assert out.raw[room:] == b"\xee" * 8, "it wrote behind its room"
    return out.value.decode("utf-8", "surrogateescape") if found else None


def answer(packet: bytes) -> bytes:
    c = library("earshot_portal.c")
    c.earshot_dns_answer.restype = ctypes.c_size_t
    memory = ctypes.create_string_buffer(packet, MOST + 8)
    before = memory.raw[MOST:]
    size = c.earshot_dns_answer(memory, ctypes.c_size_t(len(packet)), ADDRESS)
    assert memory.raw[MOST:] == before
    return memory.raw[:size]


def question(name: str, kind: int = 1, tail: bytes = b"") -> bytes:
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    head = bytes.fromhex("1234 0100 0001 0000 0000 0000")
    return head + labels + b"\0" + kind.to_bytes(2, "big") + b"\0\1" + tail


letters = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(letters, letters)
def test_a_form_is_read_as_it_was_typed(ssid: str, password: str) -> None:
    form = urlencode({"ssid": ssid, "password": password})
    assert field(form, "ssid") == ssid
    assert field(form, "password") == password


@pytest.mark.parametrize("form", ["", "ssid", "myssid=House", "assid=1&b=2", "other=%00&ssi=d"])
def test_a_field_that_is_not_there(form: str) -> None:
    assert field(form, "ssid") is None


@pytest.mark.parametrize(
    ("form", "typed"),
    [
        ("ssid=", ""),
        ("a=1&ssid=House", "House"),
        ("ssid=a%2", "a%2"),
        ("ssid=%zz+%41", "%zz A"),
        ("ssid=%", "%"),
    ],
)
def test_odd_forms(form: str, typed: str) -> None:
    assert field(form, "ssid") == typed


def test_what_does_not_fit_or_has_a_zero_within_is_not_taken() -> None:
    assert field("ssid=" + "%41" * 32, "ssid", 33) == "A" * 32
    assert field("ssid=" + "%41" * 33, "ssid", 33) is None
    assert field("ssid=Ho%00use", "ssid") is None
    assert field("ssid=", "ssid", 0) is None


@given(st.text(alphabet="ssid=&%+4xA", max_size=40))
def test_any_form_is_read_as_python_reads_it_or_refused(form: str) -> None:
    told = field(form, "ssid")
    if told is not None and "%" not in form:
        assert told == parse_qs(form, keep_blank_values=True)["ssid"][0]


def test_every_name_has_the_boards_address() -> None:
    asked = question("connectivitycheck.gstatic.com")
    told = answer(asked)
    assert told[:2] == asked[:2]
    assert told[2:12] == bytes.fromhex("8500 0001 0001 0000 0000")
    assert told[12 : len(asked)] == asked[12:]
    assert told[len(asked) :] == bytes.fromhex("c00c 0001 0001 0000001e 0004") + ADDRESS


def test_a_question_for_ipv6_has_no_answer_and_what_hangs_behind_a_question_is_cut_off() -> None:
    asked = question("example.org", 28)
    assert answer(asked) == asked[:2] + bytes.fromhex("8500 0001 0000 0000 0000") + asked[12:]
    edns = bytes.fromhex("0000290200000000000000")
    assert answer(question("example.org", tail=edns)) == answer(question("example.org"))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        question("a")[:11],
        question("a")[:-1],
        question("a")[:2] + b"\x81\0" + question("a")[4:],  # an answer
        question("a")[:4] + b"\0\2" + question("a")[6:],  # two questions
        question("a")[:12] + b"\xc0\x0c\0\1\0\1",  # a name that refers to itself
        question(".".join(["a" * 60] * 8)),  # no room for an answer
    ],
)
def test_what_is_no_question_is_not_answered(packet: bytes) -> None:
    assert answer(packet) == b""


@given(st.binary(max_size=MOST))
def test_any_packet_is_harmless(packet: bytes) -> None:
    told = answer(packet)
    assert len(told) <= MOST
    assert not told or told[2] & 0x80, "an answer is never a question again: two boards cannot talk for ever"
