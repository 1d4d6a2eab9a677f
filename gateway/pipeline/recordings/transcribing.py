"""Recordings into text: decoded and cut by a thread as they come, transcribed piece by piece behind the devices.

::

    FileRefused
      TooManyFiles     so many are being transcribed already, or so many of one owner
      TooLarge         more bytes, or more seconds, than are taken, or what takes too much to be decoded
      TooSlow          it did not come on, or so slowly that it only kept a place
      NoRecording      it is nothing that can be decoded
      NoDisk           it has to be kept until its end, and there is no room for it
      Stopped          the gateway is stopping, or whoever sent it has gone
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from firmware_bridge.shares import has_share
from gateway.pipeline.recordings.thread_queues import Inflow, Outflow
from gateway.settings.web import UploadSettings
from transcription.audio import SAMPLE_RATE, AudioChunk, Samples
from transcription.errors import EngineFailed
from transcription.priority import Priority
from transcription.recognizing import Recognizing
from transcription.settings import SegmenterSettings
from transcription.sound_files.decoder_process import TooCostly, decoded
from transcription.sound_files.decoding import LostSound, NoRoom
from transcription.sound_files.lookahead import BadSound
from transcription.transcriber import Hints, Transcript
from transcription.utterance.offset import OffsetFilter
from transcription.utterance.segmenter import EndReason, Utterance, UtteranceSegmenter, VoiceActivity

LEAST_BYTES = 32
"""A second, while it is waited for: less than that is no recording, however slowly somebody speaks."""
UNREAD_BYTES = 256 * 1024
"""What waits to be decoded."""
WAITING_UTTERANCES = 2
"""What waits to be transcribed, of one recording."""
GAPS = 100
"""So many are told of one recording."""
LULL_SECONDS = 5.0
"""So long at most each piece waits until nobody is speaking to a device."""
LULL_STEP = 0.05
NICENESS = 10
"""Decoding gives way to everything else on the machine."""


class FileRefused(Exception):
    """Base of why a recording is not transcribed; its words are for whoever sent it."""


class TooManyFiles(FileRefused):
    """So many are being transcribed already, or so many of one owner."""


class TooLarge(FileRefused):
    """More than is taken of one."""


class TooSlow(FileRefused):
    """Nothing, or next to nothing, came for too long."""


class NoRecording(FileRefused):
    """Nothing that can be decoded."""


class NoDisk(FileRefused):
    """No room where it has to be kept until its end."""


class Stopped(FileRefused):
    """It is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One utterance of a recording; times in seconds from its beginning. Without a transcript, ``error`` says why."""

    start: float
    end: float
    transcript: Transcript | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of a recording was not heard; ``at``: seconds of what was."""

    at: float
    reason: str


@dataclass(slots=True)
class RecordingText:
    """What was made of one: the passages in which something was said, how long it is, and what is missing of it."""

    passages: list[Passage] = field(default_factory=list)
    seconds: float = 0.0
    missing: list[Gap] = field(default_factory=list)


class Transcribing:
    """All recordings that are being transcribed."""

    def __init__(
        self,
        settings: UploadSettings,
        recognizer: Recognizing,
        listen: Callable[[], VoiceActivity],
        is_spoken: Callable[[], bool],
    ) -> None:
        """``listen`` makes the voice activity of a recording. ``is_spoken``: somebody speaks to a device just now."""
        self._settings = settings
        self._recognizer = recognizer
        self._listen = listen
        self._is_spoken = is_spoken
        self._now = asyncio.get_running_loop().time
        self._open: set[_Work] = set()
        self._numbers = 0

    async def transcribe(
        self,
        body: AsyncIterator[bytes],
        cut: SegmenterSettings,
        hints: Hints,
        is_gone: Callable[[], bool],
        owner: str,
        *,
        priority: Priority = Priority.NORMAL,
    ) -> RecordingText:
        """Everything that is said in it. ``is_gone``: nobody waits for it any more. ``owner``: who sends it.

        ``priority``: among the recordings; all are behind what devices say.

        Raises FileRefused, and as the recognizer's ``transcribe`` but for EngineFailed.
        """
        taken = Counter(work.owner for work in self._open)
        if not has_share(self._settings.at_once, taken, owner):
            of_all = f"{len(self._open)} recordings are being transcribed already"
            raise TooManyFiles(f"{of_all}, {taken[owner]} of them with this token")
        self._numbers += 1
        segmenter = UtteranceSegmenter(self._listen(), cut, end_on_silence=True)
        work = _Work(self._settings, segmenter, f"file {self._numbers}", owner, priority)
        self._open.add(work)
        try:
            return await self._run(work, body, hints, is_gone)
        finally:
            self._open.discard(work)
            await work.end()

    def close(self) -> None:
        """Give all of them up."""
        for work in self._open:
            work.inflow.abort(Stopped("the gateway is stopping"))

    async def _run(
        self, work: _Work, body: AsyncIterator[bytes], hints: Hints, is_gone: Callable[[], bool]
    ) -> RecordingText:
        recording = RecordingText()
        work.begin(body)
        async for utterance in work.utterances:
            await self._lull()
            if is_gone():
                raise Stopped("whoever sent it has gone")
            recording.passages.append(await self._passage(work, utterance, hints))
        if work.failure is not None:
            raise work.failure
        recording.seconds = work.samples / SAMPLE_RATE
        recording.missing = work.missing
        return recording

    async def _passage(self, work: _Work, utterance: Utterance, hints: Hints) -> Passage:
        start, end = utterance.start / SAMPLE_RATE, utterance.end / SAMPLE_RATE
        try:
            done = await self._recognizer.transcribe(
                utterance, owner=work.name, hints=hints, behind=True, priority=work.priority
            )
        except EngineFailed as error:
            return Passage(start, end, None, str(error))
        return Passage(start, end, done.transcript)

    async def _lull(self) -> None:
        """The engine cannot be interrupted: whoever is speaking shall not find it at this."""
        until = self._now() + LULL_SECONDS
        while self._is_spoken() and self._now() < until:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(LULL_STEP)


