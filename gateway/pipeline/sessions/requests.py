"""Which reply answers which utterance: every request ends exactly once.

The tracker does no I/O and reads no clock: ``now`` is the caller's, in seconds of whichever clock it
uses throughout, and never goes back. The error tree::

    CorrelationError
      TrackerFull           so many requests are open that another is refused
      AlreadyRegistered     the correlation id is known
"""

from __future__ import annotations

import enum
import heapq
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from gateway.contract.messages import OrchestratorReply
from gateway.pipeline.sessions.names import UtteranceName

MAX_TEXT_BYTES = 64 * 1024
"""UTF-8 bytes of one whole reply; what is beyond is cut off and counted."""

CUT_OFF = " \N{HORIZONTAL ELLIPSIS} (cut off)"
"""The end of an answer that is longer than any may be."""

MAX_RECENT_IDS = 1024
MAX_ENDED_IDS = 32
"""Message ids remembered for one request that is open, and one that has ended, to know a reply that comes again."""


class CorrelationError(Exception):
    """Base of what the tracker raises."""


class TrackerFull(CorrelationError):
    """No further request can be remembered."""


class AlreadyRegistered(CorrelationError):
    """The correlation id is known."""


class AnswerState(enum.Enum):
    """Where the answer to a request is; the last three are its ends."""

    OPEN = "open"
    PARTIAL = "partial"
    DONE = "done"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class RequestEvent(enum.Enum):
    """What happens to a request. An error reply is final, too."""

    PIECE = "piece"
    FINAL = "final"
    DEADLINE = "deadline"
    CANCEL = "cancel"


TRANSITIONS: dict[tuple[AnswerState, RequestEvent], AnswerState] = {
    (AnswerState.OPEN, RequestEvent.PIECE): AnswerState.PARTIAL,
    (AnswerState.OPEN, RequestEvent.FINAL): AnswerState.DONE,
    (AnswerState.OPEN, RequestEvent.DEADLINE): AnswerState.EXPIRED,
    (AnswerState.OPEN, RequestEvent.CANCEL): AnswerState.CANCELLED,
    (AnswerState.PARTIAL, RequestEvent.PIECE): AnswerState.PARTIAL,
    (AnswerState.PARTIAL, RequestEvent.FINAL): AnswerState.DONE,
    (AnswerState.PARTIAL, RequestEvent.DEADLINE): AnswerState.EXPIRED,
    (AnswerState.PARTIAL, RequestEvent.CANCEL): AnswerState.CANCELLED,
}

