"""Recordings into text: decoded and cut by a thread as they come, transcribed piece by piece behind the devices."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from firmware_bridge.shares import has_share
from gateway.pipeline.recordings.coming import coming
from gateway.pipeline.recordings.refusals import (
    FileRefused,
    NoDisk,
    NoRecording,
    Stopped,
    TooLarge,
    TooManyFiles,
)
from gateway.pipeline.recordings.thread_queues import Inflow, Outflow
from gateway.settings.web import UploadSettings
from transcription.audio import SAMPLE_RATE, AudioChunk, Samples
from transcription.errors import EngineFailed
from transcription.priority import Priority
from transcription.recognizing import Recognizing
from transcription.settings import SegmenterSettings
from transcription.sound_files.decoder_process import TooCostly
from transcription.sound_files.decoding import LostSound, NoRoom
from transcription.sound_files.lookahead import BadSound
from transcription.sound_files.plain_wav import decoded
from transcription.transcriber import Hints, Transcript, Word
from transcription.utterance.offset import OffsetFilter
from transcription.utterance.segmenter import EndReason, Utterance, UtteranceSegmenter, VoiceActivity

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


@dataclass(frozen=True, slots=True)
class Passage:
    """One utterance of a recording; times in seconds from its beginning. Without a transcript, ``error`` says why."""

    start: float
    end: float
    transcript: Transcript | None
    error: str = ""

    @property
    def text(self) -> str:
        """What was said; empty: nothing, or it was not understood."""
        return self.transcript.text.strip() if self.transcript is not None else ""

    @property
    def words(self) -> tuple[Word, ...]:
        """The words, where they were wanted, with times of the recording."""
        said = self.transcript.words if self.transcript is not None and self.text else ()
        return tuple(replace(word, start=self._at(word.start), end=self._at(word.end)) for word in said)

    def _at(self, seconds: float) -> float:
        """A time of the passage's as one of the recording's, to the millisecond, and not beyond its end."""
        return min(round(self.start + seconds, 3), self.end)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of a recording was not heard; ``at``: seconds of what was."""

    at: float
    reason: str


@dataclass(slots=True)
class RecordingText:
    """What was made of one: the passages in which something was said, how long it is, and what is missing of it.

    ``session_id``: in which it is published, if it is.
    """

    passages: list[Passage] = field(default_factory=list)
    seconds: float = 0.0
    missing: list[Gap] = field(default_factory=list)
    session_id: str = ""

    @property
    def text(self) -> str:
        """All that was said."""
        return " ".join(passage.text for passage in self.passages if passage.text)

    @property
    def absent(self) -> list[Gap]:
        """All that is missing: what could not be heard, and what was not understood."""
        failed = [Gap(passage.start, passage.error) for passage in self.passages if passage.error]
        return sorted([*self.missing, *failed], key=lambda gap: gap.at)

    @property
    def language(self) -> str:
        """The one that was spoken most; empty: nobody spoke."""
        spoken = [one.transcript.language for one in self.passages if one.transcript is not None and one.text]
        languages = [language for language in spoken if language]
        return max(set(languages), key=languages.count, default="")


@dataclass(frozen=True, slots=True, eq=False)
class FilePlace:
    """One of those for recordings, kept for its ``owner`` from before the first byte is read."""

    name: str
    owner: str


Tell: TypeAlias = Callable[[Passage], Awaitable[None]]


