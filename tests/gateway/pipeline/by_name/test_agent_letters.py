"""What agents are told fits into a message, whatever others have answered."""

from __future__ import annotations

import pytest

from gateway.contract.agents import MOST_ANSWERS, AgentAnswer, Wanted, decode_request
from gateway.contract.messages import MESSAGE_BYTES
from gateway.pipeline.by_name.agent_letters import Topic, agent_letter
from gateway.pipeline.by_name.leads import NOTHING_SAID
from gateway.pipeline.sessions.names import StreamName, UtteranceName
from gateway.pipeline.sessions.requests import CUT_OFF
from gateway.pipeline.teams.members import Member
from gateway.pipeline.teams.plans import MemberPlan, TeamPlan

NAME = UtteranceName("s_1", "anna", StreamName("kitchen", 1, 1), "u_1", "c_1")
PLAN = MemberPlan("both", 10.0)


def told(*answers: AgentAnswer) -> tuple[AgentAnswer, ...]:
    """What of these answers an agent is told."""
    topic = Topic(NAME, NOTHING_SAID, ())
    team = TeamPlan("house", (PLAN,), 30.0, 3.0)
    letter = agent_letter(topic, team, Member(PLAN, attempt=1), Wanted.ASK, 1, answers=answers)
    assert len(letter.payload) <= MESSAGE_BYTES
    return decode_request(letter.payload).answers


def test_what_others_have_answered_is_told_whole() -> None:
    answers = tuple(AgentAnswer(agent=f"a{n}", text="x" * 50_000, data={"n": n}) for n in range(5))
    assert told(*answers) == answers
    assert told() == ()


@pytest.mark.parametrize("character", ["x", "\0", "\N{GRINNING FACE}"])
def test_of_more_than_a_message_has_room_for_each_has_a_part(character: str) -> None:
    answers = tuple(AgentAnswer(agent=f"a{n}", text=f"{n} {character * 65_000}") for n in range(200))
    shown = told(*answers)
    assert [one.agent for one in shown] == [one.agent for one in answers[:MOST_ANSWERS]]
    assert all(one.text.startswith(f"{n} {character * 100}") for n, one in enumerate(shown))
    assert all(one.text.endswith(CUT_OFF) for one in shown)


def test_data_goes_before_words() -> None:
    answers = tuple(AgentAnswer(agent=f"a{n}", text="yes", data={"all": "x" * 60_000}) for n in range(100))
    assert {(one.text, one.data is None) for one in told(*answers)} == {("yes", True)}
