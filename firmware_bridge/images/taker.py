"""A device that takes firmware images: the reference that the C library's update is held to. No I/O.

It stands beside a :class:`DeviceEnd`: its owner gives :meth:`ImageTaker.hear` what the end's ``receive`` returns, calls
:meth:`ImageTaker.tick` when :meth:`ImageTaker.next_deadline` has come, and writes the end's ``outgoing()`` after both.
What is kept over a restart is the port's.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, replace
from typing import Final, Protocol

from firmware_bridge.images.taker_states import TAKER_TABLE, TakerEvent, TakerState
from firmware_bridge.link.device_end import DeviceEnd, DeviceState, FromGateway, LinkStateError
from firmware_bridge.link.frames import (
    FETCH_MOST,
    Image,
    Offer,
    UpdateReason,
    UpdateState,
    Welcome,
    signed_of,
)

AGAIN: Final = 2.0
"""Seconds without any of what was asked for until it is asked for again."""
STALLED: Final = 30.0
"""Seconds without progress until the device waits for another offer."""
TRIAL: Final = 180.0
"""Seconds that a new image has to be welcomed."""
GOODBYE: Final = 0.5
"""Seconds for the last word before a start."""
VERIFY_PAUSE: Final = 1.0
"""Seconds between two looks at signatures: they cost a small chip a part of one."""
TRY_AGAIN: Final = 10.0


class TakerPhase(enum.IntEnum):
    """What had been done with the fetched image, as it is kept."""

    NONE = 0
    WHOLE = 1
    STARTED = 2


@dataclass(frozen=True, slots=True)
class TakerMemory:
    """What is kept over a restart. ``running_number`` 0: nothing was confirmed yet."""

    phase: TakerPhase = TakerPhase.NONE
    came_from: int = 0
    number: int = 0
    image: bytes = bytes(32)
    running_slot: int = 0
    running_number: int = 0
    running: bytes = bytes(32)
    rejected_number: int = 0
    rejected: bytes = bytes(32)


class ImagePort(Protocol):
    """What a board does for its taker; ``earshot_update_port`` in C, where each is explained."""

    def running(self) -> int:
        """Which slot runs."""

    def room(self) -> int:
        """Bytes that an image may have."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the key that was built in has signed this."""

    def begin(self, size: int) -> bool:
        """Make ready."""

    def write(self, offset: int, data: bytes) -> bool:
        """In order, without gaps."""

    def read(self, offset: int, size: int) -> bytes:
        """What was written."""

    def finish(self) -> UpdateReason:
        """Start it next time, on trial; NONE: it will be."""

    def start(self) -> None:
        """Restart."""

    def confirm(self) -> None:
        """What runs stays."""

    def roll_back(self) -> None:
        """Restart what ran before."""

    def load(self) -> TakerMemory:
        """What was saved last."""

    def save(self, memory: TakerMemory) -> bool:
        """All or nothing."""

    def may_take(self) -> bool:
        """Whether one may be taken now."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What an UPDATE says."""

    image: int
    state: UpdateState
    reason: UpdateReason
    offset: int


