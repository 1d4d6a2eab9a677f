"""`earshot link-test`, as it is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from firmware_bridge.link.device_end import DeviceEnd
from gateway.commands.cli import main
from tests.firmware_bridge.line_test.wire import Wire

pytestmark = pytest.mark.slow


def link_test(*words: object) -> Result:
    return CliRunner().invoke(main, ["link-test", *map(str, words)], env={"EARSHOT_CONFIG": None})


@contextmanager
def a_wire(folder: Path, **options: Any) -> Iterator[Wire]:
    wire = Wire(folder / "usb-board", **options)
    try:
        yield wire
    finally:
        wire.close()


def test_a_line_that_holds_is_told_in_words(tmp_path: Path) -> None:
    device = DeviceEnd("kitchen", boot=7, ring_frames=50, firmware="talk 1")
    with a_wire(tmp_path, device=device, speaks=True) as wire:
        result = link_test(wire.port, "--seconds", 0.5)
    assert result.exit_code == 0, result.output
    told = result.stdout.splitlines()
    assert told[0] == f"{wire.port} at 921600 baud: kitchen, firmware talk 1"
    assert [line.split()[0] for line in told[1:6]] == ["frames", "speech", "round", "throughput", "speech"]
    assert told[6].startswith("it holds")
    assert "listening at 921600 baud" in result.stderr


def test_a_line_that_does_not_hold_ends_with_one_and_the_remedy(tmp_path: Path) -> None:
    with a_wire(tmp_path, says=b"hello, I am a coffee machine\r\n") as wire:
        result = link_test(wire.port, "--patience", 0.2)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("remedy: ")


def test_json_is_for_programs(tmp_path: Path) -> None:
    with a_wire(tmp_path, device=DeviceEnd("kitchen", boot=7, ring_frames=50)) as wire:
        result = link_test(wire.port, "--seconds", 0.3, "--json", "--rate", 921_600)
    told = json.loads(result.stdout)
    assert told["verdict"]["holds"] is True
    assert told["measured"]["device"] == "kitchen"
    assert told["measured"]["latency"]["median"] > 0


def test_a_plug_is_measured_at_every_rate(tmp_path: Path) -> None:
    with a_wire(tmp_path) as wire:
        result = link_test(wire.port, "--loopback")
    assert result.exit_code == 1
    assert "nothing comes back\nremedy: bridge RX and TX" in result.stdout


def test_a_port_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = link_test(tmp_path / "none")
    assert result.exit_code == 1
    assert "no such port\nremedy: plug it in" in result.output
