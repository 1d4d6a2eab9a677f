"""What teams do, done: over a whole pipeline, with agents that say just what the test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.access.principals import Principal, Role
from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import BrokerError, Receipt, RoutingKey
from gateway.contract.agents import (
    ANNOUNCEMENTS_TOPIC,
    PRESENCE_TOPIC,
    REQUESTS_TOPIC,
    AgentPresence,
    AgentRequest,
    AnnouncementMessage,
    Wanted,
    decode_request,
)
from gateway.contract.events import ReplyEvent
from gateway.contract.messages import REPLIES_TOPIC, RESULTS_TOPIC, OrchestratorReply, WantedHints, encode
from gateway.journal import NoJournal
from gateway.journal.effects import Asked, Effect, Queued, RequestEnded, Transcribed
from gateway.journal.history import Selection
from gateway.pipeline.content.port import PassingText
from gateway.pipeline.erasing import Whose
from gateway.pipeline.sessions.requests import CUT_OFF, MAX_TEXT_BYTES
from gateway.pipeline.teams.members import MemberState
from gateway.pipeline.teams.teamwork import MAX_PIECES_TEXT
from gateway.settings.broker import BrokerSettings
from tests.gateway.works import Works, open_works
from tests.record import Record, passes
from tests.system.house import running

ANNA = Principal(name="anna", role=Role.LISTENER, users=frozenset({"anna"}), devices=frozenset({"kitchen"}))


class House:
    """The works, and all that their agents are asked."""

    def __init__(self, works: Works) -> None:
        self.works = works
        self.asked = Record()

    async def listen(self) -> None:
        async with self.works.broker.subscribe(REQUESTS_TOPIC) as requests:
            async for delivery in requests:
                self.asked(decode_request(delivery.message.payload))
                await delivery.ack()

    async def come(self, agent: str) -> None:
        """It says that it is there."""
        presence = AgentPresence(agent=agent, instance="i_1")
        await self.works.broker.publish(
            PRESENCE_TOPIC, RoutingKey(agent, "i_1", "presence"), encode(presence)
        )

    async def say(self, text: str) -> str:
        """The correlation id of what somebody types."""
        return (await self.works.pipeline.say(text, ANNA)).correlation_id

    async def request(
        self, agent: str, text: str = "", count: int = 1, kind: Wanted = Wanted.ASK
    ) -> AgentRequest:
        """What that agent was asked, about that text if one is given."""

        def found() -> list[AgentRequest]:
            asked: list[AgentRequest] = self.asked.of(AgentRequest, agent=agent)
            return [one for one in asked if one.kind is kind and text in ("", one.transcript.text)]

        await passes(lambda: len(found()) >= count)
        return found()[count - 1]

    async def answer(self, request: AgentRequest, text: str = "", **facts: Any) -> None:
        """As the agent that it was put to."""
        said = request.transcript
        ids = {
            "correlation_id": said.correlation_id,
            "session_id": said.session_id,
            "agent": request.agent,
            "request_id": request.request_id,
        }
        reply = OrchestratorReply(text=text, **{**ids, **facts})
        key = RoutingKey("home", said.device_id, said.session_id)
        await self.works.broker.publish(REPLIES_TOPIC, key, encode(reply))

    async def end(self, correlation_id: str) -> ReplyEvent:
        event: ReplyEvent = await self.works.events.first(
            ReplyEvent, correlation_id=correlation_id, final=True
        )
        return event

    @property
    def teams(self) -> Any:
        return self.works.pipeline._by_name._teams  # type: ignore[attr-defined]


@asynccontextmanager
async def house(
    *names: str, team: dict[str, Any] | None = None, agents: dict[str, Any] | None = None, **parts: Any
) -> AsyncIterator[House]:
    """With agents of these names, who are there."""
    orchestrator = {
        "agents": {name: {} for name in names} | (agents or {}),
        "teams": {} if team is None else {"house": {"agents": list(names), **team}},
    }
    async with open_works(orchestrator=orchestrator, **parts) as works:
        one = House(works)
        with running(one.listen()):
            await asyncio.sleep(0)
            for name in orchestrator["agents"]:
                await one.come(name)
            yield one


async def test_an_answer_that_is_late_is_not_taken_for_the_word_that_it_is_undone(tmp_path: Path) -> None:
    switch = {"switch": {"compensates": True, "timeout_seconds": 0.2}, "check": {}}
    team = {"policy": "all", "partial": False}
    async with house("switch", "check", team=team, agents=switch, journal=tmp_path / "journal.db") as one:
        correlation_id = await one.say("lights on")
        asked = await one.request("switch")
        assert (await one.end(correlation_id)).fallback
        undo = await one.request("switch", kind=Wanted.COMPENSATE)
        (lead,) = one.teams._over.values()
        await one.answer(asked, "The light is on.", message_id="m_late")
        await one.answer(asked, progress="still at it", final=False, message_id="m_later")
        await passes(lambda: one.works.pipeline._questions.tracker.counters.late == 2)
        assert set(lead.undoing) == {asked.request_id}
        await one.answer(undo, compensation=True, message_id="m_undone")
        await passes(lambda: not lead.undoing)
        assert [member.state for member in lead.work.everybody if member.name == "switch"] == [
            MemberState.COMPENSATED
        ]
        await one.works.settled()
        assert [row async for row in one.works.journal.dead_letters()] == []


async def test_of_pieces_no_more_is_kept_than_an_answer_may_have(tmp_path: Path) -> None:
    async with house("a", "b", team={"policy": "all"}, journal=tmp_path / "journal.db") as one:
        correlation_id = await one.say("tell me all")
        asked = await one.request("a")
        for number in range(4):
            await one.answer(asked, "x" * 30_000, final=False, message_id=f"m_{number}")
        (lead,) = one.teams._leads.values()
        await passes(lambda: len(lead.work.everybody[0].text) == MAX_PIECES_TEXT)
        await passes(lambda: not one.works.pipeline._answers._pieces._count)
        rows = [row async for row in one.works.journal.agents() if row.agent == "a"]
        assert [len(row.text) for row in rows] == [MAX_PIECES_TEXT]
        await one.answer(asked, message_id="m_end")
        await one.answer(await one.request("b"), "And that.")
        assert (await one.end(correlation_id)).text == "x" * MAX_TEXT_BYTES + CUT_OFF


async def test_answers_are_no_longer_together_than_one_may_be() -> None:
    async with house("a", "b", team={"policy": "all"}) as one:
        correlation_id = await one.say("tell me all")
        for name in "ab":
            data = {"all": name * 40_000}
            await one.answer(await one.request(name), name * 40_000, data=data)
        end = await one.end(correlation_id)
        assert end.text == ("a" * 40_000 + " " + "b" * 40_000)[:MAX_TEXT_BYTES] + CUT_OFF
        assert end.data == {"a": {"all": "a" * 40_000}}


async def test_what_was_shown_of_a_team_that_fails_is_no_answer() -> None:
    """The light was switched on, and off again."""
    team = {"policy": "all", "partial": False, "show_first": True}
    async with house("switch", "check", team=team, agents={"switch": {"compensates": True}}) as one:
        correlation_id = await one.say("lights on")
        await one.answer(await one.request("switch"), "The light is on.")
        shown = await one.works.events.first(ReplyEvent, correlation_id=correlation_id, interim=True)
        assert shown.text == "The light is on."
        await one.answer(await one.request("check"), error="it is not")
        assert (await one.request("switch", kind=Wanted.COMPENSATE)).reason == "check: it is not"
        end = await one.end(correlation_id)
        assert (end.text, end.error) == ("", "check: it is not")


async def test_who_was_not_asked_gives_no_sign_of_life() -> None:
    async with house("a") as one:
        correlation_id = await one.say("hello")
        asked = await one.request("a")
        questions = one.works.pipeline._questions
        await passes(lambda: questions.get(correlation_id).publish_ms)
        before = dict(questions.silence._since)
        await one.answer(asked, "I am a.", request_id="q_guessed", final=False)
        await passes(lambda: questions.tracker.counters.unasked == 1)
        assert questions.silence._since == before
        await one.answer(asked, "Hello.")
        assert (await one.end(correlation_id)).text == "Hello."


class _Slow:
    """A user's function that takes its time over one text."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()

    async def __call__(self, passing: PassingText) -> str:
        if passing.text == "A." and not self.begun.is_set():
            self.begun.set()
            while not self.go_on.is_set():  # noqa: ASYNC110 - of another thread
                await asyncio.sleep(0.01)
        return passing.text


