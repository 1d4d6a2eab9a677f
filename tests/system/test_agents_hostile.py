"""Agents that lie, flood, hang, come twice and never: a whole house, and what its devices are told."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.simulator.user import ReplyShown
from gateway.broker.base import RoutingKey
from gateway.contract.agents import (
    PRESENCE_TOPIC,
    REQUESTS_TOPIC,
    AgentPresence,
    AgentRequest,
    Wanted,
    decode_request,
)
from gateway.contract.events import ReplyEvent
from gateway.contract.messages import PRIORITY_HEADER, REPLIES_TOPIC, OrchestratorReply, encode
from gateway.journal.effects import Erased
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import Orchestrator
from gateway.pipeline.erasing import Whose
from tests.gateway.works import loud, open_works
from tests.record import passes
from tests.system.house import RECORDINGS, House, open_house, running, text
from tests.system.test_agents import agent, at_work, failing, saying, settings

SPEECH, SAID = RECORDINGS["u05"].path, text("u05")
KITCHEN = RoutingKey("home", "kitchen", "s")


class Foreign:
    """An agent without the SDK, that says what it is told to say."""

    def __init__(self, house: House, name: str) -> None:
        self.name = name
        self._house = house
        self._said = 0
        self._requests: Any = None

    async def begin(self, stack: AsyncExitStack) -> None:
        broker = self._house.gateway.broker
        subscription = broker.subscribe(REQUESTS_TOPIC, f"user.{self.name}", group=self.name)
        self._requests = aiter(await stack.enter_async_context(subscription))
        await self.here()

    async def here(self, **facts: Any) -> None:
        told = AgentPresence(**{"agent": self.name, "instance": "i_1", "timestamp": time.time(), **facts})
        key = RoutingKey(self.name, told.instance, "presence")
        await self._house.gateway.broker.publish(PRESENCE_TOPIC, key, encode(told))

    async def asked(self) -> AgentRequest:
        delivery = await asyncio.wait_for(anext(self._requests), 20)
        await delivery.ack()
        return decode_request(delivery.message.payload)

    async def say(self, request: AgentRequest, words: str, *, headers: Any = None, **facts: Any) -> None:
        self._said += 1
        heard = request.transcript
        reply = OrchestratorReply(
            **{
                "correlation_id": heard.correlation_id, "session_id": heard.session_id, "agent": self.name,
                "request_id": request.request_id, "text": words, "message_id": f"m_{self.name}_{self._said}", **facts,
            }
        )  # fmt: skip
        await self._house.gateway.broker.publish(REPLIES_TOPIC, KITCHEN, encode(reply), headers=headers)


@pytest.mark.slow
async def test_one_that_streams_for_ever_has_until_its_deadline(house: Any) -> None:
    team = settings("a", "b", team={"policy": "all"}, a={"timeout_seconds": 1.0}, b={})
    async with house(orchestrator=team) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        endless = Foreign(one, "a")
        await endless.begin(stack)
        await at_work(stack, one, saying("b", "B."))
        asking = asyncio.create_task(kitchen.say(SPEECH))
        request = await endless.asked()
        began = time.monotonic()
        while not kitchen.told.of(ReplyShown, final=True):
            await endless.say(request, "and so on ", final=False)
            await asyncio.sleep(0.005)
        assert 0.9 < time.monotonic() - began < 1.5
        assert (await asking).reply == "B."
        event = await one.events.first(ReplyEvent, final=True)
        assert (event.partial, event.missing) == (True, ("a",))
        for _ in range(100):  # and on
            await endless.say(request, "and so on ", final=False)
        await endless.say(request, "and at last")
        await one.idle()
        assert len(kitchen.told.of(ReplyShown, final=True)) == 1
        lead = one.gateway.pipeline._by_name._teams._over[request.transcript.correlation_id]
        assert len(lead.work.asked(request.request_id).text) <= 64 * 1024


@pytest.mark.slow
async def test_ten_thousand_pieces_are_one_answer(tmp_path: Path) -> None:
    words = [f"{number} " for number in range(10_000)]
    patient = settings("a", a={"timeout_seconds": 100.0}) | {"timeout_seconds": 100.0}
    async with (
        open_works(journal=tmp_path / "journal.db", orchestrator=patient) as works,
        works.board("kitchen", wants_pieces=True) as kitchen,
        works.broker.subscribe(REQUESTS_TOPIC, "user.a", group="a") as requests,
    ):
        asking = asyncio.create_task(kitchen.say(loud(1), patience=100.0))
        delivery = await anext(aiter(requests))
        request = decode_request(delivery.message.payload)
        for number, piece in enumerate(words):
            facts = {"request_id": request.request_id, "agent": "a", "message_id": f"m_{number}"}
            await works.reply(request.transcript, piece, final=False, **facts)
        await works.reply(
            request.transcript, "", request_id=request.request_id, agent="a", message_id="m_end"
        )
        assert (await asking).reply == "".join(words)
        assert len(kitchen.told.of(ReplyShown, final=True)) == 1
        await works.idle()


async def test_one_that_never_answers_keeps_nobody_waiting_beyond_its_deadline(house: Any) -> None:
    async def never(_heard: Heard) -> str:
        await asyncio.Event().wait()
        return "never"

    team = settings("a", "b", team={"policy": "all"}, a={"timeout_seconds": 0.3}, b={})
    async with house(orchestrator=team) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, agent("a", never), saying("b", "B."))
        assert (await kitchen.say(SPEECH)).reply == "B."
        assert (await one.events.first(ReplyEvent, final=True)).missing == ("a",)


@pytest.mark.slow
async def test_two_of_one_name_share_the_work_and_one_takes_over_from_the_other(
    house: Any, redis: Any
) -> None:
    """Over a broker that knows when one of them dies."""
    worked: list[tuple[str, str]] = []
    held = asyncio.Event()

    def copy(which: str, *, hangs: bool) -> Orchestrator:
        async def answer(heard: Heard) -> str:
            worked.append((which, heard.request_id))
            if hangs:
                held.set()
                await asyncio.Event().wait()
            return f"{heard.text}"

        return agent("a", answer)

    from gateway.broker.opening import open_broker
    from gateway.settings.broker import BrokerSettings

    settings_of = BrokerSettings(url=redis.url, lease_seconds=1.0)
    async with house(orchestrator=settings("a"), broker={"url": redis.url, "lease_seconds": 1.0}) as one:
        first, second = (open_broker(redis.url, settings_of) for _ in range(2))
        async with one.board("kitchen") as kitchen:
            with running(copy("first", hangs=True).run(first)):
                roster, now = one.gateway.pipeline.agents, asyncio.get_running_loop().time
                await passes(lambda: roster._agents["a"].copies.here(now()))
                asking = asyncio.create_task(kitchen.say(SPEECH))
                await held.wait()
            await first.close(0.0)
            with running(copy("second", hangs=False).run(second)):
                assert (await asking).reply == SAID
                await one.idle()
            await second.close(0.1)
        assert [which for which, _ in worked] == ["first", "second"]
        assert len({request_id for _, request_id in worked}) == 1


async def test_a_team_whose_aggregator_fails_says_what_there_is(house: Any) -> None:
    team = {"policy": "all", "combine": "by", "combined_by": "c"}
    orchestrator = settings("a", "b", team=team) | {"agents": {"a": {}, "b": {}, "c": {}}}
    async with house(orchestrator=orchestrator) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, saying("a", "A."), saying("b", "B."), failing("c"))
        said = await kitchen.say(SPEECH)
        assert (said.reply, said.error) == ("A. B.", False)
        event = await one.events.first(ReplyEvent, final=True)
        assert (event.agents, event.missing) == (("a", "b"), ("c",))


@pytest.mark.slow
async def test_a_chain_whose_middle_is_down_ends_with_what_came_before_it(house: Any) -> None:
    team = {"policy": "all", "after": {"b": ["a"], "c": ["b"]}}
    orchestrator = settings("a", "b", "c", team=team) | {"patience_seconds": 0.3}
    async with house(orchestrator=orchestrator) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, saying("a", "A."), saying("c", "C."))
        now = asyncio.get_running_loop().time
        await passes(lambda: not one.gateway.pipeline.agents.is_present("b", now()))
        said = await kitchen.say(SPEECH)
        assert (said.reply, said.error, said.fallback) == ("A.", False, False)
        assert (await one.events.first(ReplyEvent, final=True)).missing == ("b", "c")


@pytest.mark.slow
async def test_an_agent_knows_the_conversation_after_a_restart_a_reboot_and_a_move(
    tmp_path: Path, mosquitto: Any
) -> None:
    async def answer(heard: Heard) -> str:
        return f"{heard.text} after {[(turn.text, turn.reply, turn.agent) for turn in heard.conversation]}"

    async with (
        open_house(tmp_path, mosquitto.url, orchestrator=settings("a")) as one, AsyncExitStack() as stack,
        one.board("kitchen") as kitchen,
    ):  # fmt: skip
        await at_work(stack, one, agent("a", answer))
        assert (await kitchen.say(SPEECH)).reply == f"{SAID} after []"
        await one.idle()
    async with (
        open_house(tmp_path, mosquitto.url, orchestrator=settings("a")) as one, AsyncExitStack() as stack,
        one.board("kitchen", "mqtt") as kitchen,
    ):  # fmt: skip
        await at_work(stack, one, agent("a", answer))
        said = await kitchen.say(RECORDINGS["u21"].path)
        assert said.reply == f"{text('u21')} after {[(SAID, f'{SAID} after []', 'a')]}"


@pytest.mark.slow
async def test_a_hundred_agents_make_one_reply(house: Any) -> None:
    names = [f"a{number:03}" for number in range(100)]
    team = settings(*names, team={"policy": "all"})
    async with house(orchestrator=team) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, *(saying(name, name) for name in names))
        said = await kitchen.say(SPEECH)
        assert said.reply == " ".join(names)
        assert (await one.events.first(ReplyEvent, final=True)).agents == tuple(names)
        await one.idle()


@pytest.mark.slow
async def test_one_that_combines_the_answers_of_many_can_read_them(house: Any) -> None:
    """More than a request may hold, and longer: what is cut is cut for all alike."""
    names = [f"a{number:03}" for number in range(140)]

    async def count(heard: Heard) -> str:
        return f"{len(heard.answers)} answers, {len({len(one.text) for one in heard.answers})} length"

    team = settings(*names, team={"policy": "all", "combine": "by", "combined_by": "c"})
    team["agents"]["c"] = {}
    async with house(orchestrator=team) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, agent("c", count), *(saying(name, name[0] * 60_000) for name in names))
        said = await kitchen.say(SPEECH)
        assert said.reply == "128 answers, 1 length"
        await one.idle()


LIES: dict[str, list[dict[str, Any]]] = {
    "it leaves": [{"state": "leaving"}],
    "another time": [{"timestamp": time.time() - 3600}, {"instance": "i_3", "timestamp": time.time() + 3600}],
    "no time": [
        {"timestamp": 0.0},
        {"instance": "i_3", "timestamp": -1e300},
        {"instance": "i_4", "timestamp": 1e300},
    ],
    "many": [{"instance": f"i_{number}"} for number in range(2, 2_000)],
    "busy": [{"answering": 2**62, "failed": 2**62, "concurrency": 0, "version": "v" * 1_000}],
}


@pytest.mark.slow
@pytest.mark.parametrize("lies", LIES.values(), ids=LIES)
async def test_records_that_lie_of_another_keep_nobody_from_being_asked(
    house: Any, lies: list[dict[str, Any]]
) -> None:
    async with house(orchestrator=settings("a")) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, saying("a", "A."))
        liar = Foreign(one, "a")
        for lie in lies:
            await liar.here(**{"instance": "i_2", **lie})
        for _ in range(2):
            said = await kitchen.say(SPEECH)
            assert (said.reply, said.error, said.fallback) == ("A.", False, False)


@pytest.mark.slow
async def test_one_that_says_it_is_there_and_is_not_is_waited_for_no_longer_than_it_has(house: Any) -> None:
    team = settings("a", "b", team={"policy": "all"}, a={"timeout_seconds": 0.5}, b={})
    async with house(orchestrator=team) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        await at_work(stack, one, saying("b", "B."))
        await Foreign(one, "a").here()
        assert (await kitchen.say(SPEECH)).reply == "B."


@pytest.mark.slow
async def test_who_calls_its_own_words_urgent_keeps_nobody_waiting(house: Any) -> None:
    """2,000 urgent pieces for one device, and one answer for another, which is not behind all of them."""
    async with (
        house(
            orchestrator=settings("loud", "meek", loud={"devices": ["hall"]}, meek={"devices": ["kitchen"]})
        ) as one,
        AsyncExitStack() as stack,
    ):
        kitchen, hall = [await stack.enter_async_context(one.board(name)) for name in ("kitchen", "hall")]
        loud, meek = Foreign(one, "loud"), Foreign(one, "meek")
        await loud.begin(stack)
        await meek.begin(stack)
        asking = [asyncio.create_task(board.say(SPEECH)) for board in (kitchen, hall)]
        to_loud, to_meek = await loud.asked(), await meek.asked()
        urgent = {PRIORITY_HEADER: "urgent"}
        flood = asyncio.create_task(_flood(loud, to_loud, urgent))
        await meek.say(to_meek, "meek")
        assert (await asking[0]).reply == "meek"
        shown = one.events.of(ReplyEvent, device_id="hall")
        assert len(shown) < 2_000, "it did not wait for all of them"
        await flood
        await loud.say(to_loud, "loud")
        assert (await asking[1]).reply == "loud"
        await one.idle()


async def _flood(loud: Foreign, request: AgentRequest, headers: dict[str, str]) -> None:
    for _ in range(2_000):
        await loud.say(request, "LOUD ", final=False, headers=headers)


async def _erased(house: House, whose: Whose) -> None:
    """As the API does it, to its end."""
    journal, erasing = house.gateway.pipeline._journal, house.gateway.pipeline.erasing
    await erasing.erase(whose)
    if whose.user_id:
        while some := await journal.history.belongings(whose.user_id, 100):
            await journal.commit(*some.effects())
            await erasing.erase(whose)
    else:
        await journal.commit(Erased(whose.utterance_id))
    await journal.scrub()


def _in_files(house: House, words: str) -> list[str]:
    """Of the journal's, those in which these words stand."""
    folder = house.gateway.pipeline._journal.path.parent
    return [path.name for path in folder.glob("journal.db*") if words.encode() in path.read_bytes()]


