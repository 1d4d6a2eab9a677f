"""A team at work: who is asked when, and what it ends with, whatever its agents do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.agents import AgentAnswer
from gateway.contract.messages import OrchestratorReply
from gateway.pipeline.agents.roster import Absence
from gateway.pipeline.teams.members import AT_WORK, MEMBER_TRANSITIONS, MemberState
from gateway.pipeline.teams.outcome import Cause, TeamOutcome
from gateway.pipeline.teams.plans import Combination, MemberPlan, Policy, TeamPlan
from gateway.pipeline.teams.steps import Ask, Finish, ShowInterim, ShowPiece, Step, Stop, Undo, Verdict
from gateway.pipeline.teams.teamwork import NotOfTheTeam, TeamWork


class House:
    """A team, its agents' absences, and the clock."""

    def __init__(self, plan: TeamPlan) -> None:
        self.now = 100.0
        self.absent: dict[str, Absence] = {}
        self.steps: list[Step] = []
        self.work = TeamWork(plan, self.absent.get, self.now)

    def begin(self) -> House:
        self.steps += self.work.go_on(self.now)
        return self

    def after(self, seconds: float) -> House:
        self.now += seconds
        return self.begin()

    def says(self, agent: str, text: str = "", **facts: Any) -> House:
        member = next(one for one in self.work.everybody if one.name == agent)
        reply = OrchestratorReply(
            correlation_id="c", session_id="s", text=text, agent=agent, request_id=member.request_id, **facts
        )
        self.steps += self.work.take(reply, self.now)
        return self

    def fails(self, agent: str, error: str = "broken") -> House:
        return self.says(agent, error=error)

    def of(self, kind: type[Any]) -> list[Any]:
        return [step for step in self.steps if isinstance(step, kind)]

    @property
    def asked(self) -> list[str]:
        return [step.member.name for step in self.of(Ask)]

    @property
    def outcome(self) -> TeamOutcome:
        (finish,) = self.of(Finish)
        assert finish.outcome is self.work.outcome
        return finish.outcome

    @property
    def open(self) -> bool:
        return self.work.outcome is None


def team(*members: str | MemberPlan, policy: Policy = Policy.FIRST, **facts: Any) -> House:
    plans = tuple(MemberPlan(one, 10.0) if isinstance(one, str) else one for one in members)
    return House(TeamPlan("house", plans, 30.0, 3.0, policy, **facts)).begin()


def test_the_first_good_answer_is_the_reply_and_the_others_are_stopped() -> None:
    house = team("a", "b", "c")
    assert house.asked == ["a", "b", "c"]
    house.fails("a").says("b", "what?", understood=False)
    assert house.open
    house.says("c", "the light is on", confidence=0.5, data={"on": True})
    assert house.outcome == TeamOutcome(
        "the light is on", "c", agents=("c",), confidence=0.5, data={"on": True}
    )
    assert not house.outcome.partial

    quick = team("a", "b").says("b", "yes")
    assert [step.member.name for step in quick.of(Stop)] == ["a"]
    assert quick.work.everybody[0].state is MemberState.STOPPED


def test_a_preferred_agent_is_waited_for() -> None:
    house = team("a", "b", prefer_seconds=2.0).says("b", "b's")
    assert house.open
    assert house.after(1.0).says("a", "a's").outcome.text == "a's"
    slow = team("a", "b", prefer_seconds=2.0).says("b", "b's").after(2.0)
    assert slow.outcome.text == "b's"
    failing = team("a", "b", prefer_seconds=2.0).says("b", "b's").fails("a")
    assert failing.outcome.text == "b's"


def test_one_after_the_other_until_one_answers() -> None:
    house = team("a", "b", "c", policy=Policy.IN_TURN)
    assert house.asked == ["a"]
    house.says("a", "I am for lights only", understood=False)
    assert house.asked == ["a", "b"]
    house.after(10.0)
    assert house.asked == ["a", "b", "c"]
    assert house.says("c", "done").outcome.agents == ("c",)


def test_all_of_them_in_the_teams_order_and_what_is_missing() -> None:
    house = team("a", "b", "c", policy=Policy.ALL).says("c", "C.").says("a", "A.").fails("b")
    assert house.outcome == TeamOutcome("A. C.", "house", agents=("a", "c"), missing=("b",))
    assert house.outcome.partial


