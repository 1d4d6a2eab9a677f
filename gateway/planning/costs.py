"""What each part costs, as ``python -m benchmarks plan`` has measured it: ``costs.json`` beside this file."""

from __future__ import annotations

from importlib import resources
from typing import Final

import msgspec
from msgspec import Struct

FILE: Final = "costs.json"


class ModelCost(Struct, frozen=True, kw_only=True):
    """What a speech model takes of one core for an utterance: so much each, and so much for each second of speech."""

    utterance_seconds: float
    second_seconds: float
    memory_mb: float

    def seconds(self, of_speech: float) -> float:
        """Core seconds for an utterance of that length."""
        return self.utterance_seconds + self.second_seconds * of_speech


class Check(Struct, frozen=True, kw_only=True):
    """One run at a size that fits one machine: what was predicted of it, and what it was."""

    devices: int
    duty: float
    seconds: float
    gateway_predicted: float
    gateway_measured: float
    """Cores."""
    recognizer_predicted: float
    recognizer_measured: float


class Costs(Struct, frozen=True, kw_only=True):
    """Core seconds of the machine they were measured on, and megabytes.

    ``silent_device`` and ``speaking_device`` are shares of a core, of the gateway's process; ``utterance`` is what an
    utterance costs it beside its audio, from its end to its answer. ``recognitions``: how often one is recognized, in
    the mean, for a recognizer begins at each pause, and some were none. ``delivery``: one event to one listener.
    ``broker_messages``: how many a second one server of each kind has carried, published, taken and acknowledged by our
    adapters.
    """

    machine: str
    silent_device: float
    speaking_device: float
    utterance: float
    recognitions: float
    gateway_memory_mb: float
    device_memory_mb: float
    delivery: float
    listener_memory_mb: float
    models: dict[str, ModelCost]
    broker_messages: dict[str, float]
    checks: tuple[Check, ...] = ()


def measured() -> Costs:
    """As they come with this version."""
    text = resources.files("gateway.planning").joinpath(FILE).read_bytes()
    return msgspec.json.decode(text, type=Costs)
