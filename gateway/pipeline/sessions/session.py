"""A device's stretch of speech and the turns in it, as two state tables.

A session is one stream of one device; a turn is the life of one utterance. No I/O and no clock:
``now`` is the caller's, in seconds. The error tree::

    SessionError
      IllegalEvent        the table has no such step; nothing was changed
      TooManySessions     the registry is full, or as full as one visitor may make it
      TooManyTurns        so many turns of the session are open
      AlreadyOpen         that stream (or turn) is open
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.shares import HOUSE, has_share
from gateway.contract.messages import new_id
from gateway.pipeline.sessions.names import SessionIds, StreamName
from gateway.settings.sessions import SessionSettings
from transcription.priority import Priority

MAX_OPEN_TURNS = 256
"""Turns of one session that may be open at once."""


class SessionError(Exception):
    """Base of what sessions raise."""


class IllegalEvent(SessionError):
    """The state table has no such step."""


class TooManySessions(SessionError):
    """The registry is full, or as full as one visitor may make it."""


class TooManyTurns(SessionError):
    """The session has so many open turns that another is refused."""


class AlreadyOpen(SessionError):
    """There is one of that name."""


class SessionState(enum.Enum):
    """Where a session is."""

    OPEN = "open"
    """Audio may come."""
    SUSPENDED = "suspended"
    """The device is gone and may resume."""
    DRAINING = "draining"
    """The stream has ended; turns are still running."""
    CLOSED = "closed"


class SessionEvent(enum.Enum):
    """What happens to a session."""

    DEVICE_LOST = "device_lost"
    DEVICE_BACK = "device_back"
    STREAM_ENDED = "stream_ended"
    LAST_TURN_ENDED = "last_turn_ended"


SESSION_TRANSITIONS: dict[tuple[SessionState, SessionEvent], SessionState] = {
    (SessionState.OPEN, SessionEvent.DEVICE_LOST): SessionState.SUSPENDED,
    (SessionState.OPEN, SessionEvent.STREAM_ENDED): SessionState.DRAINING,
    (SessionState.SUSPENDED, SessionEvent.DEVICE_BACK): SessionState.OPEN,
    (SessionState.SUSPENDED, SessionEvent.STREAM_ENDED): SessionState.DRAINING,
    (SessionState.DRAINING, SessionEvent.LAST_TURN_ENDED): SessionState.CLOSED,
}


class TurnState(enum.Enum):
    """Where an utterance's turn is; from ANSWERED on it has ended."""

    HEARD = "heard"
    TRANSCRIBING = "transcribing"
    THINKING = "thinking"
    """Published; an answer is awaited."""
    REPLYING = "replying"
    ANSWERED = "answered"
    SILENT = "silent"
    """Published without an answer to wait for: no speech, or nobody was asked."""
    EXPIRED = "expired"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TurnEvent(enum.Enum):
    """What happens to a turn."""

    RECOGNIZE = "recognize"
    ASK = "ask"
    """The transcript was published and its answer is awaited."""
    PUBLISH = "publish"
    """The transcript was published and no answer is awaited."""
    PIECE = "piece"
    FINAL = "final"
    DEADLINE = "deadline"
    FAIL = "fail"
    CANCEL = "cancel"


TURN_TRANSITIONS: dict[tuple[TurnState, TurnEvent], TurnState] = {
    (TurnState.HEARD, TurnEvent.RECOGNIZE): TurnState.TRANSCRIBING,
    (TurnState.HEARD, TurnEvent.PUBLISH): TurnState.SILENT,
    (TurnState.HEARD, TurnEvent.FAIL): TurnState.FAILED,
    (TurnState.HEARD, TurnEvent.CANCEL): TurnState.CANCELLED,
    (TurnState.TRANSCRIBING, TurnEvent.ASK): TurnState.THINKING,
    (TurnState.TRANSCRIBING, TurnEvent.PUBLISH): TurnState.SILENT,
    (TurnState.TRANSCRIBING, TurnEvent.FAIL): TurnState.FAILED,
    (TurnState.TRANSCRIBING, TurnEvent.CANCEL): TurnState.CANCELLED,
    (TurnState.THINKING, TurnEvent.PUBLISH): TurnState.SILENT,
    (TurnState.THINKING, TurnEvent.PIECE): TurnState.REPLYING,
    (TurnState.THINKING, TurnEvent.FINAL): TurnState.ANSWERED,
    (TurnState.THINKING, TurnEvent.DEADLINE): TurnState.EXPIRED,
    (TurnState.THINKING, TurnEvent.FAIL): TurnState.FAILED,
    (TurnState.THINKING, TurnEvent.CANCEL): TurnState.CANCELLED,
    (TurnState.REPLYING, TurnEvent.PIECE): TurnState.REPLYING,
    (TurnState.REPLYING, TurnEvent.FINAL): TurnState.ANSWERED,
    (TurnState.REPLYING, TurnEvent.DEADLINE): TurnState.EXPIRED,
    (TurnState.REPLYING, TurnEvent.FAIL): TurnState.FAILED,
    (TurnState.REPLYING, TurnEvent.CANCEL): TurnState.CANCELLED,
}

