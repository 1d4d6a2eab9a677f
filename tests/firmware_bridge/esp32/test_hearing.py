"""When a board with ESP-IDF sends what it hears: the button, the gate, the wake word; and nothing is lost uncounted.

The component's own file, over a stand-in for FreeRTOS' queues. What is heard twice is not looked at twice.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from firmware_bridge.link.codecs import decoder_for
from firmware_bridge.link.frames import Codec
from tests.firmware_bridge.esp32.made import COMPONENT, compiler

Samples = npt.NDArray[np.int16]
PCM16, IMA_ADPCM = 0, 1
START, AUDIO, STOP, WORD = range(4)
BLOCK = 320
pytestmark = pytest.mark.slow
FILES = [
    *(COMPONENT / "esp_idf" / name for name in ("hearing.c", "coder.c", "opus.c")),
    *(COMPONENT / "src" / name for name in ("earshot_gate.c", "earshot_adpcm.c")),
    Path(__file__).with_name("hearing_jig.c"),
]


def tone(blocks: int, size: float = 8000) -> Samples:
    return (np.sin(np.arange(blocks * BLOCK) * 0.3) * size).astype(np.int16)


def hush(blocks: int) -> Samples:
    return np.random.default_rng(1).integers(-8, 9, blocks * BLOCK, dtype=np.int16)


@dataclass
class Ear:
    """The microphone's task and the link's, one after the other."""

    c: ctypes.CDLL
    codec: int
    kinds: list[int] = field(default_factory=list)
    heard: list[Samples] = field(default_factory=list)
    holes: list[int] = field(default_factory=list)
    ends_on_silence: bool = False

    def hears(self, sound: Samples, *, taken: bool = True) -> None:
        for at in range(0, len(sound), BLOCK):
            block = sound[at : at + BLOCK]
            self.c.earshot_hearing_feed(block.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(block)))
            if taken:
                self.take()

    def take(self) -> None:
        while (kind := self.c.jig_take()) >= 0:
            self.kinds.append(kind)
            if kind == START:
                self.ends_on_silence = bool(self.c.jig_ends_on_silence())
            if kind in {AUDIO, STOP}:
                self.holes.append(self.c.jig_hole())
            if kind == AUDIO:
                self.heard.append(self._samples())

    def pressed(self) -> None:
        self.c.earshot_hearing_talk(True)

    def released(self) -> None:
        self.c.earshot_hearing_talk(False)

    @property
    def all(self) -> Samples:
        return np.concatenate(self.heard) if self.heard else np.zeros(0, np.int16)

    @property
    def lost(self) -> int:
        return int(self.c.earshot_hearing_lost())

    def _samples(self) -> Samples:
        payload = ctypes.string_at(self.c.jig_bytes(), self.c.jig_size())
        return np.frombuffer(decoder_for(Codec(self.codec)).decode(payload), np.int16)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="hearing-")


@cache
def _library(choice: str) -> Path:
    """The component with this choice in menuconfig."""
    folder = Path(_folder().name) / choice
    folder.mkdir()
    (folder / "sdkconfig.h").write_text(f"#define CONFIG_EARSHOT_{choice} 1\n")
    parts = ("src", "esp_idf", "esp_idf/include")
    folders = (folder, Path(__file__).parent / "idf_stand_in", *(COMPONENT / part for part in parts))
    command = [compiler(), "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared"]
    made = folder / "hearing.so"
    subprocess.run([*command, "-o", made, *(f"-I{each}" for each in folders), *FILES], check=True)
    return made


@pytest.fixture
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Ear:
    """``param``: the choice in menuconfig, and the codec. Each has a copy, and so variables, of its own."""
    choice, codec = request.param
    c = ctypes.CDLL(str(shutil.copy(_library(choice), tmp_path)))
    c.jig_bytes.restype = ctypes.c_void_p
    c.jig_word.restype = ctypes.c_char_p
    c.earshot_hearing_lost.restype = ctypes.c_uint32
    assert c.jig_open(codec) == 0
    return Ear(c, codec)


held = pytest.mark.parametrize("ear", [("PUSH_TO_TALK", PCM16)], indirect=True)
always = pytest.mark.parametrize("ear", [("ALWAYS_ON", PCM16), ("ALWAYS_ON", IMA_ADPCM)], indirect=True)
wake = pytest.mark.parametrize("ear", [("WAKE_WORD", PCM16)], indirect=True)


@held
def test_what_is_said_while_the_button_is_held(ear: Ear) -> None:
    sound = tone(10)
    ear.hears(tone(5))
    ear.pressed()
    ear.hears(sound)
    ear.released()
    ear.hears(tone(5))
    assert ear.kinds == [START, *[AUDIO] * 10, STOP]
    assert not ear.ends_on_silence
    np.testing.assert_array_equal(ear.all, sound)


@held
def test_blocks_of_any_length_lose_nothing(ear: Ear) -> None:
    sound = tone(7)
    ear.pressed()
    for at in range(0, len(sound), 333):
        part = np.ascontiguousarray(sound[at : at + 333])
        ear.c.earshot_hearing_feed(part.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(len(part)))
    ear.released()
    ear.hears(hush(1))
    np.testing.assert_array_equal(ear.all, sound)


@held
def test_what_the_link_does_not_fetch_in_time_is_a_hole_of_its_length(ear: Ear) -> None:
    ear.pressed()
    ear.hears(tone(100), taken=False)
    ear.hears(tone(10))
    ear.released()
    ear.hears(hush(1))
    assert ear.kinds[-1] == STOP
    assert len(ear.all) + sum(ear.holes) == 110 * BLOCK
    assert ear.lost == sum(ear.holes) > 0
    assert sum(hole > 0 for hole in ear.holes) == 1


@held
def test_starts_and_stops_that_find_no_room_come_later_and_what_is_lost_is_counted(ear: Ear) -> None:
    ear.pressed()
    ear.hears(tone(100), taken=False)
    for _ in range(40):  # until there is no room for a start or a stop either
        ear.released()
        ear.hears(hush(1), taken=False)
        ear.pressed()
        ear.hears(tone(1), taken=False)
    ear.take()
    assert ear.kinds[-1] != STOP or ear.kinds.count(START) < 40
    ear.hears(tone(5))
    ear.released()
    ear.hears(hush(1))
    assert ear.kinds.count(START) == ear.kinds.count(STOP)
    assert ear.kinds[-1] == STOP
    assert len(ear.all) + ear.lost == 145 * BLOCK


@always
def test_somebody_who_speaks_opens_it_and_the_gateway_finds_the_end(ear: Ear) -> None:
    sound = tone(60)
    ear.hears(hush(100))
    assert ear.kinds == []
    ear.hears(sound)
    ear.hears(hush(100))
    assert ear.kinds[0] == START
    assert ear.kinds[-1] == STOP
    assert ear.kinds.count(START) == 1
    assert ear.ends_on_silence
    assert len(sound) < len(ear.all) < len(sound) + 2 * 16000
    assert ear.lost == 0


@always
def test_each_time_begins_anew(ear: Ear) -> None:
    for _ in range(3):
        ear.hears(hush(100))
        ear.hears(tone(30))
    ear.hears(hush(100))
    assert [kind for kind in ear.kinds if kind != AUDIO] == [START, STOP] * 3


@wake
def test_what_is_said_behind_the_word_is_sent_until_the_gateway_has_heard_its_end(ear: Ear) -> None:
    ear.hears(tone(10))
    ear.c.jig_say(b"hey jarvis")
    ear.hears(tone(1))
    assert (ear.kinds, ear.c.jig_word(), ear.c.jig_score()) == ([WORD], b"hey jarvis", 77)
    command = tone(20, 4000)
    ear.hears(command)
    ear.c.earshot_hearing_over()
    ear.hears(tone(10))
    assert ear.kinds == [WORD, START, *[AUDIO] * 20, STOP]
    assert ear.ends_on_silence
    np.testing.assert_array_equal(ear.all, command)


@wake
def test_the_button_wakes_it_too_and_an_old_end_does_not_end_it(ear: Ear) -> None:
    ear.c.earshot_hearing_over()
    ear.pressed()
    ear.hears(tone(10))
    assert ear.kinds == [START, *[AUDIO] * 9]


@wake
def test_nobody_is_listened_to_for_ever(ear: Ear) -> None:
    ear.pressed()
    ear.hears(tone(20 * 50))
    assert ear.kinds[-1] == STOP
    assert 15 * 16000 <= len(ear.all) <= 16 * 16000
