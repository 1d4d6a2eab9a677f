"""The W3C trace context of an utterance: derived from its correlation id, so that it is kept nowhere.

One trace for each utterance, from its device's first frame to the last reply. Its ids are a digest of the correlation
id, which nobody can guess; whoever carries on the trace makes a span of its own within it.
"""

from __future__ import annotations

import hashlib
import re
from contextvars import ContextVar

HEADER = "traceparent"
"""Of a broker's message, and of an HTTP request."""
_W3C = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LENGTH = 55

CALLER: ContextVar[str] = ContextVar("caller", default="")
"""The trace context of the HTTP request that is being served, or that began what is being done; empty: none."""


def trace_context(header: str) -> str:
    """A ``traceparent`` that somebody sent, as far as this version knows it; empty where it is none."""
    known, rest = header[:_LENGTH], header[_LENGTH:]
    if not _W3C.fullmatch(known) or (rest and (known.startswith("00") or not rest.startswith("-"))):
        return ""
    return f"00{known[2:]}"


def traceparent(correlation_id: str, part: str = "") -> str:
    """``00-<trace>-<span>-01``; ``part`` names a piece of the work, which has a span of its own. Empty for no id."""
    if not correlation_id:
        return ""
    trace = hashlib.sha256(correlation_id.encode("utf-8", "replace")).hexdigest()[:32]
    span = hashlib.sha256(f"{correlation_id}/{part}".encode("utf-8", "replace")).hexdigest()[-16:]
    return f"00-{trace}-{span}-01"
