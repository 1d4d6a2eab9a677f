"""Lines of logs, ids before lines of another process, and trace contexts: whatever comes is one, or is none."""

from __future__ import annotations

import io
import json

from gateway.commands.trace.log_lines import LONGEST_LINE, MOST_LINES, about, parsed
from gateway.contract.tracing import trace_context
from gateway.observing.requests.following import request_id
from transcription.names_in_log import LONGEST, NAMED
from transcription.process.named_lines import lifted


def fuzz(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for line in (text, f"<4>{text}", json.dumps({"MESSAGE": text}), json.dumps({"MESSAGE": [*data]})):
        found = parsed(line)
        assert found is None or all(isinstance(one, str) for one in found.ids())
    lines, known = about(io.BytesIO(data), {"c_1"})
    assert len(lines) <= MOST_LINES
    assert all(line.ids() & known for line in lines)
    assert all(len(one) <= LONGEST_LINE for one in known)
    names, rest = lifted(text)
    assert set(names) <= set(NAMED)
    assert all(len(one) <= LONGEST for one in names.values())
    assert text.endswith(rest)
    assert trace_context(text) in ("", f"00{text[2:55]}")
    given = request_id(text)
    assert given == text or given.startswith("r_")
    assert given.isascii()
    assert given.isprintable()