class _Pace:
    """Whether a body comes on, by the time in which it is waited for; not by that in which it has to wait for us."""

    def __init__(self, seconds: float) -> None:
        """Looked at whenever so long was waited."""
        self._seconds = seconds
        self._now = asyncio.get_running_loop().time
        self._waited = 0.0
        self._bytes = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """It is waited for."""
        since = self._now()
        yield
        self._waited += self._now() - since

    def came(self, size: int) -> None:
        """So much has come. Raises TooSlow."""
        self._bytes += size
        if self._waited < self._seconds:
            return
        if self._bytes < LEAST_BYTES * self._waited:
            raise TooSlow(
                f"{self._bytes} bytes came in {self._waited:.0f} s, {LEAST_BYTES} a second are the least"
            )
        self._waited, self._bytes = 0.0, 0


class _Work:
    """One recording: the task that reads it, and the thread that decodes and cuts it."""

    def __init__(
        self,
        settings: UploadSettings,
        segmenter: UtteranceSegmenter,
        name: str,
        owner: str,
        priority: Priority,
    ) -> None:
        self.name = name
        self.owner = owner
        self.priority = priority
        self.inflow = Inflow(UNREAD_BYTES)
        self.utterances: Outflow[Utterance] = Outflow(WAITING_UTTERANCES)
        self.samples = 0
        self.missing: list[Gap] = []
        self.failure: BaseException | None = None
        """Why it could not be read or decoded to its end; known when ``utterances`` end."""
        self._settings = settings
        self._segmenter = segmenter
        self._reading: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._decode, name=name, daemon=True)

    def begin(self, body: AsyncIterator[bytes]) -> None:
        """Read, decode and cut it."""
        self._reading = asyncio.create_task(self._read(body), name=f"{self.name}: reading")
        self._thread.start()

    async def end(self) -> None:
        """Whatever it is at, it stops."""
        if self._reading is None:
            return
        self._reading.cancel()
        self.inflow.abort(Stopped("it is not wanted any more"))
        self.utterances.abort()
        await asyncio.gather(self._reading, return_exceptions=True)
        await asyncio.to_thread(self._thread.join)

    async def _read(self, body: AsyncIterator[bytes]) -> None:
        settings, left = self._settings, self._settings.megabytes * 1024 * 1024
        pace = _Pace(settings.stall_seconds)
        try:
            while True:
                with pace.waiting():
                    async with asyncio.timeout(settings.stall_seconds):
                        piece = await anext(body, b"")
                if not piece:
                    break
                pace.came(len(piece))
                left -= len(piece)
                if left < 0:
                    raise TooLarge(f"it has more than {settings.megabytes} MiB (web.uploads.megabytes)")  # noqa: TRY301
                await self.inflow.put(piece)
        except TimeoutError:
            self.inflow.abort(TooSlow(f"nothing came for {settings.stall_seconds:g} s"))
        except FileRefused as error:
            self.inflow.abort(error)
        except Exception as error:  # noqa: BLE001 - the boundary: the wire broke
            self.inflow.abort(Stopped(f"it was cut off: {error}"))
        else:
            self.inflow.finish()

    # -- in the thread

    def _decode(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            self._cut()
        except BadSound as error:
            self.failure = NoRecording(str(error))
        except TooCostly as error:
            self.failure = TooLarge(str(error))
        except NoRoom as error:
            self.failure = NoDisk(str(error))
        except FileRefused as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 - the boundary: not the file's fault but ours, told where it is awaited
            self.failure = error
        self.utterances.finish()

    def _cut(self) -> None:
        with closing(decoded(self.inflow, self._settings.seconds, self.inflow.check)) as pieces:
            self._cut_all(pieces)

    def _cut_all(self, pieces: Iterator[Samples | LostSound]) -> None:
        most = self._settings.seconds * SAMPLE_RATE
        without_offset = OffsetFilter()
        for piece in pieces:
            if isinstance(piece, LostSound):
                self._miss(piece.reason)
                continue
            chunk = AudioChunk(self.samples, piece)
            self.samples += len(piece)
            if self.samples > most:
                raise TooLarge(f"it is longer than {self._settings.seconds} s (web.uploads.seconds)")
            for event in self._segmenter.feed(without_offset(chunk)):
                if isinstance(event, Utterance) and not self.utterances.put(event):
                    return
        for event in self._segmenter.finish(EndReason.STOP):
            if isinstance(event, Utterance):
                self.utterances.put(event)

    def _miss(self, reason: str) -> None:
        if len(self.missing) >= GAPS:
            more = f"and more than {GAPS} others"
            self.missing[-1] = Gap(self.missing[-1].at, more)
            return
        self.missing.append(Gap(self.samples / SAMPLE_RATE, reason))
