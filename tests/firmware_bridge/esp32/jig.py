"""A device of the C library with the face of the reference (``DeviceEnd``), so that one test drives both."""

from __future__ import annotations

import ctypes
import math
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from firmware_bridge.link.device_end import DeviceState, FromGateway, LinkStateError
from firmware_bridge.link.events import NoticeKind
from firmware_bridge.link.frames import Codec, DeviceFrame, FrameError, decode
from firmware_bridge.link.framing import FrameRejected, SerialDecoder, encode_serial
from firmware_bridge.link.reply_texts import ReplyTexts
from tests.firmware_bridge.esp32.made import CORE, library

SERIAL, MESSAGES = 0, 1
BAD_ARGUMENT, NO_STREAM, MANY_STREAMS, OVERRUN, FULL = 2, 3, 4, 5, 6
STATES = (DeviceState.OFFLINE, DeviceState.GREETING, DeviceState.LINKED, DeviceState.REFUSED)
FOREVER = 0xFFFFFFFF
_MASK = 0xFFFFFFFF
ALL = (1 << 8 * ctypes.sizeof(ctypes.c_size_t)) - 1
_HEARD = struct.Struct("<IBBHIBBHII")
_SIGNATURES = {
    "jig_new": "v zIzzzIHII",
    "jig_free": "- v",
    "jig_up": "- vBI",
    "jig_let": "- vNN",
    "jig_inside": "- vv",
    "jig_written": "v vp",
    "jig_heard": "v vp",
    "jig_device_size": "N -",
    "jig_init_without": "i i",
    "jig_board": "v NB",
    "jig_board_free": "- v",
    "jig_show": "z vBzBzH",
    "jig_wipe": "- v",
    "earshot_crc32": "I IzN",
    "earshot_stuff": "N vzN",
    "earshot_unstuff": "N vNv",
    "earshot_adpcm_encode": "N vvNv",
    "earshot_adpcm_decode": "N zNv",
    "earshot_prove": "- zzNv",
    "earshot_carrier_lost": "- v",
    "earshot_receive": "- vzNI",
    "earshot_poll": "I vI",
    "earshot_start": "i vBs",
    "earshot_audio": "i vHizNI",
    "earshot_stop": "i vH",
    "earshot_notify": "i vihzH",
    "earshot_log": "i vBz",
    "earshot_say": "i vBzN",
    "earshot_where": "i v",
    "earshot_unacknowledged": "I v",
    "earshot_room": "I v",
    "earshot_count": "v v",
    "earshot_boot": "I v",
}
_TYPES = {
    "v": ctypes.c_void_p,
    "z": ctypes.c_char_p,
    "I": ctypes.c_uint32,
    "H": ctypes.c_uint16,
    "h": ctypes.c_int16,
    "B": ctypes.c_uint8,
    "i": ctypes.c_int,
    "N": ctypes.c_size_t,
    "s": ctypes.POINTER(ctypes.c_uint16),
    "p": ctypes.POINTER(ctypes.c_size_t),
    "-": None,
}


@cache
def core(credit: int = 8, max_payload: int = 1024, *more: str) -> ctypes.CDLL:
    """The library for these sizes, and the jig around it."""
    options = ("-O1", "-g", f"-DEARSHOT_CREDIT={credit}", f"-DEARSHOT_MTU={max_payload}", *more)
    options += tuple(os.environ.get("EARSHOT_TEST_CFLAGS", "").split())
    return describe(library(*CORE, Path(__file__).with_name("jig.c"), options=options))


def describe(c: ctypes.CDLL) -> ctypes.CDLL:
    """What the functions of a library with the jig in it want and answer."""
    for name, signature in _SIGNATURES.items():
        answers, wants = signature.split()
        function = getattr(c, name)
        function.restype = _TYPES[answers]
        function.argtypes = [_TYPES[one] for one in wants if one != "-"]
    return c


class Heard(NamedTuple):
    """What the library told its owner, as it told it."""

    type: int
    flags: int
    stream: int
    timestamp: int
    code: int
    anew: bool
    stable: int
    payload: bytes
    id: bytes | None
    text: bytes | None

    def frame(self) -> DeviceFrame | None:
        """The same as the reference would tell it, without what concerns only the link; None: a type of later."""
        head = struct.pack("<BBBBHHIII", 1, self.type, self.flags, 0, self.stream, 0, 0, 0, self.timestamp)
        try:
            return decode(head + self.payload)
        except FrameError:
            return None


@dataclass(frozen=True)
class Counted:
    """earshot_counters."""

    overrun_frames: int
    overrun_samples: int
    sent: int
    resent: int
    received: int
    duplicates: int
    repeated: int
    early: int
    ignored: int
    broken: int
    dropped: int


