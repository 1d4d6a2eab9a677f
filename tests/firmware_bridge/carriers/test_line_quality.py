"""What a serial line's counters say of it: bytes as a bad line mangles them, looked at once a second."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import pytest

from firmware_bridge.carriers.line_quality import WINDOW_SECONDS, LineQuality, LineTrouble
from firmware_bridge.link.frames import Audio, AudioStart, AudioStop, Codec, Header, Hello, Ping
from firmware_bridge.link.framing import SerialDecoder, encode_serial

CHANCE = random.Random(1)


def greeting(number: int) -> bytes:
    return encode_serial(Hello(Header(timestamp=977 * number), "kitchen", 7, "1.0", 64, 0, 0, 0))


def speech(number: int) -> bytes:
    """A second of it, as far as the wire is concerned."""
    frames = [AudioStart(Header(link=7, stream=1, sequence=number * 16))]
    said = [
        Audio(
            Header(link=7, stream=1, sequence=number * 16 + n, timestamp=n * 320),
            Codec.PCM16,
            CHANCE.randbytes(640),
        )
        for n in range(1, 15)
    ]
    stop = AudioStop(Header(link=7, stream=1, sequence=number * 16 + 15, timestamp=4480))
    ping = Ping(Header(link=7, timestamp=number))
    return b"".join(map(encode_serial, (*frames, *said, stop, ping)))


def another_rate(data: bytes) -> bytes:
    """What a port makes of it that samples eight times too seldom, or too often: nothing of the frames is left."""
    return CHANCE.randbytes(max(1, len(data) // 8))


def stretched(data: bytes) -> bytes:
    return bytes(0xFF if byte >> bit & 1 else 0 for byte in data for bit in range(8))


def seven_bits(data: bytes) -> bytes:
    return bytes(byte & 0x7F for byte in data)


def without_flow_control(data: bytes) -> bytes:
    return data.translate(None, b"\x11\x13")


def noisy(data: bytes) -> bytes:
    spoilt = bytearray(data)
    for at in range(300, len(spoilt), 4000):
        spoilt[at] ^= 0x55
    return bytes(spoilt)


class Line:
    """A line that is looked at once a second."""

    def __init__(self) -> None:
        self.decoder, self.quality, self.now = SerialDecoder(), LineQuality(921_600), 50_000.0

    def pass_seconds(self, pieces: Iterable[bytes]) -> list[LineTrouble | None]:
        told = []
        for piece in pieces:
            for _ in self.decoder.feed(piece):
                pass
            self.now += 1
            told.append(self.quality.judge(self.decoder.seen(), self.now))
        return told


@pytest.mark.parametrize(
    ("mangle", "say", "reason", "remedy"),
    [
        (another_rate, greeting, "921600 baud", "devices.serial.baudrate"),
        (stretched, greeting, "921600 baud", "devices.serial.baudrate"),
        (seven_bits, greeting, "seven bits", "8N1"),
        (seven_bits, speech, "seven bits", "8N1"),
        (without_flow_control, speech, "0x11", "flow control off"),
        (noisy, speech, "% of what arrives is broken", "cable"),
    ],
)
def test_each_kind_of_bad_line_is_told_and_mended_it_is_well(
    mangle: Callable[[bytes], bytes], say: Callable[[int], bytes], reason: str, remedy: str
) -> None:
    line = Line()
    told = line.pass_seconds(mangle(say(number)) for number in range(30))
    assert told[0] is None, "not at once"
    trouble = told[-1]
    assert trouble is not None
    assert reason in trouble.reason
    assert remedy in trouble.remedy
    again = line.pass_seconds(greeting(1) + speech(number) for number in range(int(WINDOW_SECONDS) + 1))
    assert again[-1] is None


@pytest.mark.parametrize(
    "pieces",
    [
        [speech(number) for number in range(20)],
        [encode_serial(Ping(Header(link=7, timestamp=n))) for n in range(100)],
        [b"rst:0x1 (POWERON_RESET),boot:0x13\r\nentry 0x400805e4\r\n"] * 30,
        [b"."] * 30,
        [b""] * 30,
        [CHANCE.randbytes(900), CHANCE.randbytes(200), *map(greeting, range(10))],
        [piece for n in range(20) for piece in (greeting(n)[:30], greeting(n)[30:])],
    ],
    ids=["speech", "idle", "a boot text", "dots", "nothing", "boot text at another rate", "halves"],
)
def test_a_good_line_is_let_be(pieces: list[bytes]) -> None:
    assert set(Line().pass_seconds(pieces)) == {None}
