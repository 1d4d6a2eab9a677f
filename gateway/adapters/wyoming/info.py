"""What a peer is, as Wyoming has it: the answer to ``describe``. No I/O.

Of what others are only that is read which concerns us: what a satellite is.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from gateway.adapters.wyoming.events import SoundForm, WyomingEvent


class Describe(WyomingEvent, frozen=True):
    """The answer is ``info``."""

    kind = "describe"


class SelectProgram(WyomingEvent, frozen=True):
    """Which of the programs in ``info`` is meant on this connection; without it the first of each kind."""

    kind = "select-program"

    name: str


class Attribution(Struct, frozen=True):
    """Who made something, and where it is from."""

    name: str
    url: str


NAME: Final = "Earshot"
EARSHOT: Final = Attribution(NAME, "https://pypi.org/project/earshot-gateway/")


class Artifact(Struct, frozen=True, kw_only=True):
    """What all programs and models say of themselves; older ones have no version."""

    name: str
    attribution: Attribution
    installed: bool
    description: str | None = None
    version: str | None = None


class ArtifactModel(Artifact, frozen=True, kw_only=True):
    """A model of a program, and which languages it knows."""

    languages: tuple[str, ...]


class AsrProgram(Artifact, frozen=True, kw_only=True):
    """Speech to text. ``requires_external_vad``: whoever sends sound has to say where speech ends."""

    models: tuple[ArtifactModel, ...]
    supports_transcript_streaming: bool = False
    requires_external_vad: bool = True
    prefers_auto_gain_enabled: bool = True
    prefers_noise_reduction_enabled: bool = True


class HandleProgram(Artifact, frozen=True, kw_only=True):
    """Text to an answer. ``supports_home_control``: it may do things in the house meanwhile."""

    models: tuple[ArtifactModel, ...]
    supports_handled_streaming: bool = False
    supports_home_control: bool = False


class IntentProgram(Artifact, frozen=True, kw_only=True):
    """Text to what is to be done."""

    models: tuple[ArtifactModel, ...]


class WakeModel(ArtifactModel, frozen=True, kw_only=True):
    """A wake word."""

    phrase: str | None = None


class WakeProgram(Artifact, frozen=True, kw_only=True):
    """What hears wake words."""

    models: tuple[WakeModel, ...]


class MicProgram(Artifact, frozen=True, kw_only=True):
    """A microphone."""

    mic_format: SoundForm | None = None


class SndProgram(Artifact, frozen=True, kw_only=True):
    """A loudspeaker."""

    snd_format: SoundForm | None = None


class SatelliteInfo(Artifact, frozen=True, kw_only=True):
    """A satellite, and what it does itself."""

    area: str | None = None
    has_vad: bool | None = None
    active_wake_words: tuple[str, ...] | None = None
    max_active_wake_words: int | None = None
    supports_trigger: bool | None = None


class Info(WyomingEvent, frozen=True, omit_defaults=False):
    """All that a peer is."""

    kind = "info"

    asr: tuple[AsrProgram, ...] = ()
    handle: tuple[HandleProgram, ...] = ()
    intent: tuple[IntentProgram, ...] = ()
    wake: tuple[WakeProgram, ...] = ()
    mic: tuple[MicProgram, ...] = ()
    snd: tuple[SndProgram, ...] = ()
    satellite: SatelliteInfo | None = None
