"""The orchestrator SDK: whatever the user's function does, each transcript is settled and the consumer lives."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from gateway.broker.backends.memory import MemoryBroker
from gateway.broker.base import (
    BrokerError,
    BrokerUnavailable,
    BufferFull,
    Receipt,
    RoutingKey,
    Subscription,
)
from gateway.contract.messages import (
    REPLIES_TOPIC,
    RESULTS_TOPIC,
    AudioFacts,
    OrchestratorReply,
    TranscriptionMessage,
    WantedHints,
    decode_reply,
    encode,
)
from gateway.orchestrators.loading import load_orchestrator
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator, Say

KEY = RoutingKey("ann", "kitchen", "s_1")


def transcript(
    text: str, *, success: bool = True, name: str = "c_1", session: str = "s_1"
) -> TranscriptionMessage:
    return TranscriptionMessage(
        session_id=session, user_id="ann", device_id="kitchen", text=text, timestamp=1.0, success=success,
        error=None if success else "no model", message_id="m_1", correlation_id=name, utterance_id="u_1",
        audio=AudioFacts(seconds=1.0),
    )  # fmt: skip


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(10):
        return await awaitable


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - a look at each turn of the loop, not a wait
            await asyncio.sleep(0)


class House:
    """A broker with one orchestrator on it, and the replies."""

    def __init__(self, broker: MemoryBroker, replies: Subscription) -> None:
        self.broker = broker
        self.replies = replies

    async def say(self, text: str, *, session: str = "s_1", **fields: Any) -> None:
        key = msgspec.structs.replace(KEY, session=session)
        await self.broker.publish(RESULTS_TOPIC, key, encode(transcript(text, session=session, **fields)))

    async def reply(self) -> OrchestratorReply:
        delivery = await soon(anext(self.replies))
        await delivery.ack()
        reply = decode_reply(delivery.message.payload)
        assert delivery.message.routing_key == msgspec.structs.replace(KEY, session=reply.session_id)
        assert delivery.message.correlation_id == reply.correlation_id
        assert delivery.message.message_id == reply.message_id != ""
        assert reply.timestamp > 1.7e9
        return reply

    async def settled(self) -> None:
        """Until the orchestrator has settled all it was given."""
        await until(
            lambda: (
                not any(row.buffered_messages for row in self.broker.stats() if row.topic == RESULTS_TOPIC)
            )
        )


@asynccontextmanager
async def running(orchestrator: Orchestrator, broker: MemoryBroker | None = None) -> AsyncIterator[House]:
    broker = broker or MemoryBroker()
    async with broker.subscribe(REPLIES_TOPIC) as replies:
        task = asyncio.create_task(orchestrator.run(broker))
        await asyncio.sleep(0)
        try:
            yield House(broker, replies)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


# -- answers


async def test_a_returned_text_is_the_whole_reply() -> None:
    house = Orchestrator("parrot")

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        return f"You said {heard.text}"

    async with running(house) as home:
        await home.say("hello", name="c_7")
        reply = await home.reply()
        assert (reply.correlation_id, reply.text, reply.final) == ("c_7", "You said hello", True)
        assert (reply.error, reply.agent) == (None, "parrot")


async def test_a_reply_may_say_how_to_hear_what_comes_next() -> None:
    house = Orchestrator()

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> Say:
        return Say("Whom shall I call?", WantedHints(hotwords="Aoife, Niamh"))

    async with running(house) as home:
        await home.say("call somebody")
        reply = await home.reply()
        assert (reply.text, reply.final) == ("Whom shall I call?", True)
        assert reply.hints == WantedHints(hotwords="Aoife, Niamh")


async def words(heard: TranscriptionMessage) -> AsyncIterator[str]:
    for word in heard.text.split():
        yield f"{word} "


@pytest.mark.parametrize("returned", [False, True])
async def test_pieces_travel_as_they_come_and_the_end_says_it_all(*, returned: bool) -> None:
    house = Orchestrator()
    if returned:

        @house.on_transcript
        async def answer(heard: TranscriptionMessage) -> AsyncIterator[str]:
            return words(heard)
    else:
        house.on_transcript(words)

    async with running(house) as home:
        await home.say("one two")
        replies = [await home.reply() for _ in range(3)]
        assert [(reply.text, reply.final) for reply in replies] == [
            ("one ", False),
            ("two ", False),
            ("one two ", True),
        ]
        assert len({reply.message_id for reply in replies}) == 3


async def test_the_first_piece_does_not_wait_for_the_last() -> None:
    house, more = Orchestrator(), asyncio.Event()

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> AsyncIterator[str]:
        yield "first"
        await more.wait()
        yield "last"

    async with running(house) as home:
        await home.say("go on")
        assert (await home.reply()).text == "first"
        more.set()
        assert [(await home.reply()).text, (await home.reply()).text] == ["last", "firstlast"]


async def test_none_is_no_answer_and_an_empty_text_is_one() -> None:
    house = Orchestrator()

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str | None:
        return None if heard.text == "not mine" else ""

    async with running(house) as home:
        await home.say("not mine", name="c_1")
        await home.say("hush", name="c_2")
        reply = await home.reply()
        assert (reply.correlation_id, reply.text, reply.final, reply.error) == ("c_2", "", True, None)
        await home.settled()


# -- what is not asked


async def test_silence_and_failures_are_skipped_unless_wanted() -> None:
    house, every = Orchestrator("house"), Orchestrator("every")

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        return heard.text

    @every.on_every_result
    async def remark(heard: TranscriptionMessage) -> str:
        return heard.text.strip() or heard.error or "silence"

    async with running(every) as home:
        task = asyncio.create_task(house.run(home.broker))
        await asyncio.sleep(0)
        await home.say("  ")
        await home.say("", success=False)
        await home.say("hello")
        replies = [await home.reply() for _ in range(4)]
        said = {agent: [r.text for r in replies if r.agent == agent] for agent in ("house", "every")}
        assert said == {"house": ["hello"], "every": ["silence", "no model", "hello"]}
        task.cancel()


async def test_what_is_no_transcript_is_a_dead_letter() -> None:
    async with running(echo()) as home:
        await home.broker.publish(RESULTS_TOPIC, KEY, b'{"text": "only"}')
        await home.say("still there")
        assert (await home.reply()).text == "still there"
        (letter,) = home.broker.dead_letters()
        assert "not a transcription" in letter.reason
        assert letter.group == "echo"


def echo(**options: Any) -> Orchestrator:
    house = Orchestrator("echo", **options)

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        return heard.text

    return house


# -- failures of the user's function


@pytest.mark.parametrize(
    "raised", [RuntimeError("secret"), TimeoutError("mine"), ExceptionGroup("", [OSError()])]
)
async def test_an_exception_is_an_error_reply_and_a_log(raised: Exception) -> None:
    house = Orchestrator("house")

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        if heard.text == "fail":
            raise raised
        return "fine"

    with structlog.testing.capture_logs() as logs:
        async with running(house) as home:
            await home.say("fail")
            reply = await home.reply()
            assert (reply.error, reply.text, reply.final) == (
                f"house failed ({type(raised).__name__})",
                "",
                True,
            )
            await home.say("again")
            assert (await home.reply()).text == "fine"
    failures = [entry["event"] for entry in logs if entry["log_level"] != "info"]
    assert failures == ["the orchestrator failed"]


class Odd(BaseException):
    """No Exception, and no cancellation."""


async def cancelled_by_itself() -> None:
    other = asyncio.get_running_loop().create_future()
    other.cancel()
    await other


async def ends_a_task_of_its_own() -> None:
    async def leave() -> None:
        await asyncio.sleep(0)
        raise SystemExit(2)

    await asyncio.gather(leave(), asyncio.sleep(0))


async def raises(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("failing", "named"),
    [
        (lambda: raises(SystemExit(2)), "SystemExit"),
        (lambda: raises(KeyboardInterrupt()), "KeyboardInterrupt"),
        (lambda: raises(GeneratorExit()), "GeneratorExit"),
        (lambda: raises(Odd()), "Odd"),
        (lambda: raises(BaseExceptionGroup("", [SystemExit(1)])), "BaseExceptionGroup"),
        (lambda: asyncio.to_thread(sys.exit, 3), "SystemExit"),
        (cancelled_by_itself, "CancelledError"),
        (ends_a_task_of_its_own, "WouldHaveEnded"),
    ],
)
async def test_what_would_end_the_process_is_a_failure_of_that_request_only(
    failing: Callable[[], Awaitable[None]], named: str, *, streams: bool
) -> None:
    house = Orchestrator("house")

    async def answer(heard: TranscriptionMessage) -> str:
        if heard.text == "fail":
            await failing()
        return "fine"

    async def pieces(heard: TranscriptionMessage) -> AsyncIterator[str]:
        yield await answer(heard)

    house.on_transcript(pieces if streams else answer)
    async with running(house) as home:
        await home.say("fail", name="c_1")
        assert (await home.reply()).error == f"house failed ({named})"
        await home.say("again", name="c_2")
        assert (await home.reply()).text == "fine"
        await home.settled()


async def test_whoever_ends_the_orchestrator_is_not_held_up_by_its_function() -> None:
    house = Orchestrator("house")
    begun, ended = asyncio.Event(), asyncio.Event()

    @house.on_transcript
    async def answer(_heard: TranscriptionMessage) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    async with running(house) as home:
        await home.say("wait")
        await soon(begun.wait())
    assert ended.is_set()


async def test_an_exception_between_pieces_ends_the_reply_as_failed() -> None:
    house = Orchestrator("house")

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> AsyncIterator[str]:
        yield "so far"
        raise KeyError(heard.text)

    async with running(house) as home:
        await home.say("go")
        assert (await home.reply()).text == "so far"
        assert (await home.reply()).error == "house failed (KeyError)"


@pytest.mark.parametrize("answer", [42, b"bytes", ["list"], "lone \ud800"])
async def test_an_answer_that_is_no_text_is_a_failure(answer: Any) -> None:
    house = Orchestrator("house")

    @house.on_transcript
    async def wrong(heard: TranscriptionMessage) -> Any:
        return answer

    async with running(house) as home:
        await home.say("go")
        reply = await home.reply()
        assert reply.error is not None
        assert "Error" in reply.error


@pytest.mark.parametrize("pieces", [False, True])
async def test_an_answer_that_takes_too_long_is_an_error_reply(*, pieces: bool) -> None:
    house, closed = Orchestrator("house", timeout_seconds=0.01), asyncio.Event()

    async def never() -> str:
        await asyncio.Event().wait()
        return ""

    async def endless(heard: TranscriptionMessage) -> AsyncIterator[str]:
        try:
            yield await never()
        finally:
            closed.set()

    async def stuck(heard: TranscriptionMessage) -> str:
        closed.set()
        return await never()

    house.on_transcript(endless if pieces else stuck)
    async with running(house) as home:
        await home.say("go")
        assert (await home.reply()).error == "house took longer than 0.01 s"
        assert closed.is_set()


# -- how many at once


async def test_so_many_are_worked_on_at_once_and_no_more() -> None:
    house, going = Orchestrator(concurrency=2), asyncio.Event()
    working = most = 0

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await going.wait()
        working -= 1
        return heard.text

    async with running(house) as home:
        for number in range(6):
            await home.say(str(number), session=f"s_{number}")
        await until(lambda: working == 2)
        row = next(row for row in home.broker.stats() if row.topic == RESULTS_TOPIC)
        assert (row.delivered, row.buffered_messages) == (2, 6)
        going.set()
        assert sorted([(await home.reply()).text for _ in range(6)]) == list("012345")
        assert most == 2


async def test_a_session_is_answered_in_turn_and_the_others_beside_it() -> None:
    house, slow = Orchestrator(), asyncio.Event()

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        if heard.text == "first":
            await slow.wait()
        if heard.text == "second":
            raise ValueError("not this one")
        return heard.text

    async with running(house) as home:
        for text in ("first", "second", "third"):
            await home.say(text)
        await home.say("elsewhere", session="s_2")
        assert (await home.reply()).text == "elsewhere"
        slow.set()
        replies = [await home.reply() for _ in range(3)]
        assert [reply.text for reply in replies] == ["first", "", "third"]


async def test_orchestrators_of_one_name_share_the_transcripts() -> None:
    broker = MemoryBroker()
    async with running(echo(), broker) as home, running(echo(), broker):
        for number in range(10):
            await home.say(str(number))
        assert sorted([(await home.reply()).text for _ in range(10)]) == list("0123456789")
        await home.settled()
        assert home.replies.pending == 0


# -- failures of the broker


class FlakyBroker(MemoryBroker):
    """Does not take so many replies."""

    failures: Iterator[BrokerError] = iter(())

    async def publish(self, topic: str, *args: Any, **kwargs: Any) -> Receipt:
        if topic == REPLIES_TOPIC:
            for error in self.failures:
                raise error
        return await super().publish(topic, *args, **kwargs)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.orchestrators.sdk.RETRY_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_a_reply_is_kept_until_the_broker_is_there() -> None:
    """Before those of what was said later, and without asking the orchestrator again."""
    broker, house, asked = FlakyBroker(), Orchestrator(), []

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        asked.append(heard.text)
        return heard.text

    broker.failures = repeat(BrokerUnavailable("gone for a moment"), 20)
    async with running(house, broker) as home:
        await home.say("first")
        await home.say("second")
        assert [(await home.reply()).text for _ in range(2)] == asked == ["first", "second"]
        await home.settled()
        assert broker.dead_letters() == ()


@pytest.mark.usefixtures("impatient")
async def test_pieces_that_the_broker_does_not_take_are_in_the_whole() -> None:
    broker, house = FlakyBroker(), Orchestrator()

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> AsyncIterator[str]:
        for piece in ("on ", "and ", "off"):
            yield piece

    broker.failures = repeat(BrokerUnavailable("gone for a moment"), 2)
    async with running(house, broker) as home:
        await home.say("go")
        replies = [await home.reply() for _ in range(2)]
        assert [(reply.text, reply.final) for reply in replies] == [("off", False), ("on and off", True)]


@pytest.mark.usefixtures("impatient")
async def test_a_refused_reply_is_tried_again() -> None:
    broker = FlakyBroker()
    broker.failures = repeat(BufferFull("full"), 2)
    async with running(echo(), broker) as home:
        await home.say("again")
        assert (await home.reply()).text == "again"
        await home.settled()
        assert broker.dead_letters() == ()


@pytest.mark.usefixtures("impatient")
async def test_but_not_for_ever() -> None:
    broker = FlakyBroker()
    broker.failures = repeat(BufferFull("full"), 3)
    async with running(echo(), broker) as home:
        await home.say("lost")
        await home.settled()
        (letter,) = broker.dead_letters()
        assert (letter.attempt, letter.reason) == (3, "reply not published: full")
        await home.say("found")
        assert (await home.reply()).text == "found"


# -- the end


async def test_it_ends_with_the_broker_and_answers_what_it_was_working_on_as_far_as_it_can() -> None:
    house, going, broker = Orchestrator(), asyncio.Event(), MemoryBroker()

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        await going.wait()
        return heard.text

    task = asyncio.create_task(house.run(broker))
    await asyncio.sleep(0)
    await broker.publish(RESULTS_TOPIC, KEY, encode(transcript("too late")))
    closing = asyncio.create_task(broker.close())
    await asyncio.sleep(0)
    going.set()
    await soon(asyncio.gather(task, closing))
    assert [letter.reason for letter in broker.dead_letters()] == [
        "reply not published: the broker is closed"
    ]


async def test_cancelling_it_gives_back_what_it_was_working_on() -> None:
    house, broker, started = Orchestrator(), MemoryBroker(), asyncio.Event()

    @house.on_transcript
    async def answer(heard: TranscriptionMessage) -> str:
        started.set()
        await asyncio.Event().wait()
        return ""

    async with broker.subscribe(RESULTS_TOPIC, group="orchestrator") as other:
        task = asyncio.create_task(house.run(broker))
        await asyncio.sleep(0)
        other_reader = asyncio.create_task(anext(other))
        await broker.publish(RESULTS_TOPIC, KEY, encode(transcript("one")))
        await broker.publish(RESULTS_TOPIC, KEY, encode(transcript("two")))
        await soon(started.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        taken = [await soon(other_reader), await soon(anext(other))]
        assert sorted(delivery.attempt for delivery in taken) == [1, 2]


# -- how it is written


def test_a_function_that_is_not_async_is_refused_where_it_is_written() -> None:
    with pytest.raises(BadOrchestrator, match="not an async function"):
        Orchestrator().on_transcript(lambda heard: heard.text)


@pytest.mark.parametrize("name", ["", "my house", "a/b", "x" * 65])
def test_a_name_is_a_token(name: str) -> None:
    with pytest.raises(BadOrchestrator, match="name"):
        Orchestrator(name)


def test_a_second_function_is_refused() -> None:
    house = echo()
    with pytest.raises(BadOrchestrator, match="second"):
        house.on_every_result(words)


async def test_nothing_to_answer_with_is_said() -> None:
    with pytest.raises(BadOrchestrator, match="on_transcript"):
        await Orchestrator().run(MemoryBroker())


def test_the_function_stays_callable() -> None:
    assert Orchestrator().on_transcript(words) is words


@pytest.mark.parametrize("url", ["memory://", "carrier-pigeon://loft"])
def test_running_alone_needs_a_broker_that_others_reach(url: str) -> None:
    with pytest.raises(BrokerError):
        echo().run_forever(url)


# -- how it is named in the configuration


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder; what is imported from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


GOOD = "from gateway.orchestrator import Orchestrator\nhouse = Orchestrator('mine')\nnumber = 42\n"


def test_a_module_in_the_current_folder_is_found(folder: Path) -> None:
    (folder / "my_house_a.py").write_text(GOOD)
    assert load_orchestrator("my_house_a:house").name == "mine"


def test_the_builtin_one_is_new_each_time() -> None:
    assert load_orchestrator("builtin").name == "builtin"
    assert load_orchestrator("builtin") is not load_orchestrator("builtin")


@pytest.mark.parametrize("spec", ["", ":", "built-in", "module:", ":name", "my_house"])
def test_another_spelling_is_refused(spec: str) -> None:
    with pytest.raises(BadOrchestrator, match="module:name"):
        load_orchestrator(spec)


SYNC = """
@Orchestrator().on_transcript
def answer(heard):
    return heard.text
