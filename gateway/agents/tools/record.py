"""What is written down of each call of a tool: a line for the audit log, without what was said."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeAlias

from gateway.orchestrators.heard import Heard

Record: TypeAlias = Callable[..., None]
"""Takes the facts of one call, by name."""


class CallOutcome(enum.StrEnum):
    """What became of a call."""

    DONE = "done"
    FAILED = "failed"
    TOO_SLOW = "too slow"
    CUT = "nobody waited any more"
    REFUSED = "refused"
    ASKED = "to be confirmed"
    CONFIRMED = "confirmed"
    DECLINED = "not confirmed"


def write(record: Record, heard: Heard, tool: str, outcome: CallOutcome, **more: str | float) -> None:
    """One line. What a model invents as a tool's name is cut short."""
    record(
        tool=tool[:64],
        outcome=outcome.value,
        device_id=heard.device_id,
        user=heard.user_id,
        room=heard.room,
        correlation_id=heard.correlation_id,
        **more,
    )
