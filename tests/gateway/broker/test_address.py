"""Where a broker is and who we are to it; a password is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.address import Scheme, client_id, each_server, gateway_name, resolve, without_secrets
from gateway.broker.base import BrokerError, BrokerRefused
from gateway.broker.opening import check_broker_url
from gateway.settings.broker import BrokerSettings, BrokerTlsSettings
from gateway.settings.house import HouseSettings

PLAIN, GUARDED = Scheme(6379), Scheme(6379, tls=True)


def test_an_address_is_taken_apart() -> None:
    address = resolve("redis://ann:p%40ss@[::1]:7000/3", PLAIN, BrokerSettings(client_id="kitchen"))
    assert (address.host, address.port, address.path) == ("::1", 7000, "3")
    assert (address.username, address.password, address.client_id) == ("ann", "p@ss", "kitchen")
    assert str(address) == "redis://[::1]:7000"
    assert address.tls is None


def test_what_is_left_out_has_a_default() -> None:
    address = resolve("redis://host", PLAIN, BrokerSettings())
    assert (address.port, address.path, address.username, address.password) == (6379, "", None, None)
    assert address.client_id == client_id(BrokerSettings()) == client_id(BrokerSettings())


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden\r\nnot this\n")
    settings = BrokerSettings(password_file=str(tmp_path / "secret"))
    assert resolve("redis://ann@host", PLAIN, settings).password == "hidden"


def test_a_relative_file_is_one_of_systemds_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broker").write_text("hidden")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert resolve("redis://ann@host", PLAIN, BrokerSettings(password_file="broker")).password == "hidden"


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (BrokerSettings(password_file="/nowhere/secret"), "password_file"),
        (BrokerSettings(tls=BrokerTlsSettings(ca_file="/nowhere/ca.pem")), "ca_file"),
        (BrokerSettings(tls=BrokerTlsSettings(cert_file="/nowhere/cert.pem")), "cert_file"),
    ],
)
def test_a_file_that_is_missing_is_a_state_with_its_remedy(settings: BrokerSettings, remedy: str) -> None:
    with pytest.raises(BrokerRefused, match="No such file") as caught:
        resolve("rediss://host", GUARDED, settings)
    assert remedy in caught.value.remedy


def test_who_does_not_want_to_know_who_it_is_need_not() -> None:
    tls = resolve("rediss://host", GUARDED, BrokerSettings(tls=BrokerTlsSettings(verify=False))).tls
    assert tls is not None
    assert not tls.check_hostname


def test_a_librarys_words_are_cleaned() -> None:
    address = resolve("redis://ann:hidden@host", PLAIN, BrokerSettings())
    said = without_secrets("cannot reach redis://ann:hidden@host, used hidden", address)
    assert said == "cannot reach redis://host, used ***"


@given(st.text(max_size=40))
def test_no_address_is_shown_when_it_is_wrong(rest: str) -> None:
    said = ""
    try:
        check_broker_url(f"redis://ann:hidden@{rest}")
    except BrokerError as error:
        said = str(error)
    assert "hidden" not in said.replace(rest, "")


def test_servers_of_a_cluster_stand_between_commas() -> None:
    assert each_server("nats://ann:a,b@one:4222,[::1]:7,three/x") == (
        "nats://ann:a,b@one:4222/x",
        "nats://ann:a,b@[::1]:7/x",
        "nats://ann:a,b@three/x",
    )
    assert each_server("redis://one") == ("redis://one",)


@pytest.mark.parametrize(
    "url", ["nats://one,", "nats://,one", "nats://one,two:x", "nats://ann:hidden@" + ",".join(["one"] * 33)]
)
def test_a_wrong_server_among_several_is_told(url: str) -> None:
    with pytest.raises(BrokerError) as caught:
        check_broker_url(url)
    assert "hidden" not in str(caught.value)


def test_a_gateways_name_is_that_of_the_house_or_of_the_broker() -> None:
    broker = BrokerSettings(client_id="box")
    assert gateway_name(HouseSettings(name="hall"), broker) == "hall"
    assert gateway_name(HouseSettings(), broker) == "box"
