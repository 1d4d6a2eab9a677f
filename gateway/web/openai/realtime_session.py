"""One realtime session: what its client says in, what it is told out. No socket: whoever has one hands messages in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.contract.messages import new_id
from gateway.pipeline.dictation.dictation import Dictation, DictationEvent, DictationWishes
from gateway.web.openai.errors import WrongRequest, answer_of
from gateway.web.openai.realtime_listening import RealtimeListening
from gateway.web.openai.realtime_messages import (
    AppendAudio,
    AudioCleared,
    BetaSessionCreated,
    BetaSessionUpdated,
    ClearAudio,
    CommitAudio,
    ErrorDetailsOfMessage,
    ErrorMessage,
    Known,
    ServerMessage,
    SessionCreated,
    SessionUpdated,
    UpdateBetaSession,
    UpdateRealtime,
    WrongMessage,
    decode,
)
from gateway.web.openai.realtime_settings import AskedSession, RealtimeSetting
from transcription.audio import SAMPLE_RATE
from transcription.priority import Priority
from transcription.settings import SegmenterSettings, TranscriptionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a session goes by beside what its client says. ``model``: what ours is called."""

    model: str
    settings: TranscriptionSettings
    languages: Sequence[str]
    priority: Priority
    check_model: Callable[[str], None]
    """Raises WrongRequest for the name of a model that is not ours."""


class RealtimeSession:
    """``begin`` it with its dictation; then everything that its client says goes to ``hear``."""

    def __init__(
        self,
        around: Surroundings,
        setting: RealtimeSetting,
        put: Callable[[ServerMessage], None],
        *,
        in_beta: bool,
    ) -> None:
        """``put`` takes what the client is to be told; ``in_beta``: in the beta's words."""
        self.id = new_id("sess")
        self._around = around
        self._setting = setting
        self._put = put
        self._listening = RealtimeListening(setting, self._preroll, put)
        self._listening.in_beta = in_beta
        self._dictation: Dictation | None = None

    @property
    def wanted(self) -> DictationWishes:
        """How the dictation is to hear."""
        settings = self._around.settings
        return DictationWishes(
            hints=self._setting.hints(settings, self._around.languages),
            end_on_silence=self._setting.turn_detection is not None,
            partial_ms=settings.partials.every_ms,
            priority=self._around.priority,
        )

    @property
    def segmenter(self) -> SegmenterSettings:
        """Where its utterances begin and end."""
        return self._setting.segmenter(self._around.settings.segmenter)

    def begin(self, dictation: Dictation) -> None:
        """Say how it is."""
        self._dictation = dictation
        created = BetaSessionCreated if self._listening.in_beta else SessionCreated
        self._put(created(session=self._shown()))

    def tell(self, event: DictationEvent) -> None:
        """What comes of the dictation."""
        self._listening.tell(event)

    async def hear(self, text: str) -> None:
        """The client's next message. Waits while there is too much to do; a wrong one is answered, and that is all."""
        event_id = None
        try:
            message = decode(text)
            event_id = message.event_id
            await self._do(message)
        except WrongRequest as error:
            self.wrong(error, error.event_id if isinstance(error, WrongMessage) else event_id)

    def wrong(self, error: WrongRequest, event_id: str | None = None) -> None:
        """Something that the client said cannot be done."""
        told = answer_of(error).error
        details = ErrorDetailsOfMessage(
            message=told.message, type=told.type, param=told.param, code=told.code, event_id=event_id
        )
        self._put(ErrorMessage(error=details))

    async def _do(self, message: Known) -> None:
        assert self._dictation is not None
        match message:
            case AppendAudio():
                await self._listening.append(self._dictation, message.data())
            case CommitAudio():
                await self._listening.commit(self._dictation)
            case ClearAudio():
                self._listening.clear(self._dictation)
                self._put(AudioCleared())
            case UpdateRealtime(session=asked):
                await self._update(self._dictation, asked)
                self._put(SessionUpdated(session=self._shown()))
            case UpdateBetaSession(session=asked):
                self._listening.in_beta = True
                await self._update(self._dictation, asked)
                self._put(BetaSessionUpdated(session=self._shown()))

    async def _update(self, dictation: Dictation, asked: AskedSession) -> None:
        setting = self._setting.changed(asked)
        if setting.transcription.model:
            self._around.check_model(setting.transcription.model)
        setting.hints(self._around.settings, self._around.languages)
        setting.segmenter(self._around.settings.segmenter)
        self._setting = setting
        await self._listening.change(dictation, setting, self._preroll)
        dictation.change(self.wanted, self.segmenter)

    @property
    def _preroll(self) -> int:
        return self.segmenter.preroll_ms * SAMPLE_RATE // 1000

    def _shown(self) -> dict[str, Any]:
        show = self._setting.shown_in_beta if self._listening.in_beta else self._setting.shown
        return show(self.id, self._around.model, self._around.settings.segmenter)
