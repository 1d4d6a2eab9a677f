"""What each device and the house have said to each other of late. No I/O and no clock.

A conversation goes on over many sessions, until nothing was said or answered for the window of the settings; while an
answer is awaited, it does not lapse. It belongs to one user. ``now`` is the caller's, in seconds.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from firmware_bridge.shares import HOUSE, gives_way
from gateway.contract.agents import ConversationTurn
from gateway.contract.messages import new_id
from gateway.journal.records import TurnRow
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.rows import utterance_name
from gateway.settings.sessions import SessionSettings

LATE_SECONDS = 120.0
"""What was said in time may have its text so much later: a conversation is put away only then."""
CUT_OFF = "\N{HORIZONTAL ELLIPSIS}"
"""The end of what is too long to be remembered whole."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """One, as it was when something was said in it. ``turns``: those before, as remembered, oldest first."""

    id: str = ""
    turns: tuple[ConversationTurn, ...] = ()
    begun: bool = False
    """Whether anything was said in it before, remembered or not."""


@dataclass(slots=True)
class _Turn:
    name: UtteranceName
    words: ConversationTurn | None
    """None: they are not remembered (any more)."""
    said_at: float
    is_open: bool = True
    began: bool = False
    """Whether it was the first that was said."""
    """Whether its answer is awaited."""

    @property
    def size(self) -> int:
        return 0 if self.words is None else _bytes(self.words.text) + _bytes(self.words.reply)


@dataclass(slots=True)
class _Ongoing:
    id: str
    user_id: str
    visitor: str
    last: float
    """When something was said or answered."""
    begun: bool = False
    """Whether anything was said."""
    turns: dict[str, _Turn] = field(default_factory=dict)
    """In the order in which they were said: those with words, those that are open, and the last."""

    @property
    def is_open(self) -> bool:
        return any(turn.is_open for turn in self.turns.values())

    def remembered(self) -> list[_Turn]:
        return [turn for turn in self.turns.values() if turn.words is not None]

    def memory(self, names: Iterable[str]) -> tuple[ConversationTurn, ...]:
        turns = (self.turns[name].words for name in names)
        return tuple(words for words in turns if words is not None)


class Conversations:
    """Those that go on, by device; of more than there may be sessions, the one that was silent for longest goes.

    Before any board's it is one of the visitor's who has most.
    """

    def __init__(
        self, settings: SessionSettings, *, keep_words: bool = True, keep_seconds: float = float("inf")
    ) -> None:
        """``keep_words`` false: no turn is remembered, and yet it is known what belongs together.

        ``keep_seconds``: what is older is handed to nobody, however long its conversation goes on.
        """
        self._window = settings.hints_seconds
        self._most = settings.max_sessions
        self.turns_kept = settings.conversation_turns if keep_words else 0
        """Of each conversation, with their words."""
        self._most_bytes = 1024 * settings.conversation_kb
        self._longest = keep_seconds
        self._ongoing: OrderedDict[str, _Ongoing] = OrderedDict()  # as they were last heard of
        self._taken: Counter[str] = Counter()  # how many are whose
        self._device_of: dict[str, str] = {}  # of each of their turns, by correlation id

    def __len__(self) -> int:
        return len(self._ongoing)

    # -- said and answered

    def said(
        self,
        name: UtteranceName,
        text: str,
        now: float,
        *,
        timestamp: float = 0.0,
        visitor: str = HOUSE,
    ) -> Conversation:
        """Something was said, at ``now`` (``timestamp`` in Unix seconds); the conversation before it.

        ``visitor``: whose words they are, where no board heard them. Where there is a ``text``, an answer is awaited
        until ``answered`` or ``ended``; without one, there was no turn.
        """
        self._drop_turn(name.correlation_id)  # said before, and transcribed again
        one = self._ongoing.get(name.device_id)
        if one is None or one.user_id != name.user_id or self._has_lapsed(one, now):
            one = self._begin(name, now, visitor)
        self._forget_old(one, now)
        before = Conversation(one.id, one.memory(one.turns), one.begun)
        if text:
            words = None
            if self.turns_kept:
                cut, known_by = self._cut(text, 4), name.correlation_id
                words = ConversationTurn(text=cut, timestamp=timestamp, correlation_id=known_by)
            self._add(one, _Turn(name, words, now, began=not one.begun))
            self._touch(name.device_id, one, now)
        return before

    def answered(
        self, correlation_id: str, reply: str, agent: str, now: float, *, final: bool = True
    ) -> ConversationTurn | None:
        """It has its answer, in place of any before, or (not ``final``) one that a better one will replace.

        Returns the turn as it is remembered; None: it is not.
        """
        one, turn = self._find(correlation_id)
        if one is None or turn is None or self._has_lapsed(one, now):
            return None
        if turn.words is not None:
            turn.words = replace(turn.words, reply=self._cut(reply, 2), agent=agent)
        turn.is_open = turn.is_open and not final
        self._touch(turn.name.device_id, one, now)
        self._trim(one)
        return turn.words

    def ended(self, correlation_id: str, now: float) -> None:
        """No answer is awaited any more. Idempotent."""
        one, turn = self._find(correlation_id)
        if one is None or turn is None or not turn.is_open:
            return
        turn.is_open = False
        self._touch(turn.name.device_id, one, now)
        self._trim(one)

    # -- how things are

    def is_open(self, device_id: str, now: float) -> bool:
        """Whether what is said next belongs to what was said before."""
        one = self._ongoing.get(device_id)
        return one is not None and not self._has_lapsed(one, now)

    def spoken_since(self, correlation_id: str) -> bool:
        """Whether its device has said something after that turn, or that conversation is forgotten."""
        one, turn = self._find(correlation_id)
        return one is None or turn is not next(reversed(one.turns.values()))

    def words(self, correlation_id: str) -> ConversationTurn | None:
        """A turn as it is remembered."""
        _, turn = self._find(correlation_id)
        return None if turn is None else turn.words

    def before(self, name: UtteranceName) -> Conversation:
        """What was said in its conversation before it."""
        one, _ = self._find(name.correlation_id)
        if one is None:
            return Conversation(name.conversation_id, begun=True)
        names = list(one.turns)
        begun = not one.turns[name.correlation_id].began
        return Conversation(one.id, one.memory(names[: names.index(name.correlation_id)]), begun)

    # -- the end

    def lapse(self, now: float) -> None:
        """Put away what is over."""
        for _ in range(len(self._ongoing)):
            device_id, one = next(iter(self._ongoing.items()))
            if now - one.last <= self._window + LATE_SECONDS:
                return
            if one.is_open:
                self._ongoing.move_to_end(device_id)
            else:
                self._end(device_id)

    def change_hands(self, user_of: Callable[[str], str]) -> None:
        """What was said with a device that is another user's now was the former's."""
        for device_id, one in list(self._ongoing.items()):
            if user_of(device_id) != one.user_id:
                self._end(device_id)

    def forget(self, is_gone: Callable[[UtteranceName], bool]) -> None:
        """Remember no words of these any more."""
        for one in self._ongoing.values():
            for turn in one.turns.values():
                if is_gone(turn.name):
                    turn.words = None
            self._trim(one)

    # -- what a gateway before this one knew

    def restore(self, rows: Iterable[TurnRow], now: float) -> None:
        """Its turns, oldest first; of devices that have spoken since, nothing is taken up."""
        known = set(self._ongoing)
        for row in rows:
            if row.device_id in known:
                continue
            name, last = utterance_name(row), now - max(0.0, row.age)
            one = self._ongoing.get(name.device_id)
            if one is None or one.id != row.conversation_id:
                one = self._begin(name, last, HOUSE, row.conversation_id)
            said = ConversationTurn(
                text=self._cut(row.text, 4),
                reply=self._cut(row.reply, 2),
                agent=row.agent,
                timestamp=row.timestamp,
                correlation_id=row.correlation_id,
            )
            self._add(one, _Turn(name, said if self.turns_kept and row.text else None, last, is_open=False))
            self._touch(name.device_id, one, last)

    def reopen(self, correlation_id: str) -> None:
        """The answer to one of those is still awaited."""
        _, turn = self._find(correlation_id)
        if turn is not None:
            turn.is_open = True

    # -- inside

    def _find(self, correlation_id: str) -> tuple[_Ongoing | None, _Turn | None]:
        one = self._ongoing.get(self._device_of.get(correlation_id, ""))
        return (None, None) if one is None else (one, one.turns.get(correlation_id))

    def _has_lapsed(self, one: _Ongoing, now: float) -> bool:
        return now - one.last > self._window and not one.is_open

    def _begin(self, name: UtteranceName, now: float, visitor: str, conversation_id: str = "") -> _Ongoing:
        self._end(name.device_id)
        if len(self._ongoing) >= self._most:
            self._make_room(visitor)
        one = self._ongoing[name.device_id] = _Ongoing(
            conversation_id or new_id("v"), name.user_id, visitor, now
        )
        self._taken[visitor] += 1
        return one

    def _make_room(self, visitor: str) -> None:
        """By the conversation that was silent for longest: of whoever is to give way, or of all."""
        whose = gives_way(self._taken, visitor) or (visitor if self._taken[visitor] else HOUSE)
        silent = (name for name, one in self._ongoing.items() if whose in (HOUSE, one.visitor))
        self._end(next(silent))

    def _end(self, device_id: str) -> None:
        one = self._ongoing.pop(device_id, None)
        if one is None:
            return
        for correlation_id in one.turns:
            del self._device_of[correlation_id]
        self._taken[one.visitor] -= 1
        if not self._taken[one.visitor]:
            del self._taken[one.visitor]

    def _touch(self, device_id: str, one: _Ongoing, now: float) -> None:
        one.last = max(one.last, now)
        self._ongoing.move_to_end(device_id)

    def _add(self, one: _Ongoing, turn: _Turn) -> None:
        one.begun = True
        one.turns[turn.name.correlation_id] = turn
        self._device_of[turn.name.correlation_id] = turn.name.device_id
        self._trim(one)

    def _drop_turn(self, correlation_id: str) -> None:
        one, _ = self._find(correlation_id)
        if one is not None:
            del one.turns[correlation_id], self._device_of[correlation_id]

    def _forget_old(self, one: _Ongoing, now: float) -> None:
        for turn in one.turns.values():
            if now - turn.said_at > self._longest:
                turn.words = None
        self._trim(one)

    def _trim(self, one: _Ongoing) -> None:
        """Within the bounds of turns and bytes: the oldest lose their words first."""
        remembered = one.remembered()
        size = sum(turn.size for turn in remembered)
        for index, turn in enumerate(remembered):
            if len(remembered) - index <= self.turns_kept and size <= self._most_bytes:
                break
            size -= turn.size
            turn.words = None
        over = [turn for turn in list(one.turns.values())[:-1] if turn.words is None and not turn.is_open]
        for turn in over:
            self._drop_turn(turn.name.correlation_id)

    def _cut(self, text: str, share: int) -> str:
        """No more of it than this part of what a conversation may have."""
        most = self._most_bytes // share
        if _bytes(text) <= most:
            return text
        room = most - len(CUT_OFF.encode())
        return text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + CUT_OFF


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
