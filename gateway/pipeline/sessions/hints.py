"""What the recognizer is told about a session's utterances, beside their audio.

Four voices, each louder than the one before: the settings for all devices, those of this device, what
orchestrators asked for, and (where the language is ``auto``) what was found out. The last two hold for the
device's conversation: who pushes a button to talk begins a session with each push.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from msgspec import structs

from gateway.contract.messages import WantedHints
from gateway.pipeline.sessions.names import NO_BOOT
from gateway.settings.sessions import SessionSettings
from transcription.settings import DeviceHints, TranscriptionSettings
from transcription.transcriber import Hints, Transcript

AUTO = "auto"

SURE = 0.5
"""Probability from which a detected language is kept; faster-whisper's own threshold."""

ENOUGH_SECONDS = 1.0
"""Speech from which a detected language is kept: a "ja" may be anybody's."""


class SessionHints:
    """The hints of a device's sessions; ``now`` are those for the next utterance.

    ``before``: what was asked for and found out in the sessions before, under other settings perhaps.
    """

    def __init__(
        self, settings: TranscriptionSettings, device_id: str, before: SessionHints | None = None
    ) -> None:
        self.settings = settings
        self._asked = WantedHints()
        self._detected = ""
        everyone = Hints(settings.language, settings.prompt, settings.hotwords, settings.word_timestamps)
        self.now = _changed(everyone, settings.devices.get(device_id, DeviceHints()))
        self._detecting = self.now.language == AUTO
        if before is not None:
            self.ask(before._asked)  # noqa: SLF001 - its own kind
            if self._detecting and before._detected:  # noqa: SLF001
                self._pin(before._detected)  # noqa: SLF001

    def know(self, names: tuple[str, ...]) -> None:
        """The names of the house that may be said from now on."""
        if names != self.now.names:
            self.now = replace(self.now, names=names)

    def ask(self, wanted: WantedHints) -> None:
        """Hear the rest of the conversation like this."""
        self._asked = _merged(self._asked, wanted)
        self.now = _changed(self.now, wanted)
        if wanted.language is not None:
            self._detecting = wanted.language == AUTO
            self._detected = ""

    def learn(self, transcript: Transcript, speech_seconds: float) -> None:
        """The text of an utterance: a language that was surely detected in it is that of the conversation."""
        sure = transcript.language_probability >= SURE and speech_seconds >= ENOUGH_SECONDS
        if self._detecting and sure and transcript.text:
            self._pin(transcript.language)

    def _pin(self, language: str) -> None:
        self._detecting, self._detected = False, language
        self.now = replace(self.now, language=language)


class ConversationHints:
    """The hints of every device, kept until nothing was heard of its conversation for ``hints_seconds``.

    Of more devices than there may be sessions, the one that was silent for longest is forgotten first.
    Times are the event loop's, in seconds.
    """

    def __init__(self, settings: SessionSettings) -> None:
        self._seconds = settings.hints_seconds
        self._most = settings.max_sessions
        self._kept: OrderedDict[str, tuple[int, float, SessionHints]] = OrderedDict()

    def begin(self, device_id: str, boot: int, settings: TranscriptionSettings, now: float) -> SessionHints:
        """Those for a session that begins; of a device that was switched off in between they are new."""
        known_boot, heard_at, hints = self._kept.get(device_id, (boot, now, None))
        if hints is not None and (known_boot not in (boot, NO_BOOT) or now - heard_at > self._seconds):
            hints = None
        if hints is None or hints.settings is not settings:
            hints = SessionHints(settings, device_id, hints)
        self.keep(device_id, boot, hints, now)
        return hints

    def keep(self, device_id: str, boot: int, hints: SessionHints, now: float) -> None:
        """Something was heard of a device's conversation, which has these hints."""
        self._kept[device_id] = (boot, now, hints)
        self._kept.move_to_end(device_id)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def ask(self, device_id: str, wanted: WantedHints, settings: TranscriptionSettings, now: float) -> None:
        """Hear like this what is said with a device from now on, also if its conversation only begins with that."""
        boot, heard_at, hints = self._kept.get(device_id, (NO_BOOT, now, None))
        if hints is None or now - heard_at > self._seconds:
            boot, hints = NO_BOOT, SessionHints(settings, device_id)
        hints.ask(wanted)
        self.keep(device_id, boot, hints, now)

    def of(self, device_id: str) -> SessionHints | None:
        """Those of a device's conversation, also when it is silent at the moment; None if they are forgotten."""
        _, _, hints = self._kept.get(device_id, (0, 0.0, None))
        return hints


def _merged(asked: WantedHints, by: WantedHints) -> WantedHints:
    """What both ask for; ``by`` is the later one."""
    return structs.replace(
        asked, **{name: new for name, new in structs.asdict(by).items() if new is not None}
    )


def _changed(hints: Hints, by: DeviceHints | WantedHints) -> Hints:
    """``hints`` with what ``by`` says; None says nothing."""
    return replace(
        hints,
        language=hints.language if by.language is None else by.language,
        prompt=hints.prompt if by.prompt is None else by.prompt,
        hotwords=hints.hotwords if by.hotwords is None else by.hotwords,
        word_timestamps=hints.word_timestamps if by.word_timestamps is None else by.word_timestamps,
    )
