"""The process that works with sound: what it says, and what becomes of one that does not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from firmware_bridge.microphones import sound_process
from firmware_bridge.microphones.records import (
    GaveUp,
    Listen,
    Listening,
    Look,
    Played,
    SoundDevice,
    SoundRecord,
)
from firmware_bridge.microphones.sound_process import SoundProcess, look, play_tone
from tests.servers.pulseaudio import NAMES, PulseAudio

pytestmark = pytest.mark.slow

SAYS = """
import socket, sys, time
from firmware_bridge.microphones.records import *
answers = socket.socket(fileno=int(sys.argv[1]))
say = lambda record: answers.send(encode_record(record))
"""


@pytest.fixture
def behaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Makes a process that does what a test says."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sound_process, "MODULE", "misbehaving")
    return (tmp_path / "misbehaving.py").write_text


async def said_by(process_order: Listen | Look = Look()) -> list[SoundRecord]:  # noqa: B008 - frozen
    said: list[SoundRecord] = []
    async with asyncio.timeout(20):
        await SoundProcess(process_order, said.append).run()
    return said


async def test_it_says_which_devices_there_are(pulseaudio: PulseAudio) -> None:
    found = await look()
    assert not isinstance(found, GaveUp)
    assert {one.name for one in found if one.inputs} >= {*NAMES, "default"}
    assert isinstance(found[0], SoundDevice)


async def test_a_tone_is_played_to_a_loudspeaker(pulseaudio: PulseAudio) -> None:
    pulseaudio.plug("Studio")
    assert await play_tone("default", 0.2) is None
    gone = await play_tone("nowhere", 0.2)
    assert gone is not None
    assert "not there" in gone.reason


async def test_a_microphone_that_is_not_there_is_a_reason(pulseaudio: PulseAudio) -> None:
    (gave_up,) = await said_by(Listen(name="nowhere"))
    assert gave_up == GaveUp("nowhere: not there", "plug it in; it is found by itself")


@pytest.mark.parametrize(
    ("raises", "reason", "remedy"),
    [
        ("OSError('PortAudio library not found')", "PortAudio is not installed", "apt install libportaudio2"),
        ("ModuleNotFoundError('sounddevice')", "sounddevice is not installed", "earshot-gateway[microphone]"),
    ],
)
async def test_what_is_not_installed_is_said_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raises: str, reason: str, remedy: str
) -> None:
    (tmp_path / "sounddevice.py").write_text(f"raise {raises}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    missing = await look()
    assert isinstance(missing, GaveUp)
    assert missing.reason == reason
    assert remedy in missing.remedy


async def test_where_no_process_can_be_started_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    (gave_up,) = await said_by()
    assert isinstance(gave_up, GaveUp)
    assert gave_up.reason == "no process can be started (No such file or directory)"


async def test_one_that_dies_says_why_as_well_as_it_can(behaves: Callable[[str], object]) -> None:
    behaves("import os\nos.write(2, b'malloc(): corrupted\\n')\nos.abort()\n")
    (last,) = await said_by()
    assert isinstance(last, GaveUp)
    assert "malloc(): corrupted" in last.reason


async def test_one_that_says_nothing_is_given_up(
    behaves: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_process, "STALLED_SECONDS", 1.0)
    behaves("import time\ntime.sleep(60)\n")
    (last,) = await said_by()
    assert isinstance(last, GaveUp)
    assert "no sound" in last.reason


@pytest.mark.parametrize(
    "garbage", ["b'\\xc1'", "b'{}'", "b'x' * 100_000", "encode_record({'type': 'Sound'})"]
)
async def test_one_that_makes_no_sense_is_given_up(behaves: Callable[[str], object], garbage: str) -> None:
    behaves(f"{SAYS}answers.send({garbage})\ntime.sleep(60)\n")
    (last,) = await said_by()
    assert isinstance(last, GaveUp)
    assert "make sense" in last.reason


async def test_after_its_last_word_nothing_counts(behaves: Callable[[str], object]) -> None:
    behaves(f"{SAYS}say(Played())\nsay(GaveUp('a', 'b'))\nsay(Played())\n")
    assert await said_by() == [Played()]


async def test_whoever_is_not_wanted_any_more_is_ended(behaves: Callable[[str], object]) -> None:
    """Also one that does not care for anything."""
    behaves(
        f"{SAYS}import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "say(Listening(os.getpid(), 1))\ntime.sleep(60)\n"
    )
    said: asyncio.Queue[SoundRecord] = asyncio.Queue()
    running = asyncio.create_task(SoundProcess(Look(), said.put_nowait).run())
    async with asyncio.timeout(20):
        listening = await said.get()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert isinstance(listening, Listening)
    assert not psutil.pid_exists(listening.rate)  # it has told its number for that