@pytest.mark.parametrize(("combination", "text"), [(Combination.BEST, "A."), (Combination.LAST, "B.")])
def test_one_of_several_answers(combination: Combination, text: str) -> None:
    house = team("a", "b", policy=Policy.ALL, combination=combination)
    house.says("a", "A.", confidence=0.9).says("b", "B.", confidence=0.2)
    assert house.outcome.text == text


def test_another_agent_makes_one_reply_of_all() -> None:
    def combining() -> House:
        return team(
            "a", "b", policy=Policy.ALL, combination=Combination.BY, combiner=MemberPlan("c", 5.0)
        )  # fmt: skip

    house = combining().says("a", "A.").says("b", "B.")
    assert [(one.agent, one.text) for one in house.of(Ask)[-1].answers] == [("a", "A."), ("b", "B.")]
    assert house.says("c", "Both.").outcome == TeamOutcome("Both.", "c", agents=("a", "b", "c"))

    failing = combining().says("a", "A.").says("b", "B.").fails("c")
    assert failing.outcome == TeamOutcome("A. B.", "house", agents=("a", "b"), missing=("c",))
    slow = combining().says("a", "A.").says("b", "B.").after(5.0)
    assert slow.outcome.missing == ("c",)

    away = combining()
    away.absent["c"] = Absence.ABSENT
    assert away.says("a", "A.").says("b", "B.").outcome.missing == ("c",)


def test_a_quorum_is_enough_and_less_is_none() -> None:
    house = team("a", "b", "c", policy=Policy.QUORUM, quorum=2).says("a", "A.").fails("b")
    assert house.open
    assert house.says("c", "C.").outcome.agents == ("a", "c")
    short = team("a", "b", "c", policy=Policy.QUORUM, quorum=2).fails("a").fails("b")
    assert short.outcome.error == "a: broken; b: broken; c: it had not answered"
    assert short.outcome.cause is Cause.FAILED
    after = MemberPlan("b", 10.0, after=("a",))
    chain = team("a", after, "c", policy=Policy.ALL, partial=False).fails("c")
    assert chain.outcome.error == "a: it had not answered; b: it was not asked; c: broken"
    assert team("a").fails("a", "a failed (OSError)").outcome.error == "a failed (OSError)"
    assert team("a").fails("a", "a: unplugged").outcome.error == "a: unplugged"


def test_what_is_there_at_the_deadline() -> None:
    plans = (MemberPlan("a", 60.0), MemberPlan("b", 60.0))
    house = House(TeamPlan("house", plans, 5.0, 3.0, Policy.DEADLINE)).begin().says("a", "A.")
    assert house.after(4.9).open
    assert house.after(0.1).outcome == TeamOutcome("A.", "a", agents=("a",), missing=("b",))


def test_a_chain_hands_on_what_was_answered() -> None:
    chain = (MemberPlan("a", 10.0), MemberPlan("b", 10.0, after=("a",)), MemberPlan("c", 10.0, after=("b",)))
    house = team(*chain)
    assert house.asked == ["a"]
    house.says("a", "A.")
    assert house.open, "a is asked for b's sake only"
    assert house.asked == ["a", "b"]
    house.says("b", "B.")
    assert [one.text for one in house.of(Ask)[-1].answers] == ["B."]
    assert house.says("c", "C.").outcome.agents == ("c",)


def test_a_chain_whose_middle_is_down_ends_at_once() -> None:
    chain = (MemberPlan("a", 10.0), MemberPlan("b", 10.0, after=("a",)), MemberPlan("c", 10.0, after=("b",)))
    house = team(*chain).says("a", "A.").fails("b")
    assert house.outcome.cause is Cause.FAILED
    assert "c: what it comes after has failed" in (house.outcome.error or "")


def test_one_that_is_not_there_is_not_waited_for_where_others_answer() -> None:
    house = team("a", "b", policy=Policy.ALL)
    gone = House(house.work.plan)
    gone.absent["b"] = Absence.ABSENT
    assert gone.begin().asked == ["a"]
    assert gone.says("a", "A.").outcome == TeamOutcome("A.", "a", agents=("a",), missing=("b",))


def test_one_that_comes_while_others_are_at_work_is_asked() -> None:
    house = House(TeamPlan("house", (MemberPlan("a", 9), MemberPlan("b", 9)), 30.0, 3.0, Policy.ALL))
    house.absent["b"] = Absence.ABSENT
    house.begin()
    house.absent.clear()
    assert house.after(0.5).asked == ["a", "b"]