class Device:
    """One device of the library. Where it has no counterpart to what DeviceEnd takes, the tests leave that out."""

    def __init__(
        self,
        device_id: str,
        *,
        boot: int,
        ring_frames: int,
        firmware: str = "",
        wants_partials: bool = False,
        wants_pieces: bool = False,
        first_sequence: int = 0,
        max_payload: int = 1024,
        credit: int = 8,
        kind: str = "",
        key: bytes = b"",
        takes_images: bool = False,
        frame_size: int = 640,
        carrier: int = SERIAL,
        options: tuple[str, ...] = (),
        c: ctypes.CDLL | None = None,
    ) -> None:
        """``c``: another library with the jig in it."""
        self._c = c or core(credit, max_payload, *options)
        self._texts = (device_id.encode(), firmware.encode(), kind.encode() or None, key or None)
        wants = wants_partials | wants_pieces << 1 | takes_images << 2
        name, version, board, secret = self._texts
        self._jig = self._c.jig_new(
            name, boot, version, board, secret, ring_frames, frame_size, wants, first_sequence
        )
        if not self._jig:
            raise ValueError("earshot_init refuses")
        self.carrier = carrier
        self.replies = ReplyTexts(pieces=wants_pieces)
        self.told: list[Heard] = []
        """All that was heard since it was looked at last."""
        self._decoder = SerialDecoder()
        self._now = self._polled_at = 0.0
        self._wait = FOREVER
        self._is_quiet = False
        self._size = ctypes.c_size_t()
        self._inside: object = None

    def __del__(self) -> None:
        if getattr(self, "_jig", None):
            self._c.jig_free(self._jig)

    # -- the face of DeviceEnd

    @property
    def state(self) -> DeviceState:
        return STATES[self._c.earshot_where(self._jig)]

    @property
    def boot(self) -> int:
        return int(self._c.earshot_boot(self._jig))

    @property
    def counters(self) -> Counted:
        address = self._c.earshot_count(self._jig)
        return Counted(*(ctypes.c_uint32 * len(fields(Counted))).from_address(address))

    @property
    def unacknowledged(self) -> int:
        return int(self._c.earshot_unacknowledged(self._jig))

    @property
    def room(self) -> int:
        return int(self._c.earshot_room(self._jig))

    def start_stream(self, *, end_on_silence: bool = True) -> int:
        number = ctypes.c_uint16()
        if self._c.earshot_start(self._jig, end_on_silence, ctypes.byref(number)) == MANY_STREAMS:
            raise LinkStateError("too many streams")
        return number.value

    def audio(self, stream: int, payload: bytes, samples: int, codec: Codec = Codec.PCM16) -> bool:
        return self._done(self._c.earshot_audio(self._jig, stream, codec, payload, len(payload), samples))

    def stop_stream(self, stream: int) -> None:
        self._done(self._c.earshot_stop(self._jig, stream))

    def notice(self, kind: NoticeKind, value: int = 0, text: str = "", stream: int = 0) -> bool:
        return self._done(self._c.earshot_notify(self._jig, kind, value, text.encode(), stream))

    def log(self, level: int, text: str) -> None:
        self._done(self._c.earshot_log(self._jig, level, text.encode()))

    def ping(self) -> None:
        self._done(self._c.earshot_say(self._jig, 0x31, None, 0))

    def hello(self, now: float) -> None:
        self._c.jig_up(self._jig, self.carrier == MESSAGES, self._at(now))
        self._decoder = SerialDecoder()

    def carrier_lost(self) -> None:
        self._is_quiet = False
        self._c.earshot_carrier_lost(self._jig)

    def receive(self, frame: DeviceFrame | FrameRejected, now: float) -> list[FromGateway]:
        """As the reference is given it; what a decoder of the tests has refused already cannot come here."""
        if isinstance(frame, FrameRejected):
            return []
        return self.receive_bytes(encode_serial(frame) if self.carrier == SERIAL else frame.to_bytes(), now)

    def tick(self, now: float) -> None:
        self._at(now)

    def next_deadline(self, now: float) -> float | None:
        if self.state is DeviceState.OFFLINE:
            return None
        if not self._is_quiet:
            return now
        return max(now, self._polled_at + self._wait / 1000)

    def outgoing(self) -> list[DeviceFrame]:
        return self.frames_of(self.poll(self._now))

    # -- what only the library has

    @property
    def address(self) -> int:
        """Of the jig, where it begins."""
        return int(self._jig)

    def receive_bytes(self, data: bytes, now: float) -> list[FromGateway]:
        """As the carrier delivers them."""
        self._c.earshot_receive(self._jig, data, len(data), self._at(now))
        told = self._heard()
        self.told += told
        if any(one.anew for one in told):
            self.replies.forget()
        return [frame for one in told if (frame := one.frame()) is not None]  # type: ignore[misc]

    def poll(self, now: float) -> bytes:
        """What was written: bytes, or messages each behind its size."""
        self._wait = self._c.earshot_poll(self._jig, self._at(now))
        self._polled_at, self._is_quiet = now, True
        return self._taken(self._c.jig_written)

    @property
    def wait(self) -> int:
        """What the last poll answered."""
        return self._wait

    def let(self, each: int = ALL, left: int = ALL) -> None:
        """From now on the carrier takes ``each`` bytes at a time, ``left`` in all."""
        self._c.jig_let(self._jig, each, left)

    def inside(self, act: Callable[[], None]) -> None:
        """What the owner does whenever it hears."""
        self._inside = ctypes.CFUNCTYPE(None)(act)
        self._c.jig_inside(self._jig, ctypes.cast(self._inside, ctypes.c_void_p))

    def frames_of(self, written: bytes) -> list[DeviceFrame]:
        """What the gateway's decoder makes of what was written; whatever it takes for no frame is an error here."""
        if self.carrier == MESSAGES:
            return [decode(one) for one in messages(written)]
        items = list(self._decoder.feed(written))
        assert all(isinstance(item, DeviceFrame) for item in items), items
        return items  # type: ignore[return-value]

    def say(self, type_byte: int, payload: bytes) -> int:
        return int(self._c.earshot_say(self._jig, type_byte, payload, len(payload)))

    # -- inside

    def _at(self, now: float) -> int:
        self._is_quiet = self._is_quiet and now == self._now
        self._now = now
        return math.floor(now * 1000) & _MASK

    def _done(self, result: int) -> bool:
        self._is_quiet = False
        if result == NO_STREAM:
            raise LinkStateError("this stream is not open")
        assert result in {0, OVERRUN, FULL}, result
        return result == 0

    def _taken(self, ask: Callable[[object, object], int | None]) -> bytes:
        address = ask(self._jig, ctypes.byref(self._size))
        return ctypes.string_at(address, self._size.value) if address and self._size.value else b""

    def _heard(self) -> list[Heard]:
        data, at, told = self._taken(self._c.jig_heard), 0, []
        while at < len(data):
            size, *head, id_size, text_size = _HEARD.unpack_from(data, at)
            at += _HEARD.size
            parts = []
            for length in (size, id_size, text_size):
                parts.append(None if length == FOREVER else data[at : at + length])
                at += 0 if length == FOREVER else length
            type_byte, flags, stream, timestamp, code, anew, stable = head
            told.append(Heard(type_byte, flags, stream, timestamp, code, bool(anew), stable, *parts))  # type: ignore[arg-type]
        return told


