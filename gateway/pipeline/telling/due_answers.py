"""Answers on their way into the hands of the device that spoke, each until the device has acknowledged it.

The journal has them, so that they outlive the gateway. A device that is away gets its answers when it comes back with
the same boot; one that was switched off never will.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.contract.messages import TranscriptionMessage, decode_transcription, encode
from gateway.journal import AnyJournal, undelivered_seconds
from gateway.journal.effects import Delivered, HandedOver
from gateway.journal.records import RequestRow, RequestState
from gateway.pipeline.sessions.names import NO_BOOT, UtteranceName
from gateway.pipeline.sessions.rows import utterance_name
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import Apology
from gateway.process.mishaps import Mishaps
from gateway.settings.history import HistorySettings
from gateway.settings.orchestrator import OrchestratorSettings
from gateway.settings.privacy import PrivacySettings

log = structlog.get_logger(__name__)

A_DELIVERY = "the delivery of an answer"
"""The kind of work, as mishaps are counted."""


@dataclass(slots=True, eq=False)
class DueAnswer:
    """An answer, until it is in its device's hands. Times are the event loop's."""

    name: UtteranceName
    message: TranscriptionMessage
    text: str
    error: str | None
    fallback: bool
    asked_at: float
    ended_at: float
    """When the speaker stopped."""
    told: bool
    """Whether its device was told the transcript."""
    sent: bool = False


class DueAnswers:
    """Those that their device has not acknowledged, at most ``max_pending``, oldest first."""

    def __init__(
        self,
        announcer: Announcer,
        journal: AnyJournal,
        *,
        settings: OrchestratorSettings,
        history: HistorySettings,
        privacy: PrivacySettings,
        mishaps: Mishaps,
    ) -> None:
        self._most = settings.max_pending
        self._remembers = history.enabled
        self._seconds = undelivered_seconds(history, privacy)
        self._announce = announcer
        self._journal = journal
        self._mishaps = mishaps
        self._now = asyncio.get_running_loop().time
        self._due: OrderedDict[str, DueAnswer] = OrderedDict()
        self.dropped = 0
        """Answers that were one too many of those."""
        self._boots: OrderedDict[str, int] = OrderedDict()
        """With which each device was there last, of the last ``max_pending`` devices."""

    def __len__(self) -> int:
        return len(self._due)

    def devices(self) -> set[str]:
        """Those that have something to take."""
        return {answer.name.device_id for answer in self._due.values()}

    def is_sent(self, correlation_id: str) -> bool:
        """Whether its device is being told."""
        answer = self._due.get(correlation_id)
        return answer is not None and answer.sent

    # -- an answer comes, and goes

    def deliver(self, answer: DueAnswer) -> None:
        """Hand it to the link; a device that is not there gets it when it comes back, with the same boot."""
        name = answer.name
        if name.boot == NO_BOOT:
            return  # whoever asked is a listener, and has it
        if self._boots.get(name.device_id, name.boot) != name.boot:
            log.warning("reply cannot be delivered", **name.in_log(), reason="it has rebooted")
            self._journal.commit(Delivered(name.correlation_id))
            return
        self._due[name.correlation_id] = answer
        self._send(answer)
        if not answer.sent:
            log.warning("reply waits for its device", **name.in_log())
        if len(self._due) > self._most:
            dropped = next(iter(self._due.values())).name
            self.drop(dropped.correlation_id)
            self.dropped += 1
            log.warning("answer dropped: its device has not taken it in all that time", **dropped.in_log())

    def restore(self, row: RequestRow) -> None:
        """One that a gateway before this one had not got rid of, for when its device comes. Raises BadMessage."""
        message, since = decode_transcription(row.message), self._now() - max(0.0, row.age)
        self._due[row.correlation_id] = DueAnswer(
            utterance_name(row), message, row.text, row.error, row.fallback, since, since, told=False
        )

    def rows(self, device_id: str) -> list[RequestRow]:
        """Those that a device has not taken, as the journal has them."""
        now = self._now()
        return [_row(one, now) for one in self._due.values() if one.name.device_id == device_id]

    def handed_on(self, correlation_id: str) -> None:
        """Another gateway has it now, and tells it."""
        if self._due.pop(correlation_id, None) is not None:
            self._journal.commit(Delivered(correlation_id))

    def moved(self, device_id: str, boot: int) -> None:
        """The device is at another gateway, with this boot: nothing is tried here any more."""
        self.renew(device_id, boot)
        self._boots.pop(device_id, None)

    def drop(self, correlation_id: str) -> None:
        """Tell it to nobody any more."""
        self._due.pop(correlation_id, None)
        self._announce.live.forget(correlation_id)

    def delivered(self, correlation_id: str) -> None:
        """Note that a device has acknowledged a final reply."""
        answer = self._due.pop(correlation_id, None)
        if answer is not None:
            elapsed_ms = 1000 * (self._now() - answer.ended_at)
            kept = (HandedOver(correlation_id, elapsed_ms),) if self._remembers else ()
            self._journal.commit(Delivered(correlation_id), *kept)
            log.debug("reply delivered", **answer.name.in_log(), elapsed_ms=elapsed_ms)
            self._announce.delivered(answer.name, elapsed_ms)

    def waiting(self, is_gone: Callable[[UtteranceName], bool]) -> set[str]:
        """The correlation ids of those that are meant."""
        return {name for name, one in self._due.items() if is_gone(one.name)}

    # -- devices come and go, and time goes on

    def welcome(self, device_id: str, boot: int) -> None:
        """A device is there, perhaps after a restart of the gateway: what it has not been told, it is told now."""
        self._boots[device_id] = boot
        self._boots.move_to_end(device_id)
        if len(self._boots) > self._most:
            self._boots.popitem(last=False)
        for answer in list(self._due.values()):
            if not answer.sent and (answer.name.device_id, answer.name.boot) == (device_id, boot):
                self._send_or_drop(answer)

    def renew(self, device_id: str, boot: int) -> None:
        """Its link begins anew: what another boot has not taken it never will, and this one is told all of it again."""
        self._announce.live.renew(device_id, boot)
        for answer in [one for one in self._due.values() if one.name.device_id == device_id]:
            answer.sent = answer.told = False
            if answer.name.boot != boot:
                self.drop(answer.name.correlation_id)

    def expire(self, now: float) -> None:
        """An answer that waited for too long is told to nobody; devices that had no room for theirs may have it now."""
        while self._due and now - next(iter(self._due.values())).asked_at > self._seconds:
            correlation_id = next(iter(self._due))
            self.drop(correlation_id)
            self._journal.commit(Delivered(correlation_id))
        for answer in list(self._due.values()):
            if not answer.sent and self._boots.get(answer.name.device_id) == answer.name.boot:
                self._send_or_drop(answer)

    def _send(self, answer: DueAnswer) -> None:
        answer.sent = self._announce.answer(
            answer.name, answer.text, error=answer.error, fallback=answer.fallback
        )

    def _send_or_drop(self, answer: DueAnswer) -> None:
        """An answer over which the gateway stumbles is not tried again and again: its device is told that much."""
        name, told = answer.name, False
        try:
            if not answer.told:
                answer.told = self._announce.transcript_again(name, answer.message)
            self._send(answer)
        except Exception as mishap:  # noqa: BLE001 - the boundary: between this answer and the others
            self.drop(name.correlation_id)
            self._mishaps.note(A_DELIVERY, mishap, **name.in_log())
            with self._mishaps.contained(A_DELIVERY, correlation_id=name.correlation_id):
                self._journal.commit(Delivered(name.correlation_id))
                text = self._announce.texts.text(Apology.FAILED, answer.message.language, name.device_id)
                told = self._announce.answer(name, text, error="it went wrong")
            log.warning("reply given up", **name.in_log(), told=told)


def _row(answer: DueAnswer, now: float) -> RequestRow:
    asked_at = time.time() - (now - answer.asked_at)
    return RequestRow(
        **answer.name.row_ids(),
        conversation_id=answer.name.conversation_id,
        asked_at=asked_at,
        deadline=asked_at,
        message=encode(answer.message),
        state=RequestState.DONE,
        text=answer.text,
        error=answer.error,
        fallback=answer.fallback,
        due=True,
        age=now - answer.asked_at,
    )
