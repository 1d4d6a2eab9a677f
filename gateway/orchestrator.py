"""What an orchestrator is written with, for programs of others.

A public name: what is imported from here stays.
"""

from gateway.orchestrators.sdk import (
    Answer,
    AnswerFunction,
    BadOrchestrator,
    Orchestrator,
    Say,
)

__all__ = [
    "Answer",
    "AnswerFunction",
    "BadOrchestrator",
    "Orchestrator",
    "Say",
]
