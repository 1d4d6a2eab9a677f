"""The ids that the log has of what is being transcribed: they travel with it, to whichever process does it.

Whoever asks binds them with ``structlog.contextvars``; a job takes them along, for who works on it is another task,
another thread or another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

NAMED: Final = ("correlation_id", "utterance_id", "session_id", "device_id")
LONGEST: Final = 128
"""Characters of each; a longer one is cut."""

AT_WORK_ON: ContextVar[Mapping[str, str]] = ContextVar("at_work_on", default={})  # noqa: B039 - never changed
"""In a process that has nothing to do with the gateway's log: what this thread is at."""


def names_of(bound: Mapping[str, Any]) -> dict[str, str]:
    """Those that are bound, and nothing else."""
    return {name: one[:LONGEST] for name in NAMED if isinstance(one := bound.get(name), str) and one}
