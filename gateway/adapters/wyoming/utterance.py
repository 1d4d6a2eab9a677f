"""One utterance of a program: its sound in, its text out, as soon as it has ended; in whose ears it has, or in ours.

Whoever speaks now is heard until a silence, and answered at once. Sound that comes far sooner than it can be spoken is
a recording: its pauses end nothing, and all that is said in it is its text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import structs

from gateway.adapters.languages import spoken_language
from gateway.adapters.wyoming.events import (
    ErrorReport,
    SoundForm,
    TranscribeRequest,
    TranscriptChunk,
    TranscriptResult,
    TranscriptStart,
    TranscriptStop,
)
from gateway.adapters.wyoming.pace import SoundPace
from gateway.adapters.wyoming.way_back import WayBack
from gateway.pipeline.dictation.dictation import (
    Began,
    DictationEvent,
    DictationWishes,
    Ended,
    NoText,
    SoFar,
    Understood,
)
from gateway.pipeline.dictation.dictations import Dictations
from transcription.audio import SAMPLE_RATE
from transcription.errors import (
    ModelUnavailable,
    QueueFull,
    RecognizerClosed,
    TranscriptionError,
    WaitedTooLong,
)
from transcription.settings import SegmenterSettings, TranscriptionSettings
from transcription.sound_files.pcm_stream import PcmFormat, PcmStream, UnknownPcm
from transcription.transcriber import Hints
from transcription.utterance.segmenter import EndReason

SILENCE_MS: Final = {"relaxed": 1_250, "aggressive": 250}
"""What a program may want the silence to be that ends an utterance, as Home Assistant has it."""
SILENT_SECONDS: Final = 15.0
"""Whoever speaks now, and has said nothing for so long, is not waited for any longer."""
AFTER_NOISE_SECONDS: Final = 4.0
"""Nor is anybody in whose sound there was no text: who coughed goes on by then, and who mumbled says it again."""
LONGEST_SECONDS: Final = 30.0
"""Of somebody who speaks now: behind that comes no silence (a television)."""
LONGEST_RECORDING_SECONDS: Final = 3_600.0
MOST_HOTWORDS: Final = 1_000
"""Characters; the model reads fewer."""
_NO_JOINT: Final = 30.0
"""For ``long_seconds``: it is not cut in a pause that is no end."""

_CODES: Final[tuple[tuple[type[TranscriptionError], str], ...]] = (
    (QueueFull, "busy"),
    (WaitedTooLong, "busy"),
    (ModelUnavailable, "unavailable"),
    (RecognizerClosed, "stopping"),
)


class HeardUtterance:
    """From the first sound to the one transcript or error that answers it; what comes behind that is swallowed."""

    def __init__(
        self,
        dictations: Dictations,
        line: WayBack,
        wanted: TranscribeRequest,
        *,
        partial_ms: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``partial_ms``: after so much more speech its text so far is told, beside what is told at each pause."""
        self._line = line
        self._wanted = wanted
        self._pace = SoundPace(now)
        self._heard_bytes = 0
        self._form: SoundForm | None = None
        self._stream: PcmStream | None = None
        self._texts: list[str] = []
        self._language: str | None = None
        self._reasons: dict[int, EndReason] = {}
        self._has_ended_by_silence = False
        self._in_speech = False
        self._patience = SILENT_SECONDS
        self._told = _ToldText(line, wanted)
        self._finishing: asyncio.Task[None] | None = None
        self._answered = False
        self._dictation = dictations.begin(
            _wishes(wanted, dictations.settings, partial_ms, dictations.names.told("")),
            owner=line.owner,
            tell=self._hear,
            settings=_segmenter(wanted, dictations.settings.segmenter),
        )

    @property
    def is_owed(self) -> bool:
        """Whether all of its sound was heard, and the program waits for its text."""
        return self._finishing is not None and not self._answered

    async def hear(self, form: SoundForm, audio: bytes) -> None:
        """The next of its sound."""
        if self._answered or self._finishing is not None:
            return
        try:
            await self._dictate(self._converted(form, audio))
        except UnknownPcm as error:
            self.fail(str(error), "unknown-format")
            return
        self._look_at_the_time()

    async def stop(self) -> None:
        """That was all of its sound. Its text comes when it is there."""
        if self._stream is not None and not self._answered:
            await self._dictate(self._stream.finish())
        self._complete()

    async def answered(self) -> None:
        """Until it is, once all of its sound was heard."""
        if self._finishing is not None:
            await asyncio.wait({self._finishing})

    def fail(self, reason: str, code: str) -> None:
        """There is no text, and why."""
        if not self._answered:
            self._line.put(*self._told.end(None), ErrorReport(reason, code))
        self.drop()

    def drop(self) -> None:
        """Nobody wants its text. Idempotent."""
        self._answered = True
        self._dictation.end()
        if self._finishing is not None:
            self._finishing.cancel()

    # -- heard

    @property
    def _heard_seconds(self) -> float:
        return self._heard_bytes / (2 * SAMPLE_RATE)

    def _converted(self, form: SoundForm, audio: bytes) -> bytes:
        """In the canonical form. Raises UnknownPcm."""
        rest = b""
        if self._stream is None or self._is_another(form):
            if self._stream is not None:
                rest = self._stream.finish()
            self._stream = PcmStream(PcmFormat.of_width(form.rate, form.width, form.channels))
            self._form = form
        return rest + self._stream.feed(audio)

    def _is_another(self, form: SoundForm) -> bool:
        return self._form is None or not form.is_like(self._form)

    async def _dictate(self, pcm: bytes) -> None:
        self._pace.came(self._heard_seconds)
        self._heard_bytes += len(pcm)
        await self._dictation.hear(pcm)
        self._pace.taken()

    def _look_at_the_time(self) -> None:
        """An utterance that nobody ends is ended all the same."""
        if self._answered:
            return
        if self._heard_seconds > LONGEST_RECORDING_SECONDS:
            self.fail(f"it has more than {LONGEST_RECORDING_SECONDS:.0f} s", "too-long")
            return
        if not self._pace.is_spoken(self._heard_seconds):
            return
        if self._has_ended_by_silence and self._is_silent:
            self._answer()  # it was not sure before that nobody goes on
            return
        enough = self._patience if self._is_silent and not self._texts else LONGEST_SECONDS
        if self._heard_seconds >= enough:
            self._complete()

    @property
    def _is_silent(self) -> bool:
        """Whether nothing is being said, and all that was said is understood."""
        return not (self._in_speech or self._reasons)

    def _complete(self) -> None:
        """All of it was heard."""
        if not self._answered and self._finishing is None:
            self._dictation.commit()
            self._finishing = asyncio.create_task(self._finish(), name="wyoming utterance")

    # -- understood

    def _hear(self, event: DictationEvent) -> None:
        match event:
            case Began():
                self._in_speech = True
                self._told.begin()
            case SoFar(_, text):
                self._told.so_far(" ".join((*self._texts, text.stable)))
            case Ended(number=number, reason=reason):
                self._in_speech = False
                self._reasons[number] = reason
            case Understood(number, transcript):
                if transcript.text:
                    self._texts.append(transcript.text)
                    self._language = self._language or transcript.language
                if self._reasons.pop(number, EndReason.STOP) is EndReason.SILENCE:
                    self._ended_by_silence()
            case NoText(_, error):
                code = next((code for kind, code in _CODES if isinstance(error, kind)), "failed")
                self.fail(str(error), code)

    def _ended_by_silence(self) -> None:
        if not self._texts:
            self._patience = min(self._patience, self._heard_seconds + AFTER_NOISE_SECONDS)
            return
        self._has_ended_by_silence = True
        if self._is_silent and self._finishing is None and self._pace.is_spoken(self._heard_seconds):
            self._answer()

    async def _finish(self) -> None:
        await self._dictation.told()
        self._answer()

    def _answer(self) -> None:
        if self._answered:
            return
        self._answered = True
        text = " ".join(self._texts)
        result = TranscriptResult(text, self._language or self._wanted.language, self._wanted.context)
        self._line.put(*self._told.end(result))
        self._dictation.end()


