"""What the gateway and a child of it say to each other: a JSON object a line, each tagged with its kind.

What every child says is here; the rest is the business of each kind of them.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from gateway.contract.agents import AgentRequest, AnnouncementMessage
from gateway.contract.messages import OrchestratorReply
from gateway.settings.orchestrator import AgentSettings

MOST_LINE: Final = 8 * 1024 * 1024
"""Bytes of a line: an answer of a million characters, however they are written, and its data."""


class Ready(Struct, frozen=True, tag=True):
    """From every child: what it was told to be, it is, and may be asked."""


class Unfit(Struct, frozen=True, tag=True):
    """From every child: it cannot be what it was told to be; it ends."""

    reason: str
    remedy: str = ""


class Become(Struct, frozen=True, tag=True):
    """To an agent's process, first: which agent it is."""

    name: str
    settings: AgentSettings


class Put(Struct, frozen=True, tag=True):
    """To an agent's process: a request, under the keys that the gateway has it under."""

    request: AgentRequest
    device: str
    session: str


class OtherAnswered(Struct, frozen=True, tag=True):
    """To an agent's process: what another agent said to what this one asked."""

    reply: OrchestratorReply
    device: str
    session: str


class RepliedTo(Struct, frozen=True, tag=True):
    """From an agent's process: a piece, a first answer, a sign of life, or the end."""

    reply: OrchestratorReply


class IsOver(Struct, frozen=True, tag=True):
    """From an agent's process: it does nothing any more for that request."""

    request_id: str
    attempt: int


class Asks(Struct, frozen=True, tag=True):
    """From an agent's process: a request to another agent, or (stop) that its answer is not needed any more."""

    request: AgentRequest
    device: str
    session: str


class Announces(Struct, frozen=True, tag=True):
    """From an agent's process: something for a device."""

    announcement: AnnouncementMessage


class DidAct(Struct, frozen=True, tag=True):
    """From an agent's process: a line for the audit log, of what it did by a tool."""

    facts: dict[str, str | float | None]


AgentSaid = Ready | Unfit | RepliedTo | IsOver | Asks | Announces | DidAct
AgentTold = Become | Put | OtherAnswered

_ENCODER = msgspec.json.Encoder()


class NotALine(ValueError):
    """It is too long for a line, or cannot be written."""


def line(message: Struct) -> bytes:
    """A message as it travels. Raises NotALine."""
    try:
        data = _ENCODER.encode(message) + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise NotALine(f"it cannot be written: {error}") from error
    if len(data) > MOST_LINE:
        raise NotALine(f"{len(data)} bytes are more than {MOST_LINE}")
    return data