_STREAM_ENDED = frozenset({SessionState.DRAINING, SessionState.CLOSED})
_RUNNING = frozenset(state for state, _ in TURN_TRANSITIONS)
_UNPUBLISHED = frozenset({TurnState.HEARD, TurnState.TRANSCRIBING})


@dataclass(slots=True)
class Turn:
    """One utterance's life. ``start`` and ``end`` are stream positions in samples."""

    utterance_id: str
    start: int
    end: int
    state: TurnState = TurnState.HEARD
    durable: bool = False
    """Whether its audio would survive the gateway."""

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.state not in _RUNNING


class Session:
    """One stream of one device, and its open turns. Made by :class:`SessionRegistry` only."""

    def __init__(
        self,
        name: StreamName,
        user_id: str,
        *,
        end_on_silence: bool,
        now: float,
        on_change: Callable[[Session], None],
        session_id: str = "",
        visitor: str = HOUSE,
        priority: Priority = Priority.NORMAL,
    ) -> None:
        self.priority = priority
        """How urgent all that is said in it is: its messages keep their order."""
        self.visitor = visitor
        """Whose words a page or a program speaks; HOUSE for a board."""
        self.session_id = session_id or new_id("s")
        self.name = name
        self.user_id = user_id
        self.end_on_silence = end_on_silence
        self.opened_at = now
        self.suspended_at: float | None = None
        self.state = SessionState.OPEN
        self.turns: dict[str, Turn] = {}
        """The turns that have not ended, by utterance id, in the order they were heard."""
        self.is_asleep = False
        """Whether it is not listened to before its wake word."""
        self._on_change = on_change

    @property
    def device_id(self) -> str:
        """Whose stream it is."""
        return self.name.device_id

    def ids(self) -> SessionIds:
        """As messages and events have them."""
        return {"session_id": self.session_id, "user_id": self.user_id, "device_id": self.name.device_id}

    @property
    def owner(self) -> str:
        """Whose turn it is where owners take turns: a visitor's, with however many devices, or a board's."""
        return self.visitor or self.device_id

    def begin_turn(self, start: int, end: int, utterance_id: str = "") -> Turn:
        """An utterance was heard, at these positions; it may have a name. Raises IllegalEvent, TooManyTurns."""
        if self.state in _STREAM_ENDED:
            raise IllegalEvent(f"a session that is {self.state.value} hears nothing more")
        if len(self.turns) >= MAX_OPEN_TURNS:
            raise TooManyTurns(f"{MAX_OPEN_TURNS} turns of session {self.session_id} are open")
        turn = Turn(utterance_id or new_id("u"), start, end)
        self.turns[turn.utterance_id] = turn
        return turn

    def advance(self, turn: Turn, event: TurnEvent) -> TurnState:
        """Something happened to a turn; one that has ended leaves the session.

        The last turn of a stream that has ended closes the session. Raises IllegalEvent.
        """
        state = TURN_TRANSITIONS.get((turn.state, event))
        if state is None:
            raise IllegalEvent(f"{event.value} cannot happen to a turn that is {turn.state.value}")
        turn.state = state
        if turn.ended:
            del self.turns[turn.utterance_id]
            self._close_when_drained()
        return state

    def end_stream(self) -> None:
        """No more audio will come: the session closes with its last turn. Raises IllegalEvent."""
        self._step(SessionEvent.STREAM_ENDED)
        self._close_when_drained()

    def suspend(self, now: float) -> None:
        """The device is gone. Raises IllegalEvent."""
        self._step(SessionEvent.DEVICE_LOST, suspended_at=now)

    def resume(self) -> None:
        """The device is back. Raises IllegalEvent."""
        self._step(SessionEvent.DEVICE_BACK)

    def settled_position(self, needed_from: int) -> int:
        """The stream position before which all audio is durable, published or not needed.

        ``needed_from`` is the first position that the segmenter still needs.
        """
        unpublished = (
            turn.start for turn in self.turns.values() if turn.state in _UNPUBLISHED and not turn.durable
        )
        return min((needed_from, *unpublished))

    def _close_when_drained(self) -> None:
        if self.state is SessionState.DRAINING and not self.turns:
            self._step(SessionEvent.LAST_TURN_ENDED)

    def _step(self, event: SessionEvent, suspended_at: float | None = None) -> None:
        state = SESSION_TRANSITIONS.get((self.state, event))
        if state is None:
            raise IllegalEvent(f"{event.value} cannot happen to a session that is {self.state.value}")
        self.state = state
        self.suspended_at = suspended_at
        self._on_change(self)