slow = _Slow()


async def test_what_happens_is_kept_in_its_order_however_long_a_text_is_looked_at(tmp_path: Path) -> None:
    team = {"policy": "all", "show_first": True, "timeout_seconds": 0.5}
    content = {"hook": "tests.gateway.pipeline.by_name.test_team_answers:slow", "hook_seconds": 10}
    parts = {"journal": tmp_path / "journal.db", "content": content}
    async with house("a", "b", team=team, **parts) as one:
        correlation_id = await one.say("hello")
        await one.answer(await one.request("a"), "A.")
        await passes(slow.begun.is_set)
        await one.works.settled()
        (row,) = [row async for row in one.works.journal.agents() if row.agent == "a"]
        assert (row.state, row.text) == ("done", "A."), "it is safe before it is shown"
        assert (await one.end(correlation_id)).text == "A.", "nothing waits for what is looked at"
        slow.go_on.set()
        await one.works.settled()
        rows = [row async for row in one.works.journal.agents()]
        assert {(row.agent, row.text) for row in rows} == {("a", ""), ("b", "")}


async def test_what_was_said_behind_what_is_erased_has_its_turn() -> None:
    async with house("a", agents={"a": {}, "b": {}}, team={}) as one:
        names = [await one.say(text) for text in ("first", "second", "third")]
        await one.request("a", "first")
        assert len(one.asked.of(AgentRequest)) == 1
        erasing = one.works.pipeline.erasing
        await erasing.erase(Whose(correlation_id=names[0]))
        asked = await one.request("a", "second")
        assert asked.conversation == ()
        await one.answer(asked, "2")
        assert (await one.end(names[1])).text == "2"
        asked = await one.request("a", "third")
        assert [turn.text for turn in asked.conversation] == ["second"]
        await one.answer(asked, "3")
        assert (await one.end(names[2])).text == "3"
        await one.works.idle()
        assert not one.teams._lines