class ImageTaker:
    """The update of one device, from its start."""

    def __init__(
        self, end: DeviceEnd, port: ImagePort, now: float, *, number: int = 0, trial: float = TRIAL
    ) -> None:
        """``number``: of the firmware that runs, as it was signed; 0: not known. ``trial``: seconds."""
        self.state = TakerState.NONE
        self._end, self._port, self._number = end, port, number
        self._now = now
        self._linked = self._wanted = self._gap_told = False
        self._told: _Told | None = None
        self._rolled_back = False
        self._size = self._offset = self._asked_to = 0
        self._asked_at = self._progress_at = self._due_at = now
        self._verified_at = now - VERIFY_PAUSE
        self._hash = hashlib.sha256()
        self._memory = port.load()
        self._find_out(trial)

    def _find_out(self, trial: float) -> None:
        memory = self._memory
        if memory.phase is TakerPhase.NONE:
            return
        if memory.came_from != self._port.running():
            self.state, self._due_at = TakerState.TRIAL, self._now + trial
            return
        if memory.phase is TakerPhase.STARTED:
            memory = replace(memory, rejected=memory.image, rejected_number=memory.number)
            self._rolled_back = True
        self._memory = replace(memory, phase=TakerPhase.NONE)
        self._port.save(self._memory)

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of the image that are there, and how many it has; (0, 0): none is being fetched."""
        fetching = self.state in (TakerState.FETCHING, TakerState.WHOLE)
        return (self._offset, self._size) if fetching else (0, 0)

    # -- what comes

    def hear(self, frame: FromGateway, now: float) -> None:
        """Take what the end has received; all but three types are left alone."""
        self._now = now
        match frame:
            case Welcome():
                self._welcomed()
            case Offer():
                self._offered(frame)
            case Image():
                self._arrived(frame)

    def _welcomed(self) -> None:
        self._linked, self._wanted = True, False
        if self.state is TakerState.TRIAL:
            self._confirm()
        if self._rolled_back:
            self._rolled_back = False
            rejected = int.from_bytes(self._memory.rejected[:4], "little")
            self._told = _Told(rejected, UpdateState.ROLLED_BACK, UpdateReason.NOT_REACHED, 0)

    def _confirm(self) -> None:
        self._port.confirm()
        memory = self._memory
        self._memory = replace(
            memory,
            phase=TakerPhase.NONE,
            running=memory.image,
            running_number=memory.number,
            running_slot=self._port.running(),
            rejected=bytes(32),
            rejected_number=0,
        )
        self._port.save(self._memory)
        self._move(TakerEvent.WELCOME)
        self._tell(UpdateState.CONFIRMED)

    def _offered(self, offer: Offer) -> None:
        memory = self._memory
        if self.state is not TakerState.NONE and (offer.sha256, offer.number) == (
            memory.image,
            memory.number,
        ):
            fetching = self.state in (TakerState.FETCHING, TakerState.WHOLE)
            self._tell(UpdateState.FETCHING if fetching else UpdateState.STARTING)
            if not self._wanted:
                self._go_on()
        elif memory.running_number and (memory.running_slot, memory.running) == (
            self._port.running(),
            offer.sha256,
        ):
            self._told = _Told(offer.image, UpdateState.CONFIRMED, UpdateReason.NONE, offer.size)
        elif (offer.sha256, offer.number) == (memory.rejected, memory.rejected_number):
            self._told = _Told(offer.image, UpdateState.ROLLED_BACK, UpdateReason.NOT_REACHED, 0)
        else:
            self._consider(offer)

    def _objection(self, offer: Offer) -> UpdateReason:
        if self.state in (TakerState.TRIAL, TakerState.STARTING):
            return UpdateReason.NOT_NOW
        if offer.version == self._end.firmware:
            return UpdateReason.SAME_VERSION
        if offer.number < max(self._number, self._memory.running_number):
            return UpdateReason.OLDER
        if not 0 < offer.size <= self._port.room():
            return UpdateReason.TOO_LARGE
        return UpdateReason.NONE if self._port.may_take() else UpdateReason.NOT_NOW

    def _consider(self, offer: Offer) -> None:
        reason = self._objection(offer)
        if not reason and self._now < self._verified_at + VERIFY_PAUSE:
            return  # the gateway offers it again
        if not reason:
            self._verified_at = self._now
            signed = signed_of(self._end.kind, offer.version, offer.size, offer.number, offer.sha256)
            if not self._port.verify(signed, offer.signature):
                reason = UpdateReason.BAD_SIGNATURE
        if reason:
            self._told = _Told(offer.image, UpdateState.DECLINED, reason, 0)
        else:
            self._fetch(offer)

    def _fetch(self, offer: Offer) -> None:
        self._memory = replace(self._memory, image=offer.sha256, number=offer.number)
        self._size, self._offset, self._hash = offer.size, 0, hashlib.sha256()
        self._go_on()
        self._move(TakerEvent.OFFER)
        if self._port.begin(offer.size):
            self._tell(UpdateState.FETCHING)
        else:
            self._give_up(UpdateReason.STORAGE)

    def _go_on(self) -> None:
        self._wanted = True
        self._asked_to = self._offset
        self._progress_at = self._asked_at = self._now

    def _arrived(self, frame: Image) -> None:
        if self.state is not TakerState.FETCHING or not self._wanted or frame.image != self._image:
            return
        ahead = frame.offset - self._offset
        if not frame.data:
            self._wanted = False  # until it is offered again
        elif not ahead and len(frame.data) <= self._asked_to - self._offset:
            self._take(frame.data)
        elif 0 < ahead < FETCH_MOST and not self._gap_told:
            self._gap_told = True  # one was lost
            self._asked_to = self._offset

    def _take(self, data: bytes) -> None:
        if not self._port.write(self._offset, data):
            self._give_up(UpdateReason.STORAGE)
            return
        self._hash.update(self._port.read(self._offset, len(data)))
        self._offset += len(data)
        self._progress_at = self._asked_at = self._now
        self._gap_told = False
        if self._offset < self._size:
            return
        if self._hash.digest() != self._memory.image:
            self._give_up(UpdateReason.BAD_IMAGE)
            return
        self._move(TakerEvent.WHOLE)
        self._tell(UpdateState.FETCHING)

    # -- what is due

    def tick(self, now: float) -> None:
        """Ask, give up, start, or go back."""
        self._now = now
        if self._end.state is not DeviceState.LINKED:
            self._linked = False
        if self.state is TakerState.FETCHING and self._linked and self._wanted:
            self._keep_fetching()
        elif self.state is TakerState.WHOLE and self._end.is_quiet:
            self._move(TakerEvent.QUIET)
            self._due_at = now + GOODBYE
            self._tell(UpdateState.STARTING)
        elif self.state is TakerState.STARTING and self._may_start:
            self._start()
        elif self.state is TakerState.TRIAL and now >= self._due_at:
            self._due_at = now + TRY_AGAIN
            self._port.roll_back()
        if self._told is not None and self._linked:
            told, self._told = self._told, None
            self._end.update(told.state, told.reason, told.image, told.offset)

    def next_deadline(self, now: float) -> float | None:
        """When to call tick() next; None: not before something comes."""
        if self._told is not None and self._linked:
            return now
        if self.state is TakerState.TRIAL:
            return max(now, self._due_at)
        if self.state in (TakerState.WHOLE, TakerState.STARTING):
            return now + 0.1
        if self.state is not TakerState.FETCHING or not self._linked or not self._wanted:
            return None
        return now if self._asked_to == self._offset else max(now, self._asked_at + AGAIN)

    @property
    def _may_start(self) -> bool:
        """Somebody may have begun to speak while the gateway was told."""
        return self._end.is_quiet and (self._told is None or self._now >= self._due_at)

    def _keep_fetching(self) -> None:
        if self._now >= self._progress_at + STALLED:
            self._wanted = False
            self._tell(UpdateState.FAILED, UpdateReason.STALLED)
        elif self._asked_to == self._offset or self._now >= self._asked_at + AGAIN:
            length = min(FETCH_MOST, self._size - self._offset)
            self._end.fetch(self._image, self._offset, length)
            self._asked_to, self._asked_at = self._offset + length, self._now

    def _start(self) -> None:
        """Handed over first, and remembered in two steps: whatever is cut off, it is known what was done."""
        port = self._port
        self._memory = replace(self._memory, phase=TakerPhase.WHOLE, came_from=port.running())
        reason = port.finish() if port.save(self._memory) else UpdateReason.STORAGE
        if not reason:
            self._memory = replace(self._memory, phase=TakerPhase.STARTED)
            reason = UpdateReason.NONE if port.save(self._memory) else UpdateReason.STORAGE
        if reason:
            self._give_up(reason)
        else:
            port.start()

    def _move(self, event: TakerEvent) -> None:
        state = TAKER_TABLE.get((self.state, event))
        if state is None:
            raise LinkStateError(f"{event.value} while {self.state.name}, device {self._end.device_id}")
        self.state = state

    # -- what the gateway is told

    @property
    def _image(self) -> int:
        return int.from_bytes(self._memory.image[:4], "little")

    def _tell(self, state: UpdateState, reason: UpdateReason = UpdateReason.NONE) -> None:
        self._told = _Told(self._image, state, reason, self._offset)

    def _give_up(self, reason: UpdateReason) -> None:
        self._move(TakerEvent.GIVEN_UP)
        self._tell(UpdateState.FAILED, reason)
