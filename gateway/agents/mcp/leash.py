"""Becomes another program that ends with whoever started it, however that ends: ``python leash.py PROGRAM ...``.

The client gives each server a session of its own, so that killing the client's process would leave them behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main() -> None:
    """Does not return."""
    parent, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(parent):  # else it has ended already
        os.execvp(command[0], command)  # noqa: S606 - what the configuration names, without a shell


if __name__ == "__main__":
    main()
