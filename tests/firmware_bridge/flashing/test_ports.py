"""The port that is meant, and who has one that is busy."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.flashing.ports import candidates, check_free, the_board
from firmware_bridge.flashing.trouble import FlashTrouble

_HOLDER = """
import serial, sys
port = serial.Serial(sys.argv[1], exclusive=True)
print("has it", flush=True)
sys.stdin.read()
"""


def test_the_only_port_is_the_one_that_is_meant(tmp_path: Path, terminal: Any) -> None:
    port = terminal()
    assert the_board(patterns=(f"{tmp_path}/*",)) == str(port.name)


def test_a_port_with_two_names_is_one_and_has_the_lasting_name(tmp_path: Path, terminal: Any) -> None:
    port = terminal("tty0")
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-board").symlink_to(port.name)
    patterns = (f"{tmp_path}/by-id/*", f"{tmp_path}/tty*")
    assert candidates(patterns) == [str(tmp_path / "by-id" / "usb-board")]


def test_none_and_several_are_told(tmp_path: Path, terminal: Any) -> None:
    patterns = (f"{tmp_path}/usb-*",)
    with pytest.raises(FlashTrouble, match="no board is plugged in"):
        the_board(patterns=patterns)
    names = [str(terminal(f"usb-{n}").name) for n in (1, 2)]
    with pytest.raises(FlashTrouble, match="2 ports") as error:
        the_board(patterns=patterns)
    assert all(name in error.value.reason for name in names)
    assert the_board(names[1], patterns) == names[1]


def test_a_port_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FlashTrouble, match="no such port"):
        check_free(str(tmp_path / "usb-1"))


def test_what_is_no_port_of_this_machine_is_esptools_to_open() -> None:
    assert the_board("socket://127.0.0.1:1") == "socket://127.0.0.1:1"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["earshot", "minicom"])
def test_who_has_a_port_is_named_with_the_remedy(name: str, tmp_path: Path, terminal: Any) -> None:
    port = terminal()
    program = tmp_path / "bin" / name
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    words = [sys.executable, "-c", _HOLDER, str(port.name)]
    if name == "earshot":
        script = tmp_path / "bin" / "earshot"
        script.unlink()
        script.write_text(_HOLDER.replace("argv[1]", "argv[2]"), encoding="utf-8")
        words = [sys.executable, str(script), "run", str(port.name)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"has it\n"
        with pytest.raises(FlashTrouble, match=f"in use by .*process {holder.pid}") as error:
            the_board(str(port.name))
        another = str(terminal("usb-another").name)
        assert the_board(patterns=(f"{tmp_path}/usb-*",)) == another, "the only one that nobody has"
        holder.communicate()
    told = "systemctl stop earshot" if name == "earshot" else "close it"
    assert told in error.value.remedy
    check_free(str(port.name))


def test_a_port_that_we_hold_ourselves_is_told(terminal: Any) -> None:
    port = terminal()
    descriptor = os.open(port.name, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(FlashTrouble, match="in use by another program"):
        check_free(str(port.name))
    os.close(descriptor)
