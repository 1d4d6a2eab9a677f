"""An engine that breaks its process on demand; which way, the length of the utterance says."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

from transcription.errors import EngineFailed, ModelUnavailable
from transcription.settings import TranscriptionSettings
from transcription.transcriber import NO_HINTS, Hints, OnProgress, Segment, Transcript, untold
from transcription.utterance.segmenter import Utterance

FAIL, BUG, KILL, CRASH, EXIT, HANG, STOP, GARBAGE, PRATTLE, PATIENT = range(10, 20)
"""Lengths, in samples, of what it does not simply answer with the length."""


class BreakableEngine:
    """``load`` goes wrong too, when the model is ``missing``, ``killed``, ``stopped``, ``broken`` or ``noisy``."""

    engine = "breakable"

    def __init__(self, settings: TranscriptionSettings) -> None:
        self.model = settings.model
        self._hurried: list[Utterance] = []
        self._news = threading.Condition()

    def load(self, on_progress: OnProgress = untold) -> None:
        if self.model == "missing":
            raise ModelUnavailable("it is not here", remedy="bring it")
        if self.model == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.model == "stopped":
            os.kill(os.getpid(), signal.SIGSTOP)
        if self.model == "slow":
            on_progress("half way", 0.5)
        if self.model == "broken":
            raise ZeroDivisionError("a bug in load")
        if self.model == "noisy":
            print("this is no message", flush=True)
            sys.stderr.write("x" * 2000 + "\n")
            sys.stderr.writelines(f"line {number}\n" for number in range(500))

    def transcribe(self, utterance: Utterance, hints: Hints = NO_HINTS) -> Transcript:
        length = len(utterance.samples)
        if length == PATIENT:
            self._wait_for(utterance)
        _break(length)
        first = int(utterance.samples[0]) if length else 0
        facts = f"{length} {first} {utterance.end_reason.value} {utterance.has_speech} {hints.prompt}".strip()
        return Transcript(
            facts, "en", 0.5, 0.25, (Segment(0.0, 1.0, facts),), self.engine, self.model, 0.0, 1, retried=True
        )

    def hurry(self, utterance: Utterance) -> None:
        with self._news:
            self._hurried.append(utterance)
            self._news.notify_all()

    def _wait_for(self, utterance: Utterance) -> None:
        with self._news:
            self._news.wait_for(lambda: any(one is utterance for one in self._hurried))

    def close(self) -> None: ...


def _break(length: int) -> None:
    if length == FAIL:
        raise EngineFailed("unlucky")
    if length == BUG:
        raise ZeroDivisionError("a bug of the engine's own")
    if length == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    if length == CRASH:
        os.kill(os.getpid(), signal.SIGSEGV)
    if length == EXIT:
        print("the last words", file=sys.stderr, flush=True)
        os._exit(3)
    if length == HANG:
        time.sleep(3600)
    if length == STOP:
        os.kill(os.getpid(), signal.SIGSTOP)
    if length in {GARBAGE, PRATTLE}:
        # The pipe of answers is the first that was opened after the standard three.
        with contextlib.suppress(OSError):
            os.write(3, b"Ear1\x01\0\0\0\xff" if length == GARBAGE else b"what is this? " * 9)
        time.sleep(3600)
