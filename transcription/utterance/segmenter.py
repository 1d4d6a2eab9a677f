"""Audio of one stream into utterances, counting audio time and never the clock.

The segmenter listens in windows of 512 samples counted from the stream's first sample, so the
same audio gives the same utterances however it was cut into chunks.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from transcription.audio import SAMPLE_RATE, AudioChunk, Samples, to_float32
from transcription.settings import SegmenterSettings
from transcription.utterance.joints import HeardWindow, InProgress, best_cut

WINDOW = 512
"""Samples that are listened to at a time: 32 ms."""

HYSTERESIS = 0.15
"""Speech goes on until its probability is so far below the threshold that started it (Silero's value)."""

NO_VOICE = 0.2
"""Voice activity that stayed below this is no voice: hum and noise reach 0.19, whispering gets beyond."""

JOINT = 8 * WINDOW
"""Silence at which speech that has just become long is cut: 256 ms, less than between two sentences."""

DIP = 2 * WINDOW
"""Silence at which speech is cut that has nearly reached its greatest length; between them, in proportion."""

LOOK_BACK = 8 * SAMPLE_RATE
"""So far before the greatest length a better place for the cut is looked for."""

_BYTES = 2  # of a PCM16 sample


Window = npt.NDArray[np.float32]
"""``WINDOW`` samples in [-1, 1), float32, shape (512,)."""


class VoiceActivity(Protocol):
    """Listens to one stream, window after window in order; windows of digital silence are left out."""

    def __call__(self, window: Window, /) -> float:
        """The probability, in [0, 1], that this window holds speech."""


class EndReason(enum.StrEnum):
    """Why an utterance ended."""

    SILENCE = "silence"
    STOP = "stop"
    PAUSE = "pause"
    """A short one, in speech that goes on for long."""
    MAX_LENGTH = "max_length"
    DISCONNECT = "disconnect"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """A stretch of audio to be transcribed.

    ``start``/``end`` are stream positions (samples; ``end`` exclusive) and
    ``end - start == len(samples)``; holes are silence in ``samples``. ``speech_end`` is the
    position after the last window that held speech (``start`` when none did).
    ``peak_probability`` is the highest probability of speech that any window had: it tells near
    speech from nothing at all when ``has_speech`` is false. ``lost_samples`` may exceed the
    length when a hole too long to conceal ended the utterance. ``wake_word``: what was said to its device right before
    it, or at its beginning, and is no part of it. ``clipped``: how many samples were at full scale as they came.
    """

    samples: Samples
    start: int
    end: int
    speech_end: int
    has_speech: bool
    end_reason: EndReason
    gaps: int = 0
    lost_samples: int = 0
    peak_probability: float = 0.0
    wake_word: str = ""
    clipped: int = 0

    @property
    def seconds(self) -> float:
        """Duration of the audio."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech was noticed in the window at ``position``; an Utterance that has speech will follow."""

    position: int


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """``so_far`` may turn out to be all: the speaker has been silent for ``pause_ms``.

    If the Utterance that follows has the same ``start`` and ``speech_end``, it was.
    """

    so_far: Utterance


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """It was not all: speech goes on at ``position``."""

    position: int


@dataclass(frozen=True, slots=True)
class SpeechGoesOn:
    """There is so much more speech that the text so far is worth a look."""

    so_far: Utterance


SegmenterEvent: TypeAlias = SpeechStarted | SpeechGoesOn | SpeechPaused | SpeechResumed | Utterance


class UtteranceSegmenter:
    """One stream's audio into utterances.

    With ``end_on_silence`` an utterance is what is spoken between two silences, with the pre-roll
    before it, and silence gives nothing. Without it (push-to-talk) the whole stream is one
    utterance, whether or not speech was heard in it.

    Either way long speech is cut, and the next utterance follows at once: no sample is lost or in two. After
    ``long_seconds`` of speech the cut is in the middle of the next pause (PAUSE), for which less and less
    will do, from ``JOINT`` to ``DIP``. Without such a pause it is made before the utterance grows
    beyond ``max_seconds`` (MAX_LENGTH), at the best place that ``LOOK_BACK`` or half the utterance
    reaches. A push-to-talk stream that was cut gives no utterance for parts without any voice (``NO_VOICE``).

    Every utterance with speech is announced by exactly one SpeechStarted; SpeechPaused and SpeechResumed
    take turns until it ends. With ``partial_ms``, SpeechGoesOn comes after so much more speech. Memory is bounded by
    ``max_seconds`` of audio plus one chunk.
    """

    def __init__(
        self, vad: VoiceActivity, settings: SegmenterSettings, *, end_on_silence: bool, partial_ms: int = 0
    ) -> None:
        self._vad = vad
        self._end_on_silence = end_on_silence
        self._threshold = settings.threshold
        self._release = max(settings.threshold - HYSTERESIS, 0.01)
        self._silence = settings.silence_ms * SAMPLE_RATE // 1000
        self._pause = settings.pause_ms * SAMPLE_RATE // 1000
        self._partial = partial_ms * SAMPLE_RATE // 1000
        self._long = int(settings.long_seconds * SAMPLE_RATE)
        self._longest = int(settings.max_seconds * SAMPLE_RATE)
        # A pre-roll may not fill the utterance that it leads into.
        self._preroll = min(settings.preroll_ms * SAMPLE_RATE // 1000, self._longest // 2)

        self._audio = bytearray()  # PCM16 from _audio_from to the end of what was received
        self._audio_from = 0
        self._holes: deque[tuple[int, int]] = deque()  # the concealed stretches of _audio
        self._heard = 0  # what lies before was listened to
        self._floor = 0  # what lies before is in earlier utterances
        self._speaking = False
        self._open: InProgress | None = None
        self._given = False  # whether the stream has given an utterance
        self._begun = False
        self._finished = False

    @property
    def needed_from(self) -> int:
        """Stream position before which audio can no longer become part of an utterance."""
        if self._open is not None:
            return self._open.start
        return max(self._floor, self._heard - self._preroll)

    @property
    def in_utterance(self) -> bool:
        """Whether an utterance is in progress."""
        return self._open is not None

    def feed(self, chunk: AudioChunk) -> list[SegmenterEvent]:
        """Take the next chunk; return what it began and what it ended, in order.

        A stream may begin at any position. A hole longer than ``max_seconds`` is not concealed: it
        ends the utterance before it (MAX_LENGTH, the hole counted there). Raises ValueError, and
        changes nothing, when the chunk does not follow the one before, or after ``finish``.
        """
        events: list[SegmenterEvent] = []
        self._check(chunk)
        if not self._begun:
            self._begin(chunk.position - chunk.lost_samples)
        if chunk.lost_samples > self._longest:
            events += self._skip(chunk)
        elif chunk.lost_samples:
            self._conceal(chunk)
        self._audio += chunk.samples.tobytes()
        while self._received - self._heard >= WINDOW:
            events += self._listen(WINDOW)
            events += self._end_if_due()
        self._forget()
        return events

    def finish(self, reason: EndReason) -> list[SegmenterEvent]:
        """End the stream: the utterance in progress, if any, ends for ``reason``. Idempotent."""
        if self._finished:
            return []
        events = self._listen_to_rest()
        events += self._end(reason)
        self._finished = True
        self._floor = self._received
        self._forget()
        return events

    @property
    def _received(self) -> int:
        return self._audio_from + len(self._audio) // _BYTES

    def _check(self, chunk: AudioChunk) -> None:
        hole_from = chunk.position - chunk.lost_samples
        if self._finished:
            raise ValueError("audio after the end of the stream")
        if chunk.lost_samples < 0 or hole_from < 0:
            raise ValueError(f"a hole of {chunk.lost_samples} samples before position {chunk.position}")
        if self._begun and hole_from != self._received:
            raise ValueError(f"expected audio from position {self._received}, got it from {hole_from}")

    def _begin(self, position: int) -> None:
        """Start listening at ``position``, at the stream's start or behind a hole too long."""
        self._begun = True
        self._audio.clear()
        self._holes.clear()
        self._audio_from = self._heard = self._floor = position
        self._speaking = False
        self._open = None if self._end_on_silence else InProgress(position)

    def _skip(self, chunk: AudioChunk) -> list[SegmenterEvent]:
        events = self._listen_to_rest()
        events += self._end(EndReason.MAX_LENGTH, lost_behind=chunk.lost_samples)
        self._begin(chunk.position)
        return events

    def _conceal(self, chunk: AudioChunk) -> None:
        start, end = chunk.position - chunk.lost_samples, chunk.position
        self._audio += bytes(_BYTES * chunk.lost_samples)
        if self._holes and self._holes[-1][1] == start:
            start, _ = self._holes.pop()
        self._holes.append((start, end))

    def _listen(self, size: int) -> list[SegmenterEvent]:
        """Listen to the next ``size`` samples, one window or the stream's last part of one."""
        position = self._heard
        probability = self._probability(position, size)
        self._heard += size
        self._speaking = probability >= (self._release if self._speaking else self._threshold)
        if self._open is None:
            if not self._speaking:
                return []
            self._open = InProgress(max(self._floor, position - self._preroll))
        # From here on the window belongs to an utterance: its speech goes on, or pauses.
        utterance = self._open
        first, resumed = utterance.speech_start is None, utterance.paused
        utterance.take(HeardWindow(position, self._heard, probability, self._speaking))
        if not self._speaking:
            return self._pause_if_due(utterance)
        events: list[SegmenterEvent] = [SpeechStarted(position)] if first else []
        if resumed:
            events.append(SpeechResumed(position))
        if 0 < self._partial <= utterance.untold:
            utterance.untold = 0
            events.append(SpeechGoesOn(self._utterance(utterance, EndReason.SILENCE, self._heard)))
        return events

    def _pause_if_due(self, utterance: InProgress) -> list[SegmenterEvent]:
        if utterance.speech_end is None or utterance.paused or not self._pause:
            return []
        if self._heard - utterance.speech_end < self._pause:
            return []
        utterance.paused, utterance.untold = True, 0
        return [SpeechPaused(self._utterance(utterance, EndReason.SILENCE, self._heard))]

    def _listen_to_rest(self) -> list[SegmenterEvent]:
        rest = self._received - self._heard
        return self._listen(rest) if rest else []

    def _probability(self, position: int, size: int) -> float:
        samples = self._samples(position, position + size)
        if not samples.any():
            return 0.0  # a concealed hole or a muted microphone is not worth the model's time
        window = np.zeros(WINDOW, np.float32)
        window[:size] = to_float32(samples)
        return self._vad(window)

    def _end_if_due(self) -> list[SegmenterEvent]:
        utterance = self._open
        if utterance is None:
            return []
        last_speech = utterance.start if utterance.speech_end is None else utterance.speech_end
        silence = self._heard - last_speech
        if self._end_on_silence and silence >= self._silence:
            return self._end(EndReason.SILENCE)
        if utterance.speech_start is not None:
            beyond = self._heard - utterance.speech_start - self._long
            if beyond >= 0 and silence >= self._enough(beyond):
                return self._cut(utterance, EndReason.PAUSE)
        if self._heard + WINDOW - utterance.start > self._longest:
            return self._cut(utterance, EndReason.MAX_LENGTH)
        return []

    def _enough(self, beyond: int) -> int:
        """The pause, in samples, that ends speech which is so much longer than ``long_seconds``."""
        return JOINT - (JOINT - DIP) * beyond // max(self._longest - self._long, 1)

    def _cut(self, utterance: InProgress, reason: EndReason) -> list[SegmenterEvent]:
        """End the utterance at the best place; what was heard behind that is the next one's."""
        reach = self._heard - min(LOOK_BACK, self._longest // 2)
        if utterance.speech_end is not None and (utterance.paused or reason is EndReason.PAUSE):
            reach = utterance.speech_end  # a pause that was told stays the end
        place = best_cut([window for window in utterance.windows if window.start >= reach], self._level)
        behind = [window for window in utterance.windows if window.start >= place]
        ending, self._open = utterance.until(place), (following := InProgress(place))
        for window in behind:
            following.take(window)
        events = self._give(ending, reason, place)
        if following.speech_start is not None and ending.speech_end is not None:
            events.append(SpeechStarted(following.speech_start))  # else it is the one that was announced
        return events

    def _end(self, reason: EndReason, *, lost_behind: int = 0) -> list[SegmenterEvent]:
        """End the utterance in progress where the listening stands."""
        ending, self._open = self._open, None
        if ending is None or ending.start == self._heard:
            return []
        return self._give(ending, reason, self._heard, lost_behind=lost_behind)

    def _give(
        self, ending: InProgress, reason: EndReason, end: int, *, lost_behind: int = 0
    ) -> list[SegmenterEvent]:
        """The utterance, unless it is the silence around a cut; that may still be the next one's pre-roll."""
        if ending.speech_end is None:
            if self._end_on_silence:
                return []
            last = reason not in {EndReason.PAUSE, EndReason.MAX_LENGTH}
            wanted = lost_behind or ending.peak_probability >= NO_VOICE or (last and not self._given)
            if not wanted:
                return []
        self._floor = end
        self._given = True
        return [self._utterance(ending, reason, end, lost_behind=lost_behind)]

    def _level(self, window: HeardWindow) -> float:
        samples = self._samples(window.start, window.end).astype(np.float32)
        return float(np.dot(samples, samples))

    def _utterance(
        self, utterance: InProgress, reason: EndReason, end: int, *, lost_behind: int = 0
    ) -> Utterance:
        """``utterance`` as it is when it ends there."""
        start = utterance.start
        lost = [min(to, end) - max(since, start) for since, to in self._holes if to > start and since < end]
        if lost_behind:
            lost.append(lost_behind)
        return Utterance(
            samples=self._samples(start, end),
            start=start,
            end=end,
            speech_end=start if utterance.speech_end is None else utterance.speech_end,
            has_speech=utterance.speech_end is not None,
            end_reason=reason,
            gaps=len(lost),
            lost_samples=sum(lost),
            peak_probability=utterance.peak_probability,
        )

    def _samples(self, start: int, end: int) -> Samples:
        first, last = (_BYTES * (position - self._audio_from) for position in (start, end))
        return np.frombuffer(bytes(self._audio[first:last]), np.int16)

    def _forget(self) -> None:
        done = self.needed_from - self._audio_from
        del self._audio[: _BYTES * done]
        self._audio_from += done
        while self._holes and self._holes[0][1] <= self._audio_from:
            self._holes.popleft()
