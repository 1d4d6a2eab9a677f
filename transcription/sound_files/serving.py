"""What the process that decodes does: a recording out of one pipe, its samples into another."""

from __future__ import annotations

import signal

import numpy as np
from msgspec import Struct

from transcription.audio import Samples
from transcription.process.pipe import read, write
from transcription.sound_files.decoder_pipe import (
    GIVEN,
    REASON_CHARACTERS,
    Broken,
    Costly,
    Heard,
    Lacking,
    Over,
    Refused,
    Unkept,
    Want,
)
from transcription.sound_files.decoding import LostSound, NoRoom, decoded
from transcription.sound_files.lookahead import BadSound

SLICE = 16_000
"""Samples that are handed over at once."""
STEP_SECONDS = 10.0
"""Of a processor, between two messages; then the process ends by SIGPROF."""


class _Asked:
    """The gateway's recording, read by asking for it."""

    def __init__(self, given: int, said: _Said) -> None:
        self._given = given
        self._said = said

    def read(self, size: int) -> bytes:
        """At most so many bytes; none: the end. What was decoded by now goes first."""
        self._said.flush()
        self._said.write(Want(size))
        given = read(self._given, GIVEN)
        if given is None:
            raise BrokenPipeError
        return given.data


class _Said:
    """Samples in slices, neither too small nor too large."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held: list[Samples] = []
        self._size = 0

    def write(self, message: Struct) -> None:
        """Say it. The clock of what comes next begins."""
        signal.setitimer(signal.ITIMER_PROF, STEP_SECONDS)
        write(self._fd, message)

    def hear(self, samples: Samples) -> None:
        """Some more."""
        self._held.append(samples)
        self._size += len(samples)
        if self._size >= SLICE:
            self.flush()

    def flush(self) -> None:
        """Hand over what is held."""
        held = np.concatenate(self._held) if self._held else np.zeros(0, np.int16)
        self._held, self._size = [], 0
        for at in range(0, len(held), SLICE):
            self.write(Heard(held[at : at + SLICE]))


def serve(given: int, said: int) -> None:
    """Decode one recording. Raises BrokenPipeError when nobody wants it any more."""
    out = _Said(said)
    try:
        last = _decode(_Asked(given, out), out)
    except MemoryError:
        last = Costly()
    out.write(last)


def _decode(source: _Asked, out: _Said) -> Struct:
    try:
        for piece in decoded(source):
            if isinstance(piece, LostSound):
                out.flush()
                out.write(Lacking(_words(piece.reason)))
            else:
                out.hear(piece)
        out.flush()
    except BadSound as error:
        return Refused(_words(str(error)))
    except NoRoom as error:
        return Unkept(_words(str(error)))
    except (BrokenPipeError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - the boundary: told to the other side
        return Broken(_words(f"{type(error).__name__}: {error}"))
    return Over()


def _words(text: str) -> str:
    return text[:REASON_CHARACTERS]