async def test_of_a_request_that_is_over_no_words_are_held() -> None:
    async with house("a", "b", team={"policy": "all"}) as one:
        correlation_id = await one.say("my secret")
        for name in "ab":
            await one.answer(await one.request(name), f"the secret of {name}", data={"secret": name})
        await one.end(correlation_id)
        await passes(lambda: correlation_id in one.teams._over)
        lead = one.teams._over[correlation_id]
        assert "secret" not in repr([lead.topic, *lead.work.everybody])


class _Deaf(MemoryBroker):
    """Takes no transcripts."""

    async def publish(self, topic: str, key: RoutingKey, payload: bytes, **how: Any) -> Receipt:
        if topic == RESULTS_TOPIC:
            raise BrokerError("not for you")
        return await super().publish(topic, key, payload, **how)


async def test_who_is_asked_by_name_answers_although_nobody_else_is_told() -> None:
    broker = _Deaf(BrokerSettings())
    async with house("a", beside=broker) as one:
        correlation_id = await one.say("hello")
        await passes(lambda: one.works.pipeline._outbox.waiting == 0)
        await one.answer(await one.request("a"), "Hello.")
        end = await one.end(correlation_id)
        assert (end.text, end.late) == ("Hello.", False)
    await broker.close()


class SlowJournal(NoJournal):
    """Its commits are done when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[asyncio.Future[bool]] = []

    def commit(self, *_effects: Effect) -> asyncio.Future[bool]:
        self.under_way.append(asyncio.get_running_loop().create_future())
        return self.under_way[-1]


async def test_an_answer_among_several_waits_for_no_commit_of_another() -> None:
    """A hundred agents' answers are on the disk after a few writes, not after a hundred."""
    async with house("a", "b", "c", team={"policy": "all"}) as one:
        correlation_id = await one.say("everybody")
        asked = [await one.request(name) for name in "abc"]
        slow = one.works.pipeline._by_name._journal = SlowJournal()  # type: ignore[attr-defined]
        for request in asked:
            await one.answer(request, request.agent)
        await passes(lambda: len(slow.under_way) == 2)  # the third ends the request, elsewhere
        assert (await one.end(correlation_id)).text == "a b c"
        for committed in slow.under_way:
            committed.set_result(True)
        await one.works.idle()


