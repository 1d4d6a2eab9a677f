"""All that programs dictate: how many at once, and how much of that is whose.

::

    DictationRefused
      TooManyDictations    so many are under way already, or so many of one owner
      DictationClosed      the gateway is stopping
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from firmware_bridge.shares import has_share
from gateway.pipeline.dictation.dictation import Dictation, DictationEvent, DictationWishes
from gateway.pipeline.sessions.house_names import HouseNames
from transcription.recognizing import Recognizing
from transcription.settings import SegmenterSettings, TranscriptionSettings
from transcription.utterance.segmenter import VoiceActivity

MOST = 128
"""At once; an owner never has more than are left for others."""


class DictationRefused(Exception):
    """Base of why nothing can be dictated now; its words are for whoever wanted to."""


class TooManyDictations(DictationRefused):
    """So many are under way already, or so many of one owner."""


class DictationClosed(DictationRefused):
    """The gateway is stopping."""


class Dictations:
    """Begins them, and knows those that are under way."""

    def __init__(
        self,
        recognizer: Recognizing,
        listen: Callable[[], VoiceActivity],
        settings: TranscriptionSettings,
        names: HouseNames,
    ) -> None:
        """``listen`` makes the voice activity of what begins."""
        self.names = names
        """Those of the house, for who dictates what is meant for it."""
        self._recognizer = recognizer
        self._listen = listen
        self._settings = settings
        self._open: set[Dictation] = set()
        self._closed = False

    def reconfigure(self, settings: TranscriptionSettings) -> None:
        """For those that begin from now on."""
        self._settings = settings

    @property
    def settings(self) -> TranscriptionSettings:
        """How speech is heard now."""
        return self._settings

    @property
    def in_speech(self) -> bool:
        """Whether somebody is dictating just now."""
        return any(one.in_speech for one in self._open)

    def begin(
        self,
        wanted: DictationWishes,
        *,
        owner: str,
        tell: Callable[[DictationEvent], None],
        settings: SegmenterSettings | None = None,
    ) -> Dictation:
        """A new one, of ``owner`` (a program, or the token it shows); ``tell`` gets what comes of it.

        ``settings``: how it is cut, where that differs from what is configured. Raises DictationRefused.
        """
        if self._closed:
            raise DictationClosed("the gateway is stopping")
        taken = Counter(one.owner for one in self._open)
        if not has_share(MOST, taken, owner):
            raise TooManyDictations(
                f"{len(self._open)} are dictated already, {taken[owner]} of them of {owner}"
            )
        one = Dictation(
            self._recognizer,
            self._listen,
            self._settings.segmenter if settings is None else settings,
            wanted,
            owner=owner,
            wait_seconds=self._settings.wait_seconds,
            tell=tell,
            on_end=self._open.discard,
        )
        self._open.add(one)
        return one

    def close(self) -> None:
        """No more of them; those that are under way get what is understood until the recognizer ends."""
        self._closed = True
