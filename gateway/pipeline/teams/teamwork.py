"""What a team does about one utterance: whom to ask next, whom to stop, and when and with what it ends.

Facts go in (a reply, a failure, the time), steps come out; whoever owns it takes the steps, and then commits what has
``changed``. No I/O and no clock: ``now`` is the caller's, in seconds, and never goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from firmware_bridge.pacing import Backoff
from gateway.contract.agents import AgentAnswer
from gateway.contract.messages import OrchestratorReply
from gateway.pipeline.agents.roster import Absence
from gateway.pipeline.teams.combining import combined, failure
from gateway.pipeline.teams.members import AT_WORK, OVER, UNDOING, Member, MemberEvent, MemberState
from gateway.pipeline.teams.outcome import Cause, TeamOutcome
from gateway.pipeline.teams.plans import Combination, Policy, TeamPlan
from gateway.pipeline.teams.steps import Ask, Finish, ShowInterim, ShowPiece, Step, Stop, Undo, Verdict

FIRST_RETRY_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 5.0
"""After a failure an agent that may be asked again is, after so long, doubling, with jitter."""
MAX_PIECES_TEXT = 64 * 1024 + 1
"""Characters kept of one agent's answer: one more than a reply may have, so that it is seen to be cut off."""


Available: TypeAlias = Callable[[str], Absence | None]
"""Whether an agent can be asked now; None: it can."""
Kept: TypeAlias = Callable[[str, tuple[AgentAnswer, ...]], AgentAnswer | None]
"""What an agent has answered to the same before, given these answers of others; None: it is to be asked."""


def nothing_kept(_agent: str, _answers: tuple[AgentAnswer, ...]) -> None:
    """Everybody is asked."""


class NotOfTheTeam(Exception):
    """The reply is of nobody who was asked."""


