"""A module of ours as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping


def start(
    module: str,
    *words: str,
    errors: int = subprocess.PIPE,
    environ: Mapping[str, str] = os.environ,
) -> subprocess.Popen[bytes]:
    """Start it with its standard streams as pipes; ``errors``: where its standard error goes. Raises OSError."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", module, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        bufsize=0,
        # It finds the same modules as we do, and none that lie in the current folder by chance.
        env={**environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,  # Ctrl-C is for the gateway, which still needs it while it drains
    )
