"""An engine in a process of its own: it may crash, hang or run out of memory, and the gateway goes on.

``transcription.process.worker`` is the other side.
"""

from __future__ import annotations

import contextlib
import select
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue

import structlog

from transcription.errors import EngineDied, EngineFailed, ModelUnavailable
from transcription.names_in_log import names_of
from transcription.process.child import start
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
    NumberedRequest,
    Progress,
    Request,
    Transcribe,
    TranscribeAll,
    read_said,
)
from transcription.process.named_lines import lifted
from transcription.process.pipe import CannotSend, Garbled, write
from transcription.settings import TranscriptionSettings
from transcription.transcriber import (
    NO_HINTS,
    BatchTranscriber,
    Hints,
    OnProgress,
    Task,
    Transcriber,
    Transcript,
    Where,
    untold,
)
from transcription.utterance.segmenter import Utterance

log = structlog.get_logger(__name__)

SILENCE_SECONDS = 30.0
"""A process without work that lets no beat be heard for so long is no longer there."""
SECONDS_PER_SECOND = 4.0
"""Beside ``settings.hang_seconds``, an utterance may take so much longer than it lasts."""

LINES = 100
"""So many of its lines are logged in one life of the process, each cut into pieces of ``LINE_BYTES``."""
LINE_BYTES = 1_000
WORKER = "transcription.process.worker"
UNWANTED = 4
"""Of so many utterances that nobody waits for any more it is remembered until it was asked about them."""

MakeEngine = Callable[[TranscriptionSettings], Transcriber]
"""An engine's class; both processes can import it."""