class Hesitant(Device):
    """On a serial carrier that takes nothing, a few bytes or all, as it comes."""

    def __init__(self, device_id: str, *, boot: int, **wants: Any) -> None:
        super().__init__(device_id, boot=boot, **wants)
        self._rng = random.Random(boot)

    def poll(self, now: float) -> bytes:
        self.let(self._rng.choice((1, 7, ALL)), self._rng.choice((0, 1, 7, 200, 1000, ALL)))
        return super().poll(now)


def messages(written: bytes) -> list[bytes]:
    """What the jig wrote to a carrier of messages."""
    found, at = [], 0
    while at < len(written):
        (size,) = struct.unpack_from("<I", written, at)
        found.append(written[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def stuff(data: bytes) -> bytes:
    """A frame's bytes as they go over a serial line."""
    out = ctypes.create_string_buffer(len(data) + 4 + len(data) // 254 + 3)
    size = core().earshot_stuff(out, data, len(data))
    return out.raw[:size]


def unstuff(block: bytes) -> bytes | None:
    """The frame's bytes in what stood between two delimiters; None: there is none."""
    place, frame = ctypes.create_string_buffer(block, max(1, len(block))), ctypes.c_void_p()
    size = core().earshot_unstuff(place, len(block), ctypes.byref(frame))
    return ctypes.string_at(frame.value, size) if size and frame.value else None


def crc32(data: bytes, before: int = 0) -> int:
    return int(core().earshot_crc32(before, data, len(data)))


def prove(key: bytes, message: bytes) -> bytes:
    proof = ctypes.create_string_buffer(32)
    core().earshot_prove(key, message, len(message), proof)
    return proof.raw


class AdpcmEncoder:
    """As the reference's."""

    def __init__(self) -> None:
        self._state = ctypes.create_string_buffer(4)

    def encode(self, pcm: bytes) -> bytes:
        samples = ctypes.create_string_buffer(pcm, max(1, len(pcm)))
        out = ctypes.create_string_buffer(4 + len(pcm) // 4)
        size = core().earshot_adpcm_encode(self._state, samples, len(pcm) // 2, out)
        return out.raw[:size]


def adpcm_decode(payload: bytes) -> bytes:
    out = ctypes.create_string_buffer(4 * len(payload) + 4)
    size = core().earshot_adpcm_decode(payload, len(payload), out)
    return out.raw[: 2 * size]


class Board:
    """What is shown of replies; the face of Repeats' tests: texts, or None."""

    def __init__(self, *, pieces: bool, capacity: int = 2048) -> None:
        self._c = core()
        self._board = self._c.jig_board(capacity, pieces)

    def __del__(self) -> None:
        self._c.jig_board_free(self._board)

    def take(self, flags: int, label: bytes, text: bytes) -> bytes | None:
        shown = self._c.jig_show(self._board, flags, label, len(label), text, len(text))
        return None if shown is None else bytes(shown)

    def forget(self) -> None:
        self._c.jig_wipe(self._board)