def test_one_that_dies_at_work_is_not_waited_for() -> None:
    house = team("a", "b", policy=Policy.ALL).says("a", "A.")
    house.absent["b"] = Absence.ABSENT
    assert house.after(0.1).outcome.missing == ("b",)
    assert house.says("b", "B.").work.everybody[1].state is MemberState.LATE


def test_where_nobody_is_there_somebody_may_come_for_a_while() -> None:
    house = House(TeamPlan("house", (MemberPlan("a", 9), MemberPlan("b", 9)), 30.0, 3.0))
    house.absent |= {"a": Absence.ABSENT, "b": Absence.BREAKER_OPEN}
    assert house.begin().after(2.9).open
    assert house.after(0.1).outcome.cause is Cause.NOBODY
    broken = House(house.work.plan)
    broken.absent |= dict.fromkeys("ab", Absence.BREAKER_OPEN)
    assert broken.begin().outcome.cause is Cause.NOBODY


def test_where_all_who_were_asked_have_gone_nobody_waits_for_their_time() -> None:
    house = team("a", "b")
    house.absent |= dict.fromkeys("ab", Absence.ABSENT)
    assert house.after(2.9).open
    assert house.work.next_deadline(house.now) == pytest.approx(103.0)
    outcome = house.after(0.1).outcome
    assert outcome.cause is Cause.NOBODY
    assert outcome.error == "a: it is not there any more; b: it is not there any more"
    assert not house.of(Stop), "what they say yet is welcome"
    assert house.says("a", "A.").work.everybody[0].state is MemberState.LATE


def test_a_sign_of_life_is_waited_after_and_who_is_there_has_its_time() -> None:
    house = team("a").after(2.0).says("a", progress="at it", final=False)
    house.absent["a"] = Absence.ABSENT
    assert house.after(2.9).open
    house.absent.clear()
    assert house.after(3.0).open, "it is there"
    house.absent["a"] = Absence.ABSENT
    assert house.after(0.1).outcome.cause is Cause.NOBODY


def test_who_has_failed_and_who_has_gone_is_a_failure() -> None:
    house = team("a", "b").fails("a")
    house.absent["b"] = Absence.ABSENT
    assert house.after(3.0).outcome.cause is Cause.FAILED


def test_the_next_has_its_turn_when_the_one_before_has_gone() -> None:
    house = team("a", "b", policy=Policy.IN_TURN)
    house.absent["a"] = Absence.ABSENT
    assert house.after(2.9).asked == ["a"]
    assert house.after(0.1).asked == ["a", "b"]
    assert house.says("b", "B.").outcome.text == "B."
    assert [step.failure for step in house.of(Verdict)] == ["it is not there any more", ""]


def test_what_comes_after_one_that_has_gone_is_not_waited_for() -> None:
    house = team("a", MemberPlan("b", 10.0, after=("a",)))
    house.absent["a"] = Absence.ABSENT
    assert house.after(3.0).outcome.cause is Cause.NOBODY


def test_a_combiner_that_has_gone_is_done_without() -> None:
    house = team("a", "b", policy=Policy.ALL, combination=Combination.BY, combiner=MemberPlan("c", 20.0))
    house.says("a", "A.").says("b", "B.")
    house.absent["c"] = Absence.ABSENT
    assert house.after(2.9).open
    assert house.after(0.1).outcome == TeamOutcome("A. B.", "house", agents=("a", "b"), missing=("c",))


def test_of_whom_nobody_reads_the_requests_nobody_is_there() -> None:
    house = team("a")
    for _ in range(2):
        house.steps += house.work.failed(house.work.everybody[0].request_id, "nobody reads it", house.now)
        house.after(0.2)
    assert (house.outcome.cause, house.outcome.error) == (Cause.NOBODY, "a: nobody reads it")


def nobody_there(policy: Policy = Policy.FIRST, **absences: Absence) -> House:
    plans = (MemberPlan("a", 9.0), MemberPlan("b", 9.0, compensates=True), MemberPlan("c", 9.0, after=("a",)))
    house = House(TeamPlan("house", plans if policy is Policy.ALL else plans[:2], 30.0, 3.0, policy))
    house.absent |= {"a": Absence.ABSENT, "b": Absence.ABSENT} | absences
    house.begin().after(3.0)
    assert house.outcome.cause is Cause.NOBODY
    return house