async def test_what_an_agent_refused_is_erased_with_the_user_who_said_it() -> None:
    """An agent may have the name of a user."""
    async with house("bob", "anna") as one:
        broker = one.works.broker
        async with (
            broker.subscribe(REQUESTS_TOPIC, group="agents") as requests,
            broker.subscribe(ANNOUNCEMENTS_TOPIC, group="told") as told,
        ):
            await one.say("mine")
            for _ in range(2):
                await (await anext(requests)).reject("cannot be read")
            announced = AnnouncementMessage(device_id="kitchen", text="for whoever has the kitchen")
            await broker.publish(
                ANNOUNCEMENTS_TOPIC, RoutingKey("anna", "kitchen", "told"), encode(announced)
            )
            await (await anext(told)).reject("nobody has it")
        erasing = one.works.pipeline.erasing
        await erasing.erase(Whose(user_id="bob"))
        assert {letter.message.topic for letter in broker.dead_letters()} == {
            REQUESTS_TOPIC,
            ANNOUNCEMENTS_TOPIC,
        }
        await erasing.erase(Whose(user_id="anna"))
        assert [letter.message.topic for letter in broker.dead_letters()] == [ANNOUNCEMENTS_TOPIC]


async def test_what_an_agent_said_of_its_failure_is_erased_with_what_it_was_about() -> None:
    async with house("a", agents={"a": {}, "b": {}}, team={}) as one:
        names = [await one.say(text) for text in ("my secret", "and another")]
        for text, name in zip(("my secret", "and another"), names, strict=True):
            await one.answer(await one.request("a", text), error=f"what is {text}?")
            await one.end(name)
        roster, now = one.works.pipeline.agents, asyncio.get_running_loop().time
        assert roster is not None
        erasing = one.works.pipeline.erasing
        await erasing.erase(Whose(correlation_id=names[0]))
        assert [standing.figures.last_error for standing in roster.standings(now())] == [
            "what is and another?",
            "",
        ]
        await erasing.erase(Whose(user_id="anna"))
        assert {standing.figures.last_error for standing in roster.standings(now())} == {""}


async def test_who_is_to_stop_is_told_no_conversation() -> None:
    async with house("a", "b", team={}) as one:
        first = await one.say("first")
        await one.answer(await one.request("a", "first"), "1")
        await one.end(first)
        await one.say("second")
        asked = await one.request("a", "second")
        assert [turn.text for turn in asked.conversation] == ["first"]
        await one.answer(asked, "2")
        stop = await one.request("b", "second", kind=Wanted.STOP)
        assert stop.conversation == ()
        await one.works.idle()


# Answers that are given again


def cached(**cache: Any) -> dict[str, Any]:
    return {"cache": {"seconds": 60, "conversations": True, **cache}}


async def test_who_is_answered_from_the_cache_is_told_so_and_the_agent_is_not_asked(tmp_path: Path) -> None:
    async with house(
        "clock",
        agents={"clock": cached()},
        team={},
        journal=tmp_path / "journal.db",
        history={"enabled": True},
    ) as one:
        first = await one.say("What time is it?")
        await one.answer(await one.request("clock"), "No", final=False, message_id="m_1")
        await one.answer(await one.request("clock"), "Noon.", data={"hour": 12}, message_id="m_2")
        assert not (await one.end(first)).cached
        second = await one.say("what time is it")
        end = await one.end(second)
        assert (end.text, end.data, end.agent, end.cached) == ("Noon.", {"hour": 12}, "clock", True)
        assert len(one.asked.of(AgentRequest)) == 1
        await one.works.idle()
        standing = one.works.pipeline.agents.standing("clock", 0.0)  # type: ignore[union-attr]
        assert (standing.cache.hits, standing.cache.misses, standing.figures.asked) == (1, 1, 1)  # type: ignore[union-attr]
        found = await one.works.journal.history.page(Selection(), 2)
        assert [row.reply.cached for row in found] == [True, False]


