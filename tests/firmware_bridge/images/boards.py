"""Boards with two slots in their flash, that take images: by the reference, or by the library in C."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

from firmware_bridge.images.signing import is_signed
from firmware_bridge.images.taker import ImageTaker, TakerMemory, TakerPhase, TakerState
from firmware_bridge.link.device_end import DeviceEnd
from firmware_bridge.link.frames import DeviceFrame, UpdateReason
from tests.firmware_bridge.esp32 import jig
from tests.firmware_bridge.esp32.made import CORE, library

_MEMORY = struct.Struct("<7I32s32s32s")
_LAYOUT = 0x31555045
ERASED = b"\xff"


@dataclass
class Flash:
    """Two slots, what the bootloader remembers, and what the firmware keeps. Ours is the ImagePort.

    ``power``: so many more steps that change anything, then nothing does any more until :meth:`boot`.
    """

    key: bytes
    slots: list[bytearray] = field(default_factory=lambda: [bytearray(b"the first firmware"), bytearray()])
    slot: int = 0
    on_trial: bool = False
    next_slot: int | None = None
    kept: bytes = b""
    size: int = 300_000
    power: int | None = None
    steps: list[str] = field(default_factory=list)
    starting: bool = False
    willing: bool = True
    bad_blocks: bool = False
    lies: bool = False
    finds: UpdateReason = UpdateReason.NONE

    def _step(self, name: str) -> bool:
        if self.power is not None:
            if not self.power:
                return False
            self.power -= 1
        self.steps.append(name)
        return True

    @property
    def dead(self) -> bool:
        return self.power == 0

    @property
    def image(self) -> bytes:
        """What runs."""
        return bytes(self.slots[self.slot])

    def boot(self) -> None:
        """The power comes back, or the chip was reset: what the bootloader does."""
        self.power, self.starting = None, False
        if self.on_trial:  # not confirmed before: the one before
            self.slot, self.on_trial = 1 - self.slot, False
        elif self.next_slot is not None:
            self.slot, self.on_trial = self.next_slot, True
        self.next_slot = None

    # -- ImagePort

    def running(self) -> int:
        return self.slot

    def room(self) -> int:
        return self.size

    def verify(self, message: bytes, signature: bytes) -> bool:
        self.steps.append("verify")
        return is_signed(self.key, message, signature)

    def begin(self, size: int) -> bool:
        if not self._step("begin"):
            return False
        self.slots[1 - self.slot] = bytearray(ERASED * size)
        return not self.bad_blocks

    def write(self, offset: int, data: bytes) -> bool:
        if not self._step("write"):
            return False
        slot = self.slots[1 - self.slot]
        assert slot[offset : offset + len(data)] == ERASED * len(data), "written twice, or beside it"
        slot[offset : offset + len(data)] = bytes(len(data)) if self.lies else data
        return True

    def read(self, offset: int, size: int) -> bytes:
        return bytes(self.slots[1 - self.slot][offset : offset + size])

    def finish(self) -> UpdateReason:
        if not self._step("finish"):
            return UpdateReason.STORAGE
        if self.finds:
            return self.finds
        self.next_slot = 1 - self.slot
        return UpdateReason.NONE

    def start(self) -> None:
        if self._step("start"):
            self.starting = True

    def confirm(self) -> None:
        if self._step("confirm"):
            self.on_trial = False

    def roll_back(self) -> None:
        if self._step("roll back"):
            self.starting = True

    def may_take(self) -> bool:
        return self.willing

    def save_bytes(self, data: bytes) -> bool:
        if not self._step("save"):
            return False
        self.kept = data
        return True

    def load(self) -> TakerMemory:
        if not self.kept:
            return TakerMemory()
        layout, phase, *rest = _MEMORY.unpack(self.kept)
        assert layout == _LAYOUT
        came_from, number, running_slot, running_number, rejected_number, image, running, rejected = rest
        return TakerMemory(
            TakerPhase(phase),
            came_from,
            number,
            image,
            running_slot,
            running_number,
            running,
            rejected_number,
            rejected,
        )

    def save(self, memory: TakerMemory) -> bool:
        m = memory
        numbers = (m.phase, m.came_from, m.number, m.running_slot, m.running_number, m.rejected_number)
        return self.save_bytes(_MEMORY.pack(_LAYOUT, *numbers, m.image, m.running, m.rejected))


class Reference:
    """A device by the reference."""

    def __init__(self, flash: Flash, now: float, *, boot: int, firmware: str, kind: str, number: int) -> None:
        self.end = DeviceEnd(
            "kitchen", boot=boot, ring_frames=64, firmware=firmware, kind=kind, takes_images=True
        )
        self.taker = ImageTaker(self.end, flash, now, number=number)

    @property
    def where(self) -> TakerState:
        return self.taker.state

    def receive(self, frame: DeviceFrame, now: float) -> None:
        for heard in self.end.receive(frame, now):
            self.taker.hear(heard, now)

    def turn(self, now: float) -> list[DeviceFrame]:
        self.taker.tick(now)
        self.end.tick(now)
        return self.end.outgoing()


_RUNNING = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)
_ASKED = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)
_SIZED = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_uint32)
_SIGNED = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_BYTES = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)
_DONE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_FINISHED = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_KEPT = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)


class _Port(ctypes.Structure):
    _fields_ = (
        ("context", ctypes.c_void_p),
        ("running", _RUNNING),
        ("room", _RUNNING),
        ("verify", _SIGNED),
        ("begin", _SIZED),
        ("write", _BYTES),
        ("read", _BYTES),
        ("finish", _FINISHED),
        ("start", _DONE),
        ("confirm", _DONE),
        ("roll_back", _DONE),
        ("load", _KEPT),
        ("save", _KEPT),
        ("may_take", _ASKED),
        ("may_start", _ASKED),
    )


def _port(flash: Flash) -> _Port:
    c = updates()

    def verify(_context: int, message: int, size: int, signature: int) -> bool:
        said, signed = ctypes.string_at(message, size), ctypes.string_at(signature, 64)
        good = flash.verify(said, signed)
        assert good == bool(c.earshot_p256_signed(flash.key, said, size, signed))
        return good

    def read(_context: int, offset: int, into: int, size: int) -> bool:
        ctypes.memmove(into, flash.read(offset, size), size)
        return True

    def load(_context: int, into: int) -> bool:
        if flash.kept:
            ctypes.memmove(into, flash.kept, len(flash.kept))
        return bool(flash.kept)

    return _Port(
        None,
        _RUNNING(lambda _: flash.running()),
        _RUNNING(lambda _: flash.room()),
        _SIGNED(verify),
        _SIZED(lambda _, size: flash.begin(size)),
        _BYTES(lambda _, offset, data, size: flash.write(offset, ctypes.string_at(data, size))),
        _BYTES(read),
        _FINISHED(lambda _: int(flash.finish())),
        _DONE(lambda _: flash.start()),
        _DONE(lambda _: flash.confirm()),
        _DONE(lambda _: flash.roll_back()),
        _KEPT(load),
        _KEPT(lambda _, memory: flash.save_bytes(ctypes.string_at(memory, _MEMORY.size))),
        _ASKED(lambda _: flash.may_take()),
        _ASKED(),
    )


@cache
def updates() -> ctypes.CDLL:
    """The library with its update."""
    sources = (*(source for source in CORE), "earshot_update.c", "earshot_p256.c")
    options = ("-O1", "-g", *os.environ.get("EARSHOT_TEST_CFLAGS", "").split())
    c = library(*sources, Path(jig.__file__).with_name("update_jig.c"), options=options)
    jig.describe(c)
    pointer, number = ctypes.c_void_p, ctypes.c_uint32
    for name, answers, wants in (
        ("update_new", pointer, (pointer, number, number, pointer, number)),
        ("update_free", None, (pointer,)),
        ("update_poll", number, (pointer, number)),
        ("update_where", ctypes.c_int, (pointer,)),
        ("update_size", ctypes.c_size_t, ()),
        (
            "earshot_p256_signed",
            ctypes.c_bool,
            (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p),
        ),
    ):
        getattr(c, name).restype, getattr(c, name).argtypes = answers, wants
    return c


class InC:
    """A device by the library."""

    def __init__(self, flash: Flash, now: float, *, boot: int, firmware: str, kind: str, number: int) -> None:
        self.end = jig.Device(
            "kitchen", boot=boot, ring_frames=64, firmware=firmware, kind=kind, takes_images=True, c=updates()
        )
        self._port = _port(flash)
        self._update = updates().update_new(
            self.end.address, number, 0, ctypes.byref(self._port), int(now * 1000) & 0xFFFFFFFF
        )

    def __del__(self) -> None:
        updates().update_free(self._update)

    @property
    def where(self) -> TakerState:
        return TakerState(updates().update_where(self._update))

    def receive(self, frame: DeviceFrame, now: float) -> None:
        self.end.receive(frame, now)

    def turn(self, now: float) -> list[DeviceFrame]:
        updates().update_poll(self._update, int(now * 1000) & 0xFFFFFFFF)
        return self.end.frames_of(self.end.poll(now))


AnyBoard: TypeAlias = Reference | InC
BOARDS: dict[str, Callable[..., AnyBoard]] = {"reference": Reference, "C": InC}
