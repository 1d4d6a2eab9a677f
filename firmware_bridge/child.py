"""A module of ours as a process of its own, on the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable

LONGEST_LINE = 500
"""Characters that are shown of what a child says."""


async def start(
    module: str,
    *words: str,
    pass_fds: Iterable[int] = (),
    longest: int = 64 * 1024,
    own_session: bool = False,
) -> asyncio.subprocess.Process:
    """Start it with its standard streams as pipes; somebody has to read its errors (``listen_to``). Raises OSError.

    ``longest``: bytes of a line that is read of it. ``own_session``: Ctrl-C is not for it, and it can be killed
    together with what it started.
    """
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", module, *words,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        limit=longest,
        pass_fds=tuple(pass_fds),
        start_new_session=own_session,
        # It finds the same modules as we do, and none that lie in the current folder by chance.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip


async def listen_to(stream: asyncio.StreamReader, tell: Callable[[str], None]) -> None:
    """Each line that a child says, until it has closed its end: one that nobody reads would wait for that for ever."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the reader holds, and thrown away by it
            continue
        if not line:
            return
        tell(line.decode(errors="replace").rstrip()[:LONGEST_LINE])
