"""What libraries log: without what could be a secret, cut to a length, and no faster than anybody reads."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

from structlog.typing import EventDict, WrappedLogger

from firmware_bridge.pacing import Allowance
from firmware_bridge.url_secrets import MASK, masked

OURS = frozenset({"earshot", "gateway", "transcription", "firmware_bridge", "benchmarks"})
"""Packages whose log is ours: their authors know what may stand in it."""
MOST_CHARACTERS = 2_000
"""Of one value. What a stranger sent may be in a library's error whole."""
BURST = 40
PER_SECOND = 0.5
"""Lines of one library: so many at once, and in the long run. Further ones are counted."""

_MALFORMED = "HttpProcessingError"
"""aiohttp's base of what is wrong with a request; by its name, for commands that do without aiohttp."""

_SECRETS = re.compile(
    r"""
    earshot_[\w-]{16,}                               # a token, or some of it
    | eyJ[\w-]*(?:\.[\w-]*)*                         # a JSON Web Token, as earlier versions made them
    | (?=[\w-]*[0-9])(?=[\w-]*[A-Z])[\w-]{24,}        # keys and ids: names of classes have no digits
    | (?i:(?<=bearer\ )|(?<=token\.)|(?<=api-key\.))[^\s,;'"\\]+     # a token that somebody cut short
    | (?i:(?<=cookie:\ ))[^\r\n\\]+
    """,
    re.VERBOSE,
)


def without_secrets(text: str) -> str:
    """The text with all that could be a secret taken out, and no longer than it may be."""
    cut = f" ... ({len(text)} characters)" if len(text) > MOST_CHARACTERS else ""
    return _SECRETS.sub(MASK, masked(text[:MOST_CHARACTERS])) + cut


def bridled(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor for what came from a library."""
    return {
        key: value if key in _HARMLESS or not isinstance(value, str) else without_secrets(value)
        for key, value in event.items()
    }


_HARMLESS = frozenset({"timestamp", "level", "logger"})


def _shorten(record: logging.LogRecord) -> None:
    """A malformed request is its sender's fault: a line, and no traceback through the web server."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and any(kind.__name__ == _MALFORMED for kind in type(error).__mro__):
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {error}", (), None
        record.levelno, record.levelname = logging.INFO, "INFO"


class Pace(logging.Filter):
    """Lets each library say so much and no more; the next line tells how many were left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._libraries: dict[str, tuple[Allowance, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it may be said now."""
        _shorten(record)
        library, now = record.name.partition(".")[0], self._clock()
        if library in OURS:
            return True
        allowance, left_out = self._libraries.get(library) or (Allowance(BURST, PER_SECOND, now), 0)
        passes = allowance.take(now)
        self._libraries[library] = allowance, 0 if passes else left_out + 1
        if passes and left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more before it)", ()
        return passes
