"""Requests that were dealt with: one that comes again is not worked on again. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from gateway.contract.agents import Wanted
from gateway.orchestrators.inquiry import Inquiry
from gateway.orchestrators.post import Letter

MOST = 2_000
MOST_BYTES = 4 * 1024 * 1024
"""Of replies that are remembered; the oldest are forgotten."""


class _Dealt(NamedTuple):
    attempt: int
    failed: bool
    reply: Letter


class PastReplies:
    """What each request was answered, bounded."""

    def __init__(self) -> None:
        self._replies: OrderedDict[tuple[Wanted, str], _Dealt] = OrderedDict()
        self._bytes = 0
        self._stopped: OrderedDict[str, int] = OrderedDict()

    def reply_to(self, inquiry: Inquiry) -> Letter | None:
        """What it was answered; None: it is to be worked on, as a failure is when it is asked once more."""
        done = self._replies.get((inquiry.kind, inquiry.heard.request_id))
        if done is None or (done.failed and inquiry.heard.attempt > done.attempt):
            return None
        return done.reply

    def note(self, inquiry: Inquiry, reply: Letter, *, failed: bool) -> None:
        """It has been worked on, and this is to be said."""
        if not inquiry.is_named:
            return
        name = (inquiry.kind, inquiry.heard.request_id)
        self._forget(name)
        self._replies[name] = _Dealt(inquiry.heard.attempt, failed, reply)
        self._bytes += len(reply.payload)
        while len(self._replies) > MOST or self._bytes > MOST_BYTES:
            self._forget(next(iter(self._replies)))

    def stop(self, request_id: str, attempt: int) -> None:
        """It is not to be worked on any more, unless it is asked anew."""
        self._stopped[request_id] = attempt
        if len(self._stopped) > MOST:
            self._stopped.popitem(last=False)

    def is_stopped(self, inquiry: Inquiry) -> bool:
        """Whether nobody wants the answer any more."""
        stopped = self._stopped.get(inquiry.heard.request_id)
        return inquiry.kind is Wanted.ASK and stopped is not None and inquiry.heard.attempt <= stopped

    def _forget(self, name: tuple[Wanted, str]) -> None:
        old = self._replies.pop(name, None)
        if old is not None:
            self._bytes -= len(old.reply.payload)
