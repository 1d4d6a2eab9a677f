"""A process that decodes as nobody should: what it does, the recording says."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys

from transcription.process.pipe import read, write
from transcription.sound_files.decoder_pipe import GIVEN, Broken, Want


def main() -> None:
    write(1, Want(1 << 40))
    given = read(0, GIVEN)
    assert given is not None
    match given.data:
        case b"garbage":
            os.write(1, b"x" * 100)
        case b"half a sample":
            os.write(1, b"Ear1\x04\0\0\0\x81\xa4type")
        case b"more than fits":
            os.write(1, b"Ear1\xff\xff\xff\xff")
        case b"a mistake":
            write(1, Broken("ValueError: no"))
        case b"time":
            resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
            while True:
                pass
        case b"asks and does not listen":
            with contextlib.suppress(BrokenPipeError):
                while True:
                    write(1, Want(1 << 15))
        case b"ends":
            sys.exit(3)
        case name:
            os.kill(os.getpid(), getattr(signal, name.decode()))


if __name__ == "__main__":
    main()