async def test_only_good_answers_that_did_nothing_are_given_again() -> None:
    async with house("clock", agents={"clock": cached()}, team={}) as one:
        poor: tuple[dict[str, Any], ...] = (
            {"error": "broken"},
            {"understood": False},
            {"acted": True},
            {"hints": WantedHints(language="de")},
        )
        for number, facts in enumerate(poor):
            said = await one.say("what time is it")
            await one.answer(await one.request("clock", count=number + 1), "Noon.", **facts)
            await one.end(said)
        await one.say("what time is it")
        await one.request("clock", count=len(poor) + 1)


async def test_in_the_middle_of_a_conversation_it_is_asked_anew_and_what_is_erased_is_not_given_again() -> (
    None
):
    async with house("clock", agents={"clock": cached(conversations=False)}, team={}) as one:
        first = await one.say("what time is it")
        await one.answer(await one.request("clock"), "Noon.")
        await one.end(first)
        await one.say("what time is it")
        await one.request("clock", count=2)
        answers = one.works.pipeline.agents.answers  # type: ignore[union-attr]
        assert answers.of("clock").figures().entries == 1  # type: ignore[union-attr]
        await one.works.pipeline.erasing.erase(Whose(correlation_id=first))
        assert answers.of("clock").figures().entries == 0  # type: ignore[union-attr]


async def test_what_was_asked_before_somebody_said_that_it_is_not_true_any_more_is_not_given_again() -> None:
    async with house("clock", agents={"clock": cached()}, team={}) as one:
        first = await one.say("what time is it")
        asked = await one.request("clock")
        one.works.pipeline.answer_anew()
        await one.answer(asked, "Noon.")
        await one.end(first)
        second = await one.say("what time is it")
        await one.answer(await one.request("clock", count=2), "One.")
        await one.end(second)
        assert (await one.end(await one.say("what time is it"))).text == "One."


class CountingJournal(NoJournal):
    """What is committed, and with what."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[set[type]] = []

    def commit(self, *effects: Effect) -> asyncio.Future[bool]:
        self.commits.append({type(effect) for effect in effects})
        return super().commit(*effects)


async def test_what_is_known_already_is_on_the_disk_at_once() -> None:
    """It waits for one write: that of the text and that of its end are the same."""
    async with house("clock", agents={"clock": cached()}, team={}) as one:
        first = await one.say("what time is it")
        await one.answer(await one.request("clock"), "Noon.")
        await one.end(first)
        pipeline: Any = one.works.pipeline
        journal = pipeline._publishing._journal = pipeline._by_name._endings._journal = CountingJournal()
        assert (await one.end(await one.say("what time is it"))).cached
        (whole,) = [kinds for kinds in journal.commits if RequestEnded in kinds]
        assert {Transcribed, Queued, Asked} < whole
        assert not any(kinds & {Transcribed, Asked} for kinds in journal.commits if kinds is not whole)
        await one.works.idle()


# What some sessions try


async def test_some_sessions_try_another_agent_and_both_sides_are_counted() -> None:
    features = {"cheap": {"percent": 50, "agents": {"big": "small"}, "back": {"requests": 10}}}
    teams = {"policy": "in_turn", "agents": ["big"]}
    async with house(
        "big", team=teams, agents={"big": {}, "small": {"breaker": {"failures": 0}}}, features=features
    ) as one:
        asked: dict[str, int] = {"big": 0, "small": 0}
        pipeline = one.works.pipeline
        assert pipeline.features is not None
        while min(asked.values()) < 10:
            text = f"number {sum(asked.values())}"
            said = await one.say(text)
            await passes(
                lambda text=text: any(each.transcript.text == text for each in one.asked.of(AgentRequest))
            )
            request = one.asked.of(AgentRequest)[-1]
            asked[request.agent] += 1
            broken = {"error": "broken"} if request.agent == "small" else {}
            await one.answer(request, "Yes.", **broken)
            await one.end(said)
        (standing,) = pipeline.features.standings()
        assert (standing.on.requests, standing.off.requests) == (asked["small"], asked["big"])
        assert standing.taken_back == f"100.0 % of {asked['small']} without an answer, 0.0 % else"
        await one.works.idle()
        for number in range(6):
            said = await one.say(f"again {number}")
            await one.answer(await one.request("big", f"again {number}"), "Yes.")
            await one.end(said)
