"""What agents are told, as messages of the outbox; and what is known of each, as the journal keeps it, and back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from msgspec import structs

from gateway.contract.agents import (
    MOST_ANSWERS,
    REQUESTS_TOPIC,
    AgentAnswer,
    AgentRequest,
    ConversationTurn,
    Wanted,
    decode_request,
)
from gateway.contract.messages import REPLIES_TOPIC, TranscriptionMessage, encode, new_id
from gateway.contract.tracing import HEADER, traceparent
from gateway.journal.records import AgentRow, LetterRow
from gateway.pipeline.agents.answer_cache import Inquired
from gateway.pipeline.sessions.conversations import Conversation
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.requests import CUT_OFF
from gateway.pipeline.teams.members import Member, MemberState
from gateway.pipeline.teams.plans import TeamPlan

ANSWERS_BYTES = 256 * 1024
"""Of what others answered, as JSON, in one request: brokers take no message of any size. They share it alike."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What a team is asked about: an utterance, and what was said before it."""

    name: UtteranceName
    message: TranscriptionMessage
    turns: tuple[ConversationTurn, ...]
    begun: bool = True
    """Whether anything was, though it may be remembered no more."""
    began: float = 0.0
    """When somebody began to say it, by the event loop's clock; 0: nobody spoke."""

    def after(self, conversation: Conversation) -> Topic:
        """The same, after all that has been said by now."""
        return replace(self, turns=conversation.turns, begun=conversation.begun)

    def wording(self) -> Inquired:
        """All that an answer to it may depend on."""
        said = self.message
        return Inquired(
            text=said.text, language=said.language, user_id=said.user_id, device_id=said.device_id, room=said.room,
            begun=self.begun, flags=said.flags, about=self.name,
        )  # fmt: skip


def agent_letter(
    topic: Topic,
    plan: TeamPlan,
    member: Member,
    kind: Wanted,
    number: int,
    *,
    answers: tuple[AgentAnswer, ...] = (),
    asked_at: float = 0.0,
    reason: str = "",
) -> LetterRow:
    """A message for one agent; ``asked_at``: by its own clock."""
    name = topic.name
    trace = traceparent(name.correlation_id, member.request_id)
    request = AgentRequest(
        request_id=member.request_id,
        agent=member.name,
        kind=kind,
        transcript=topic.message,
        role=member.plan.role,
        team=plan.name,
        seconds=member.plan.seconds,
        asked_at=asked_at,
        attempt=member.attempt,
        conversation=() if kind is Wanted.STOP else topic.turns,
        answers=fitted(answers),
        reason=reason,
        message_id=new_id("m"),
        traceparent=trace,
    )
    return LetterRow(
        number=number,
        message_id=request.message_id,
        topic=REQUESTS_TOPIC,
        user_id=name.user_id,
        device_id=name.device_id,
        session_id=name.session_id,
        payload=encode(request),
        correlation_id=name.correlation_id,
        reply_to=REPLIES_TOPIC,
        headers={HEADER: trace},
        queued_at=time.time(),
        agent=member.name,
        request_id="" if kind is Wanted.STOP else member.request_id,
        priority=topic.message.priority,
    )


def fitted(answers: Sequence[AgentAnswer]) -> tuple[AgentAnswer, ...]:
    """As many, and as much of each, as a request may have, or nobody could read it."""
    share = ANSWERS_BYTES // max(1, min(len(answers), MOST_ANSWERS))
    return tuple(_fitted(one, share) for one in answers[:MOST_ANSWERS])


def _fitted(answer: AgentAnswer, share: int) -> AgentAnswer:
    """Without its data, and then with less of its text, where it has more bytes than that."""
    if len(encode(answer)) <= share:
        return answer
    answer = structs.replace(answer, data=None)
    size = len(encode(answer))
    if size <= share:
        return answer
    kept = len(answer.text) * max(0, share - len(CUT_OFF.encode())) // size
    return structs.replace(answer, text=answer.text[:kept] + CUT_OFF)


def once_more(letter: LetterRow) -> LetterRow:
    """The same, anew: a broker or an agent that has had it would take it for what it has had."""
    request = decode_request(letter.payload)
    request = structs.replace(request, attempt=request.attempt + 1, message_id=new_id("m"))
    return structs.replace(letter, message_id=request.message_id, payload=encode(request))


def agent_row(
    name: UtteranceName, plan: TeamPlan, member: Member, undoing: LetterRow | None, *, words: bool
) -> AgentRow:
    """How it is with one member; ``words``: with what it said; ``undoing``: what it was told, and has not done yet."""
    return AgentRow(
        request_id=member.request_id,
        correlation_id=name.correlation_id,
        user_id=name.user_id,
        team=plan.name,
        agent=member.name,
        state=member.state.value,
        attempt=member.attempt,
        combines=plan.combiner is not None and member.plan is plan.combiner,
        timed_out=member.timed_out,
        text=member.text if words else "",
        error=member.error if words else None,
        understood=member.understood,
        confidence=member.confidence,
        data=msgspec.json.encode(member.data) if words and member.data is not None else b"",
        letter=undoing,
    )


def member(row: AgentRow, plan: TeamPlan, now: float) -> Member | None:
    """What a gateway before this one knew of a member; None: it is none (any more)."""
    plans = [plan.combiner] if row.combines else list(plan.members)
    found = next((one for one in plans if one is not None and one.name == row.agent), None)
    if found is None:
        return None
    asked_at = now - max(0.0, row.age)
    return Member(
        found,
        row.request_id,
        MemberState(row.state),
        row.attempt,
        asked_at,
        asked_at + found.seconds,
        heard_at=now,
        timed_out=row.timed_out,
        text=row.text,
        error=row.error,
        understood=row.understood,
        confidence=row.confidence,
        data=msgspec.json.decode(row.data) if row.data else None,
        answered_at=asked_at,
    )