class ProcessTranscriber(BatchTranscriber):
    """The same engine, loaded in a child process; ``load`` starts a new one when it has ended.

    As many threads drive it at a time as the engine in it has ``lanes``; ``close`` may come from another, and ends a
    ``load`` or ``transcribe`` that is under way.
    """

    def __init__(
        self,
        make_engine: MakeEngine,
        settings: TranscriptionSettings,
        *,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._load = Load(f"{make_engine.__module__}:{make_engine.__qualname__}", settings)
        self._silence_seconds = silence_seconds
        self._child: _Child | None = None
        self._loaded = Loaded("", "")

    @property
    def engine(self) -> str:
        """The engine's name, as in the settings; empty before it was loaded."""
        return self._loaded.engine

    @property
    def model(self) -> str:
        """The model's name, as in the settings; empty before it was loaded."""
        return self._loaded.model

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it knows; none before it was loaded."""
        return self._loaded.languages

    @property
    def where(self) -> Where:
        """What it computes on; the CPU, before it was loaded."""
        return self._loaded.where

    @property
    def lanes(self) -> int:
        """So many threads may drive it at the same time; one, before it was loaded."""
        return self._loaded.lanes

    @property
    def pid(self) -> int:
        """The process's id. Only after ``load``."""
        assert self._child is not None
        return self._child.pid

    @property
    def ended(self) -> Future[str]:
        """Has a result, why, as soon as the process has ended. Only after ``load``."""
        assert self._child is not None
        return self._child.ended

    def load(self, on_progress: OnProgress = untold) -> None:
        """Start the process and wait for its model. Idempotent.

        Raises ModelUnavailable, and EngineDied when the process ended while it loaded: the model may be
        as good as ever, and another process may have more luck.
        """
        if self._child is not None and not self._child.ended.done():
            return
        try:
            self._child = child = _Child(self._silence_seconds, on_progress)
            answer = child.ask(self._load, (Loaded, Missing))
        except OSError as error:
            raise ModelUnavailable(
                f"cannot start the recognizer's process: {error}", remedy="free memory or processes"
            ) from error
        if isinstance(answer, Missing):
            raise answer.error()
        assert isinstance(answer, Loaded)
        self._loaded = answer

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        """The text of one utterance; blocks. Raises EngineFailed, of which EngineDied is one."""
        if self._child is None:
            raise EngineFailed("the model is not loaded")
        limit = self._load.settings.hang_seconds + SECONDS_PER_SECOND * utterance.seconds
        try:
            names = names_of(structlog.contextvars.get_contextvars())
            answer = self._child.ask(Transcribe(utterance, hints, names), (Done, Failed), limit)
        except CannotSend as error:
            raise EngineFailed(str(error)) from error
        if isinstance(answer, Failed):
            raise EngineFailed(answer.reason)
        assert isinstance(answer, Done)
        return answer.transcript

    @property
    def batches(self) -> bool:
        """Whether the engine in it gains by them; false before it was loaded."""
        return self._loaded.batches

    def transcribe_all(self, tasks: Sequence[Task]) -> list[Transcript | EngineFailed]:
        """What became of each, in order; blocks. Raises EngineFailed for all, of which EngineDied is one."""
        if self._child is None:
            raise EngineFailed("the model is not loaded")
        seconds = sum(task.utterance.seconds for task in tasks)
        limit = self._load.settings.hang_seconds + SECONDS_PER_SECOND * seconds
        try:
            answer = self._child.ask(TranscribeAll(tuple(tasks)), (AllDone, Failed), limit)
        except CannotSend as error:
            raise EngineFailed(str(error)) from error
        if isinstance(answer, Failed):
            raise EngineFailed(answer.reason)
        assert isinstance(answer, AllDone)
        return [
            one.transcript if isinstance(one, Done) else EngineFailed(one.reason) for one in answer.outcomes
        ]

    def hurry(self, utterance: Utterance) -> None:
        """Nobody waits any more for this one: if it is at it, it looks no further. At once, from any thread."""
        if self._child is not None:
            self._child.hurry(utterance)

    def close(self) -> None:
        """End the process at once. Idempotent; ``load`` may follow."""
        if self._child is not None:
            self._child.kill("was closed")


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What it was asked, of which kinds the answer may be, and where that comes; None when the process has ended."""

    request: Request
    expected: tuple[type[Answer], ...]
    answer: SimpleQueue[Answer | None] = field(default_factory=SimpleQueue)

    @property
    def utterance(self) -> Utterance | None:
        """The one that it is about, where it is one."""
        return self.request.utterance if isinstance(self.request, Transcribe) else None


class _Child:
    """One life of the process: asked by any thread, watched by another, its log read by a third."""

    def __init__(self, silence_seconds: float, on_progress: OnProgress) -> None:
        """Start it. Raises OSError."""
        self._on_progress = on_progress
        self.ended: Future[str] = Future()
        self.ended.set_running_or_notify_cancel()  # who waits for it cannot cancel it
        self._silence_seconds = silence_seconds
        self._numbers = count()
        self._open: dict[int, _Question] = {}
        self._opening = threading.Lock()
        self._verdict = ""
        self._last_line = ""
        self._writing = threading.Lock()
        self._unwanted: tuple[Utterance, ...] = ()
        self._hurries: SimpleQueue[int] = SimpleQueue()
        self._process = start(WORKER)
        self._journal = threading.Thread(target=self._keep_journal, name="recognizer's journal", daemon=True)
        self._journal.start()
        threading.Thread(target=self._watch, name="recognizer's watch", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(
        self, request: Request, expected: tuple[type[Answer], ...], seconds: float | None = None
    ) -> Answer:
        """Wait for the answer, but kill it after so long. Raises EngineDied and CannotSend."""
        question, number = _Question(request, expected), next(self._numbers)
        with self._opening:
            if self.ended.done():
                raise EngineDied(self.ended.result())
            self._open[number] = question
        limit = None
        if seconds is not None:
            reason = f"gave no answer for {seconds:.1f} s (transcription.hang_seconds)"
            limit = threading.Timer(seconds, self.kill, [reason])
            limit.start()
        try:
            answer = self._exchange(number, question)
        finally:
            self._open.pop(number, None)
            self._unwanted = tuple(one for one in self._unwanted if one is not question.utterance)
            if limit is not None:
                limit.cancel()
        if answer is None:
            raise EngineDied(self.ended.result())
        return answer

    def kill(self, reason: str) -> None:
        """End it at once; ``reason`` is what it did."""
        self._verdict = self._verdict or reason
        self._process.kill()

    def hurry(self, utterance: Utterance) -> None:
        """Tell it so, if it is at that, and reads what it is told; behind the request, should that still be to come."""
        self._unwanted = (*self._unwanted, utterance)[-UNWANTED:]
        for number, question in [*self._open.items()]:
            if question.utterance is utterance:
                self._hurries.put(number)
        self._send_hurries()

    def _send_hurries(self) -> None:
        """Without waiting for who is writing, who sends them then."""
        while not self._hurries.empty() and self._writing.acquire(blocking=False):
            try:
                self._send_hurry(self._hurries.get(block=False))
            except Empty:
                return  # another thread has sent it
            finally:
                self._writing.release()

    def _send_hurry(self, number: int) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        room = select.poll()
        with contextlib.suppress(BrokenPipeError, ValueError):  # the watch sees it; it is closed
            room.register(stdin, select.POLLOUT)
            if room.poll(0):
                write(stdin.fileno(), Hurry(number))

    def _exchange(self, number: int, question: _Question) -> Answer | None:
        stdin = self._process.stdin
        assert stdin is not None
        with self._writing, contextlib.suppress(BrokenPipeError):  # the watch sees it too, and knows why
            if not stdin.closed:
                write(stdin.fileno(), NumberedRequest(number, question.request))
        if any(one is question.utterance for one in self._unwanted):
            self._hurries.put(number)
        self._send_hurries()
        return question.answer.get()

    def _watch(self) -> None:
        """Pass on its answers; when it ends, or has to, say why to whom it may concern."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with stdout:
            try:
                self._listen(stdout.fileno())
            except Garbled as error:
                self.kill(f"talked garbage: {error}")
        self._process.kill()  # it has closed its end, which is as good as dead
        status = self._process.wait()
        self._journal.join(1.0)
        self.ended.set_result(f"the recognizer's process {self._verdict or self._epitaph(status)}")
        with self._opening:
            unanswered = [*self._open.values()]
        for question in unanswered:
            question.answer.put(None)
        with self._writing:  # which ended when the process did
            stdin.close()

    def _listen(self, fd: int) -> None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            if not poll.poll(1000 * self._silence_seconds):
                # An engine may keep everything else in its process waiting; hang_seconds bounds that.
                if not any(Failed in question.expected for question in [*self._open.values()]):
                    self.kill(f"was not heard for {self._silence_seconds} s")
                continue
            said = read_said(fd)
            if said is None:
                return
            if isinstance(said, Beat):
                continue
            if isinstance(said, Progress):
                self._on_progress(said.what, said.share)
                continue
            question = self._open.pop(said.number, None)
            if question is None or not isinstance(said.answer, question.expected):
                raise Garbled(f"unexpected {type(said.answer).__name__}")
            question.answer.put(said.answer)

    def _keep_journal(self) -> None:
        """What it prints goes to our log: so many lines of such a length, and then no more."""
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for number, line in enumerate(iter(partial(stream.readline, LINE_BYTES), b"")):
                names, text = lifted(line.decode(errors="replace").rstrip())
                self._last_line = text or self._last_line
                if number < LINES:
                    log.info("recognizer's process says", pid=self.pid, line=text, **names)
                elif number == LINES:
                    log.warning("recognizer's process says too much; no more of it is shown", pid=self.pid)

    def _epitaph(self, status: int) -> str:
        if status == -signal.SIGKILL:
            return "was killed (SIGKILL), perhaps because memory ran out"
        if status < 0:
            return f"crashed ({signal.strsignal(-status)})"
        last = f": {self._last_line}" if self._last_line else ""
        return f"ended with status {status}{last}"