def test_who_comes_when_it_is_over_may_be_asked_after_all() -> None:
    house = nobody_there()
    assert house.work.misses_somebody
    assert house.work.ask_after_all(house.now) == []
    del house.absent["b"]
    house.steps += house.work.ask_after_all(house.now) + house.work.ask_after_all(house.now)
    assert house.asked == ["b"], "once"
    house.says("b", "B.")
    assert house.work.everybody[1].state is MemberState.LATE
    assert not house.of(Undo), "it was asked for that"
    assert not house.work.misses_somebody


def test_who_had_failed_too_often_is_not_asked_after_all() -> None:
    house = nobody_there(a=Absence.BREAKER_OPEN, b=Absence.BREAKER_OPEN)
    assert not house.work.misses_somebody
    house.absent.clear()
    assert house.work.ask_after_all(house.now) == []


def test_after_all_too_they_have_their_turns_and_what_comes_after_another_is_not_asked() -> None:
    in_turn = nobody_there(Policy.IN_TURN)
    in_turn.absent.clear()
    in_turn.steps += in_turn.work.ask_after_all(in_turn.now)
    assert in_turn.asked == ["a"]
    everybody = nobody_there(Policy.ALL)
    everybody.absent.clear()
    everybody.steps += everybody.work.ask_after_all(everybody.now)
    assert everybody.asked == ["a", "b"]


def test_who_could_not_be_asked_is_asked_after_all_and_who_was_is_not() -> None:
    house = team("a")
    for _ in range(2):
        house.steps += house.work.failed(house.work.everybody[0].request_id, "nobody reads it", house.now)
        house.after(0.2)
    house.steps += house.work.ask_after_all(house.now)
    assert house.says("a", "A.").work.everybody[0].state is MemberState.LATE
    killed = team("a")
    killed.absent["a"] = Absence.ABSENT
    killed.after(3.0).absent.clear()
    assert not killed.work.misses_somebody
    answered = team("a").says("a", "A.")
    assert not answered.work.misses_somebody
    assert answered.work.ask_after_all(answered.now) == []


def test_only_who_says_so_is_asked_again() -> None:
    assert team("a").fails("a").outcome.cause is Cause.FAILED
    again = team(MemberPlan("a", 10.0, again=2))
    for attempt in (2, 3):
        again.fails("a").after(5.0)
        assert again.work.everybody[0].attempt == attempt
    assert again.fails("a").outcome.error == "a: broken"
    assert [step.failure for step in again.of(Verdict)] == ["broken"] * 3


def test_who_could_not_be_asked_never_began() -> None:
    house = team("a")
    house.steps += house.work.failed(house.work.everybody[0].request_id, "nobody reads it", house.now)
    assert house.open
    assert house.after(0.2).says("a", "A.").outcome.text == "A."


def test_pieces_of_who_leads_are_shown() -> None:
    house = (
        team("a", "b")
        .says("a", "The ", final=False)
        .says("b", "No ", final=False)
        .says("a", "light", final=False)
    )
    assert house.of(ShowPiece) == [ShowPiece("The ", "a"), ShowPiece("light", "a")]
    assert house.says("a").outcome.text == "The light"
    assert not team("a", "b", policy=Policy.ALL).says("a", "x", final=False).of(ShowPiece)
    fallen = team("a", "b").says("a", "The ", final=False).fails("a").says("b", "It ", final=False)
    assert fallen.of(ShowPiece)[-1] == ShowPiece("It ", "b")


def test_an_interim_answer_is_shown_and_a_better_one_follows() -> None:
    house = team("a").says("a", "Moment.", interim=True)
    assert house.of(ShowInterim) == [ShowInterim("Moment.", "a")]
    assert house.open
    assert house.says("a", "It is 7.").outcome.text == "It is 7."
    grown = team("a").says("a", "Mom", final=False).says("a", "Moment.", interim=True)
    assert (
        grown.says("a", "It ", final=False).says("a", "is 7.", final=False).says("a").outcome.text
        == "It is 7."
    )
    assert team("a").says("a", "Moment.", interim=True).says("a").outcome.text == "Moment."
    quick = team("a", "b", policy=Policy.ALL, combination=Combination.LAST, show_first=True)
    quick.says("a", "About 7.").says("b", "6.8")
    assert quick.of(ShowInterim) == [ShowInterim("About 7.", "a")]
    assert quick.outcome.text == "6.8"


