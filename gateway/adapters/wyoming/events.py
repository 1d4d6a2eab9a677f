"""The vocabulary of Wyoming, as programs of Home Assistant's world speak it: one value for each event. No I/O.

``kind`` is an event's name on the wire; the fields are those of its data, and None stands for what is left out. Times
are in milliseconds. ``context`` is whatever one side wants to have back from the other. What the two sides are is in
``info.py``; how events stand in bytes is in ``wire.py``.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

from msgspec import Meta, Struct

Context: TypeAlias = dict[str, Any] | None
Milliseconds: TypeAlias = int | float | None


class WyomingEvent(Struct, frozen=True, omit_defaults=True):
    """What all events have in common."""

    kind: ClassVar[str]


class TranscribeRequest(WyomingEvent, frozen=True):
    """Sound follows, and its text is wanted. ``name``: of a model. ``transcript_names`` go before ``_terms``."""

    kind = "transcribe"

    name: str | None = None
    language: str | None = None
    context: Context = None
    vad_sensitivity: str | None = None
    transcript_names: tuple[str, ...] | None = None
    transcript_terms: tuple[str, ...] | None = None


class TranscriptResult(WyomingEvent, frozen=True):
    """The text of what was heard; to a conversation agent, what somebody said."""

    kind = "transcript"

    text: str
    language: str | None = None
    context: Context = None


class TranscriptStart(WyomingEvent, frozen=True):
    """The text follows in pieces."""

    kind = "transcript-start"

    language: str | None = None
    context: Context = None


class TranscriptChunk(WyomingEvent, frozen=True):
    """More of the text, to be put behind what came before."""

    kind = "transcript-chunk"

    text: str


class TranscriptStop(WyomingEvent, frozen=True):
    """No more of the text follows."""

    kind = "transcript-stop"


class SoundForm(Struct, frozen=True):
    """PCM: ``rate`` in Hz, ``width`` in bytes of one sample, little-endian (one byte: unsigned)."""

    rate: Annotated[int, Meta(ge=1, le=1_000_000)]
    width: Annotated[int, Meta(ge=1, le=8)]
    channels: Annotated[int, Meta(ge=1, le=64)]
    timestamp: Milliseconds = None

    def is_like(self, other: SoundForm) -> bool:
        """Whether it is the same, whenever that was."""
        return (self.rate, self.width, self.channels) == (other.rate, other.width, other.channels)


class SoundStart(WyomingEvent, SoundForm, frozen=True, omit_defaults=False):
    """Sound follows, in this form."""

    kind = "audio-start"


class SoundChunk(WyomingEvent, frozen=True):
    """A piece of the sound; the one event with a payload, which may end in the middle of a sample."""

    kind = "audio-chunk"

    form: SoundForm
    audio: bytes


class SoundStop(WyomingEvent, frozen=True, omit_defaults=False):
    """No more sound follows."""

    kind = "audio-stop"

    timestamp: Milliseconds = None


class SoundPlayed(WyomingEvent, frozen=True):
    """The sound that was sent is over."""

    kind = "played"


class VoiceStarted(WyomingEvent, frozen=True, omit_defaults=False):
    """Somebody began to speak."""

    kind = "voice-started"

    timestamp: Milliseconds = None


class VoiceStopped(WyomingEvent, frozen=True, omit_defaults=False):
    """Nobody speaks any more."""

    kind = "voice-stopped"

    timestamp: Milliseconds = None


class Detect(WyomingEvent, frozen=True, omit_defaults=False):
    """Sound follows, in which one of these wake words may be (None: any)."""

    kind = "detect"

    names: tuple[str, ...] | None = None
    context: Context = None


class Detection(WyomingEvent, frozen=True, omit_defaults=False):
    """A wake word was heard."""

    kind = "detection"

    name: str | None = None
    timestamp: Milliseconds = None
    speaker: str | None = None
    context: Context = None


class NotDetected(WyomingEvent, frozen=True):
    """The sound ended without a wake word."""

    kind = "not-detected"

    context: Context = None


class Recognize(WyomingEvent, frozen=True):
    """What a text wants to have done is asked."""

    kind = "recognize"

    text: str
    context: Context = None


class IntentEntity(Struct, frozen=True):
    """A slot of an intent, and what stands in it."""

    name: str
    value: Any = None


class Intent(WyomingEvent, frozen=True):
    """What is to be done, for whoever asked to do; ``text`` is what to say about it."""

    kind = "intent"

    name: str
    entities: tuple[IntentEntity, ...] = ()
    text: str | None = None
    context: Context = None


class IntentsStart(WyomingEvent, frozen=True):
    """Intents follow, one or more."""

    kind = "intents-start"

    context: Context = None


class IntentsStop(WyomingEvent, frozen=True):
    """No more intents follow."""

    kind = "intents-stop"

    context: Context = None


class NotRecognized(WyomingEvent, frozen=True):
    """Nobody knows what the text wants; ``text`` is what to say about it."""

    kind = "not-recognized"

    text: str | None = None
    context: Context = None


class Handled(WyomingEvent, frozen=True):
    """The answer to a text."""

    kind = "handled"

    text: str | None = None
    context: Context = None


class NotHandled(WyomingEvent, frozen=True):
    """There is no answer to a text; ``text`` is what to say about it."""

    kind = "not-handled"

    text: str | None = None
    context: Context = None


class HandledStart(WyomingEvent, frozen=True):
    """The answer follows in pieces."""

    kind = "handled-start"

    context: Context = None


class HandledChunk(WyomingEvent, frozen=True):
    """More of the answer."""

    kind = "handled-chunk"

    text: str


class HandledStop(WyomingEvent, frozen=True):
    """No more of the answer follows."""

    kind = "handled-stop"


class ErrorReport(WyomingEvent, frozen=True):
    """What went wrong, for people, and (``code``) for programs."""

    kind = "error"

    text: str
    code: str | None = None


class PingEvent(WyomingEvent, frozen=True, omit_defaults=False):
    """The answer is a pong with the same text."""

    kind = "ping"

    text: str | None = None


class PongEvent(WyomingEvent, frozen=True, omit_defaults=False):
    """The answer to a ping."""

    kind = "pong"

    text: str | None = None


class SynthesizeVoice(Struct, frozen=True, omit_defaults=True):
    """Whose voice, or any in this language."""

    name: str | None = None
    language: str | None = None
    speaker: str | None = None


class Synthesize(WyomingEvent, frozen=True):
    """A text to be spoken; a satellite is told it for its own use."""

    kind = "synthesize"

    text: str
    voice: SynthesizeVoice | None = None
    context: Context = None


class RunSatellite(WyomingEvent, frozen=True):
    """To a satellite: from now on its sound is wanted."""

    kind = "run-satellite"


class PauseSatellite(WyomingEvent, frozen=True):
    """To a satellite: its sound is not wanted any more."""

    kind = "pause-satellite"


class SatelliteConnected(WyomingEvent, frozen=True):
    """A satellite has its server."""

    kind = "satellite-connected"


class SatelliteDisconnected(WyomingEvent, frozen=True):
    """A satellite has lost its server."""

    kind = "satellite-disconnected"


class StreamingStarted(WyomingEvent, frozen=True):
    """A satellite sends its sound now."""

    kind = "streaming-started"


class StreamingStopped(WyomingEvent, frozen=True):
    """A satellite sends no sound any more."""

    kind = "streaming-stopped"


class RunPipeline(WyomingEvent, frozen=True):
    """From a satellite: sound follows, and is to go from stage to stage (wake, asr, intent, handle, tts)."""

    kind = "run-pipeline"

    start_stage: str
    end_stage: str
    restart_on_end: bool = False
    wake_word_name: str | None = None
    wake_word_names: tuple[str, ...] | None = None
    announce_text: str | None = None
