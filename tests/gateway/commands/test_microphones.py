"""``earshot microphones``: which there are, how they are named, how loud they hear, and what is said where none is."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from firmware_bridge.speech_files import wav_file
from gateway.commands.cli import main
from gateway.commands.microphones import TriedMicrophone, _level, _none_of, _table
from tests.servers.pulseaudio import PulseAudio

pytestmark = pytest.mark.slow

DESK, DOOR = "Desk USB Mic", "Door USB Mic"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    place = tmp_path / "config.yaml"
    place.write_text("devices: {microphones: {office: {name: 'desk*'}}, loudspeaker: default}\n")
    return place


def microphones(*arguments: str, config: Path) -> Result:
    return CliRunner().invoke(main, ["microphones", *arguments, "--config", str(config)])


def test_it_names_them_as_config_yaml_does_and_says_whose_they_are(
    pulseaudio: PulseAudio, config: Path
) -> None:
    done = microphones("--list", "--json", config=config)
    assert done.exit_code == 0, done.output
    told = {one["write"]: one["device_id"] for one in json.loads(done.stdout)}
    assert told[DESK] == "office"
    assert told[DOOR] == ""
    assert DESK in microphones("--list", config=config).stdout


def test_it_hears_how_loud_it_is(pulseaudio: PulseAudio, config: Path, tmp_path: Path) -> None:
    pulseaudio.plug(DESK)
    loud = tmp_path / "loud.wav"
    loud.write_bytes(wav_file((b"\x00\x20" * 8 + b"\x00\xe0" * 8) * 8 * 1_000))
    pulseaudio.play(DESK, loud)
    done = microphones("d* usb mic", "--seconds", "1", "--json", config=config)
    assert done.exit_code == 0, done.output
    desk, door = json.loads(done.stdout)
    assert desk["rate"] == 16_000
    assert -15 < desk["level_db"] < -9
    assert (door["level_db"], door["rate"]) == (None, None)
    assert door["reason"]
    assert door["remedy"]


def test_none_that_opens_is_a_failure(pulseaudio: PulseAudio, config: Path) -> None:
    done = microphones("desk*", "--seconds", "0.2", config=config)
    assert done.exit_code == 1
    assert "none of them opens" in done.stderr
    assert "does not open" in done.stdout


def test_none_of_that_name_says_which_there_are(pulseaudio: PulseAudio, config: Path) -> None:
    done = microphones("blue*", config=config)
    assert done.exit_code == 1
    assert "no microphone blue* can be opened" in done.stderr
    assert DESK in done.stderr


def test_where_there_is_none_that_is_said_and_no_pattern_that_nobody_typed() -> None:
    assert _none_of("*", ()).reason == "there is no microphone here that can be opened"
    assert "no microphone desk* can be opened (there is: none at all)" in _none_of("desk*", ()).reason


def test_a_row_stays_on_one_line_of_a_narrow_terminal() -> None:
    console = Console(width=80, record=True, file=StringIO())
    one = TriedMicrophone(name="usbmic", write="usbmic", channels=32, rate=16_000, level_db=-16.0)
    console.print(_table([one]))
    assert len(console.export_text().splitlines()) == 2


def test_a_tone_goes_to_the_loudspeaker(pulseaudio: PulseAudio, config: Path) -> None:
    pulseaudio.plug(DESK)
    done = microphones("--tone", config=config)
    assert done.exit_code == 0, done.output
    assert "a tone to default" in done.stdout
    config.write_text("devices: {loudspeaker: nowhere}\n")
    done = microphones("--tone", config=config)
    assert done.exit_code == 1
    assert "there is no loudspeaker nowhere" in done.stderr


def test_without_portaudio_the_package_is_named(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = microphones(config=config)
    assert done.exit_code == 1
    assert done.stderr == "Error: PortAudio is not installed\nremedy: sudo apt install libportaudio2\n"


@pytest.mark.parametrize(
    ("level_db", "words"),
    [(-100.0, "nothing at all: muted?"), (-72.0, "·" * 24), (-36.0, "█" * 12 + "·" * 12), (-3.0, "█" * 23)],
)
def test_the_bar(level_db: float, words: str) -> None:
    one = TriedMicrophone(name="a", write="a", channels=1, level_db=level_db)
    assert words in _level(one).plain
