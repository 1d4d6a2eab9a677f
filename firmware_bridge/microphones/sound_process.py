"""The gateway's end of a process that works with sound devices (``capture.py``)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from firmware_bridge import child
from firmware_bridge.microphones.records import (
    GaveUp,
    Look,
    Order,
    Play,
    Played,
    SoundDevice,
    SoundDevices,
    SoundRecord,
    decode_record,
    order_line,
)

Note: TypeAlias = Callable[[str], None]

MODULE = "firmware_bridge.microphones.capture"
STALLED_SECONDS = 8.0
"""Whoever says nothing for so long hangs: in a driver, or on a device that gives nothing and no error."""
MOST_RECORDS = 64
"""Are taken in one turn of the loop; the others wait for the next."""
RECORD_BYTES = 256 * 1024
KEPT_LINES = 3
"""Of what a process said last, for whoever asks why it died."""


class SoundProcess:
    """One process, from its start to its end."""

    def __init__(
        self, order: Order, take: Callable[[SoundRecord], None], note: Note = lambda _line: None
    ) -> None:
        """``take``: is handed each record, on the loop. ``note``: what its libraries print."""
        self._order = order
        self._take = take
        self._tell = note
        self._said: deque[str] = deque(maxlen=KEPT_LINES)
        self._heard_at = 0.0
        self._gave_up = False
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Until it has ended, of which GaveUp or Played is the last word; cancel it to end the process."""
        self._loop = asyncio.get_running_loop()
        try:
            ours, process = await self._start()
        except OSError as error:  # no memory, no descriptors
            self._hand(GaveUp(f"no process can be started ({error.strerror})", "end other programs"))
            return
        await self._attend(ours, process)
        if not self._gave_up:
            said = f": {self._said[-1]}" if self._said else ""
            self._hand(GaveUp(f"the process that works with sound ended{said}", "it is started again"))

    async def _start(self) -> tuple[socket.socket, asyncio.subprocess.Process]:
        """Our end of its socket, and the process. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        try:
            with theirs:
                words = str(theirs.fileno()), order_line(self._order)
                return ours, await child.start(MODULE, *words, pass_fds=(theirs.fileno(),))
        except BaseException:
            ours.close()
            raise

    async def _attend(self, ours: socket.socket, process: asyncio.subprocess.Process) -> None:
        """Take what it says until it ends, and end it."""
        with ours:
            assert process.stderr
            reading = asyncio.create_task(child.listen_to(process.stderr, self._note), name="a sound process")
            self._heard_at = self._loop.time()
            self._loop.add_reader(ours, self._readable, ours)
            try:
                await self._end()
            finally:
                self._loop.remove_reader(ours)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()  # it owns nothing; the kernel closes its device
                await process.wait()
                await reading

    async def _end(self) -> None:
        """Wait for it, or for too long without a word."""
        while not self._over.is_set():
            left = self._heard_at + STALLED_SECONDS - self._loop.time()
            if left <= 0:
                self._hand(GaveUp("gives no sound any more", "plug it in anew"))
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._over.wait()

    def _readable(self, answers: socket.socket) -> None:
        self._heard_at = self._loop.time()
        for _ in range(MOST_RECORDS):
            try:
                data = answers.recv(RECORD_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._loop.remove_reader(answers)
                self._over.set()
                return
            try:
                self._hand(decode_record(data))
            except msgspec.MsgspecError:
                self._hand(
                    GaveUp("the process that works with sound does not make sense", "it is started again")
                )
                self._over.set()
                return

    def _hand(self, record: SoundRecord) -> None:
        if not self._gave_up:
            self._gave_up = isinstance(record, GaveUp | SoundDevices | Played)
            self._take(record)

    def _note(self, line: str) -> None:
        if line:
            self._said.append(line)
            self._tell(line)


async def look(note: Note = lambda _line: None) -> tuple[SoundDevice, ...] | GaveUp:
    """The sound devices that can be opened now, or why nobody knows."""
    answer = await _ask(Look(), note)
    return answer.devices if isinstance(answer, SoundDevices) else answer


async def play_tone(name: str, seconds: float = 1.0) -> GaveUp | None:
    """Play a test tone to a loudspeaker, by its exact name; why it was not heard, or None."""
    answer = await _ask(Play(name, seconds))
    return answer if isinstance(answer, GaveUp) else None


async def _ask(order: Order, note: Note = lambda _line: None) -> SoundDevices | GaveUp:
    """The last word of a process that does one thing."""
    answers: list[SoundRecord] = []
    await SoundProcess(order, answers.append, note).run()
    last = answers[-1]
    return last if isinstance(last, SoundDevices | GaveUp) else SoundDevices(())
