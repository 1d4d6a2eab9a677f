"""One agent's part in a team's work, as a state table. No I/O and no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.contract.agents import AgentAnswer
from gateway.contract.messages import new_id
from gateway.pipeline.teams.plans import MemberPlan


class MemberState(StrEnum):
    """Where it is."""

    WAITING = "waiting"
    """For its turn, for another's answer, for its next attempt, or to be there."""
    ASKED = "asked"
    ANSWERING = "answering"
    """It gave a sign of life."""
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Asked, and not needed any more."""
    SKIPPED = "skipped"
    """Never asked."""
    LATE = "late"
    """It answered when nobody waited for it any more."""
    COMPENSATING = "compensating"
    """It was told to undo what it did."""
    COMPENSATED = "compensated"
    NOT_COMPENSATED = "not compensated"
    """It could not be told, cannot do it, or has not said that it did."""


class MemberEvent(StrEnum):
    """What happens to it."""

    ASK = "ask"
    SIGN = "sign"
    ANSWER = "answer"
    FAIL = "fail"
    RETRY = "retry"
    STOP = "stop"
    SKIP = "skip"
    COMPENSATE = "compensate"
    UNDONE = "undone"


MEMBER_TRANSITIONS: dict[tuple[MemberState, MemberEvent], MemberState] = {
    (MemberState.WAITING, MemberEvent.ASK): MemberState.ASKED,
    (MemberState.WAITING, MemberEvent.SKIP): MemberState.SKIPPED,
    (MemberState.ASKED, MemberEvent.SIGN): MemberState.ANSWERING,
    (MemberState.ASKED, MemberEvent.ANSWER): MemberState.DONE,
    (MemberState.ASKED, MemberEvent.FAIL): MemberState.FAILED,
    (MemberState.ASKED, MemberEvent.RETRY): MemberState.WAITING,
    (MemberState.ASKED, MemberEvent.STOP): MemberState.STOPPED,
    (MemberState.ANSWERING, MemberEvent.SIGN): MemberState.ANSWERING,
    (MemberState.ANSWERING, MemberEvent.ANSWER): MemberState.DONE,
    (MemberState.ANSWERING, MemberEvent.FAIL): MemberState.FAILED,
    (MemberState.ANSWERING, MemberEvent.RETRY): MemberState.WAITING,
    (MemberState.ANSWERING, MemberEvent.STOP): MemberState.STOPPED,
    (MemberState.DONE, MemberEvent.COMPENSATE): MemberState.COMPENSATING,
    (MemberState.SKIPPED, MemberEvent.ASK): MemberState.ASKED,
    (MemberState.FAILED, MemberEvent.ASK): MemberState.ASKED,
    (MemberState.FAILED, MemberEvent.ANSWER): MemberState.LATE,
    (MemberState.FAILED, MemberEvent.COMPENSATE): MemberState.COMPENSATING,
    (MemberState.STOPPED, MemberEvent.ANSWER): MemberState.LATE,
    (MemberState.STOPPED, MemberEvent.COMPENSATE): MemberState.COMPENSATING,
    (MemberState.LATE, MemberEvent.COMPENSATE): MemberState.COMPENSATING,
    (MemberState.COMPENSATING, MemberEvent.UNDONE): MemberState.COMPENSATED,
    (MemberState.COMPENSATING, MemberEvent.FAIL): MemberState.NOT_COMPENSATED,
    (MemberState.NOT_COMPENSATED, MemberEvent.UNDONE): MemberState.COMPENSATED,
}

AT_WORK = frozenset({MemberState.ASKED, MemberState.ANSWERING})
UNDOING = frozenset({MemberState.COMPENSATING, MemberState.NOT_COMPENSATED})
"""In which it may yet say that it is undone."""
OVER = frozenset({MemberState.DONE, MemberState.FAILED, MemberState.STOPPED, MemberState.SKIPPED})
"""In which nobody waits for it."""


@dataclass(slots=True, eq=False)
class Member:
    """``text``: of its pieces so far; ``interim``: its whole first answer. Times are the caller's, in seconds.

    ``changed``: what is to be kept of it; that it is at work is not, and its pieces are kept as they come.
    """

    plan: MemberPlan
    request_id: str = field(default_factory=lambda: new_id("q"))
    state: MemberState = MemberState.WAITING
    attempt: int = 0
    asked_at: float = 0.0
    due: float = 0.0
    """When its answer is too late."""
    not_before: float = 0.0
    """Not asked again before."""
    heard_at: float = 0.0
    """When it was asked, or gave its last sign of life."""
    timed_out: bool = False
    gone: bool = False
    """It could not be asked after all, or is not there any more."""
    unasked: bool = False
    """It could not."""
    after_all: bool = False
    """It was asked when nobody waited for it any more."""
    text: str = ""
    interim: str = ""
    error: str | None = None
    understood: bool = True
    confidence: float = 0.0
    data: dict[str, Any] | None = None
    answered_at: float = 0.0
    cached: bool = False
    """It was not asked: this is what it has answered to the same before."""
    answers: tuple[AgentAnswer, ...] = ()
    """Of others, that it was asked with."""
    once: bool = False
    """What it answers is for this request alone: it did something, or asked for something more."""
    changed: bool = False

    @property
    def name(self) -> str:
        """The agent's."""
        return self.plan.name

    @property
    def good(self) -> bool:
        """Whether it has an answer that can be given."""
        return self.state is MemberState.DONE and self.understood

    @property
    def may_answer(self) -> bool:
        """Whether an answer of it would be taken; of one that took too long, too."""
        return self.state in AT_WORK or (self.state is MemberState.FAILED and self.timed_out)

    @property
    def acted(self) -> bool:
        """Whether it may have done something that nobody has undone."""
        return self.state in (MemberState.DONE, MemberState.STOPPED, MemberState.LATE) or (
            self.state is MemberState.FAILED and self.timed_out
        )

    def step(self, event: MemberEvent) -> bool:
        """Something happens to it; False: that cannot happen now, and nothing has changed."""
        state = MEMBER_TRANSITIONS.get((self.state, event))
        if state is None:
            return False
        self.changed = self.changed or event is not MemberEvent.SIGN
        self.state = state
        return True

    def recall(self, kept: AgentAnswer, now: float) -> None:
        """It need not be asked: it has answered the same before."""
        self.step(MemberEvent.ASK)
        self.step(MemberEvent.ANSWER)
        self.text, self.confidence, self.data = kept.text, kept.confidence, kept.data
        self.asked_at = self.answered_at = now
        self.cached, self.error = True, None

    def answer(self) -> AgentAnswer:
        """What others are told of it."""
        error = self.error if self.error is not None or self.good else "it did not understand"
        return AgentAnswer(
            agent=self.name, text=self.text, error=error, confidence=self.confidence, data=self.data
        )
