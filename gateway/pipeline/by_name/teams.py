"""The teams that are at work, each on one request: what they do next becomes messages, and rows of the journal.

Whoever gives them a fact (a reply, time that has passed) gets what has to be committed and sent for it, all at once.
The turns of a conversation come one after the other: what is said before an answer is there is put to its team then.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import structlog

from firmware_bridge.alarm import Alarm
from gateway.contract.agents import AgentAnswer
from gateway.contract.messages import OrchestratorReply, TranscriptionMessage
from gateway.journal import AnyJournal
from gateway.journal.records import AgentRow, LetterRow
from gateway.pipeline.agents.features import Features, Side
from gateway.pipeline.agents.roster import Absence, AgentRoster
from gateway.pipeline.asking.by_name import NO_MOVES, Moves, NotAsked
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.pipeline.by_name.agent_letters import Topic, member
from gateway.pipeline.by_name.deeds import Deeds
from gateway.pipeline.by_name.echoes import Echoes
from gateway.pipeline.by_name.leads import Lead, Lines, without_words
from gateway.pipeline.sessions.conversations import Conversation
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.teams.members import AT_WORK, Member, MemberEvent, MemberState
from gateway.pipeline.teams.outcome import TeamOutcome
from gateway.pipeline.teams.plans import Asking, Plans, TeamPlan
from gateway.pipeline.teams.steps import Step
from gateway.pipeline.teams.teamwork import NotOfTheTeam, TeamWork
from gateway.pipeline.teams.trying import choose, end_of
from gateway.settings.orchestrator import OrchestratorSettings

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
"""How often it is looked whether an agent has come, gone, or broken, for whoever waits for it."""
MOST_MISSED = 1_000
"""Requests that are put to whoever comes yet, since nobody was there; the oldest are put to nobody then."""

Due: TypeAlias = tuple[str, Callable[[], Moves]]
"""To which request something is to happen, and what: to be called when what happened to it before is committed."""


class Teams:
    """Those at work, and for a while those that were."""

    def __init__(
        self,
        settings: OrchestratorSettings,
        roster: AgentRoster,
        journal: AnyJournal,
        unanswered: Unanswered,
        features: Features,
    ) -> None:
        self._plans = Plans(settings)
        self._features = features
        self._roster = roster
        self._unanswered = unanswered
        self._deeds = Deeds(roster, journal, unanswered)
        self._now = asyncio.get_running_loop().time
        self._most_over, self._late_seconds = settings.max_pending, settings.late_seconds
        self._leads: dict[str, Lead] = {}
        self._over: OrderedDict[str, Lead] = OrderedDict()
        self._lines = Lines()
        self._echoes = Echoes(settings.echo_seconds)
        self._deadlines: list[tuple[float, str]] = []
        self._failures: list[tuple[str, str, str]] = []
        self._absences: dict[str, Absence | None] = {}
        self._missed: OrderedDict[str, None] = OrderedDict()
        self._look_at = self._missed_at = 0.0
        self._woken = asyncio.Event()
        self._alarm = Alarm(self._woken.set)

    @property
    def named(self) -> bool:
        """Whether agents are asked by name."""
        return bool(self._plans)

    def leads(self, correlation_id: str) -> bool:
        """Whether a team was asked about it, however long ago that is remembered."""
        return correlation_id in self._leads or correlation_id in self._over

    def deadline(self, correlation_id: str) -> float:
        """When its team ends at the latest, or that of which it is an echo; of one that waits for its turn, never."""
        lead = self._leads.get(correlation_id)
        if lead is not None and lead.work is None:
            lead = self._leads.get(lead.echo_of)
        return math.inf if lead is None or lead.work is None else lead.work.deadline

    # -- a request begins

    def begin(self, topic: Topic) -> Moves | None:
        """Put it to the team that it is for, in its turn; None: it is for nobody."""
        plan, sides = self._choose(topic)
        if plan is None:
            return None
        lead, its_turn = self._lead(topic)
        if lead.echo_of:
            return self._echoed(lead)
        lead.sides = sides
        return self._begin(lead, plan) if its_turn else NO_MOVES

    def _lead(self, topic: Topic) -> tuple[Lead, bool]:
        """A new one, and whether it is its turn."""
        lead = self._leads[topic.name.correlation_id] = Lead(topic, echo_of=self._asked_already(topic))
        if not lead.echo_of:
            self._echoes.note(topic.message)
        return lead, self._lines.join(lead)

    def _asked_already(self, topic: Topic) -> str:
        """The request that is of the same voice, as long as its answer is to come or known; empty: there is none."""
        name = self._echoes.find(topic.message)
        return name if name in self._leads or self.shared(name) is not None else ""

    def _echoed(self, lead: Lead) -> Moves:
        """It waits for the answer to the same voice, or has it."""
        other = self._leads.get(lead.echo_of)
        if other is not None:
            other.echoes.append(lead.correlation_id)
            return NO_MOVES
        outcome = self.shared(lead.echo_of)
        return NO_MOVES if outcome is None else Moves(outcome=outcome)

    def shared(self, correlation_id: str) -> TeamOutcome | None:
        """How a request ended, for its echoes; None: nobody knows."""
        lead = self._over.get(correlation_id)
        outcome = lead.work.outcome if lead is not None and lead.work is not None else None
        return None if outcome is None else replace(outcome, echo_of=correlation_id)

    def echoes(self, correlation_id: str) -> list[str]:
        """Those that wait for its answer; it may have ended."""
        lead = self._leads.get(correlation_id) or self._over.get(correlation_id)
        return [name for name in lead.echoes if name in self._leads] if lead is not None else []

    def _begin(self, lead: Lead, plan: TeamPlan) -> Moves:
        now = self._now()
        lead.work = TeamWork(plan, self._why_not, now, partial(self._kept, lead))
        return self._do(lead, lead.work.go_on(now), now)

    def end(self, correlation_id: str) -> str:
        """It has ended; the next of its conversation, whose turn it is now. Empty: there is none."""
        lead = self._leads.pop(correlation_id, None)
        if lead is None:
            return ""
        following = self._lines.leave(lead)
        self._remember(lead)
        return following

    def begin_waiting(self, correlation_id: str, before: Callable[[UtteranceName], Conversation]) -> Moves:
        """It has waited for its turn, which is now; it is put to its team with what was said until now."""
        lead = self._leads[correlation_id]
        if lead.echo_of in self._leads:
            return NO_MOVES
        lead.echo_of = ""
        lead.topic = lead.topic.after(before(lead.topic.name))
        plan, lead.sides = self._choose(lead.topic)
        return self._begin(lead, plan or self._plans.of(()))

    def _choose(self, topic: Topic) -> tuple[TeamPlan | None, tuple[Side, ...]]:
        return choose(self._features, self._plans, _asking(topic.message), topic.name.session_id)

    # -- what happens

    def take(self, reply: OrchestratorReply, now: float) -> Moves:
        """A reply of somebody; its request may be over. Raises NotAsked."""
        lead = self._leads.get(reply.correlation_id) or self._over.get(reply.correlation_id)
        if lead is None or lead.work is None:
            raise NotAsked(f"{reply.agent} was not asked")
        one = lead.work.asked(reply.request_id)
        had, was_good = (0, False) if one is None else (len(one.text), one.good)
        try:
            steps = lead.work.take(reply, now)
        except NotOfTheTeam as error:
            raise NotAsked(str(error)) from error
        if one is not None and one.good and not was_good:
            self._keep(lead, one, now)
        moves = self._do(lead, steps, now)
        if one is not None:
            moves = replace(moves, kept=one.text[had:])
        if reply.compensation and one is not None and one.request_id in lead.undoing:
            self._deeds.note_undone(lead, one)
        return moves

    def awaited(self, correlation_id: str, request_id: str) -> str:
        """The agent that was asked under that id and may still answer, also late; empty: none."""
        lead = self._leads.get(correlation_id) or self._over.get(correlation_id)
        one = None if lead is None or lead.work is None else lead.work.asked(request_id)
        return one.name if one is not None and one.may_answer else ""

    def late_answer(self, reply: OrchestratorReply) -> Member | None:
        """Whose good answer it is that came too late; where there was a reply already, nobody missed it."""
        lead = self._over.get(reply.correlation_id)
        if lead is None or lead.work is None or lead.work.outcome is None:
            return None
        one = lead.work.asked(reply.request_id)
        if one is None or one.state is not MemberState.LATE or not one.understood:
            return None
        return one if one.timed_out or lead.work.outcome.error is not None else None

    def missed_answer(self, reply: OrchestratorReply) -> str:
        """All of it, where it is to a request that has no answer; empty: it is none."""
        one, lead = self.late_answer(reply), self._over.get(reply.correlation_id)
        if one is None or lead is None or lead.work is None or lead.work.outcome is None:
            return ""
        return one.text if lead.work.outcome.error is not None else ""

    def could_not_ask(self, letter: LetterRow, reason: str, *, refused: bool) -> None:
        """Nobody has that message; ``refused``: nor will, it is a dead letter."""
        over = self._over.get(letter.correlation_id)
        if over is not None and refused and over.undoing.get(letter.request_id) == letter:
            one = over.work.asked(letter.request_id) if over.work is not None else None
            if one is not None and one.step(MemberEvent.FAIL):
                self._deeds.not_undone(over, one, reason, put_away=True)
        elif letter.request_id:
            self._failures.append((letter.correlation_id, letter.request_id, reason))
            self._woken.set()

    def expire(self, correlation_id: str, now: float) -> Moves:
        """The request's own deadline has come."""
        lead = self._leads.get(correlation_id)
        if lead is None or lead.work is None:
            return NO_MOVES
        return self._do(lead, lead.work.expire(now), now)

    async def wait(self) -> None:
        """Until something is due."""
        due = min(self._look_at, self._deadlines[0][0]) if self._deadlines else math.inf
        self._alarm.set(min(due, self._forget_at, self._missed_at if self._missed else math.inf))
        await self._woken.wait()
        self._woken.clear()

    def due(self) -> Iterator[Due]:
        """What has to happen now: time has passed, somebody could not be asked, or has come or gone."""
        now = self._now()
        failures, self._failures = self._failures, []
        for correlation_id, request_id, reason in failures:
            lead = self._leads.get(correlation_id)
            if lead is not None and lead.work is not None:
                yield correlation_id, partial(self._could_not_be_asked, lead, request_id, reason)
        if self._look_at <= now:
            self._look(now)
        while self._deadlines and self._deadlines[0][0] <= now:
            _, correlation_id = heapq.heappop(self._deadlines)
            lead = self._leads.get(correlation_id)
            if lead is not None and lead.work is not None and lead.due <= now:
                lead.due = math.inf  # until it is set anew
                yield correlation_id, partial(self._go_on, lead)
        self._forget_old(now)

    def _go_on(self, lead: Lead) -> Moves:
        now = self._now()
        return NO_MOVES if lead.work is None else self._do(lead, lead.work.go_on(now), now)

    def _could_not_be_asked(self, lead: Lead, request_id: str, reason: str) -> Moves:
        now = self._now()
        return (
            NO_MOVES if lead.work is None else self._do(lead, lead.work.failed(request_id, reason, now), now)
        )

    def _look(self, now: float) -> None:
        """Who is asked, or to be asked, by now: what has changed concerns all who wait."""
        self._look_at = now + LOOK_SECONDS
        names = {one.name for lead in self._leads.values() if lead.work for one in lead.work.everybody}
        absences = {name: self._roster.why_not(name, now) for name in names}
        if any(self._absences.get(name) != absence for name, absence in absences.items()):
            for correlation_id, lead in self._leads.items():
                lead.due = now
                heapq.heappush(self._deadlines, (now, correlation_id))
        self._absences = dict(absences)

    # -- the end, and after it

    def after_all(self, may_still_tell: Callable[[UtteranceName], bool]) -> Iterator[Due]:
        """Where nobody was there, who has come since is asked now, as long as the answer may be told."""
        now = self._now()
        if now < self._missed_at:
            return
        self._missed_at = now + LOOK_SECONDS
        for correlation_id in list(self._missed):
            lead = self._over.get(correlation_id)
            work = lead.work if lead is not None and may_still_tell(lead.topic.name) else None
            if lead is None or work is None or not work.misses_somebody:
                del self._missed[correlation_id]
            else:
                yield correlation_id, partial(self._ask_after_all, lead, work)

    def _ask_after_all(self, lead: Lead, work: TeamWork) -> Moves:
        now = self._now()
        return self._do(lead, work.ask_after_all(now), now)

    def forget(self, is_gone: Callable[[UtteranceName], bool]) -> list[str]:
        """Know nothing of these any more; whose turn it is now."""
        dropped = self._drop(self._leads, is_gone)
        following = [self._lines.leave(lead) for lead in dropped]
        following += [name for lead in dropped for name in lead.echoes if self.is_due(name)]
        self._drop(self._over, is_gone)
        self._roster.forget(is_gone)
        return [name for name in dict.fromkeys(following) if name in self._leads]

    def is_due(self, correlation_id: str) -> bool:
        """Whether it is open, and its turn."""
        lead = self._leads.get(correlation_id)
        return lead is not None and self._lines.is_first(lead)

    def _drop(self, known: dict[str, Lead], is_gone: Callable[[UtteranceName], bool]) -> list[Lead]:
        dropped = [lead for lead in known.values() if is_gone(lead.topic.name)]
        for lead in dropped:
            lead.undoing.clear()
            self._echoes.forget(lead.correlation_id)
            self._deeds.settle(lead)
            del known[lead.correlation_id]
        return dropped

    def refresh(self, before: Callable[[UtteranceName], Conversation]) -> None:
        """Whoever is asked from now on is told no more of the conversations before than that."""
        for lead in self._leads.values():
            lead.topic = lead.topic.after(before(lead.topic.name))

    def _remember(self, lead: Lead) -> None:
        lead.ended_at = self._now()
        self._deeds.settle(lead)
        lead.let_go()
        self._over[lead.correlation_id] = lead
        self._woken.set()  # to be put away in time
        if lead.work is not None and lead.work.misses_somebody:
            self._missed[lead.correlation_id] = None
            if len(self._missed) > MOST_MISSED:
                self._missed.popitem(last=False)
        if len(self._over) > self._most_over:
            self._deeds.put_away(self._over.popitem(last=False)[1])

    @property
    def _forget_at(self) -> float:
        return next(iter(self._over.values())).ended_at + self._late_seconds if self._over else math.inf

    def _forget_old(self, now: float) -> None:
        while self._forget_at <= now:
            self._deeds.put_away(self._over.popitem(last=False)[1])

    # -- what a gateway before this one led

    def take_up(self, topic: Topic, rows: Iterable[AgentRow]) -> None:
        """A request that is open, and what its agents were asked; what is next for it is due at once."""
        known = list(rows)
        lead, its_turn = self._lead(topic)
        if lead.echo_of in self._leads and not known:
            self._echoed(lead)
        elif its_turn or known:
            lead.echo_of = ""
            plan, lead.sides = self._choose(topic)
            if known and (plan is None or plan.name != known[0].team):
                plan = self._plans.named(known[0].team, _asking(topic.message))
            if known:  # how long it took says nothing
                lead.sides = ()
            self._resume(lead, plan, known)

    def remember(self, name: UtteranceName, rows: Iterable[AgentRow], *, answered: bool) -> None:
        """A request that is over, whose agents may be late, or are undoing what they did."""
        known = list(rows)
        lead = Lead(without_words(name), ended_at=self._now())
        self._resume(lead, None, known)
        if lead.work is not None:
            lead.work.outcome = TeamOutcome("", "", error=None if answered else "it had no answer")
        self._over[name.correlation_id] = lead
        self._woken.set()

    def _resume(self, lead: Lead, plan: TeamPlan | None, rows: list[AgentRow]) -> None:
        now = self._now()
        combiner = next((row.agent for row in rows if row.combines), "")
        plan = self._plans.joined(plan, (row.agent for row in rows if not row.combines), combiner)
        found = [one for row in rows if (one := member(row, plan, now)) is not None]
        lead.work = TeamWork(
            plan,
            self._why_not,
            min((one.asked_at for one in found), default=now),
            partial(self._kept, lead),
        )
        lead.work.take_up(found)
        for one in found:
            if one.state in AT_WORK:
                self._unanswered.expect(one.request_id)
        for row in rows:
            if row.letter is not None:
                lead.undoing[row.request_id] = row.letter
                self._unanswered.expect(row.request_id)
        if lead.correlation_id in self._leads:
            lead.due = now
            heapq.heappush(self._deadlines, (now, lead.correlation_id))
            self._woken.set()

    # -- what is given again

    def _kept(self, lead: Lead, agent: str, answers: tuple[AgentAnswer, ...]) -> AgentAnswer | None:
        """What it has answered to the same before; looked for once."""
        cache = self._roster.answers.of(agent)
        if cache is None or agent in lead.looked_up:
            return None
        lead.looked_up[agent] = cache.doubts
        return cache.find(lead.topic.wording(), answers, self._now())

    def _keep(self, lead: Lead, one: Member, now: float) -> None:
        """Unless it was asked before somebody said that it is not true any more, or by a gateway before this one."""
        cache = self._roster.answers.of(one.name)
        if cache is not None and not one.once and lead.looked_up.get(one.name) == cache.doubts:
            cache.keep(lead.topic.wording(), one.answers, one.answer(), now)

    # -- steps into moves

    def _why_not(self, name: str) -> Absence | None:
        return self._roster.why_not(name, self._now())

    def _do(self, lead: Lead, steps: list[Step], now: float) -> Moves:
        moves = self._deeds.moves(lead, steps, now)
        end = end_of(moves.outcome) if moves.outcome is not None else None
        if end is not None and lead.work is not None:
            self._features.ended(lead.sides, end, now - lead.work.begun_at)
        self._set_alarm(lead, now)
        return moves

    def _set_alarm(self, lead: Lead, now: float) -> None:
        if lead.work is None or lead.work.outcome is not None:
            return
        due, before = lead.work.next_deadline(now), lead.due
        lead.due = due
        if due == before:
            return
        heapq.heappush(self._deadlines, (lead.due, lead.correlation_id))
        if len(self._deadlines) > 4 * len(self._leads) + 64:  # mostly of what is over: sweep
            self._deadlines = [(one.due, name) for name, one in self._leads.items() if one.due < math.inf]
            heapq.heapify(self._deadlines)
        self._alarm.set(min(lead.due, self._look_at))


def _asking(message: TranscriptionMessage) -> Asking:
    return Asking(message.user_id, message.device_id, message.room, message.language, message.text)