@pytest.mark.parametrize("forged", [{"request_id": "q_x"}, {"request_id": ""}, {"agent": "b"}])
def test_nobody_answers_for_another(forged: dict[str, str]) -> None:
    house = team("a", "b")
    reply = OrchestratorReply(
        correlation_id="c", session_id="s", text="x",
        **{"agent": "a", "request_id": house.work.everybody[0].request_id} | forged,
    )  # fmt: skip
    with pytest.raises(NotOfTheTeam):
        house.work.take(reply, house.now)
    assert house.open


def test_what_was_not_asked_yet_has_no_answer() -> None:
    house = team("a", "b", policy=Policy.IN_TURN)
    with pytest.raises(NotOfTheTeam):
        house.says("b", "x")


def test_a_second_answer_changes_nothing() -> None:
    house = team("a", "b", policy=Policy.ALL).says("a", "A.").says("a", "A again.").says("b", "B.")
    assert house.says("a", "and again").outcome.text == "A. B."


def test_a_team_that_fails_has_undone_what_was_done_once() -> None:
    def plan(name: str) -> MemberPlan:
        return MemberPlan(name, 10.0, compensates=name != "d")

    house = (
        team(*map(plan, "abcd"), policy=Policy.ALL, partial=False).says("a", "A.").says("d", "D.").fails("b")
    )
    assert [step.member.name for step in house.of(Undo)] == ["a", "c"]  # c may have begun
    house.says("c", "C.").fails("c", "too late")
    assert [one.state for one in house.work.everybody if one.name in "ac"] == [MemberState.COMPENSATING] * 2
    house.says("c", final=False, compensation=True).says("c", compensation=True)
    house.says("a", compensation=True).says("a", compensation=True)
    assert [step.member.name for step in house.of(Undo)] == ["a", "c"]
    assert [one.state for one in house.work.everybody] == [
        MemberState.COMPENSATED, MemberState.FAILED, MemberState.COMPENSATED, MemberState.DONE,
    ]  # fmt: skip


def test_one_that_acts_when_its_team_has_failed_is_told_to_undo_it() -> None:
    late = team(
        MemberPlan("a", 5.0, compensates=True), MemberPlan("b", 10.0), policy=Policy.ALL, partial=False
    )
    late.after(5.0)
    assert [step.member.name for step in late.of(Undo)] == ["a"]


FACTS = st.sampled_from(["answer", "puzzled", "fail", "piece", "interim", "progress", "refused"])
CHOICES = st.lists(st.tuples(st.sampled_from("abc"), FACTS, st.floats(0, 4)), max_size=40)


@given(
    policy=st.sampled_from(Policy),
    combination=st.sampled_from(Combination),
    choices=CHOICES,
    again=st.integers(0, 2),
    partial=st.booleans(),
    chained=st.booleans(),
    quorum=st.integers(1, 4),
    prefer=st.sampled_from([0.0, 1.0]),
    absences=st.dictionaries(st.sampled_from("abcd"), st.sampled_from(Absence)),
)
def test_whatever_they_do_it_ends_once_and_in_time(
    *, policy: Policy, combination: Combination, choices: list[tuple[str, str, float]], again: int, partial: bool,
    chained: bool, quorum: int, prefer: float, absences: dict[str, Absence],
) -> None:  # fmt: skip
    chain = {"b": ("a",)} if chained and policy is not Policy.IN_TURN else {}
    plans = tuple(MemberPlan(name, 6.0, chain.get(name, ()), again, name == "b") for name in "abc")
    combiner = MemberPlan("d", 2.0) if combination is Combination.BY else None
    house = House(TeamPlan(
        "house", plans, 15.0, 3.0, policy, quorum, prefer, partial, False, combination, combiner,
    ))  # fmt: skip
    house.absent |= absences
    house.begin()
    for name, fact, seconds in choices:
        house.after(seconds)
        member = next(one for one in house.work.everybody if one.name == name)
        if not member.attempt:
            continue
        match fact:
            case "answer":
                house.says(name, name)
            case "puzzled":
                house.says(name, "what?", understood=False)
            case "fail":
                house.fails(name)
            case "piece":
                house.says(name, name, final=False)
            case "interim":
                house.says(name, name, interim=True)
            case "progress":
                house.says(name, progress="at it", final=False)
            case _:
                house.steps += house.work.failed(member.request_id, "refused", house.now)
    while house.open:
        due = house.work.next_deadline(house.now)
        assert due > house.now, "nothing would ever be decided"
        house.after(due - house.now)
        assert house.now <= 115.0 + sum(seconds for *_, seconds in choices)
    outcome = house.outcome
    assert not any(one.state in AT_WORK or one.state is MemberState.WAITING for one in house.work.everybody)
    assert (outcome.error is None) == bool(outcome.agents)
    undone = Counter(step.member.name for step in house.of(Undo))
    assert undone.keys() <= {"b"} if outcome.error is not None else not undone
    assert all(times == 1 for times in undone.values())
    asked = Counter(house.asked)
    assert all(times <= 1 + max(again, 1) for times in asked.values())
    assert set(outcome.agents) <= asked.keys()


