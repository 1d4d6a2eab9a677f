"""The recognizer's process: one engine, and nothing that knows a device.

Started by ``transcription.process`` as ``python -m transcription.worker``. It is asked over its
standard input and answers over what was its standard output; whatever an engine prints goes to
standard error. It ends at once when its standard input closes, so that it cannot outlive the
gateway, however that ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

from transcription.errors import EngineDied, EngineFailed, ModelUnavailable
from transcription.names_in_log import NAMED
from transcription.process.allocator import Slack, keep_one_arena
from transcription.process.engine_pipe import (
    AllDone,
    Answer,
    Beat,
    Done,
    Failed,
    Hurry,
    Load,
    Loaded,
    Missing,
    NumberedAnswer,
    NumberedRequest,
    Progress,
    Request,
    Said,
    Transcribe,
    TranscribeAll,
    read_request,
)
from transcription.process.named_lines import NamedLines, NamesTheUtterance, at_work_on
from transcription.process.pipe import Garbled, write
from transcription.transcriber import (
    ON_CPU,
    BatchTranscriber,
    Hurried,
    Multilingual,
    OnProgress,
    PlacedEngine,
    Transcriber,
    lanes_of,
)

log = logging.getLogger("earshot.recognizer")

BEAT_SECONDS = 2.0
OOM_SCORE = "500"
"""When memory runs out, the kernel shall take this process and not the gateway."""

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class Worker:
    """Requests in, answers out, as many at a time as the engine has lanes; a beat now and then beside them."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers
        self._waiting: SimpleQueue[NumberedRequest] = SimpleQueue()  # no more than there are lanes
        self._at: dict[int, Request] = {}
        self._sending = threading.Lock()
        self._engine: Transcriber | None = None

    def run(self) -> None:
        """Until the process ends."""
        threading.Thread(target=self._read, name="requests", daemon=True).start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        first = self._waiting.get()
        load = first.request
        assert isinstance(load, Load)
        try:
            engine = _load(load, lambda what, share: self._say(Progress(what, share)))
        except ModelUnavailable as error:
            self._answer(first, Missing.of(error))
            return
        self._engine = engine
        batches = isinstance(engine, BatchTranscriber) and engine.batches
        languages = engine.languages if isinstance(engine, Multilingual) else ()
        where = engine.where if isinstance(engine, PlacedEngine) else ON_CPU
        lanes = lanes_of(engine)
        self._answer(first, Loaded(engine.engine, engine.model, batches, languages, where, lanes))
        slack = Slack()  # it is warmed up, in the context of a second look too
        for number in range(1, lanes):
            threading.Thread(
                target=self._serve, args=(engine, slack), name=f"lane {number}", daemon=True
            ).start()
        self._serve(engine, slack)

    def _serve(self, engine: Transcriber, slack: Slack) -> NoReturn:
        """One lane."""
        while True:
            asked = self._waiting.get()
            request = asked.request
            assert not isinstance(request, Load)
            self._answer(
                asked,
                _answer_all(engine, request)
                if isinstance(request, TranscribeAll)
                else _answer(engine, request),
            )
            slack.give_back()

    def _answer(self, asked: NumberedRequest, answer: Answer) -> None:
        self._at.pop(asked.number, None)
        self._say(NumberedAnswer(asked.number, answer))

    def _read(self) -> None:
        """A thread of its own, so that the gateway's end is noticed in the middle of an utterance."""
        try:
            while (message := read_request(self._requests)) is not None:
                if isinstance(message, Hurry):
                    self._hurry(self._at.get(message.number))
                else:
                    self._at[message.number] = message.request
                    self._waiting.put(message)
        except Garbled as error:
            os.write(_STDERR, f"garbled request: {error}\n".encode())
        os._exit(0)

    def _hurry(self, request: Request | None) -> None:
        if isinstance(request, Transcribe) and isinstance(self._engine, Hurried):
            self._engine.hurry(request.utterance)

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            self._say(Beat())

    def _say(self, what: Said) -> None:
        with self._sending:
            try:
                write(self._answers, what)
            except BrokenPipeError:
                os._exit(0)


def _load(load: Load, on_progress: OnProgress) -> Transcriber:
    module, _, name = load.engine.partition(":")
    engine: Transcriber = getattr(importlib.import_module(module), name)(load.settings)
    engine.load(on_progress)
    return engine


def _answer(engine: Transcriber, request: Transcribe) -> Answer:
    with at_work_on(request.names):
        try:
            return Done(engine.transcribe(request.utterance, request.hints))
        except EngineDied as error:
            _end(error)
        except EngineFailed as error:
            return Failed(str(error))
        except Exception as error:  # the boundary: one utterance must not stop the others
            log.exception("an utterance failed")
            return Failed(f"{type(error).__name__}: {error}")


def _answer_all(engine: Transcriber, request: TranscribeAll) -> Answer:
    assert isinstance(engine, BatchTranscriber)
    with at_work_on(_together([task.names for task in request.tasks])):
        try:
            outcomes = engine.transcribe_all(request.tasks)
        except EngineDied as error:
            _end(error)
        except EngineFailed as error:
            return Failed(str(error))
        except Exception as error:  # as above
            log.exception("utterances that were done together failed")
            return Failed(f"{type(error).__name__}: {error}")
    return AllDone(
        tuple(Failed(str(one)) if isinstance(one, EngineFailed) else Done(one) for one in outcomes)
    )


def _together(names: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Of utterances that are done at once: each id of all of them."""
    return {one: " ".join(known[one] for known in names if one in known) for one in NAMED}


def _end(error: EngineDied) -> NoReturn:
    """The engine is past help, and so is what it holds of a GPU; the last line is what the gateway tells of it."""
    os.write(_STDERR, f"{error}\n".encode())
    os._exit(1)


def _log_named_lines() -> None:
    """To standard error, which the gateway reads into its log."""
    handler = logging.StreamHandler()
    handler.addFilter(NamesTheUtterance())
    handler.setFormatter(NamedLines("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def main() -> None:
    """The process's entry point."""
    keep_one_arena()
    faulthandler.enable()
    _log_named_lines()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    answers = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    Worker(_STDIN, answers).run()
    sys.stderr.flush()
    os._exit(0)  # not past a native engine's destructors


if __name__ == "__main__":
    main()
