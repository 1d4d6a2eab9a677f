"""What one program dictates: its audio in, as it comes; what is understood of it out, in order.

It is heard as a device's stream is: cut by the same segmenter, worked on ahead at each pause, looked at while it goes
on. Nothing of it is kept, published or answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from transcription.audio import SAMPLE_RATE, AudioChunk, from_pcm16
from transcription.errors import TranscriptionError
from transcription.priority import Priority
from transcription.recognizing import Following, Guessing, Recognizing
from transcription.scheduling.partial_text import PartialText, TextSoFar
from transcription.settings import SegmenterSettings
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.offset import OffsetFilter
from transcription.utterance.segmenter import (
    EndReason,
    SegmenterEvent,
    SpeechGoesOn,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    Utterance,
    UtteranceSegmenter,
    VoiceActivity,
)

PIECE = SAMPLE_RATE // 5
"""So many samples are listened to in one step of the event loop."""
WAITING_UTTERANCES = 2
"""Of one dictation; while so many are with the recognizer, whoever sends more has to wait."""
STALE_SECONDS = 2.0
"""Of which nothing more has come for so long, nobody is speaking just now: recordings need not give way to it."""


@dataclass(frozen=True, slots=True)
class Began:
    """Speech was noticed. ``position``: in samples from the dictation's beginning, as everywhere here."""

    number: int
    position: int


@dataclass(frozen=True, slots=True)
class SoFar:
    """What was understood of it so far; its end may change, what is ``stable`` of it does not."""

    number: int
    text: TextSoFar


@dataclass(frozen=True, slots=True)
class Ended:
    """It is complete, and is being worked out. ``end`` is exclusive; ``speech_end``: behind its last speech."""

    number: int
    start: int
    end: int
    speech_end: int
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Understood:
    """Its text; an empty one when nothing was said. Those of one dictation come in their order."""

    number: int
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class NoText:
    """It stays without a text, and why."""

    number: int
    error: TranscriptionError


DictationEvent: TypeAlias = Began | SoFar | Ended | Understood | NoText


@dataclass(frozen=True, slots=True, kw_only=True)
class DictationWishes:
    """How it is to be heard.

    ``end_on_silence`` false: an utterance is what comes between two commits, whether or not there is speech in it.
    ``keeps_all``: where no speech was noticed until a commit, all that came is looked at all the same.
    ``partial_ms``: after so much more speech the text so far is told; 0: never.
    """

    hints: Hints = NO_HINTS
    end_on_silence: bool = True
    keeps_all: bool = False
    partial_ms: int = 0
    priority: Priority = Priority.NORMAL


