"""How a realtime session is set: what a client says of it and is shown, in the present form's names or the beta's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.web.openai.cutting import cut_as_asked
from gateway.web.openai.errors import WrongRequest
from gateway.web.openai.languages import asked_language
from gateway.web.openai.options import MOST_CHARACTERS
from transcription.settings import SegmenterSettings, TranscriptionSettings
from transcription.sound_files.pcm_stream import PCM_RATES, PcmFormat, PcmKind
from transcription.transcriber import Hints

INPUT: Final = "session.audio.input"
PCM_RATE: Final = 24_000
"""OpenAI's only one; here any is taken."""
G711_RATE: Final = 8_000
_KINDS: Final[dict[str, PcmKind]] = {"audio/pcm": "s16", "audio/pcmu": "mulaw", "audio/pcma": "alaw"}
_BETA_FORMATS: Final = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_BETA_NAMES: Final = {name: beta for beta, name in _BETA_FORMATS.items()}

_Text = Annotated[str, Meta(max_length=MOST_CHARACTERS)]
_Name = Annotated[str, Meta(max_length=200)]
_Word = Annotated[str, Meta(max_length=100)]


class AudioFormat(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bytes of the client's audio are."""

    type: str
    rate: int | None = None

    @property
    def pcm(self) -> PcmFormat:
        """The same for whoever reads it. Raises WrongRequest."""
        kind = _KINDS.get(self.type)
        if kind is None:
            raise WrongRequest(
                f"the format is one of {', '.join(_KINDS)}, not '{self.type[:40]}'", f"{INPUT}.format.type"
            )
        rate = PCM_RATE if kind == "s16" else G711_RATE
        if self.rate is not None and self.rate not in PCM_RATES:
            raise WrongRequest(
                f"{self.rate} Hz is none of {PCM_RATES[0]} to {PCM_RATES[-1]}", f"{INPUT}.format.rate"
            )
        return PcmFormat(self.rate or rate, kind)


class AskedTranscription(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of the transcripts. ``languages``: several that may be spoken; then it is found out."""

    model: _Name | None = None
    language: _Name | None = None
    languages: Annotated[tuple[_Name, ...], Meta(max_length=100)] | None = None
    prompt: _Text | None = None
    keywords: Annotated[tuple[_Word, ...], Meta(max_length=100)] | None = None


class TurnDetection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it is told that somebody has finished; what is left out is as the gateway is configured."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None
    eagerness: Literal["low", "medium", "high", "auto"] | None = None


class NoiseReduction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Taken and shown, and nothing is done: our voice activity and the model want sound as it is."""

    type: _Name | None = None
    strength: float | None = None


_Noise = NoiseReduction | None


class _Input(Struct, frozen=True, kw_only=True):
    format: AudioFormat | UnsetType = UNSET
    transcription: AskedTranscription | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    noise_reduction: _Noise | UnsetType = UNSET


class _Audio(Struct, frozen=True, kw_only=True):
    input: _Input = _Input()


class AskedSession(Struct, frozen=True, kw_only=True):
    """What a client wants to be other than it is, in either form's names."""

    type: str | None = None
    audio: _Audio = _Audio()
    include: Annotated[tuple[_Name, ...], Meta(max_length=20)] | UnsetType | None = UNSET
    input_audio_format: str | UnsetType = UNSET
    input_audio_transcription: AskedTranscription | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET
    input_audio_noise_reduction: _Noise | UnsetType = UNSET


class RealtimeSetting(Struct, frozen=True, kw_only=True):
    """How a session is set. ``turn_detection`` None: what was said is complete when the client says so."""

    format: AudioFormat = AudioFormat(type="audio/pcm", rate=PCM_RATE)
    transcription: AskedTranscription = AskedTranscription()
    turn_detection: TurnDetection | None = TurnDetection()
    noise_reduction: _Noise = None
    include: tuple[str, ...] | None = None

    def changed(self, asked: AskedSession) -> RealtimeSetting:
        """As the client wants it. Raises WrongRequest, and nothing is changed."""
        if asked.type not in (None, "transcription"):
            raise WrongRequest(
                f"there are sessions of the type transcription here, not '{asked.type[:40]}': nobody answers in them",
                "session.type",
                "unsupported_session_type",
            )
        given = asked.audio.input
        changes: dict[str, Any] = {
            "format": _first(given.format, _of_beta(asked.input_audio_format)),
            "transcription": _first(given.transcription, asked.input_audio_transcription),
            "turn_detection": _first(given.turn_detection, asked.turn_detection),
            "noise_reduction": _first(given.noise_reduction, asked.input_audio_noise_reduction),
            "include": asked.include,
        }
        wanted = {name: value for name, value in changes.items() if value is not UNSET}
        if wanted.get("transcription", self) is None:  # there is nothing else here
            wanted["transcription"] = AskedTranscription()
        setting: RealtimeSetting = msgspec.structs.replace(self, **wanted)
        setting.format.pcm  # noqa: B018 - raises
        return setting

    def hints(self, configured: TranscriptionSettings, languages: Sequence[str]) -> Hints:
        """How it is heard: as configured, but for what the client says. Raises WrongRequest.

        ``languages``: those that the model knows; none: nobody knows.
        """
        asked = self.transcription
        words = None if asked.keywords is None else ", ".join(asked.keywords)
        if words is not None and len(words) > MOST_CHARACTERS:
            raise WrongRequest(
                f"keywords have more than {MOST_CHARACTERS} characters together",
                f"{INPUT}.transcription.keywords",
            )
        return Hints(
            language=asked_language(asked.language, asked.languages or (), languages),
            prompt=configured.prompt if asked.prompt is None else asked.prompt,
            hotwords=configured.hotwords if words is None else words,
        )

    def segmenter(self, configured: SegmenterSettings) -> SegmenterSettings:
        """Where utterances begin and end: as configured, but for what the client says. Raises WrongRequest."""
        turns = self.turn_detection or TurnDetection()
        try:
            return cut_as_asked(
                configured, turns.threshold, turns.prefix_padding_ms, turns.silence_duration_ms
            )
        except msgspec.ValidationError as error:
            raise WrongRequest(str(error), f"{INPUT}.turn_detection", "invalid_value") from error

    def shown(self, session_id: str, model: str, configured: SegmenterSettings) -> dict[str, Any]:
        """The session in the present form's names; ``model``: what it is called where the client has not said it."""
        asked = self.transcription
        sound = {"type": self.format.type}
        return {
            "id": session_id,
            "object": "realtime.transcription_session",
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {**sound, "rate": self.format.pcm.rate}
                    if sound["type"] == "audio/pcm"
                    else sound,
                    "transcription": msgspec.to_builtins(
                        msgspec.structs.replace(asked, model=asked.model or model)
                    ),
                    "turn_detection": self._shown_turns(configured),
                    "noise_reduction": msgspec.to_builtins(self.noise_reduction),
                }
            },
            "include": self.include,
        }

    def shown_in_beta(self, session_id: str, model: str, configured: SegmenterSettings) -> dict[str, Any]:
        """The same in the beta's."""
        shown = self.shown(session_id, model, configured)
        given = shown["audio"]["input"]
        return {
            "id": session_id,
            "object": "realtime.transcription_session",
            "input_audio_format": _BETA_NAMES[self.format.type],
            "input_audio_transcription": given["transcription"],
            "turn_detection": given["turn_detection"],
            "input_audio_noise_reduction": given["noise_reduction"],
            "include": self.include,
        }

    def _shown_turns(self, configured: SegmenterSettings) -> dict[str, Any] | None:
        """As it is in effect."""
        turns, cut = self.turn_detection, self.segmenter(configured)
        if turns is None:
            return None
        if turns.type == "semantic_vad":
            return {"type": turns.type, "eagerness": turns.eagerness or "auto"}
        return {
            "type": turns.type,
            "threshold": cut.threshold,
            "prefix_padding_ms": cut.preroll_ms,
            "silence_duration_ms": cut.silence_ms,
        }


def _first(given: Any, in_beta: Any) -> Any:
    """What was said, whichever name it was said by."""
    return in_beta if given is UNSET else given


def _of_beta(name: str | UnsetType) -> AudioFormat | UnsetType:
    if name is UNSET:
        return UNSET
    if name not in _BETA_FORMATS:
        raise WrongRequest(
            f"the format is one of {', '.join(_BETA_FORMATS)}, not '{name[:40]}'",
            "session.input_audio_format",
        )
    return AudioFormat(type=_BETA_FORMATS[name])
