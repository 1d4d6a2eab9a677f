"""The steps of a team, as what has to be committed, sent and shown for them; and what is to be undone, until it is."""

from __future__ import annotations

import structlog

from gateway.contract.agents import AgentAnswer, Wanted
from gateway.journal import AnyJournal
from gateway.journal.dead_letters import unpublished
from gateway.journal.effects import AgentMoved, Effect, Queued
from gateway.journal.records import LetterRow
from gateway.pipeline.agents.roster import AgentRoster
from gateway.pipeline.asking.by_name import Moves
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.pipeline.by_name.agent_letters import agent_letter, agent_row, once_more
from gateway.pipeline.by_name.leads import Lead
from gateway.pipeline.teams.members import Member, MemberEvent, MemberState
from gateway.pipeline.teams.outcome import TeamOutcome
from gateway.pipeline.teams.steps import Ask, Finish, ShowInterim, ShowPiece, Step, Stop, Undo, Verdict

log = structlog.get_logger(__name__)

UNDONE_NEVER = "the agent has not said that it is undone"


class Deeds:
    """What is done for all teams: each agent's figures are kept, and each answer that is awaited is known."""

    def __init__(self, roster: AgentRoster, journal: AnyJournal, unanswered: Unanswered) -> None:
        self._roster = roster
        self._journal = journal
        self._unanswered = unanswered

    def moves(self, lead: Lead, steps: list[Step], now: float) -> Moves:
        """What is to be committed at once, and then sent and shown."""
        letters: list[LetterRow] = []
        shown: list[ShowPiece | ShowInterim] = []
        outcome: TeamOutcome | None = None
        effects: list[Effect] = []
        assert lead.work is not None
        for step in steps:
            match step:
                case Ask(one, answers):
                    letters.append(self._ask(lead, one, answers, now))
                case Stop(one):
                    letters.append(self._letter(lead, one, Wanted.STOP))
                case Undo(one, reason):
                    letters.append(self._undo(lead, one, reason))
                case Verdict():
                    self._judge(lead, step, now)
                    effects += self._unanswered.end(step.member.request_id)
                case ShowPiece() | ShowInterim():
                    shown.append(step)
                case Finish():
                    outcome = step.outcome
        effects += map(Queued, letters)
        over = lead.work.outcome is not None
        moved = lead.work.changed()
        if outcome is not None:  # what they said is in the reply now
            moved = [one for one in lead.work.everybody if one.attempt or one.cached]
        effects += [_moved(lead, one, words=not over) for one in moved]
        return Moves(tuple(effects), tuple(letters), tuple(shown), outcome)

    def settle(self, lead: Lead) -> None:
        """No answer of those who were asked is awaited any more."""
        for one in lead.work.everybody if lead.work is not None else ():
            if one.request_id not in lead.undoing:
                effects = self._unanswered.end(one.request_id)
                if effects:
                    self._journal.commit(*effects)

    # -- what is to be undone

    def note_undone(self, lead: Lead, one: Member) -> None:
        """It has answered to that, with a yes or a no."""
        if one.state is MemberState.COMPENSATED:
            log.info("undone", agent=one.name, correlation_id=lead.correlation_id)
            del lead.undoing[one.request_id]
            self._journal.commit(*self._unanswered.end(one.request_id))
        elif one.state is MemberState.NOT_COMPENSATED:
            self.not_undone(lead, one, f"the agent says: {one.error}")

    def put_away(self, lead: Lead) -> None:
        """What nobody has undone is for the operator to see, and to send again."""
        self.settle(lead)
        for one in lead.work.everybody if lead.work is not None else ():
            if one.request_id in lead.undoing and one.step(MemberEvent.FAIL):
                self.not_undone(lead, one, UNDONE_NEVER)

    def not_undone(self, lead: Lead, one: Member, reason: str, *, put_away: bool = False) -> None:
        """``put_away``: as a dead letter, already."""
        letter = lead.undoing.pop(one.request_id)
        log.error("not undone", agent=letter.agent, correlation_id=letter.correlation_id, reason=reason)
        dead = () if put_away else (unpublished(once_more(letter), reason),)
        moved = _moved(lead, one, words=False)
        self._journal.commit(*dead, moved, *self._unanswered.end(letter.request_id))

    # -- each step

    def _ask(self, lead: Lead, one: Member, answers: tuple[AgentAnswer, ...], now: float) -> LetterRow:
        self._roster.asked(one.name, now)
        self._unanswered.expect(one.request_id)
        return self._letter(
            lead, one, Wanted.ASK, answers=answers, asked_at=self._roster.clock(one.name, now)
        )

    def _undo(self, lead: Lead, one: Member, reason: str) -> LetterRow:
        log.warning("to be undone", agent=one.name, correlation_id=lead.correlation_id)
        self._unanswered.expect(one.request_id)
        letter = lead.undoing[one.request_id] = self._letter(lead, one, Wanted.COMPENSATE, reason=reason)
        return letter

    def _letter(
        self,
        lead: Lead,
        one: Member,
        kind: Wanted,
        *,
        answers: tuple[AgentAnswer, ...] = (),
        asked_at: float = 0.0,
        reason: str = "",
    ) -> LetterRow:
        assert lead.work is not None
        return agent_letter(
            lead.topic, lead.work.plan, one, kind, self._journal.next_number(),
            answers=answers, asked_at=asked_at, reason=reason,
        )  # fmt: skip

    def _judge(self, lead: Lead, verdict: Verdict, now: float) -> None:
        name = verdict.member.name
        if verdict.stopped:
            self._roster.given_up(name)
        elif verdict.failure:
            self._roster.failed(
                name,
                verdict.failure,
                timed_out=verdict.timed_out,
                now=now,
                seconds=verdict.seconds,
                about=lead.topic.name,
            )
        else:
            self._roster.answered(name, verdict.seconds, now)


def _moved(lead: Lead, one: Member, *, words: bool) -> Effect:
    assert lead.work is not None
    undoing = lead.undoing.get(one.request_id) if one.state is MemberState.COMPENSATING else None
    return AgentMoved(agent_row(lead.topic.name, lead.work.plan, one, undoing, words=words))