class TeamWork:
    """One utterance, put to a team."""

    def __init__(self, plan: TeamPlan, available: Available, now: float, kept: Kept = nothing_kept) -> None:
        self.plan = plan
        self.outcome: TeamOutcome | None = None
        """How it ended."""
        self._candidates = plan.candidates
        self._available = available
        self._kept = kept
        self.begun_at = now
        self._members = [Member(one) for one in plan.members]
        self._combiner = Member(plan.combiner) if plan.combiner is not None else None
        self._leader: Member | None = None  # whose pieces are shown
        self._shown = False
        self._backoffs: dict[str, Backoff] = {}

    # -- what there is

    @property
    def everybody(self) -> list[Member]:
        """All members, and who combines their answers."""
        return self._members if self._combiner is None else [*self._members, self._combiner]

    def asked(self, request_id: str) -> Member | None:
        """Who was asked under that id."""
        return next((one for one in self.everybody if one.request_id == request_id and one.attempt), None)

    def changed(self) -> list[Member]:
        """Those whose state is not what it was at the last call."""
        changed = [one for one in self.everybody if one.changed]
        for one in changed:
            one.changed = False
        return changed

    @property
    def deadline(self) -> float:
        """When it ends at the latest."""
        return self.begun_at + self.plan.seconds

    def next_deadline(self, now: float) -> float:
        """When something is to be decided at the latest, if nothing happens before."""
        at_work = [one for one in self.everybody if one.state in AT_WORK]
        times = [one.due for one in at_work] + [one.heard_at + self.plan.patience for one in at_work]
        times += [one.not_before for one in self.everybody if one.state is MemberState.WAITING]
        times += [self.begun_at + self.plan.patience, self.begun_at + self.plan.seconds]
        if self.plan.prefer_seconds and (first := self._first_good()):
            times.append(first.answered_at + self.plan.prefer_seconds)
        return min((time for time in times if time > now), default=now)

    def take_up(self, members: Iterable[Member]) -> None:
        """What a gateway before this one knew of its members; the others were not asked."""
        known = {one.name: one for one in members}
        self._members = [known.get(one.name, one) for one in self._members]
        if self._combiner is not None:
            self._combiner = known.get(self._combiner.name, self._combiner)

    def let_go(self) -> None:
        """It is over: what members have answered is not needed any more; what others have begun to say may be."""
        for one in self.everybody:
            if one.state is MemberState.DONE:
                one.text, one.interim, one.data = "", "", None

    # -- what happens

    def go_on(self, now: float) -> list[Step]:
        """Ask whoever can be asked, and end if that is due; also at the beginning, and whenever time has passed."""
        if self.outcome is not None:
            return []
        steps = self._expired(now)
        if now >= self.begun_at + self.plan.seconds:
            return steps + self._finish(now)
        if self.plan.policy is Policy.IN_TURN:
            steps += self._lost_in_turn(now)
        steps += self._asked_now(now)
        return steps + self._finish_if_due(now)

    def take(self, reply: OrchestratorReply, now: float) -> list[Step]:
        """A reply to one of its requests. Raises NotOfTheTeam."""
        member = self.asked(reply.request_id)
        if member is None or member.name != reply.agent:
            raise NotOfTheTeam(f"{reply.agent} was not asked")
        member.heard_at = now
        member.once = member.once or reply.acted or reply.compensation or reply.hints is not None
        if reply.compensation or member.state in UNDOING:
            return self._undone(member, reply)
        if not reply.final and reply.error is None and (reply.progress or not reply.text):
            member.step(MemberEvent.SIGN)
            return []
        if reply.interim and reply.error is None:
            return self._take_interim(member, reply)
        if not reply.final and reply.error is None:
            return self._take_piece(member, reply)
        return self._take_end(member, reply, now)

    def failed(self, request_id: str, reason: str, now: float) -> list[Step]:
        """It could not be asked."""
        member = self.asked(request_id)
        if member is None or member.state not in AT_WORK or self.outcome is not None:
            return []
        member.gone = member.unasked = True
        return [*self._fail(member, reason, now, began=False), *self.go_on(now)]

    def expire(self, now: float) -> list[Step]:
        """The request's own time is over: what there is, or that there is nothing."""
        return [] if self.outcome is not None else [*self._expired(now), *self._finish(now)]

    def ask_after_all(self, now: float) -> list[Step]:
        """All were away, and it has ended; whoever of them is here now is asked, and its answer will be late."""
        if self.outcome is None or self.outcome.cause is not Cause.NOBODY:
            return []
        steps: list[Step] = []
        for one in self._members:
            if not self._was_away(one) or self._available(one.name) is not None:
                continue
            if self.plan.policy is Policy.IN_TURN and any(each.after_all for each in self._members):
                break
            one.after_all, one.not_before = True, now
            steps += self._ask(one, (), now)
            one.step(MemberEvent.STOP)
        return steps

    @property
    def misses_somebody(self) -> bool:
        """Whether somebody was away who might still answer, now that it has ended; and nobody has yet."""
        if any(one.state is MemberState.LATE and one.understood for one in self._members):
            return False
        is_nobodys = self.outcome is not None and self.outcome.cause is Cause.NOBODY
        return is_nobodys and any(map(self._was_away, self._members))

    def _was_away(self, member: Member) -> bool:
        """Whether it alone could have given the reply, and was never asked because it was not there."""
        if member.plan.after or member.name not in self.plan.candidates or member.after_all:
            return False
        never = member.state is MemberState.SKIPPED and not member.attempt and member.error is None
        return never or (member.unasked and member.state in (MemberState.SKIPPED, MemberState.FAILED))

    # -- replies

    def _take_interim(self, member: Member, reply: OrchestratorReply) -> list[Step]:
        if not member.step(MemberEvent.SIGN) or not self._leads(member):
            return []
        member.interim, member.text = reply.text[:MAX_PIECES_TEXT], ""
        self._shown = True
        return [ShowInterim(member.interim, member.name)]

    def _take_piece(self, member: Member, reply: OrchestratorReply) -> list[Step]:
        if not member.step(MemberEvent.SIGN):
            return []
        piece = reply.text[: MAX_PIECES_TEXT - len(member.text)]
        member.text += piece
        return [ShowPiece(piece, member.name)] if piece and self._leads(member) else []

    def _leads(self, member: Member) -> bool:
        """Whether what it says so far can be shown: the reply will be its own."""
        if self.outcome is not None:
            return False
        if member is not self._combiner:
            single = self.plan.policy in (Policy.FIRST, Policy.IN_TURN) or len(self._members) == 1
            first = not self.plan.prefer_seconds or member is self._members[0]
            if not (single and first and self._combiner is None and member.name in self._candidates):
                return False
        if self._leader is None or self._leader.state not in AT_WORK:
            self._leader = member
        return self._leader is member

    def _take_end(self, member: Member, reply: OrchestratorReply, now: float) -> list[Step]:
        if reply.error is not None:
            if member.state not in AT_WORK:
                return []
            member.text = reply.text[:MAX_PIECES_TEXT]
            return [*self._fail(member, reply.error, now), *self.go_on(now)]
        if not member.step(MemberEvent.ANSWER):
            return []
        member.text = (reply.text or member.text or member.interim)[:MAX_PIECES_TEXT]
        member.understood, member.confidence, member.data = reply.understood, reply.confidence, reply.data
        member.error, member.answered_at = None, now
        steps: list[Step] = [Verdict(member, now - member.asked_at)]
        if self.outcome is not None:
            return steps + self._answered_too_late(member)
        return [*steps, *self._shown_first(member, now), *self.go_on(now)]

    def _answered_too_late(self, member: Member) -> list[Step]:
        """Its team has failed meanwhile, and nobody has told it so."""
        if self.outcome is None or self.outcome.error is None:
            return []
        if not member.plan.compensates or member.after_all:
            return []
        member.step(MemberEvent.COMPENSATE)
        return [Undo(member, self.outcome.error)]

    def _shown_first(self, member: Member, now: float) -> list[Step]:
        if not self.plan.show_first or self._shown or not member.good or not member.text or self._is_due(now):
            return []
        self._shown = True
        return [ShowInterim(member.text, member.name)]

    @staticmethod
    def _undone(member: Member, reply: OrchestratorReply) -> list[Step]:
        """Or not. The answer that it was asked for may come yet, and says nothing about that."""
        if not reply.compensation or member.state not in UNDOING:
            return []
        member.error = reply.error
        if reply.error is not None:
            member.step(MemberEvent.FAIL)
        elif reply.final:
            member.step(MemberEvent.UNDONE)
        return []

    # -- failures

    def _expired(self, now: float) -> list[Step]:
        """Who is too late is not told to stop: what it says yet is welcome."""
        steps: list[Step] = []
        for one in self.everybody:
            if one.state in AT_WORK and one.due <= now:
                one.timed_out = True
                steps += self._fail(one, f"it took longer than {one.plan.seconds:g} s", now)
        return steps

    def _is_lost(self, member: Member, now: float) -> bool:
        """Whether it was asked, is not there any more (or broken), and was silent for the patience."""
        silent = member.state in AT_WORK and now >= member.heard_at + self.plan.patience
        return silent and self._available(member.name) is not None

    def _lost_in_turn(self, now: float) -> list[Step]:
        """The next has its turn; should this one answer yet, it is welcome."""
        steps: list[Step] = []
        for one in self._members:
            if self._is_lost(one, now):
                one.gone, one.error = True, "it is not there any more"
                one.step(MemberEvent.FAIL)
                steps.append(Verdict(one, now - one.asked_at, one.error))
        return steps

    def _fail(self, member: Member, reason: str, now: float, *, began: bool = True) -> list[Step]:
        """It is asked again where that can do no harm and there is time."""
        verdict = Verdict(member, now - member.asked_at, reason, member.timed_out)
        may = member.plan.again if began else max(1, member.plan.again)
        member.error = reason
        wait = self._backoff(member).next()
        if member.attempt <= may and now + wait < self.begun_at + self.plan.seconds and not member.timed_out:
            member.step(MemberEvent.RETRY)
            member.not_before, member.text, member.interim = now + wait, "", ""
        else:
            member.step(MemberEvent.FAIL)
        return [verdict]

    def _backoff(self, member: Member) -> Backoff:
        return self._backoffs.setdefault(member.name, Backoff(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS))

    # -- asking

    def _asked_now(self, now: float) -> list[Step]:
        steps: list[Step] = []
        if self._combiner is not None and self._combiner.attempt:
            return steps
        self._recall_one(now)
        for one in self._members:
            if one.state is not MemberState.WAITING:
                continue
            if self.plan.policy is Policy.IN_TURN and (
                now < one.not_before or any(each.state in AT_WORK for each in self._members)
            ):
                break
            before = self._before(one)
            if any(each.state in OVER and not each.good for each in before):
                one.error = "what it comes after has failed"
                one.step(MemberEvent.SKIP)
            elif all(each.good for each in before) and not self._is_good_enough():
                steps += self._ask(one, tuple(each.answer() for each in before), now)
        return steps

    def _recall_one(self, now: float) -> None:
        """Where one answer will do, whoever has it: then nobody is asked."""
        if self.plan.policy is not Policy.FIRST or self.plan.prefer_seconds:
            return
        for one in self._members:
            alone = one.name in self._candidates and not one.plan.after
            if alone and one.state is MemberState.WAITING and self._recall(one, (), now):
                return

    def _recall(self, member: Member, answers: tuple[AgentAnswer, ...], now: float) -> bool:
        kept = self._kept(member.name, answers) if self.outcome is None else None
        if kept is not None:
            member.recall(kept, now)
        return kept is not None

    def _before(self, member: Member) -> list[Member]:
        return [one for one in self._members if one.name in member.plan.after] if member.plan.after else []

    def _is_good_enough(self) -> bool:
        """Whether a further answer would change nothing."""
        if self.plan.policy in (Policy.FIRST, Policy.IN_TURN):
            return self._first_good() is not None
        return self.plan.policy is Policy.QUORUM and len(self._good()) >= self.plan.quorum

    def _ask(self, member: Member, answers: tuple[AgentAnswer, ...], now: float) -> list[Step]:
        """If it can be asked; one that is not there may come yet."""
        if now < member.not_before or self._recall(member, answers, now):
            return []
        absence = self._available(member.name)
        if absence is Absence.BREAKER_OPEN:
            member.error = f"it has {absence}"
            member.step(MemberEvent.SKIP)
        if absence is not None:
            return []
        member.step(MemberEvent.ASK)
        member.attempt += 1
        member.answers = answers
        member.asked_at = member.heard_at = now
        member.gone = member.unasked = False
        member.due = min(now + member.plan.seconds, self.begun_at + self.plan.seconds)
        return [Ask(member, answers)]

    # -- the end

    def _good(self) -> list[Member]:
        return [one for one in self._members if one.good and one.name in self._candidates]

    def _first_good(self) -> Member | None:
        return min(self._good(), key=lambda one: one.answered_at, default=None)

    def _finish_if_due(self, now: float) -> list[Step]:
        if not self._is_due(now):
            return []
        if self._combiner is None or not self._good() or self._falls_short():
            return self._finish(now)
        return self._combine(self._combiner, now)

    def _combine(self, combiner: Member, now: float) -> list[Step]:
        """All answers, to the one who makes a reply of them; without it they are one after the other."""
        steps = [step for one in self._members for step in self._stop(one, now)]
        if combiner.state is MemberState.WAITING:
            answers = tuple(one.answer() for one in self._members if one.good)
            steps += self._ask(combiner, answers, now)
        waits = combiner.state is MemberState.WAITING and now < combiner.not_before
        works = combiner.state in AT_WORK and not self._is_lost(combiner, now)
        return steps if works or waits else steps + self._finish(now)

    def _is_due(self, now: float) -> bool:
        """Whether no further answer is waited for."""
        if self._combiner is not None and self._combiner.attempt:
            return True
        if self._is_decided(now):
            return True
        if any(one.state in AT_WORK or self._may_be_asked(one, now) for one in self._members):
            return self._others_are_lost(now)
        return not self._may_come(now) or (bool(self._good()) and not self._falls_short())

    def _is_decided(self, now: float) -> bool:
        """Although some are still at work."""
        policy, good = self.plan.policy, self._good()
        if policy is Policy.QUORUM:
            return len(good) >= self.plan.quorum or self._cannot_be()
        if policy is Policy.ALL:
            return self._cannot_be()
        if policy is Policy.DEADLINE or not good:
            return False
        preferred = self._members[0]
        if preferred.state not in AT_WORK or not self.plan.prefer_seconds:
            return True
        return now >= min(one.answered_at for one in good) + self.plan.prefer_seconds

    def _others_are_lost(self, now: float) -> bool:
        """Whether those who are still at work are not there any more, or broken.

        With an answer that will do, nobody waits for these; without one it is for the patience.
        """
        at_work = [one for one in self._members if one.state in AT_WORK]
        if any(self._available(one.name) is None for one in at_work):
            return False
        if any(self._may_be_asked(one, now) for one in self._members):
            return False
        will_do = bool(self._good()) and not self._falls_short()
        return will_do or all(self._is_lost(one, now) for one in at_work)

    def _cannot_be(self) -> bool:
        """Whether there can be no reply any more, whoever answers yet."""
        lost = [one for one in self._members if one.state in OVER and not one.good]
        if self.plan.policy is Policy.ALL:
            return bool(lost) and not self.plan.partial
        left = sum(1 for one in self._members if one not in lost and one.name in self._candidates)
        return self.plan.policy is Policy.QUORUM and left < self.plan.quorum

    def _falls_short(self) -> bool:
        """Whether what there is is too little for a reply."""
        if self.plan.policy is Policy.ALL and not self.plan.partial:
            return not all(one.good for one in self._members)
        return self.plan.policy is Policy.QUORUM and len(self._good()) < self.plan.quorum

    def _may_be_asked(self, member: Member, now: float) -> bool:
        """Whether it is to be asked yet: in its turn, again, or after others that are at work."""
        if member.state is not MemberState.WAITING:
            return False
        if now < member.not_before:
            return True
        before = self._before(member)
        if before and not all(one.good for one in before):
            return any(
                (one.state in AT_WORK and not self._is_lost(one, now)) or self._may_be_asked(one, now)
                for one in before
            )
        return self._available(member.name) is None

    def _may_come(self, now: float) -> bool:
        """Whether somebody who is not there may come in time: for so long is waited, if for nobody else."""
        away = any(one.state is MemberState.WAITING for one in self._members)
        return away and now < self.begun_at + self.plan.patience

    def _finish(self, now: float) -> list[Step]:
        good, combiner = self._good(), self._combiner
        if combiner is not None and combiner.good:
            outcome = combined(self.plan, [combiner], self._missing(), good)
        elif good and not self._falls_short():
            without = [combiner.name] if combiner is not None else []
            outcome = combined(self.plan, self._chosen(good), [*self._missing(), *without], good)
        else:
            for one in self._members:
                one.gone = one.gone or self._is_lost(one, now)
            outcome = failure(self.plan, self._members, falls_short=self._falls_short())
        return self._end(outcome, now)

    def _chosen(self, good: list[Member]) -> list[Member]:
        """Of those who answered, whose answers make the reply."""
        if self.plan.policy in (Policy.FIRST, Policy.IN_TURN):
            preferred = self._members[0]
            if self.plan.prefer_seconds and preferred in good:
                return [preferred]
            return [min(good, key=lambda one: one.answered_at)]
        if self.plan.combination is Combination.BEST:
            return [max(good, key=lambda one: one.confidence)]
        if self.plan.combination is Combination.LAST:
            return good[-1:]
        return good

    def _missing(self) -> list[str]:
        """Whose answers the reply should have had."""
        if self.plan.policy in (Policy.ALL, Policy.DEADLINE):
            return [one.name for one in self._members if not one.good]
        return []

    def _end(self, outcome: TeamOutcome, now: float) -> list[Step]:
        self.outcome = outcome
        steps: list[Step] = [Finish(outcome)]
        waits = outcome.cause in (Cause.NOBODY, Cause.LATE)  # for what comes yet
        for one in self.everybody:
            if one.state is MemberState.WAITING:
                one.step(MemberEvent.SKIP)
            elif waits and not one.plan.compensates:
                one.step(MemberEvent.STOP)
            else:
                steps += self._stop(one, now)
        if outcome.error is not None:
            for one in self.everybody:
                if one.plan.compensates and one.attempt and one.acted and one.step(MemberEvent.COMPENSATE):
                    steps.append(Undo(one, outcome.error))
        return steps

    @staticmethod
    def _stop(member: Member, now: float) -> list[Step]:
        if not member.step(MemberEvent.STOP):
            return []
        return [Verdict(member, now - member.asked_at, stopped=True), Stop(member)]
