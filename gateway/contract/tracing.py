"""The W3C trace context of an utterance: derived from its correlation id, so that it is kept nowhere.

One trace for each utterance, from its device's first frame to the last reply. Its ids are a digest of the correlation
id, which nobody can guess; whoever carries on the trace makes a span of its own within it.
"""

from __future__ import annotations

import hashlib

HEADER = "traceparent"
"""Of a broker's message."""


def traceparent(correlation_id: str, part: str = "") -> str:
    """``00-<trace>-<span>-01``; ``part`` names a piece of the work, which has a span of its own. Empty for no id."""
    if not correlation_id:
        return ""
    trace = hashlib.sha256(correlation_id.encode("utf-8", "replace")).hexdigest()[:32]
    span = hashlib.sha256(f"{correlation_id}/{part}".encode("utf-8", "replace")).hexdigest()[-16:]
    return f"00-{trace}-{span}-01"
