"""What the gateway and the recognizer's process say to each other, over two pipes."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
from msgspec import Struct

from transcription.errors import DeviceUnavailable, ModelUnavailable
from transcription.process.pipe import decoder, read
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, ON_CPU, Hints, Task, Transcript, Where
from transcription.utterance.segmenter import Utterance


class Load(Struct, frozen=True, tag=True):
    """To the process, once and first: make the engine ``module:class`` of these settings and load it."""

    engine: str
    settings: TranscriptionSettings


class Transcribe(Struct, frozen=True, tag=True):
    """To the process: say what was spoken. ``names``: the ids by which the log knows it."""

    utterance: Utterance
    hints: Hints = NO_HINTS
    names: dict[str, str] = {}


class TranscribeAll(Struct, frozen=True, tag=True):
    """To the process: the same for several utterances at once."""

    tasks: tuple[Task, ...]


class Hurry(Struct, frozen=True, tag=True):
    """To the process, which answers nothing: nobody waits any more for the utterance of that number."""

    number: int


class Loaded(Struct, frozen=True, tag=True):
    """The engine is ready; its own names, whether it gains by batches, its languages, where it computes, its lanes."""

    engine: str
    model: str
    batches: bool = False
    languages: tuple[str, ...] = ()
    where: Where = ON_CPU
    lanes: int = 1


class Missing(Struct, frozen=True, tag=True):
    """The engine cannot be had: what a ModelUnavailable says, and whether it is a DeviceUnavailable, and a full one."""

    reason: str
    remedy: str
    gpu: bool = False
    full: bool = False

    @classmethod
    def of(cls, error: ModelUnavailable) -> Missing:
        """What is said of that error."""
        gpu = isinstance(error, DeviceUnavailable)
        return cls(str(error), error.remedy, gpu, isinstance(error, DeviceUnavailable) and error.full)

    def error(self) -> ModelUnavailable:
        """The error that it was."""
        if self.gpu:
            return DeviceUnavailable(self.reason, remedy=self.remedy, full=self.full)
        return ModelUnavailable(self.reason, remedy=self.remedy)


class Done(Struct, frozen=True, tag=True):
    """What was spoken."""

    transcript: Transcript


class Failed(Struct, frozen=True, tag=True):
    """The engine could not do this utterance."""

    reason: str


class AllDone(Struct, frozen=True, tag=True):
    """What became of each of several."""

    outcomes: tuple[Done | Failed, ...]


class Progress(Struct, frozen=True, tag=True):
    """How far it is while it loads: what it is at, and how much of that is done, in [0, 1]."""

    what: str
    share: float


class Beat(Struct, frozen=True, tag=True):
    """The process is alive."""


Request: TypeAlias = Load | Transcribe | TranscribeAll
Answer: TypeAlias = Loaded | Missing | Done | Failed | AllDone


class NumberedRequest(Struct, frozen=True, tag=True):
    """To the process: a request, and the number of its answer. There are never more than the engine has lanes."""

    number: int
    request: Request


class NumberedAnswer(Struct, frozen=True, tag=True):
    """The answer to the request of that number."""

    number: int
    answer: Answer


Said: TypeAlias = NumberedAnswer | Progress | Beat


def read_request(fd: int) -> NumberedRequest | Hurry | None:
    """The next request; None when the gateway is gone. Raises Garbled."""
    return read(fd, _REQUESTS)


def read_said(fd: int) -> Said | None:
    """The next answer or beat; None when the process is gone. Raises Garbled."""
    return read(fd, _SAID)


_REQUESTS: msgspec.msgpack.Decoder[NumberedRequest | Hurry] = decoder(NumberedRequest | Hurry)
_SAID: msgspec.msgpack.Decoder[Said] = decoder(NumberedAnswer | Progress | Beat)
