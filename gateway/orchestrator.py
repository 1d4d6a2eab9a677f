"""What an orchestrator is written with, for programs of others.

A public name: what is imported from here stays.
"""

from gateway.orchestrators.answer import Answer, AnswerFunction, NotUnderstood, Reply, Say
from gateway.orchestrators.heard import AgentAnswers, CannotAsk, Heard, TurnOver
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.orchestrators.serving import serve

__all__ = [
    "AgentAnswers",
    "Answer",
    "AnswerFunction",
    "BadOrchestrator",
    "CannotAsk",
    "Heard",
    "NotUnderstood",
    "Orchestrator",
    "Reply",
    "Say",
    "TurnOver",
    "serve",
]
