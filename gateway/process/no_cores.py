"""No core of this process, nor of any that it starts, is ever written: it would hold what was said, and keys."""

from __future__ import annotations

import resource


def keep_no_cores() -> None:
    """For good: also the hard limit goes, which nobody but root raises again. Children inherit it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
