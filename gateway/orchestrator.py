"""What an orchestrator is written with, for programs of others.

A public name: what is imported from here stays.
"""

from gateway.contract.agents import AgentAnswer, ConversationTurn
from gateway.orchestrators.answer import (
    Answer,
    AnswerFunction,
    CannotAnswer,
    ComesLater,
    NotUnderstood,
    Reply,
    Say,
)
from gateway.orchestrators.heard import AgentAnswers, CannotAsk, Heard, TurnOver
from gateway.orchestrators.rehearsal import Rehearsal, Rehearsed
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.orchestrators.serving import serve

__all__ = [
    "AgentAnswer",
    "AgentAnswers",
    "Answer",
    "AnswerFunction",
    "BadOrchestrator",
    "CannotAnswer",
    "CannotAsk",
    "ComesLater",
    "ConversationTurn",
    "Heard",
    "NotUnderstood",
    "Orchestrator",
    "Rehearsal",
    "Rehearsed",
    "Reply",
    "Say",
    "TurnOver",
    "serve",
]