LIVE = frozenset(state for state, _ in TRANSITIONS)


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A published transcript that waits for its answer."""

    name: UtteranceName
    published_at: float
    deadline: float

    @property
    def correlation_id(self) -> str:
        """What its answer goes by."""
        return self.name.correlation_id


@dataclass(frozen=True, slots=True)
class Routed:
    """A piece of the answer, or its end.

    ``final`` false: ``text`` is to append. ``final`` true: ``text`` is the whole reply, and ``error``
    says why it failed, if it did. Both are cut at 64 KiB in all; ``cut`` says so of a whole reply.
    """

    request: PendingRequest
    text: str
    final: bool
    error: str | None
    cut: bool = False

    @property
    def whole(self) -> str:
        """The whole reply as it is shown: one that was cut says so."""
        return self.text + CUT_OFF if self.cut else self.text


@dataclass(frozen=True, slots=True)
class Interim:
    """A whole first answer, which takes the place of all that was shown; a better one follows."""

    request: PendingRequest
    text: str


@dataclass(frozen=True, slots=True)
class Awaited:
    """The reply is to a request that is open; nothing has become of it yet."""

    request: PendingRequest


@dataclass(frozen=True, slots=True)
class Late:
    """The turn is over; ``state`` says how. Not for the device. ``text``: as in Routed."""

    request: PendingRequest
    state: AnswerState
    text: str = ""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """This reply was routed before."""

    request: PendingRequest


@dataclass(frozen=True, slots=True)
class Forged:
    """The reply names another session than the request's; it changed nothing."""

    request: PendingRequest
    claimed_session_id: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known (any more) by this correlation id."""

    correlation_id: str


Outcome: TypeAlias = Routed | Interim | Late | Duplicate | Forged | Unknown
Admission: TypeAlias = Awaited | Late | Duplicate | Forged | Unknown


@dataclass(slots=True)
class CorrelationCounters:
    """What happened since the start; ``failed`` is part of ``done``."""

    registered: int = 0
    refused: int = 0
    pieces: int = 0
    interim: int = 0
    done: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    late: int = 0
    duplicate: int = 0
    forged: int = 0
    unasked: int = 0
    unknown: int = 0
    truncated: int = 0
    forgotten_early: int = 0


@dataclass(slots=True)
class _Row:
    request: PendingRequest
    state: AnswerState = AnswerState.OPEN
    text: bytearray = field(default_factory=bytearray)
    cut: bool = False
    recent_ids: OrderedDict[int, None] = field(default_factory=OrderedDict)
    ended_at: float = 0.0
    taken_over: bool = False


class CorrelationTracker:
    """Requests by correlation id.

    A request that ended is remembered for ``late_seconds``, so that a late reply is told from an
    unknown one; at most ``max_pending`` are remembered in all. When it is full, the one that ended
    first is forgotten early; when none has ended, ``register`` refuses.
    """

    def __init__(self, *, max_pending: int, late_seconds: float) -> None:
        self.counters = CorrelationCounters()
        self._max_pending = max_pending
        self._late_seconds = late_seconds
        self._rows: dict[str, _Row] = {}
        self._ended: OrderedDict[str, _Row] = OrderedDict()  # in the order of their end
        self._pushed = 0
        self._deadlines: list[tuple[float, int, _Row]] = []  # a heap; rows that ended may be in it yet

    def __len__(self) -> int:
        """Requests remembered."""
        return len(self._rows)

    @property
    def live(self) -> int:
        """Requests that have not ended."""
        return len(self._rows) - len(self._ended)

    def state(self, correlation_id: str) -> AnswerState | None:
        """Where a request is, None when it is not remembered."""
        row = self._rows.get(correlation_id)
        return row.state if row else None

    def request(self, correlation_id: str) -> PendingRequest | None:
        """The request itself, None when it is not remembered."""
        row = self._rows.get(correlation_id)
        return row.request if row else None

    def knows_all_of(self, correlation_id: str) -> bool:
        """Whether every reply to this request that came at all came here, and not to a tracker before this one."""
        row = self._rows.get(correlation_id)
        return row is not None and not row.taken_over

    def register(self, request: PendingRequest, now: float) -> None:
        """Expect an answer; to be called before the transcript is published.

        Raises TrackerFull and AlreadyRegistered, and changes nothing then.
        """
        self._forget_old(now)
        if request.correlation_id in self._rows:
            raise AlreadyRegistered(f"correlation id {request.correlation_id} is known")
        if len(self._rows) >= self._max_pending:
            if not self._ended:
                self.counters.refused += 1
                raise TrackerFull(f"{self._max_pending} requests wait for an answer already")
            self._forget_oldest()
            self.counters.forgotten_early += 1
        row = self._rows[request.correlation_id] = _Row(request)
        self.counters.registered += 1
        self._push_deadline(row)

    def restore(self, request: PendingRequest, text: str, now: float, state: AnswerState) -> None:
        """Take over a request from a tracker before this one: open with its answer so far, or with its end.

        Raises as ``register`` does.
        """
        self.register(request, now)
        row = self._rows[request.correlation_id]
        row.taken_over = True
        if state not in LIVE:
            self._move(row, state, now)
        elif text:
            self._keep(row, text)
            self._step(row, RequestEvent.PIECE, now)

    def route(self, reply: OrchestratorReply, now: float) -> Outcome:
        """Whose reply it is, and what became of it. A request expires in ``expire`` only."""
        admission = self.admit(reply, now)
        if not isinstance(admission, Awaited):
            return admission
        row = self._rows[reply.correlation_id]
        if reply.error is None and reply.interim:
            return self._interim(row, reply.text, now)
        if reply.final or reply.error is not None:
            return self._finish(row, reply.text, reply.error, now)
        return Routed(row.request, self._piece(row, reply.text, now), final=False, error=None)

    def admit(self, reply: OrchestratorReply, now: float) -> Admission:
        """Whose reply it is; an open request is as it was."""
        self._forget_old(now)
        row = self._rows.get(reply.correlation_id)
        if row is None:
            self.counters.unknown += 1
            return Unknown(reply.correlation_id)
        if reply.session_id != row.request.name.session_id:
            self.counters.forged += 1
            return Forged(row.request, reply.session_id)
        if _seen_before(row, reply):
            self.counters.duplicate += 1
            return Duplicate(row.request)
        if row.state not in LIVE:
            self.counters.late += 1
            return Late(row.request, row.state, self._late_text(row, reply))
        return Awaited(row.request)

    def finish(self, correlation_id: str, text: str, error: str | None, now: float) -> Routed | None:
        """The end of a request, whoever made its answer; None: it is not open."""
        row = self._rows.get(correlation_id)
        return None if row is None or row.state not in LIVE else self._finish(row, text, error, now)

    def give_up(self, correlation_id: str, now: float) -> bool:
        """Nobody will answer it in time: as at its deadline. False: it is not open."""
        row = self._rows.get(correlation_id)
        if row is None or row.state not in LIVE:
            return False
        self._step(row, RequestEvent.DEADLINE, now)
        self.counters.expired += 1
        return True

    def postpone(self, correlation_id: str, deadline: float) -> PendingRequest | None:
        """It waits until then, because it has just begun; None: it is not open."""
        row = self._rows.get(correlation_id)
        if row is None or row.state not in LIVE:
            return None
        row.request = replace(row.request, deadline=deadline)
        self._push_deadline(row)
        return row.request

    def expire(self, now: float) -> list[PendingRequest]:
        """The requests whose deadline has come; each is returned once, in the order of deadlines."""
        self._forget_old(now)
        expired = []
        while self._deadlines and self._deadlines[0][0] <= now:
            row = heapq.heappop(self._deadlines)[2]
            if row.state in LIVE and row.request.deadline <= now:  # it may have been postponed
                self._step(row, RequestEvent.DEADLINE, now)
                expired.append(row.request)
        self.counters.expired += len(expired)
        return expired

    def cancel(self, correlation_id: str, now: float) -> bool:
        """Nobody is waited for any more; whether the request was open."""
        row = self._rows.get(correlation_id)
        if row is None or row.state not in LIVE:
            return False
        self._step(row, RequestEvent.CANCEL, now)
        self.counters.cancelled += 1
        return True

    def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Know nothing of these any more; what is said to them is said to nobody."""
        for correlation_id, row in list(self._rows.items()):
            if is_gone(row.request.name):
                self.cancel(correlation_id, 0.0)
                row.text = bytearray()
                self._ended.pop(correlation_id, None)
                del self._rows[correlation_id]

    def _piece(self, row: _Row, text: str, now: float) -> str:
        piece = self._keep(row, text)
        self._step(row, RequestEvent.PIECE, now)
        self.counters.pieces += 1
        return piece

    def _interim(self, row: _Row, text: str, now: float) -> Interim:
        row.text.clear()  # what follows begins anew
        row.cut = False
        self._step(row, RequestEvent.PIECE, now)
        self.counters.interim += 1
        shown = text.encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore")
        return Interim(row.request, shown)

    def _finish(self, row: _Row, whole: str, error: str | None, now: float) -> Routed:
        if whole:
            row.text.clear()  # the last text, when there is one, is the whole reply
            row.cut = False
            self._keep(row, whole)
        text = row.text.decode()
        self._step(row, RequestEvent.FINAL, now)
        self.counters.done += 1
        self.counters.failed += error is not None
        return Routed(row.request, text, final=True, error=error, cut=row.cut)

    def _late_text(self, row: _Row, reply: OrchestratorReply) -> str:
        """A piece, or at its end the whole of what came too late; what had come in time is its beginning."""
        if not reply.final and reply.error is None:
            return self._keep(row, reply.text)
        if reply.text:
            row.text.clear()
            self._keep(row, reply.text)
        text = row.text.decode()
        row.text = bytearray()
        return text

    def _keep(self, row: _Row, text: str) -> str:
        """Add to the row's text what there is room for; that much of ``text``."""
        encoded = text.encode(errors="replace")
        room = MAX_TEXT_BYTES - len(row.text)
        if len(encoded) > room:
            self.counters.truncated += 1
            row.cut = True
        kept = encoded[:room].decode(errors="ignore")
        row.text += kept.encode()
        return kept

    def _step(self, row: _Row, event: RequestEvent, now: float) -> None:
        self._move(row, TRANSITIONS[row.state, event], now)

    def _move(self, row: _Row, state: AnswerState, now: float) -> None:
        row.state = state
        if state in LIVE:
            return
        request = row.request
        if row.state is not AnswerState.EXPIRED:  # whose answer may still come, for the listeners
            row.text = bytearray()
        while len(row.recent_ids) > MAX_ENDED_IDS:
            row.recent_ids.popitem(last=False)
        row.ended_at = now
        self._ended[request.correlation_id] = row

    def _push_deadline(self, row: _Row) -> None:
        self._pushed += 1
        heapq.heappush(self._deadlines, (row.request.deadline, self._pushed, row))
        if len(self._deadlines) > 2 * self.live + 64:  # mostly of requests that ended: sweep
            self._deadlines = [entry for entry in self._deadlines if entry[2].state in LIVE]
            heapq.heapify(self._deadlines)

    def _forget_old(self, now: float) -> None:
        while self._ended and next(iter(self._ended.values())).ended_at + self._late_seconds <= now:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        correlation_id, _ = self._ended.popitem(last=False)
        del self._rows[correlation_id]


def _seen_before(row: _Row, reply: OrchestratorReply) -> bool:
    """Whether the reply came before; one without an id is known by its request being answered."""
    if not reply.message_id:
        return row.state is AnswerState.DONE
    known = hash((reply.agent, reply.request_id, reply.message_id))  # an id may be long, its hash is not
    if known in row.recent_ids:
        return True
    row.recent_ids[known] = None
    if len(row.recent_ids) > (MAX_RECENT_IDS if row.state in LIVE else MAX_ENDED_IDS):
        row.recent_ids.popitem(last=False)
    return False
