"""The Arduino library: its sketch compiles without a warning, and run on a PC it is a device."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.link.frames import (
    Ack,
    Audio,
    AudioStart,
    AudioStop,
    DeviceFrame,
    Header,
    Hello,
    TranscriptText,
    Welcome,
)
from firmware_bridge.link.framing import SerialDecoder, encode_serial
from tests.firmware_bridge.esp32.made import COMPONENT, compiler

HERE = Path(__file__).parent
SKETCH = COMPONENT / "examples" / "PushToTalk" / "PushToTalk.ino"
STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-DARDUINO=10819")
FOLDERS = (f"-I{HERE / 'arduino'}", f"-I{COMPONENT / 'src'}")


def as_the_ide_does(folder: Path) -> Path:
    """A sketch becomes C++ by including Arduino.h first."""
    source = folder / "sketch.cpp"
    source.write_text(
        f'#include <Arduino.h>\n#line 1 "{SKETCH}"\n{SKETCH.read_text(encoding="utf-8")}', encoding="utf-8"
    )
    return source


@pytest.mark.parametrize("name", ["g++", "clang++"])
def test_the_sketch_compiles(name: str, tmp_path: Path) -> None:
    subprocess.run(
        [compiler(name), *STRICT, "-fsyntax-only", *FOLDERS, as_the_ide_does(tmp_path)], check=True
    )


def test_the_sketch_has_thirty_lines() -> None:
    code = [line for line in SKETCH.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(code) <= 36


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sketch")
    objects = []
    for source in sorted((COMPONENT / "src").glob("*.c")):
        objects.append(folder / f"{source.stem}.o")
        subprocess.run([compiler(), "-std=c99", "-O1", "-c", "-o", objects[-1], source], check=True)
    made = folder / "sketch"
    sources = (as_the_ide_does(folder), HERE / "arduino" / "board.cpp")
    subprocess.run([compiler("g++"), *STRICT, "-O1", *FOLDERS, "-o", made, *sources, *objects], check=True)
    return made


class Board:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._decoder = SerialDecoder()
        self._frames = self._read()

    def next(self) -> object:
        return next(self._frames)

    def hears(self, frame: DeviceFrame) -> None:
        assert self._process.stdin
        self._process.stdin.write(encode_serial(frame))
        self._process.stdin.flush()

    def _read(self) -> Iterator[object]:
        assert self._process.stdout
        while data := self._process.stdout.read1(4096):
            yield from self._decoder.feed(data)


def test_the_sketch_speaks_and_is_told_what_it_said(program: Path) -> None:
    with subprocess.Popen(
        [program, "5"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        board = Board(process)
        hello = board.next()
        assert isinstance(hello, Hello)
        assert (hello.device_id, hello.ring_frames) == ("kitchen", 50)
        board.hears(Welcome(Header(link=3, credit=64, timestamp=hello.header.timestamp), hello.boot, 0, 0))
        said: list[object] = []
        while not any(isinstance(frame, AudioStop) for frame in said):
            frame = board.next()
            if not isinstance(frame, Hello | Ack):
                said.append(frame)
        assert isinstance(said[0], AudioStart)
        audio = [frame for frame in said if isinstance(frame, Audio)]
        assert [frame.header.timestamp for frame in audio] == [0, 320, 640, 960, 1280]
        assert isinstance(said[-1], AudioStop)
        assert said[-1].header.timestamp == 1600
        board.hears(
            TranscriptText(Header(link=3, credit=64, stream=1, acknowledge=7), "id", "turn on the light")
        )
        assert process.stdin
        assert process.stderr
        assert process.stderr.read(17) == b"turn on the light"
        process.stdin.close()
        assert process.wait(10) == 0


BEGUN_AGAIN = """
#include "EarshotDevice.h"
struct Line : Stream {
    int available() override { return 0; }
    int read() override { return -1; }
    int peek() override { return -1; }
    size_t write(uint8_t) override { return 1; }
    size_t write(const uint8_t *, size_t size) override { return size; }
} line;
static EarshotDevice<4> device(line);
static const int16_t samples[320] = {};
unsigned long millis() { return 7; }
int main() {
    for (uint32_t boot = 1; boot < 3; boot++) {
        if (!device.begin("kitchen", boot) || device.talking()) return 1;
        if (!device.start() || !device.audio(samples, 320)) return 2;
    }
    return 0;
}
"""


def test_a_device_that_is_begun_again_can_talk_again(tmp_path: Path) -> None:
    source, made = tmp_path / "again.cpp", tmp_path / "again"
    source.write_text(BEGUN_AGAIN, encoding="utf-8")
    library = [COMPONENT / "src" / f"earshot{part}.c" for part in ("", "_framing")]
    subprocess.run(
        [compiler("g++"), "-std=c++17", *FOLDERS, "-c", "-o", tmp_path / "again.o", source], check=True
    )
    subprocess.run(
        [compiler(), "-std=c99", "-o", made, tmp_path / "again.o", *library, "-lstdc++"], check=True
    )
    assert subprocess.run([made], check=False, timeout=10).returncode == 0