"""


@pytest.mark.parametrize(
    ("spec", "source", "complaint"),
    [
        ("no_such_module_x:house", "", "there is no module no_such_module_x"),
        ("no_such.module:house", "", "there is no module no_such.module"),
        ("my_house_b:shed", GOOD, "module my_house_b has no 'shed'"),
        ("my_house_b:number", GOOD, "my_house_b:number is a int, not an Orchestrator"),
        ("my_house_b:house", "import no_such_dependency", "needs no_such_dependency, which is not installed"),
        ("my_house_b:house", "1 / 0", "cannot be imported: ZeroDivisionError"),
        ("my_house_b:house", "raise SystemExit(2)", "cannot be imported: SystemExit: 2"),
        (
            "my_house_b:house",
            "def __getattr__(name):\n    raise OSError(name)",
            "has no 'house': OSError: house",
        ),
        ("my_house_b:house", "def broken(", "cannot be imported: SyntaxError"),
        (
            "my_house_b:house",
            GOOD + SYNC,
            "module my_house_b: answer is not an async function; write it with `async",
        ),
    ],
)
def test_what_is_wrong_is_said_clearly(folder: Path, spec: str, source: str, complaint: str) -> None:
    (folder / "my_house_b.py").write_text(source)
    with pytest.raises(BadOrchestrator) as caught:
        load_orchestrator(spec)
    assert complaint in str(caught.value)


async def test_the_example_of_ten_lines_works(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[3]
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    source = (root / "examples/orchestrators/ten_lines.py").read_text()
    assert len([line for line in source.splitlines() if line and not line.startswith('"""')]) <= 10
    async with running(load_orchestrator("examples.orchestrators.ten_lines:house")) as home:
        await home.say("hello")
        assert (await home.reply()).text == "You said: hello"
