"""Recordings decoded in a process of their own: one that takes its memory, its time or its life costs only itself.

``transcription.sound_files.decoder_worker`` is the other side. It is started for one recording, as the first of it
comes.

::

    BadSound         it is nothing that can be decoded, or its decoder broke over it
    TooCostly        it takes more memory, or time, than a recording may
    NoRoom           it has to be kept until its end, or a process be started, and there is no room for that
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from typing import Final, Self

import structlog

from transcription.audio import Samples
from transcription.process import child
from transcription.process.pipe import Garbled, packed, read
from transcription.sound_files.decoder_pipe import (
    SAID,
    Broken,
    Costly,
    Given,
    Heard,
    Lacking,
    Over,
    Refused,
    Said,
    Unkept,
    Want,
)
from transcription.sound_files.decoding import LostSound, NoRoom
from transcription.sound_files.lookahead import PIECE_BYTES, BadSound, Source

log = structlog.get_logger(__name__)

WORKER: Final = "transcription.sound_files.decoder_worker"
SILENCE_SECONDS: Final = 30.0
"""A process that neither asks for anything nor says anything for so long hangs."""
LOOK_SECONDS: Final = 0.5
"""So often it is looked whether it is still wanted."""
CPU_SECONDS: Final = 60
SPEED: Final = 16
"""Decoding may take so many seconds of a processor, and one more for so many seconds of the longest recording."""
_ENVIRON: Final = ("PATH", "PYTHON", "LD_", "LANG", "LC_", "HOME", "TMPDIR", "MALLOC_", "GLIBC_")
COSTLY: Final = "it takes more memory or time to be decoded than a recording may"


class TooCostly(Exception):
    """It takes more memory, or time, than a recording may."""


def _wanted() -> None:
    """It is."""


def decoded(
    source: Source, seconds: int, check: Callable[[], None] = _wanted, worker: str = WORKER
) -> Generator[Samples | LostSound]:
    """As ``sound_files.decoded``, of at most so many ``seconds``. ``check`` raises when it is not wanted any more.

    Raises BadSound, TooCostly, NoRoom; and what ``source`` and ``check`` raise.
    """
    with _Decoder(CPU_SECONDS + seconds // SPEED, check, worker) as decoder:
        while True:
            said = decoder.said()
            match said:
                case Want(size):
                    decoder.give(source.read(max(1, min(size, PIECE_BYTES))))
                case Heard(samples):
                    yield samples
                case Lacking(reason):
                    yield LostSound(reason)
                case Over():
                    return
                case _:
                    raise _refusal(said)


def _refusal(said: Said) -> Exception:
    match said:
        case Refused(reason):
            return BadSound(reason)
        case Unkept(reason):
            return NoRoom(reason)
        case Broken(reason):
            log.warning("a recording cannot be decoded", reason=reason)
            return BadSound(f"it cannot be decoded ({reason})")
        case _:
            assert isinstance(said, Costly)
            return TooCostly(COSTLY)


def _environ() -> dict[str, str]:
    """What its interpreter needs, and nothing that is secret."""
    return {name: value for name, value in os.environ.items() if name.startswith(_ENVIRON)}


class _Decoder:
    """The process at work on one recording."""

    def __init__(self, cpu_seconds: int, check: Callable[[], None], worker: str) -> None:
        """Start it. Raises NoRoom."""
        self._check = check
        try:
            self._process = child.start(
                worker, str(cpu_seconds), errors=subprocess.DEVNULL, environ=_environ()
            )
        except OSError as error:
            raise NoRoom(f"no process can be started to decode it: {error.strerror}") from error
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._stdin, self._stdout = stdin, stdout
        os.set_blocking(stdin.fileno(), False)
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def said(self) -> Said:
        """What it says next. Raises BadSound and TooCostly when it died, and what ``check`` raises."""
        self._since = time.monotonic()
        out = self._stdout.fileno()
        try:
            said = read(out, SAID, lambda: self._await(out, select.POLLIN))
        except Garbled as error:
            log.warning("the process that decodes a recording talked garbage", reason=str(error))
            raise BadSound("its decoder broke over it") from error
        if said is None:
            raise self._epitaph()
        return said

    def give(self, data: bytes) -> None:
        """Hand over what it asked for. As ``said``."""
        self._since = time.monotonic()
        rest, into = memoryview(packed(Given(data))), self._stdin.fileno()
        try:
            while rest:
                self._await(into, select.POLLOUT)
                rest = rest[os.write(into, rest) :]
        except BrokenPipeError as error:
            raise self._epitaph() from error

    def _await(self, fd: int, event: int) -> None:
        """Until the pipe can be read, or written."""
        poll = select.poll()
        poll.register(fd, event)
        while not poll.poll(1000 * LOOK_SECONDS):
            self._check()
            if time.monotonic() > self._since + SILENCE_SECONDS:
                log.warning("the process that decodes a recording hangs", pid=self._process.pid)
                raise TooCostly(COSTLY)

    def _epitaph(self) -> Exception:
        """It has closed its end, which is as good as dead."""
        try:
            status = self._process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            status = 0
        log.warning("the process that decodes a recording died", status=status)
        if -status in (signal.SIGKILL, signal.SIGXCPU, signal.SIGPROF):
            return TooCostly(COSTLY)
        return BadSound("its decoder broke over it")
