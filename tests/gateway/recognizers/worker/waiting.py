"""``python -m ... URL MODEL WAIT DEADLY NAME``: a worker's process as it is, but for its engine, which only waits.

Audio of ``DEADLY`` samples kills the process, as a fault in the machine's memory would.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Any

from gateway.observing import log
from gateway.recognizers.worker.process import WorkerProcess, WorkerSettings
from gateway.settings.log import LogSettings
from tests.gateway.recognizers.worker.works import WaitingEngine, settings
from transcription.scheduling.engines import OpenEngine
from transcription.settings import TranscriptionSettings
from transcription.utterance.segmenter import Utterance


def main(url: str, model: str, wait: str, deadly: str, name: str) -> None:
    def work(utterance: Utterance) -> None:
        if int(deadly) and len(utterance.samples) == int(deadly):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(wait))

    def open_engine(_settings: object, **_how: Any) -> OpenEngine:
        return OpenEngine(WaitingEngine(work))

    log.configure(LogSettings())
    transcription = TranscriptionSettings(model=model, engine="faster-whisper", batch_utterances=1)
    told = WorkerSettings(broker=settings(url), transcription=transcription, name=name)
    asyncio.run(WorkerProcess(told, open_engine=open_engine).run())


if __name__ == "__main__":
    main(*sys.argv[1:])