async def untold(_passage: Passage) -> None:
    """It is wanted as a whole."""


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
        self._open: set[OpenRecording] = set()
        self._places: set[FilePlace] = set()
        self._numbers = 0
        self.gives_way = False
        """Whether none is taken, so that what is spoken has the memory."""

    @contextmanager
    def place(self, owner: str) -> Iterator[FilePlace]:
        """Keep a place for a recording of ``owner``. Raises TooManyFiles, and Stopped where none is taken."""
        if self.gives_way:
            raise Stopped("too little memory is free here: recordings are taken again when there is more")
        taken = Counter(place.owner for place in self._places)
        if not has_share(self._settings.at_once, taken, owner):
            of_all = f"{len(self._places)} recordings are being transcribed already"
            raise TooManyFiles(f"{of_all}, {taken[owner]} of them with this token")
        self._numbers += 1
        place = FilePlace(f"file {self._numbers}", owner)
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.discard(place)

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
        """All that is said in it, in a place of its ``owner``'s. Raises TooManyFiles; as ``transcribe_at``."""
        with self.place(owner) as place:
            return await self.transcribe_at(place, body, cut, hints, is_gone, priority=priority)

    async def transcribe_at(
        self,
        place: FilePlace,
        body: AsyncIterator[bytes],
        cut: SegmenterSettings,
        hints: Hints,
        is_gone: Callable[[], bool],
        *,
        priority: Priority = Priority.NORMAL,
        tell: Tell = untold,
    ) -> RecordingText:
        """Everything that is said in it. ``is_gone``: nobody waits for it any more.

        ``priority``: among the recordings; all are behind what devices say. ``tell`` gets each passage once it is
        understood, and waits as long as it likes.

        Raises FileRefused, as the recognizer's ``transcribe`` but for EngineFailed, and as ``tell``.
        """
        async with self.opened(place, body, cut, priority) as work:
            return await self._run(work, hints, is_gone, tell)

    @asynccontextmanager
    async def opened(
        self, place: FilePlace, body: AsyncIterator[bytes], cut: SegmenterSettings, priority: Priority
    ) -> AsyncIterator[OpenRecording]:
        """One that is read, decoded and cut while somebody takes its utterances."""
        segmenter = UtteranceSegmenter(self._listen(), cut, end_on_silence=True)
        work = OpenRecording(self._settings, segmenter, place, priority)
        self._open.add(work)
        try:
            work.begin(body)
            yield work
        finally:
            self._open.discard(work)
            await work.end()

    def close(self) -> None:
        """Give all of them up."""
        for work in self._open:
            work.inflow.abort(Stopped("the gateway is stopping"))

    async def _run(
        self,
        work: OpenRecording,
        hints: Hints,
        is_gone: Callable[[], bool],
        tell: Tell,
    ) -> RecordingText:
        recording = RecordingText()
        async for utterance in work.utterances:
            await self.lull()
            if is_gone():
                raise Stopped("whoever sent it has gone")
            passage = await self._passage(work, utterance, hints)
            recording.passages.append(passage)
            await tell(passage)
        if work.failure is not None:
            raise work.failure
        recording.seconds = work.seconds
        recording.missing = work.missing
        return recording

    async def _passage(self, work: OpenRecording, utterance: Utterance, hints: Hints) -> Passage:
        start, end = utterance.start / SAMPLE_RATE, utterance.end / SAMPLE_RATE
        try:
            done = await self._recognizer.transcribe(
                utterance, owner=work.name, hints=hints, behind=True, priority=work.priority
            )
        except EngineFailed as error:
            return Passage(start, end, None, str(error))
        return Passage(start, end, done.transcript)

    async def lull(self) -> None:
        """The engine cannot be interrupted: whoever is speaking shall not find it at this."""
        until = self._now() + LULL_SECONDS
        while self._is_spoken() and self._now() < until:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(LULL_STEP)


class OpenRecording:
    """One recording: the task that reads it, and the thread that decodes and cuts it."""

    def __init__(
        self,
        settings: UploadSettings,
        segmenter: UtteranceSegmenter,
        place: FilePlace,
        priority: Priority,
    ) -> None:
        self.name = place.name
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
        self._thread = threading.Thread(target=self._decode, name=place.name, daemon=True)

    @property
    def seconds(self) -> float:
        """How much of it was heard."""
        return self.samples / SAMPLE_RATE

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
        try:
            async for piece in coming(body, self._settings):
                await self.inflow.put(piece)
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