@pytest.mark.slow
async def test_who_is_erased_in_the_middle_of_a_teams_work_leaves_no_words(house: Any) -> None:
    """One has answered, one is at work. What is at the broker, and with them, the gateway cannot take back."""
    team = settings("a", "b", team={"policy": "all"}, a={}, b={"compensates": True})
    async with house(orchestrator=team) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        quick, slow = (Foreign(one, name) for name in ("a", "b"))
        for each in (quick, slow):
            await each.begin(stack)
        asking = asyncio.create_task(kitchen.say(SPEECH))
        to_quick, to_slow = await quick.asked(), await slow.asked()
        await quick.say(to_quick, "what a is to say")
        await slow.say(to_slow, "what b begins", final=False)
        teams = one.gateway.pipeline._by_name._teams
        (lead,) = teams._leads.values()
        await passes(lambda: lead.work._members[0].good and lead.work._members[1].text)
        await one.gateway.pipeline._journal.commit()
        assert _in_files(one, "what a is to say")
        await _erased(one, Whose(user_id="home"))
        assert (await asking).error
        for words in (SAID, "what a is to say", "what b begins"):
            assert _in_files(one, words) == []
        assert not teams._leads
        assert not teams._over
        assert not teams._lines
        assert not one.gateway.pipeline._outbox._unanswered._messages
        await slow.say(to_slow, "what b says after")
        await slow.say(to_slow, "what b says twice", message_id="m_again")
        await passes(lambda: one.gateway.pipeline._questions.tracker.counters.unknown >= 2)
        await one.gateway.pipeline._journal.commit()
        assert _in_files(one, "what b says") == []
        asking = asyncio.create_task(kitchen.say(SPEECH))  # and is heard again
        await quick.say(await quick.asked(), "A.")
        while (again := await slow.asked()).kind is not Wanted.ASK:
            pass
        await slow.say(again, "B.")
        assert (await asking).reply == "A. B."


