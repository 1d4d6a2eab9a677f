"""The doctor's look at wake words: whether each one that is configured can be heard."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_bridge.settings import WakeSettings
from gateway.commands.doctor.finding import Finding, fail, ok
from transcription.errors import ModelUnavailable
from transcription.wake.ear import Ear, probe
from transcription.wake.words import find_wake_word


def wake_words(settings: WakeSettings) -> Iterator[Finding]:
    """Nothing, where none is configured."""
    for name, places in _wanted(settings).items():
        where = ", ".join(places)
        try:
            word = find_wake_word(name, settings.certainty.get(name))
            if word.is_own:
                probe(word)
            Ear([word])
        except ModelUnavailable as error:
            yield fail(
                "wake word",
                f"{name} cannot be heard, and so not who waits for it: {where}: {error}",
                error.remedy,
            )
        else:
            yield ok("wake word", f"{name} ({word.phrase}) for {where}")


def _wanted(settings: WakeSettings) -> dict[str, list[str]]:
    """The words, and for which devices and rooms each is."""
    where: dict[str, list[str]] = {}
    for words_of in (settings.devices, settings.rooms):
        for place, words in words_of.items():
            for word in words:
                where.setdefault(word, []).append(place)
    return where