class _ToldText:
    """The text as it grows, for those who read it: pieces to be put behind one another."""

    def __init__(self, line: WayBack, wanted: TranscribeRequest) -> None:
        self._line = line
        self._wanted = wanted
        self._sent: str | None = None

    def begin(self) -> None:
        if self._sent is None:
            self._sent = ""
            self._line.put(TranscriptStart(self._wanted.language, self._wanted.context))

    def so_far(self, text: str) -> None:
        """All that will not change any more."""
        rest = self._rest(text)
        if rest:
            self.begin()
            self._line.put(TranscriptChunk(rest))
            self._sent = text

    def end(
        self, result: TranscriptResult | None
    ) -> list[TranscriptChunk | TranscriptResult | TranscriptStop]:
        """What is to be sent at its end: the whole text, and before and behind it what belongs to the pieces."""
        events: list[TranscriptChunk | TranscriptResult | TranscriptStop] = []
        if result is not None:
            if self._sent is not None and (rest := self._rest(result.text)):
                events.append(TranscriptChunk(rest))
            events.append(result)
        if self._sent is not None:
            events.append(TranscriptStop())
        return events

    def _rest(self, text: str) -> str:
        """What was not sent yet; nothing where another text was."""
        sent = self._sent or ""
        return text[len(sent) :] if text.startswith(sent) else ""


def _wishes(
    wanted: TranscribeRequest, settings: TranscriptionSettings, partial_ms: int, names: tuple[str, ...]
) -> DictationWishes:
    words = (*(wanted.transcript_names or ()), settings.hotwords, *(wanted.transcript_terms or ()))
    hints = Hints(
        language=spoken_language(wanted.language) or None,
        prompt=settings.prompt,
        hotwords=_first_of(filter(None, words)),
        names=names,
    )
    return DictationWishes(hints=hints, keeps_all=True, partial_ms=partial_ms)


def _first_of(words: Iterable[str]) -> str:
    """As many as are read."""
    taken = ""
    for word in words:
        longer = f"{taken}, {word}" if taken else word
        if len(longer) > MOST_HOTWORDS:
            break
        taken = longer
    return taken


def _segmenter(wanted: TranscribeRequest, settings: SegmenterSettings) -> SegmenterSettings:
    """As configured, but as patient as the program wants, and without an end before a silence."""
    silence = settings.silence_ms
    match wanted.vad_sensitivity:
        case "relaxed":
            silence = max(silence, SILENCE_MS["relaxed"])
        case "aggressive":
            silence = min(silence, SILENCE_MS["aggressive"])
    return structs.replace(settings, silence_ms=silence, long_seconds=_NO_JOINT)
