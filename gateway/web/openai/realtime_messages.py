"""What a realtime client and we say to each other, in OpenAI's words: JSON in, messages out. No I/O."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct, field

from gateway.contract.messages import new_id
from gateway.web.openai.errors import ErrorDetails, WrongRequest
from gateway.web.openai.realtime_settings import AskedSession

_PLACE = re.compile(r" - at `\$\.?(.*)`\Z")
_SHOWN: Final = 64
_EventId = Annotated[str, Meta(max_length=512)]


class ClientMessage(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what a client says."""

    event_id: _EventId | None = None


class UpdateRealtime(ClientMessage, frozen=True, tag="session.update"):
    """Be other than you are."""

    session: AskedSession


class UpdateBetaSession(ClientMessage, frozen=True, tag="transcription_session.update"):
    """The same in the beta's words; from now on it is answered in them."""

    session: AskedSession


class AppendAudio(ClientMessage, frozen=True, tag="input_audio_buffer.append"):
    """More of what is said, in base64."""

    audio: str

    def data(self) -> bytes:
        """Raises WrongRequest."""
        try:
            return base64.b64decode(self.audio.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise WrongRequest(f"the audio is not base64: {error}", "audio") from error


class CommitAudio(ClientMessage, frozen=True, tag="input_audio_buffer.commit"):
    """What was said until now is complete."""


class ClearAudio(ClientMessage, frozen=True, tag="input_audio_buffer.clear"):
    """What is not complete yet is not wanted."""


Known: TypeAlias = UpdateRealtime | UpdateBetaSession | AppendAudio | CommitAudio | ClearAudio
KNOWN: Final = tuple(str(one.__struct_config__.tag) for one in (
    UpdateRealtime, UpdateBetaSession, AppendAudio, CommitAudio, ClearAudio,
))  # fmt: skip
ANSWERING: Final = ("response.", "conversation.item.", "output_audio_buffer.")
"""What messages begin with that are about answers and their conversation."""


class WrongMessage(WrongRequest):
    """What was said is nothing that can be done; ``event_id``: by which the client knows the message, if it does."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, *, event_id: str | None = None
    ) -> None:
        super().__init__(message, param, code)
        self.event_id = event_id


class _Any(Struct, frozen=True):
    type: str
    event_id: _EventId | None = None


_NO_JSON = (msgspec.DecodeError, UnicodeError, RecursionError)
_KNOWN = msgspec.json.Decoder(Known)
_ANY = msgspec.json.Decoder(_Any)


def decode(text: str | bytes) -> Known:
    """A client's message. Raises WrongMessage."""
    try:
        return _KNOWN.decode(text)
    except msgspec.ValidationError as error:
        raise _explained(text, error) from error
    except _NO_JSON as error:
        raise _no_json(error) from error


def _explained(text: str | bytes, error: msgspec.ValidationError) -> WrongMessage:
    """What is wrong with what may be JSON; so far it was."""
    try:
        said = _ANY.decode(text)
    except msgspec.ValidationError as worse:
        return WrongMessage(_PLACE.sub("", str(worse)), _place(worse) or "type", "invalid_event")
    except _NO_JSON as worse:
        return _no_json(worse)
    if said.type in KNOWN:
        return WrongMessage(
            _PLACE.sub("", str(error)), _place(error), "invalid_value", event_id=said.event_id
        )
    if said.type.startswith(ANSWERING):
        why = f"'{said.type[:_SHOWN]}' is not for a transcription session: nobody answers in it"
        return WrongMessage(why, "type", "unsupported_event", event_id=said.event_id)
    why = f"there is no message '{said.type[:_SHOWN]}'; there are {', '.join(KNOWN)}"
    return WrongMessage(why, "type", "invalid_value", event_id=said.event_id)


def _no_json(error: Exception) -> WrongMessage:
    return WrongMessage(f"the message is not JSON: {error}", code="invalid_json")


def _place(error: msgspec.ValidationError) -> str | None:
    found = _PLACE.search(str(error))
    return found[1] if found else None


class ServerMessage(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what we say."""

    event_id: str = field(default_factory=lambda: new_id("event"))


class SessionShown(ServerMessage, frozen=True):
    """Base of how a session is set."""

    session: dict[str, Any]


class SessionCreated(SessionShown, frozen=True, tag="session.created"):
    """The first message."""


class SessionUpdated(SessionShown, frozen=True, tag="session.updated"):
    """From now on it is so."""


class BetaSessionCreated(SessionShown, frozen=True, tag="transcription_session.created"):
    """The first message in the beta's words."""


class BetaSessionUpdated(SessionShown, frozen=True, tag="transcription_session.updated"):
    """From now on it is so, in the beta's words."""


class AudioSpeechStarted(ServerMessage, frozen=True, tag="input_audio_buffer.speech_started"):
    """Somebody speaks. Milliseconds are of all audio that came, from its first sample."""

    item_id: str
    audio_start_ms: int


class AudioSpeechStopped(ServerMessage, frozen=True, tag="input_audio_buffer.speech_stopped"):
    """They have finished; ``audio_end_ms`` is behind the silence that told so."""

    item_id: str
    audio_end_ms: int


class AudioCommitted(ServerMessage, frozen=True, tag="input_audio_buffer.committed"):
    """What was said is complete, and is being worked out."""

    item_id: str
    previous_item_id: str | None


class AudioCleared(ServerMessage, frozen=True, tag="input_audio_buffer.cleared"):
    """It is forgotten."""


class SpokenItem(ServerMessage, frozen=True):
    """Base of what became of it: an item of the conversation."""

    item: dict[str, Any]
    previous_item_id: str | None


class ItemAdded(SpokenItem, frozen=True, tag="conversation.item.added"):
    """It is there."""


class ItemDone(SpokenItem, frozen=True, tag="conversation.item.done"):
    """All of it is there."""


class BetaItemCreated(SpokenItem, frozen=True, tag="conversation.item.created"):
    """Both in the beta's words."""


class TranscriptDelta(ServerMessage, frozen=True, tag="conversation.item.input_audio_transcription.delta"):
    """More of its text, which is never taken back."""

    item_id: str
    delta: str
    content_index: int = 0


class AudioDuration(Struct, frozen=True, kw_only=True):
    """What was used up."""

    seconds: float
    type: Literal["duration"] = "duration"


class TranscriptCompleted(
    ServerMessage, frozen=True, tag="conversation.item.input_audio_transcription.completed"
):
    """All of its text, which counts, whatever the deltas were."""

    item_id: str
    transcript: str
    usage: AudioDuration
    content_index: int = 0


class TranscriptFailed(ServerMessage, frozen=True, tag="conversation.item.input_audio_transcription.failed"):
    """It stays without a text."""

    item_id: str
    error: ErrorDetails
    content_index: int = 0


class ErrorDetailsOfMessage(ErrorDetails, frozen=True, kw_only=True):
    """An error, and the client's own id of the message that was wrong."""

    event_id: str | None = None


class ErrorMessage(ServerMessage, frozen=True, tag="error"):
    """Something was wrong; the session goes on."""

    error: ErrorDetailsOfMessage


def spoken_item(item_id: str) -> dict[str, Any]:
    """An item as it is told of; its text comes on its own."""
    content = [{"type": "input_audio", "audio": None, "transcript": None}]
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": content,
    }


def encode(message: ServerMessage) -> str:
    """As it is sent."""
    return msgspec.json.encode(message).decode()