@pytest.mark.slow
async def test_a_turn_that_is_erased_keeps_the_next_of_its_conversation_not_waiting(house: Any) -> None:
    async with house(orchestrator=settings("a")) as one, AsyncExitStack() as stack:
        kitchen = await stack.enter_async_context(one.board("kitchen"))
        slow = Foreign(one, "a")
        await slow.begin(stack)
        asking = [asyncio.create_task(kitchen.say(SPEECH))]
        first = await slow.asked()
        asking.append(asyncio.create_task(kitchen.say(RECORDINGS["u21"].path)))
        await passes(lambda: len(one.gateway.pipeline._by_name._teams._leads) == 2)
        gone = first.transcript
        await _erased(one, Whose(correlation_id=gone.correlation_id, utterance_id=gone.utterance_id))
        second = await slow.asked()
        while second.kind is not Wanted.ASK:
            second = await slow.asked()
        assert (second.transcript.text, second.conversation) == (text("u21"), ())
        await slow.say(second, "the second")
        assert (await asking[1]).reply == "the second"
        assert (await asking[0]).error
        await one.idle()


ANOTHER_CLOCK = """
import sys, time
right = time.time
time.time = lambda: right() + float(sys.argv[2])
from gateway.orchestrators.sdk import Orchestrator
house = Orchestrator("a")

@house.on_transcript
async def answer(heard):
    return f"{heard.text}, {heard.seconds_left() > 10}"

house.run_forever(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_one_whose_clock_is_an_hour_wrong_answers_in_time(house: Any, redis: Any, seconds: int) -> None:
    async with (
        house(orchestrator=settings("a"), broker={"url": redis.url}) as one,
        one.board("kitchen") as kitchen,
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ANOTHER_CLOCK, redis.url, str(seconds), stderr=asyncio.subprocess.DEVNULL
        )
        roster, now = one.gateway.pipeline.agents, asyncio.get_running_loop().time
        await passes(lambda: roster._agents["a"].copies.here(now()))
        assert abs(roster.clock("a", now()) - time.time() - seconds) < 60
        try:
            assert (await kitchen.say(SPEECH)).reply == f"{SAID}, True"
        finally:
            process.kill()
            await process.wait()
