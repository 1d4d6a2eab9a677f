"""What is wrong with how a house of several gateways is named."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.house import GUARDED_STORES, STORE_PORTS, contradictions, is_store_url
from gateway.settings.house import HouseSettings


def blamed(**settings: Any) -> list[str]:
    """Which settings, and what of them."""
    return [f"{paths[0][1]}: {message}" for paths, message in contradictions(HouseSettings(**settings))]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/house",
        "postgresql://earshot:secret@db:5433/house",
        "postgresqls://earshot@db/house",
        "postgresql://[::1]/house",
        "redis://cache",
        "redis://cache:6380/2",
        "rediss://earshot:secret@cache",
    ],
)
def test_a_store_by_its_url(url: str) -> None:
    assert is_store_url(url)
    assert blamed(store=url) == []


@pytest.mark.parametrize(
    "url",
    [
        "db",
        "mysql://db/house",
        "postgres",
        "postgresql:///house",
        "postgresql://db:0/house",
        "postgresql://db:port/house",
        "postgresql://db/house/more",
        "postgresql://db/house?sslmode=disable",
        "redis://cache/house",
        "redis://cache/1/2",
        "memory://",
    ],
)
def test_what_names_no_store_is_said_with_what_is_expected(url: str) -> None:
    (message,) = blamed(store=url)
    assert message.startswith("store: expected postgresql[s]://")


def test_a_password_in_a_wrong_url_is_not_shown() -> None:
    (message,) = blamed(store="postgres://earshot:very-secret@db/house")
    assert "very-secret" not in message


def test_every_guarded_kind_has_a_port_and_a_plain_sister() -> None:
    assert STORE_PORTS.keys() >= GUARDED_STORES
    assert {one.removesuffix("s") if one != "rediss" else "redis" for one in GUARDED_STORES} == {
        "postgresql",
        "redis",
    }


@pytest.mark.parametrize("name", ["store_ca_file", "store_cert_file"])
@pytest.mark.parametrize("url", ["", "redis://cache", "postgresql://db/house"])
def test_certificates_want_a_guarded_way(name: str, url: str) -> None:
    (message,) = blamed(store=url, **{name: "file.pem"})
    assert message == f"{name}: certificates need a postgresqls:// or rediss:// url"
    assert blamed(store="rediss://cache", **{name: "file.pem"}) == []


def test_a_key_wants_its_certificate() -> None:
    assert blamed(store="postgresqls://db/house", store_key_file="key.pem") == [
        "store_key_file: a key is of no use without house.store_cert_file"
    ]
    both = {"store_key_file": "key.pem", "store_cert_file": "cert.pem"}
    assert blamed(store="postgresqls://db/house", **both) == []


def test_a_password_wants_a_store() -> None:
    assert blamed(store_password_file="password") == [
        "store_password_file: a password for nobody: house.store is empty"
    ]
    assert blamed(store="redis://earshot@cache", store_password_file="password") == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "attic", "standby_for": "attic"},
            "standby_for: a gateway cannot stand by for itself; name the one",
        ),
        (
            {"standby_for": "hall", "has_standby": True},
            "has_standby: a gateway that stands by for another is that one",
        ),
    ],
)
def test_a_standby_is_anothers(settings: dict[str, Any], message: str) -> None:
    (blame,) = blamed(**settings)
    assert blame.startswith(message)


@pytest.mark.parametrize("settings", [{"name": "attic", "standby_for": "kitchen"}, {"has_standby": True}])
def test_a_row_of_two(settings: dict[str, Any]) -> None:
    assert blamed(**settings) == []
