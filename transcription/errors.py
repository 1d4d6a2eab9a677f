"""What this package raises to its owner.

The error tree::

    TranscriptionError
      ModelUnavailable      the model is not here (and how to get it)
        DeviceUnavailable   it is, and the GPU it is to compute on is not
      EngineFailed          the engine could not do this utterance
        EngineDied          its process ended meanwhile
          GivenUp           and it died of this utterance again and again
      QueueFull             too many utterances wait already
      WaitedTooLong         the recognizer did not get to it before its deadline
      RecognizerClosed      the gateway is shutting down
"""

from __future__ import annotations


class TranscriptionError(Exception):
    """Base of what this package raises to its owner."""


class ModelUnavailable(TranscriptionError):
    """The model is not on disk and could not be fetched; ``remedy`` says what to do."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class DeviceUnavailable(ModelUnavailable):
    """The GPU that the model is to compute on cannot be used; ``full``: it lacks memory, which may change."""

    def __init__(self, message: str, *, remedy: str, full: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.full = full


class EngineFailed(TranscriptionError):
    """The engine raised on this utterance; the engine itself may go on."""


class EngineDied(EngineFailed):
    """The engine's process ended, or had to be ended, while it was at this utterance, or while it loaded."""


class GivenUp(EngineDied):
    """The engine died of this utterance as often as it may be tried: poison. ``times``: how often."""

    def __init__(self, times: int, last: EngineDied) -> None:
        super().__init__(f"tried {times} times, and each time {last}")
        self.times = times


class QueueFull(TranscriptionError):
    """Too many utterances wait already, of all devices or of this one."""


class WaitedTooLong(TranscriptionError):
    """The recognizer did not get to the utterance before its deadline."""


class RecognizerClosed(TranscriptionError):
    """The recognizer was closed before it got to the utterance."""
