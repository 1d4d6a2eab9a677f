"""What a stream and an utterance are called, on the whole way from the device and back. Values; no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypedDict

NO_BOOT = -1
"""In place of a boot, where no device is behind a session: somebody's words were text from the start."""
NO_STREAM = 0
"""Of what is told to a device outside any turn."""


class StreamName(NamedTuple):
    """Which stretch of audio: the device's own numbers, unique for ever only together."""

    device_id: str
    boot: int
    stream: int


class SpeechPlace(NamedTuple):
    """One utterance by where it stands in its stream: from ``start`` to ``end``, in samples."""

    device_id: str
    boot: int
    stream: int
    start: int
    end: int


class SessionIds(TypedDict):
    """The fields by which messages and events name a session."""

    session_id: str
    user_id: str
    device_id: str


class UtteranceIds(SessionIds):
    """Those by which they name an utterance and its answer."""

    utterance_id: str
    correlation_id: str


class SpokenIds(UtteranceIds):
    """Those by which they name what was said and answered in a conversation."""

    conversation_id: str


class RowIds(UtteranceIds):
    """Those by which the journal does."""

    boot: int
    stream: int


@dataclass(frozen=True, slots=True)
class UtteranceName:
    """One utterance, whose it is, and what its answer goes by: minted once, and carried along unchanged."""

    session_id: str
    user_id: str
    stream: StreamName
    utterance_id: str
    correlation_id: str
    conversation_id: str = ""
    """Empty as long as it has no text, and of what was said outside any."""
    causation_id: str = ""
    """The correlation id of the HTTP request or connection that it came by; empty: by none, or before a restart."""

    @property
    def device_id(self) -> str:
        """Who spoke."""
        return self.stream.device_id

    @property
    def boot(self) -> int:
        """Of the device, which alone can be answered."""
        return self.stream.boot

    def ids(self) -> UtteranceIds:
        """As messages and events have them."""
        return {
            "session_id": self.session_id,
            "user_id": self.user_id,
            "device_id": self.stream.device_id,
            "utterance_id": self.utterance_id,
            "correlation_id": self.correlation_id,
        }

    def in_log(self) -> dict[str, str]:
        """As lines of the log have them, whatever they are about."""
        names = {
            "correlation_id": self.correlation_id,
            "utterance_id": self.utterance_id,
            "session_id": self.session_id,
            "device_id": self.stream.device_id,
        }
        return {**names, "causation_id": self.causation_id} if self.causation_id else names

    def spoken_ids(self) -> SpokenIds:
        """As they have them, once it has its place in a conversation."""
        return {**self.ids(), "conversation_id": self.conversation_id}

    def row_ids(self) -> RowIds:
        """As the journal's rows have them."""
        return {**self.ids(), "boot": self.stream.boot, "stream": self.stream.stream}
