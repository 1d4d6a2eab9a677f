"""Sessions' names: no two processes of a machine have the same one."""

from __future__ import annotations

import resource
import secrets

import pytest

from gateway.broker.backends import mqtt
from gateway.broker.backends.mqtt import _Place
from gateway.broker.base import BrokerUnavailable


@pytest.mark.parametrize("length", [1, 90, 98, 99, 100, 101, 120, 1_000])
def test_a_name_of_any_length_has_its_place(length: int) -> None:
    """``broker.client_id`` may have 48 characters and a group 64, and the kernel's names have 108 bytes."""
    base = f"{secrets.token_hex(8)}{'x' * length}"[-length:]
    first, second = _Place(base), _Place(base)
    assert (first.name, second.name) == (f"{base}-0", f"{base}-1")
    first.leave()
    third = _Place(base)
    assert third.name == f"{base}-0"
    third.leave()
    second.leave()


def test_a_machine_without_room_is_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    base = f"earshot-{secrets.token_hex(8)}"
    monkeypatch.setattr(mqtt, "PLACES", 1)
    first = _Place(base)
    with pytest.raises(BrokerUnavailable, match="processes have names like this"):
        _Place(base)
    first.leave()


def test_a_socket_that_is_refused_is_a_broker_that_is_away() -> None:
    """Which was an endless loop; the kernel refuses more names than a process may have files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(BrokerUnavailable, match="no name"):
            _Place("earshot-test")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_processes_have_two_names_and_a_free_one_is_taken_again() -> None:
    first, second = _Place("earshot-test"), _Place("earshot-test")
    assert (first.name, second.name) == ("earshot-test-0", "earshot-test-1")
    first.leave()
    first.leave()
    third = _Place("earshot-test")
    assert third.name == "earshot-test-0"
    third.leave()
    second.leave()
