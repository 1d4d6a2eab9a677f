"""The process that decodes one recording: with a bound on its memory and its time, and nothing to open.

Started by ``transcription.sound_files.decoder_process`` as ``python -m`` this module ``SECONDS``, which may crash as it
likes. What it reads it asks for; it ends when its pipes close, so that it cannot outlive the gateway.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path
from typing import Final

MEMORY_BYTES: Final = 400 * 1024 * 1024
"""Of address space, of which half is programs. No recording of anybody needs a third of the rest."""
FILE_BYTES: Final = 1024 * 1024 * 1024
"""Of the only file that it may write: the nameless one in which a recording is kept whole."""
OPEN_FILES: Final = 32
OOM_SCORE: Final = "700"
"""When memory runs out, the kernel shall take this process first."""
_STDIN, _STDOUT, _STDERR = 0, 1, 2


def confine(seconds: int) -> None:
    """No more memory, computing time, files and core dumps than these. ``seconds``: of a processor."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # a system without, or one that allows less already
            resource.setrlimit(what, (most, most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)


def main() -> None:
    """The process's entry point."""
    confine(int(sys.argv[1]))
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # whose threads take address space
    from transcription.process.allocator import keep_one_arena  # noqa: PLC0415 - confined before anything is imported

    keep_one_arena()
    from transcription.sound_files.serving import serve  # noqa: PLC0415 - as above

    said = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    with contextlib.suppress(BrokenPipeError):
        serve(_STDIN, said)
    os._exit(0)  # not past a decoder's destructors


if __name__ == "__main__":
    main()