class Dictation:
    """To be used as ``with ... as dictation``: at the end nothing more is told, and what is under way is let go of.

    ``tell`` is called on the event loop with each event; an utterance is Ended before it is Understood or
    NoText, and has a number of its own, from 1.
    """

    def __init__(
        self,
        recognizer: Recognizing,
        listen: Callable[[], VoiceActivity],
        settings: SegmenterSettings,
        wanted: DictationWishes,
        *,
        owner: str,
        wait_seconds: float,
        tell: Callable[[DictationEvent], None],
        on_end: Callable[[Dictation], None],
    ) -> None:
        """``owner``: whose turn it is at the recognizer. ``wait_seconds``: so long an utterance waits there at most."""
        self.owner = owner
        self._recognizer = recognizer
        self._listen = listen
        self._settings = settings
        self._wanted = wanted
        self._wait_seconds = wait_seconds
        self._tell = tell
        self._on_end = on_end
        self._last: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = False
        self._now = asyncio.get_running_loop().time
        self._heard_to = 0
        self._heard_at = self._now()
        self._number = 0
        self._kept = bytearray()
        self._guess: Guessing | None = None
        self._look: Following | None = None
        self._begun = self._given = self._announced = False
        self._is_stale = self._ends_on_silence = False
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def in_speech(self) -> bool:
        """Whether something is being said, and comes."""
        return self._announced and self._now() - self._heard_at < STALE_SECONDS

    def change(self, wanted: DictationWishes, settings: SegmenterSettings | None = None) -> None:
        """From the next utterance on it is heard like this; what is being said goes on as it began."""
        before = self._cut
        self._wanted = wanted
        if settings is not None:
            self._settings = settings
        self._is_stale = self._is_stale or self._cut != before
        self._begin_if_stale()

    async def hear(self, pcm: bytes) -> None:
        """The next audio: PCM16, mono, 16 kHz. Waits while there is too much to do. Raises ValueError."""
        samples = from_pcm16(pcm)
        for at in range(0, len(samples), PIECE):
            piece = samples[at : at + PIECE]
            while len(self._tasks) >= WAITING_UTTERANCES and not self._over:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._over:
                return
            if self._wanted.keeps_all and not self._given:
                self._kept += piece.tobytes()
                del self._kept[: -int(self._settings.max_seconds * SAMPLE_RATE) * 2]
            chunk = AudioChunk(self._heard_to, piece)
            self._heard_to += len(piece)
            self._heard_at = self._now()
            self._begun = True
            self._take_all(self._segmenter.feed(self._without_offset(chunk)))
            self._begin_if_stale()
            if at:
                await asyncio.sleep(0)

    def commit(self) -> bool:
        """What was said until now is complete; whether an utterance came of it since the last commit."""
        if self._over:
            return False
        self._take_all(self._segmenter.finish(EndReason.STOP))
        if not self._given and self._kept:
            self._end_utterance(self._unnoticed())
        given = self._given
        self._begin()
        return given

    def clear(self) -> None:
        """What is being said is not wanted; what is complete already is worked out all the same."""
        self._drop()
        self._begin()

    async def told(self) -> None:
        """Until all that is complete was told."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def end(self) -> None:
        """Nobody wants any of it any more. Idempotent."""
        self._over = True
        self._drop()
        for task in self._tasks:
            task.cancel()
        self._on_end(self)

    # -- heard

    def _begin(self) -> None:
        """Listen anew, from here on."""
        wanted = self._wanted
        self._is_stale, self._ends_on_silence = False, wanted.end_on_silence
        self._segmenter = UtteranceSegmenter(
            self._listen(),
            self._settings,
            end_on_silence=wanted.end_on_silence,
            partial_ms=wanted.partial_ms,
        )
        self._without_offset = OffsetFilter()
        self._kept.clear()
        self._begun = self._given = self._announced = False

    @property
    def _cut(self) -> tuple[bool, int, SegmenterSettings]:
        """What is settled when it begins to listen."""
        return self._wanted.end_on_silence, self._wanted.partial_ms, self._settings

    def _begin_if_stale(self) -> None:
        """Where it may: between two utterances."""
        is_between = self._ends_on_silence and not self._announced
        if self._is_stale and (is_between or not self._begun):
            self._begin()

    def _unnoticed(self) -> Utterance:
        """All that came since the last commit, in which no speech was noticed."""
        samples = from_pcm16(bytes(self._kept))
        start, end = self._heard_to - len(samples), self._heard_to
        return Utterance(samples, start, end, end, has_speech=False, end_reason=EndReason.STOP)

    def _take_all(self, events: list[SegmenterEvent]) -> None:
        for event in events:
            self._take(event)

    def _take(self, event: SegmenterEvent) -> None:
        match event:
            case SpeechStarted(position):
                self._recognizer.wake()
                self._announce(position)
            case SpeechGoesOn(so_far):
                self._follow(so_far)
            case SpeechPaused(so_far):
                self._guess = self._recognizer.guess(
                    so_far, owner=self.owner, hints=self._wanted.hints, priority=self._wanted.priority
                )
                if self._guess is not None and self._wanted.partial_ms:
                    self._guess.tell(self._teller(self._number))
            case SpeechResumed():
                self._drop_guess()
            case Utterance():
                self._end_utterance(event)

    def _announce(self, position: int) -> None:
        self._number += 1
        self._announced = True
        self._text = PartialText()
        self._tell(Began(self._number, position))

    def _follow(self, so_far: Utterance) -> None:
        if self._look is None:
            self._look = self._recognizer.follow(
                owner=self.owner, on_text=self._teller(self._number), priority=self._wanted.priority
            )
        self._look.ask(so_far, self._wanted.hints)

    def _teller(self, number: int) -> Callable[[Transcript], None]:
        text = self._text

        def tell(transcript: Transcript) -> None:
            if self._over or number != self._number or not self._announced:
                return
            so_far = text.hear(transcript.text)
            if so_far is not None:
                self._tell(SoFar(number, so_far))

        return tell

    def _drop_guess(self) -> None:
        if self._guess is not None:
            self._guess.drop()
            self._guess = None

    def _drop(self) -> None:
        self._drop_guess()
        if self._look is not None:
            self._look.drop()
            self._look = None

    # -- understood

    def _end_utterance(self, utterance: Utterance) -> None:
        if not self._announced:  # no speech was noticed in it
            self._number += 1
        guess, self._guess = self._guess, None
        self._drop()
        self._announced, self._given = False, True
        self._kept.clear()
        number = self._number
        self._tell(Ended(number, utterance.start, utterance.end, utterance.speech_end, utterance.end_reason))
        work = self._understand(number, utterance, guess, self._wanted, self._last)
        self._last = task = asyncio.create_task(work, name=f"dictation of {self.owner}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _understand(
        self,
        number: int,
        utterance: Utterance,
        guess: Guessing | None,
        wanted: DictationWishes,
        before: asyncio.Task[None] | None,
    ) -> None:
        event: Understood | NoText
        try:
            recognized = await self._recognizer.transcribe(
                utterance,
                owner=self.owner,
                hints=wanted.hints,
                deadline=self._wait_seconds,
                guess=guess,
                priority=wanted.priority,
            )
            event = Understood(number, recognized.transcript)
        except TranscriptionError as error:
            event = NoText(number, error)
        if before is not None and not before.done():
            await asyncio.wait({before})
        if not self._over:
            self._tell(event)
