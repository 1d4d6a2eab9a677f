"""What the doctor says of programs that speak Wyoming, and of who may come."""

from __future__ import annotations

import socket
from pathlib import Path

from gateway.commands.doctor.finding import Finding
from gateway.commands.doctor.wyoming import LISTEN, NAME_SOMEBODY, wyoming
from gateway.settings.wyoming import WyomingSettings


def found(settings: WyomingSettings, *, is_running: bool = False) -> list[Finding]:
    return list(wyoming(settings, lambda: is_running))


def test_where_nothing_of_it_is_wanted_nothing_is_said() -> None:
    assert found(WyomingSettings()) == []


def test_a_place_that_is_free(free_tcp_port: int) -> None:
    url = f"tcp://127.0.0.1:{free_tcp_port}"
    assert [(one.state, one.detail) for one in found(WyomingSettings(listen=(url,)))] == [
        ("ok", f"{url} is free")
    ]


def test_a_place_of_the_gateway_that_runs_or_of_another_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = WyomingSettings(listen=(f"tcp://127.0.0.1:{other.getsockname()[1]}",))
        (one,) = found(settings)
        assert (one.state, one.remedy) == ("warn", LISTEN)
        assert "another program" in one.detail
        (one,) = found(settings, is_running=True)
        assert one.state == "ok"


def test_a_socket_whose_folder_is_missing(tmp_path: Path) -> None:
    (one,) = found(WyomingSettings(listen=(f"unix://{tmp_path}/away/wyoming.sock",)))
    assert (one.state, f"{tmp_path}/away" in one.detail) == ("warn", True)
    assert "make it" in one.remedy
    (one,) = found(WyomingSettings(listen=(f"unix://{tmp_path}/wyoming.sock",)))
    assert one.state == "ok"


def test_a_place_on_the_network_where_nobody_may_come(free_tcp_port: int) -> None:
    listen = (f"tcp://0.0.0.0:{free_tcp_port}",)
    _, nobody = found(WyomingSettings(listen=listen, zeroconf=False))
    assert (nobody.state, nobody.remedy) == ("warn", NAME_SOMEBODY)
    (named,) = found(WyomingSettings(listen=listen, allow={"Home Assistant": "192.0.2.5"}, zeroconf=False))
    assert named.state == "ok"


def test_a_conversation_that_nobody_can_come_to() -> None:
    (one,) = found(WyomingSettings(conversation=True))
    assert (one.state, one.remedy) == ("warn", LISTEN)