class SessionRegistry:
    """The sessions that are not closed, found by stream and by id. Closed ones are forgotten at once."""

    def __init__(self, settings: SessionSettings) -> None:
        self._max_sessions = settings.max_sessions
        self._resume_seconds = settings.resume_seconds
        self._by_name: dict[StreamName, Session] = {}
        self._by_id: dict[str, Session] = {}
        self._by_device: dict[str, dict[str, Session]] = {}
        self._taken: Counter[str] = Counter()  # by visitor
        self._suspended: dict[str, Session] = {}  # in the order of their suspension

    def __len__(self) -> int:
        """Sessions that are not closed."""
        return len(self._by_id)

    def open(
        self,
        name: StreamName,
        user_id: str,
        *,
        end_on_silence: bool,
        now: float,
        session_id: str = "",
        visitor: str = HOUSE,
        priority: Priority = Priority.NORMAL,
    ) -> Session:
        """A new session, or (``session_id``) one that a gateway before this one began. ``visitor``: not a board's.

        Raises AlreadyOpen, TooManySessions.

        A stream that has ended may begin again (a device may use one number for all its speech): the
        session of before goes on with its answers only.
        """
        if name in self._by_name:
            raise AlreadyOpen(f"stream {name.stream} of {name.device_id} is open")
        if not has_share(self._max_sessions, self._taken, visitor):
            raise TooManySessions(self._full(visitor))
        session = Session(
            name,
            user_id,
            end_on_silence=end_on_silence,
            now=now,
            on_change=self._session_changed,
            session_id=session_id,
            visitor=visitor,
            priority=priority,
        )
        self._taken[visitor] += 1
        self._by_name[name] = session
        self._by_id[session.session_id] = session
        self._by_device.setdefault(name.device_id, {})[session.session_id] = session
        return session

    def has_room(self, visitor: str) -> bool:
        """Whether another one could be opened."""
        return has_share(self._max_sessions, self._taken, visitor)

    def find(self, name: StreamName) -> Session | None:
        """The session of a stream that has not ended."""
        return self._by_name.get(name)

    def get(self, session_id: str) -> Session | None:
        """The session of an id."""
        return self._by_id.get(session_id)

    def sessions(self) -> list[Session]:
        """All of them, oldest first."""
        return list(self._by_id.values())

    def of_device(self, device_id: str) -> list[Session]:
        """A device's sessions of any boot, oldest first."""
        return list(self._by_device.get(device_id, {}).values())

    def suspend_device(self, device_id: str, boot: int, now: float) -> list[Session]:
        """The device is gone: its open sessions, which are suspended now."""
        return self._of_boot(device_id, boot, SessionState.OPEN, lambda session: session.suspend(now))

    def resume_device(self, device_id: str, boot: int) -> list[Session]:
        """The same boot of the device is back: its sessions that go on."""
        return self._of_boot(device_id, boot, SessionState.SUSPENDED, Session.resume)

    def expired_suspensions(self, now: float) -> list[Session]:
        """Sessions suspended for longer than they may be; they stay so until their stream is ended."""
        expired = []
        for session in self._suspended.values():
            assert session.suspended_at is not None
            if session.suspended_at + self._resume_seconds > now:
                break
            expired.append(session)
        return expired

    def _full(self, visitor: str) -> str:
        if len(self) >= self._max_sessions:
            return f"{self._max_sessions} sessions are open already"
        return f"{self._taken[visitor]} sessions are open already with this token, and others need the rest"

    def _of_boot(
        self, device_id: str, boot: int, state: SessionState, step: Callable[[Session], None]
    ) -> list[Session]:
        sessions = [s for s in self.of_device(device_id) if s.name.boot == boot and s.state is state]
        for session in sessions:
            step(session)
        return sessions

    def _session_changed(self, session: Session) -> None:
        self._suspended.pop(session.session_id, None)
        if session.state is SessionState.SUSPENDED:
            self._suspended[session.session_id] = session
        if session.state in _STREAM_ENDED and self._by_name.get(session.name) is session:
            del self._by_name[session.name]
        if session.state is SessionState.CLOSED:
            del self._by_id[session.session_id]
            self._taken[session.visitor] -= 1
            if not self._taken[session.visitor]:
                del self._taken[session.visitor]
            of_device = self._by_device[session.device_id]
            del of_device[session.session_id]
            if not of_device:
                del self._by_device[session.device_id]