@given(
    policy=st.sampled_from(Policy),
    choices=st.lists(st.tuples(st.sampled_from("abc"), FACTS, st.floats(0, 2)), max_size=10),
    chained=st.booleans(),
    quorum=st.integers(1, 4),
    combined=st.booleans(),
)
def test_when_all_have_gone_it_ends_within_the_patience(
    *, policy: Policy, choices: list[tuple[str, str, float]], chained: bool, quorum: int, combined: bool
) -> None:
    chain = {"b": ("a",)} if chained and policy is not Policy.IN_TURN else {}
    plans = tuple(MemberPlan(name, 60.0, chain.get(name, ())) for name in "abc")
    combiner = MemberPlan("d", 60.0) if combined else None
    house = House(TeamPlan("house", plans, 600.0, 3.0, policy, quorum, combiner=combiner)).begin()
    for name, fact, seconds in choices:
        house.after(seconds)
        if next(one for one in house.work.everybody if one.name == name).attempt:
            facts = {"piece": {"text": "x", "final": False}, "progress": {"progress": "x", "final": False}}
            house.says(name, **facts.get(fact, {"error": "broken"} if fact == "fail" else {"text": "x"}))
    house.absent |= dict.fromkeys("abcd", Absence.ABSENT)
    gone_at = house.now
    while house.open:
        house.after(min(0.5, house.work.next_deadline(house.now) - house.now))  # as it is looked who is there
    assert house.now <= gone_at + 3.0 + 1e-6


def test_every_transition_is_reached_by_a_state_that_is_reached() -> None:
    reached = {MemberState.WAITING, *MEMBER_TRANSITIONS.values()}
    assert reached == set(MemberState)
    assert {state for state, _ in MEMBER_TRANSITIONS} <= reached


# What was answered before


def kept(house: House, **answers: str) -> House:
    """These agents have answered the same before."""

    def find(agent: str, _before: tuple[AgentAnswer, ...]) -> AgentAnswer | None:
        text = answers.get(agent)
        return None if text is None else AgentAnswer(agent=agent, text=text, confidence=0.5)

    house.work = TeamWork(house.work.plan, house.absent.get, house.now, find)
    house.steps.clear()
    return house.begin()


def test_what_one_has_answered_before_is_the_reply_and_nobody_is_asked() -> None:
    house = kept(team("a", "b", "c"), b="noon")
    assert (house.asked, house.of(Verdict)) == ([], [])
    assert house.outcome == TeamOutcome("noon", "b", agents=("b",), confidence=0.5, cached=True)


def test_it_is_the_reply_although_its_agent_is_away() -> None:
    house = team("a")
    house.absent["a"] = Absence.ABSENT
    assert kept(house, a="noon").outcome.text == "noon"


def test_whom_it_is_waited_for_is_asked_all_the_same() -> None:
    house = kept(team("a", "b", prefer_seconds=1.0), b="noon")
    assert (house.asked, house.open) == (["a"], True)
    assert house.after(1.0).outcome.agent == "b"


def test_in_turn_the_first_is_asked_and_the_second_need_not_be() -> None:
    house = kept(team("a", "b", "c", policy=Policy.IN_TURN), b="noon")
    assert (house.asked, house.open) == (["a"], True)
    assert house.fails("a").outcome == TeamOutcome("noon", "b", agents=("b",), confidence=0.5, cached=True)


def test_of_all_some_have_answered_before() -> None:
    house = kept(team("a", "b", policy=Policy.ALL), b="noon")
    house.says("a", "day")
    assert (house.outcome.text, house.outcome.cached) == ("day noon", True)


def test_who_was_not_asked_has_nothing_to_undo() -> None:
    house = kept(
        team(MemberPlan("a", 9.0, compensates=True), "b", policy=Policy.ALL, partial=False), a="done"
    )
    assert house.fails("b").outcome.error == "b: broken"
    assert house.of(Undo) == []
