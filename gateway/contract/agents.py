"""What travels between the gateway and its agents, where agents are named (``orchestrator.agents``).

These forms are of schema 2; those of schema 1 (:mod:`gateway.contract.messages`) stay as they are beside them.
``docs/messages.md`` is this file for people who do not read Python.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from gateway.contract.messages import (
    Data,
    Id,
    Line,
    Probability,
    Text,
    TranscriptionMessage,
    decoded,
)

AGENTS_SCHEMA: Final = 2

REQUESTS_TOPIC: Final = "orchestrator.requests"
"""Each under the key (agent, device, session): an agent finds its own with the pattern ``user.<agent>``."""
PRESENCE_TOPIC: Final = "orchestrator.presence"
"""Each under the key (agent, instance, ``presence``)."""
ANSWERS_TOPIC: Final = "orchestrator.answers"
"""What agents answer each other; the key is that of the request, with the asking agent in place of the user."""
ANNOUNCEMENTS_TOPIC: Final = "device.announcements"
"""Each under the key (agent, device, ``announcement``)."""

OUTDATED_TOPIC: Final = "orchestrator.outdated"
"""Each under the key (agent, ``cache``, ``outdated``); ``all`` is the agent where all are meant."""

PRESENCE_SECONDS: Final = 1.0
"""How often an agent says that it is there."""
ABSENT_SECONDS: Final = 3 * PRESENCE_SECONDS
"""One that has been silent for so long is not."""

MOST_TURNS: Final = 32
MOST_ANSWERS: Final = 128
MOST_ASKERS: Final = 8
"""In one request."""

Count: TypeAlias = Annotated[int, Meta(ge=0)]
AgentName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Wanted(enum.StrEnum):
    """What a request wants of its agent."""

    ASK = "ask"
    """An answer."""
    STOP = "stop"
    """The answer to that request is not needed any more."""
    COMPENSATE = "compensate"
    """What was done for that request is to be undone: others of the team have failed."""


class ConversationTurn(Struct, frozen=True, kw_only=True):
    """What was said once, and answered. ``reply`` is empty as long as, or where, nothing was."""

    text: Text
    reply: Text = ""
    agent: Line = ""
    timestamp: float = 0.0
    correlation_id: Id = ""


class AgentAnswer(Struct, frozen=True, kw_only=True):
    """What another agent of the team has answered, or (``error``) why it has not."""

    agent: Line
    text: Text = ""
    error: Text | None = None
    confidence: Probability = 0.0
    data: Data | None = None


Turns: TypeAlias = Annotated[tuple[ConversationTurn, ...], Meta(max_length=MOST_TURNS)]
Answers: TypeAlias = Annotated[tuple[AgentAnswer, ...], Meta(max_length=MOST_ANSWERS)]
Path: TypeAlias = Annotated[tuple[AgentName, ...], Meta(max_length=MOST_ASKERS)]


class AgentRequest(Struct, frozen=True, kw_only=True):
    """One utterance put to one agent, on ``orchestrator.requests``.

    ``request_id`` goes into each reply to it. ``seconds``: for how long an answer is waited for, from ``asked_at`` on,
    which is by the agent's own clock (as its presence tells it; 0: unknown). ``conversation``: the last turns before
    this one, oldest first. ``answers``: of those that were asked before. ``path``: the agents by which this one is
    asked; empty: by the gateway. A ``stop`` or ``compensate`` has the ``request_id`` of what it is about.
    """

    request_id: Id
    agent: AgentName
    kind: Wanted = Wanted.ASK
    transcript: TranscriptionMessage
    role: Text = ""
    team: Line = ""
    seconds: float = 30.0
    asked_at: float = 0.0
    attempt: int = 1
    conversation: Turns = ()
    answers: Answers = ()
    path: Path = ()
    reply_to: Line = "orchestrator.replies"
    reason: Text = ""
    message_id: Id = ""
    traceparent: Line = ""
    schema: int = AGENTS_SCHEMA


State: TypeAlias = Annotated[str, Meta(pattern=r"^(here|leaving)$")]


class AgentPresence(Struct, frozen=True, kw_only=True):
    """That an agent is there, told by each of its copies every second on ``orchestrator.presence``; ten fields.

    ``instance`` names the copy. ``state`` ``leaving``: it takes nothing more. ``timestamp`` is by its own clock. The
    rest is for people: what it is, how much it is doing, and what it has done since it began.
    """

    agent: AgentName
    instance: AgentName
    state: State = "here"
    timestamp: float = 0.0
    version: Line = ""
    description: Line = ""
    answering: Count = 0
    concurrency: Count = 0
    answered: Count = 0
    failed: Count = 0
    schema: int = AGENTS_SCHEMA


AnnouncedText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64 * 1024)]
KeptSeconds: TypeAlias = Annotated[float, Meta(gt=0, le=7 * 86_400)]


class AnnouncementMessage(Struct, frozen=True, kw_only=True):
    """Text for a device outside any turn, on ``device.announcements``; kept for ``keep_seconds``, until it is there."""

    device_id: Id
    text: AnnouncedText
    agent: Line = "orchestrator"
    keep_seconds: KeptSeconds = 86_400.0
    message_id: Id = ""
    timestamp: float = 0.0
    schema: int = AGENTS_SCHEMA


MaybeAgent: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")]


class OutdatedAnswers(Struct, frozen=True, kw_only=True):
    """What an agent has answered is not true any more, told on ``orchestrator.outdated``: it is not given again.

    ``text``: only its answers to that; empty: to anything. An empty ``agent`` means all.
    """

    agent: MaybeAgent
    text: Text = ""
    message_id: Id = ""
    timestamp: float = 0.0
    schema: int = AGENTS_SCHEMA


_request_decoder = msgspec.json.Decoder(AgentRequest)
_presence_decoder = msgspec.json.Decoder(AgentPresence)
_announcement_decoder = msgspec.json.Decoder(AnnouncementMessage)
_outdated_decoder = msgspec.json.Decoder(OutdatedAnswers)


def decode_request(payload: bytes) -> AgentRequest:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_request_decoder.decode, payload, "an agent request")


def decode_presence(payload: bytes) -> AgentPresence:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_presence_decoder.decode, payload, "an agent's presence")


def decode_announcement(payload: bytes) -> AnnouncementMessage:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_announcement_decoder.decode, payload, "an announcement")


def decode_outdated(payload: bytes) -> OutdatedAnswers:
    """Raises BadMessage with the place of the mistake."""
    return decoded(_outdated_decoder.decode, payload, "an announcement of outdated answers")
