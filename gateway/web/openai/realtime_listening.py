"""The audio of one realtime session: into its dictation, and what comes of that into items that are told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.access.limits import Buckets, Rate
from gateway.pipeline.dictation.dictation import (
    Began,
    Dictation,
    DictationEvent,
    Ended,
    NoText,
    SoFar,
    Understood,
)
from gateway.web.openai.errors import WrongRequest
from gateway.web.openai.realtime_items import SpokenText
from gateway.web.openai.realtime_messages import (
    AudioCommitted,
    AudioSpeechStarted,
    AudioSpeechStopped,
    BetaItemCreated,
    ItemAdded,
    ItemDone,
    ServerMessage,
    spoken_item,
)
from gateway.web.openai.realtime_settings import RealtimeSetting
from transcription.audio import SAMPLE_RATE, milliseconds
from transcription.sound_files.pcm_stream import PcmStream
from transcription.utterance.segmenter import EndReason

PIECE_SECONDS: Final = 0.2
"""So much of a long message is heard at once."""
PACE: Final = Rate(per_second=8.0, burst=60.0)
"""Seconds of audio: what comes faster waits."""
CHANGE_SECONDS: Final = 1.0
"""Another format costs as much as so much audio."""
LEAST: Final = SAMPLE_RATE // 10
"""Samples; less than that is nothing that somebody wants to have understood."""


class RealtimeListening:
    """``tell`` gets what comes of the dictation; its positions are those of all samples that were heard."""

    def __init__(self, setting: RealtimeSetting, preroll: int, put: Callable[[ServerMessage], None]) -> None:
        """``preroll``: samples that an utterance has from before its speech was noticed."""
        self.in_beta = False
        self._setting = setting
        self._preroll = preroll
        self._put = put
        self._stream = PcmStream(setting.format.pcm)
        self._pace = Buckets(PACE, 1)
        self._heard = 0
        self._done = 0
        """Samples that are in items, or that nobody wants."""
        self._open: SpokenText | None = None
        self._items: dict[int, SpokenText] = {}
        self._last: str | None = None

    async def change(self, dictation: Dictation, setting: RealtimeSetting, preroll: int) -> None:
        """What comes from now on is of this setting."""
        if setting.format != self._setting.format:
            await self._paced(CHANGE_SECONDS)
            await self._hear(dictation, self._stream.finish())
            self._stream = PcmStream(setting.format.pcm)
        self._setting, self._preroll = setting, preroll

    async def append(self, dictation: Dictation, data: bytes) -> None:
        """More audio of the client's. Waits while there is too much to do."""
        sound = self._setting.format.pcm
        size = int(sound.rate * PIECE_SECONDS) * sound.frame_bytes
        for at in range(0, len(data), size):
            pcm = self._stream.feed(data[at : at + size])
            await self._paced(len(pcm) / 2 / SAMPLE_RATE)
            await self._hear(dictation, pcm)

    async def commit(self, dictation: Dictation) -> None:
        """What was said until now is complete. Raises WrongRequest when there is too little of it."""
        await self._hear(dictation, self._stream.finish())
        samples = self._heard - self._done
        if samples < LEAST and self._open is None:
            had = f"{milliseconds(samples):.2f} ms"
            raise WrongRequest(
                f"the buffer is too small: 100 ms of audio are the least, and it has {had}",
                code="input_audio_buffer_commit_empty",
            )
        item = self._open = self._open or SpokenText()
        dictation.commit()
        if self._open is item:  # with speech, its end has done it already
            item.samples = samples
            self._commit(item)
        self._done = self._heard

    def clear(self, dictation: Dictation) -> None:
        """What is not complete is not wanted."""
        self._stream.finish()
        dictation.clear()
        self._items = {number: item for number, item in self._items.items() if item is not self._open}
        self._open = None
        self._done = self._heard

    def tell(self, event: DictationEvent) -> None:
        """What came of it."""
        match event:
            case Began(number, position):
                self._began(number, position)
            case SoFar(number, text) if number in self._items:
                self._put_all(self._items[number].so_far(number, text.stable))
            case Ended():
                self._ended(event)
            case Understood(number, transcript) if number in self._items:
                self._put_all(self._items.pop(number).understood(number, transcript.text))
            case NoText(number, error) if number in self._items:
                self._put_all(self._items.pop(number).not_understood(number, error))

    async def _paced(self, seconds: float) -> None:
        """So much more has come."""
        await asyncio.sleep(self._pace.owe("", time.monotonic(), seconds))

    async def _hear(self, dictation: Dictation, pcm: bytes) -> None:
        self._heard += len(pcm) // 2
        await dictation.hear(pcm)

    def _began(self, number: int, position: int) -> None:
        item = self._items[number] = self._open = self._open or SpokenText()
        if self._setting.turn_detection is not None:
            start = max(self._done, position - self._preroll)
            self._put(AudioSpeechStarted(item_id=item.id, audio_start_ms=_milliseconds(start)))

    def _ended(self, event: Ended) -> None:
        item = self._items[event.number] = self._items.get(event.number) or self._open or SpokenText()
        item.ended(event.number, event.end - event.start)
        if self._setting.turn_detection is None:
            self._open = item  # it was long, and goes on
            return
        self._done = event.end
        if event.reason is not EndReason.STOP:
            self._put(AudioSpeechStopped(item_id=item.id, audio_end_ms=_milliseconds(event.end)))
        self._commit(item)

    def _commit(self, item: SpokenText) -> None:
        before, self._last, self._open = self._last, item.id, None
        self._put(AudioCommitted(item_id=item.id, previous_item_id=before))
        told = (BetaItemCreated,) if self.in_beta else (ItemAdded, ItemDone)
        for kind in told:
            self._put(kind(item=spoken_item(item.id), previous_item_id=before))
        self._put_all(item.committed())

    def _put_all(self, messages: list[ServerMessage]) -> None:
        for message in messages:
            self._put(message)


def _milliseconds(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE
