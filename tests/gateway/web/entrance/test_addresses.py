"""By which names the gateway is called, and which pages may call it."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.entrance.addresses import Addresses

HOME = Addresses("127.0.0.1", 8080)
LAN = Addresses("0.0.0.0", 8443, scheme="https")


def test_the_usual_port_is_left_out_by_browsers() -> None:
    assert Addresses("127.0.0.1", 80).admits("localhost", "http://localhost")
    assert not Addresses("127.0.0.1", 80).admits("localhost:80", None)
    assert Addresses("0.0.0.0", 443, scheme="https").admits("192.168.1.5", "https://192.168.1.5")


@given(st.text(), st.one_of(st.none(), st.text()))
def test_no_other_header_gets_in(host: str, origin: str | None) -> None:
    admitted = HOME.admits(host, origin)
    assert admitted == (host.lower() in HOME.hosts and (origin is None or origin in HOME.origins))
    assert not HOME.admits(None, origin)


@pytest.mark.parametrize(
    "host", ["192.168.1.5:8443", "10.0.0.1:8443", "[fe80::1]:8443", "[2001:db8::5]:8443"]
)
def test_where_others_can_reach_it_any_address_in_figures_is_ours(host: str) -> None:
    assert LAN.admits(host, None)
    assert LAN.admits(host, f"https://{host}")
    assert not LAN.admits(host, f"http://{host}")
    assert not LAN.admits(host, "https://192.168.1.6:8443")
    assert not HOME.admits(host.replace("8443", "8080"), None)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8443",
        "192.168.1.5",
        "192.168.1.5:8080",
        "192.168.1.5:8443/x",
        "a@192.168.1.5:8443",
        "3232235781:8443",
        "192.168.1.5:8443#",
        "192.168.1.5:",
        ":8443",
        "[::1",
        "192.168.1.5:99999",
        "192.168.1.5:x",
        "1:2:3:8443",
    ],
)
def test_and_nothing_else_is(host: str) -> None:
    assert not LAN.admits(host, None)


def test_this_machines_name_is_ours_there() -> None:
    name = socket.gethostname().lower()
    assert LAN.admits(f"{name}:8443", f"https://{name}:8443")
    assert LAN.admits(f"{name}.local:8443", None)
    assert not HOME.admits(f"{name}.local:8080", None)


def test_names_of_a_reverse_proxy() -> None:
    behind = Addresses("127.0.0.1", 8080, names=["house.example", "other.example:444"])
    assert behind.admits("house.example", "https://house.example")
    assert behind.admits("house.example:8080", "http://house.example:8080")
    assert behind.admits("other.example:444", "https://other.example:444")
    assert not behind.admits("house.example:444", None)
    assert not behind.admits("sub.house.example", None)
    assert not behind.admits("house.example", "https://house.example.evil")


def test_pages_elsewhere() -> None:
    allowed = Addresses("127.0.0.1", 8080, origins=["https://dash.example"])
    assert allowed.admits("127.0.0.1:8080", "https://dash.example")
    assert not allowed.admits("dash.example", "https://dash.example")
    for origin in ("http://dash.example", "https://dash.example:8443", "https://dash.example/", "null", ""):
        assert not allowed.admits("127.0.0.1:8080", origin)
