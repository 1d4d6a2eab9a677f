"""Who is listened to only after a wake word, and after which; what is wrong with it, as the gateway's health shows it.

A word that cannot be heard leaves its devices unheard: what nobody has said to the gateway is none of its business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.settings import DeviceSettings
from gateway.observing.health import Health, HealthState
from transcription.errors import ModelUnavailable
from transcription.utterance.segmenter import UtteranceSegmenter
from transcription.wake.ear import Ear, prepare, probe
from transcription.wake.gate import WakeGate
from transcription.wake.words import WakeWord, find_wake_word

COMPONENT = "wake word"
RETRY_SECONDS = 10.0
"""How often a word that could not be heard is tried again."""
TOLD = 3
"""Words whose trouble is told."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A wake word as the settings have it."""

    name: str
    certainty: float | None


class WakeWords:
    """Makes the gates of streams. ``load`` before the first, and ``watch`` beside."""

    def __init__(
        self, devices: DeviceSettings, health: Health, place: Callable[[str], tuple[str, str]]
    ) -> None:
        """``place`` tells whose a device is, and in which room."""
        self._devices = devices
        self._place = place
        self._health = health
        self._known: dict[_Wanted, WakeWord | ModelUnavailable] = {}
        self._changed = asyncio.Event()

    def of(self, device_id: str) -> tuple[str, ...]:
        """The wake words of a device; none: it needs none."""
        wake = self._devices.wake
        own = wake.devices.get(device_id)
        return wake.rooms.get(self._place(device_id)[1], ()) if own is None else own

    def gate(self, device_id: str, segmenter: Callable[[], UtteranceSegmenter]) -> WakeGate:
        """In front of what cuts a stream of the device into utterances."""
        wanted = tuple(map(self._wanted, self.of(device_id)))
        return WakeGate(lambda: self._listen(wanted), segmenter, self._devices.wake.seconds)

    def reconfigure(self, devices: DeviceSettings) -> None:
        """From now on by these settings; words that are new are looked for."""
        self._devices = devices
        self._changed.set()

    async def load(self) -> None:
        """Find and try the words that are wanted; tell how that went."""
        missing = [one for one in self._all() if not isinstance(self._known.get(one), WakeWord)]
        for one in missing:
            self._known[one] = await asyncio.to_thread(_find, one)
        self._tell()

    async def watch(self) -> None:
        """Look again for what is missing, as long as anything is."""
        while True:
            waits = RETRY_SECONDS if any(self._failures()) else None
            try:
                async with asyncio.timeout(waits):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self.load()

    def _wanted(self, name: str) -> _Wanted:
        return _Wanted(name, self._devices.wake.certainty.get(name))

    def _all(self) -> list[_Wanted]:
        wake = self._devices.wake
        names = [name for words in (*wake.devices.values(), *wake.rooms.values()) for name in words]
        return list(map(self._wanted, dict.fromkeys(names)))

    def _listen(self, wanted: tuple[_Wanted, ...]) -> Ear | None:
        """With as many of the words as can be heard."""
        words = [word for word in map(self._known.get, wanted) if isinstance(word, WakeWord)]
        if not words:
            return None
        try:
            return Ear(words)
        except ModelUnavailable as error:
            self._known |= dict.fromkeys(wanted, error)
            self._tell()
            self._changed.set()
            return None

    def _failures(self) -> dict[str, ModelUnavailable]:
        found = {one.name: self._known.get(one) for one in self._all()}
        return {name: error for name, error in found.items() if isinstance(error, ModelUnavailable)}

    def _tell(self) -> None:
        wanted, failures = self._all(), self._failures()
        if not wanted:
            self._health.forget(COMPONENT)
            return
        names = ", ".join(one.name for one in wanted if one.name not in failures)
        if not failures:
            self._health.set(COMPONENT, HealthState.HEALTHY, detail=names)
            return
        told = list(failures.items())[:TOLD]
        reasons = [f"{name} is not heard: {error}" for name, error in told]
        remedy = "; ".join(dict.fromkeys(error.remedy for _, error in told))
        works = len(failures) < len(wanted)
        self._health.set(
            COMPONENT, HealthState.DEGRADED, "; ".join(reasons), remedy, works=works, detail=names
        )


def _find(wanted: _Wanted) -> WakeWord | ModelUnavailable:
    try:
        word = find_wake_word(wanted.name, wanted.certainty)
        prepare()
        if word.is_own:
            probe(word)
    except ModelUnavailable as error:
        return error
    return word
