"""An alarm button is never behind dictation: not at the recognizer, nor because that has too much to do."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from gateway.access.principals import Principal, Role
from gateway.config.configuration import GatewayConfig
from gateway.config.reloading import plan
from gateway.contract.agents import REQUESTS_TOPIC, decode_request
from gateway.contract.events import StatusEvent
from gateway.contract.messages import PRIORITY_HEADER, RESULTS_TOPIC
from tests.gateway.works import Engine, Works, loud, open_works, quiet
from tests.record import passes
from tests.system.house import Board
from transcription.priority import Priority
from transcription.recognizing import BUSY

DICTATION = [f"dictaphone{number}" for number in range(6)]
HOUSE: dict[str, Any] = {
    "rooms": dict.fromkeys(DICTATION, "Study"),
    "priorities": {"devices": {"alarm": "urgent"}, "rooms": {"Study": "background"}},
}


async def say(works: Works, stack: AsyncExitStack, *names: str) -> list[Board]:
    """Somebody says something to each of these boards, which are there until the end."""
    boards = [await stack.enter_async_context(works.board(name)) for name in names]
    for board in boards:
        await board.say(loud(1), patience=0)
    return boards


def speak(board: Board, stream: int, pcm: bytes) -> None:
    for start in range(0, len(pcm), 640):
        piece = pcm[start : start + 640]
        assert board.end.audio(stream, piece, len(piece) // 2)
        board._pump()


async def test_an_alarm_goes_before_dictation_that_has_filled_the_queue() -> None:
    engine = Engine()
    engine.go.clear()
    async with (
        open_works(engine, transcription={"queue_utterances": 4}, devices=HOUSE) as works,
        AsyncExitStack() as stack,
    ):
        await say(works, stack, *DICTATION[:5])  # one is worked on, four wait
        await engine.working()
        await passes(lambda: works.recognizer.load(Priority.BACKGROUND) >= BUSY)
        await say(works, stack, DICTATION[5], "alarm")
        await passes(lambda: works.recognizer.load(Priority.URGENT) > 0)
        engine.go.set()
        for number in range(1, 8):
            await works.reply(await works.result(number), "yes")
        await works.idle()
    devices = [heard.device_id for heard in works.results.items]
    assert devices[1] == "alarm"
    assert sorted(devices) == sorted(["alarm", *DICTATION])
    assert {event.device_id for event in works.events.of(StatusEvent, status="busy")} == {DICTATION[5]}


async def test_of_those_for_whom_there_was_no_place_the_urgent_one_is_heard_first() -> None:
    async with open_works(sessions={"max_sessions": 1}, devices=HOUSE) as works, AsyncExitStack() as stack:
        await say(works, stack, "kitchen")
        heard = await works.result()
        for board in await say(works, stack, *DICTATION[:2], "alarm"):
            assert await board.statuses(1, "busy") == ["busy"]
        await works.reply(heard, "yes")
        for number in range(2, 5):
            await works.reply(await works.result(number), "yes")
        await works.idle()
    assert [heard.device_id for heard in works.results.items] == ["kitchen", "alarm", *DICTATION[:2]]


async def test_the_class_travels_in_the_message_and_in_its_headers() -> None:
    async with open_works(devices=HOUSE) as works, AsyncExitStack() as stack:
        results = await stack.enter_async_context(works.broker.subscribe(RESULTS_TOPIC))
        await say(works, stack, "alarm", DICTATION[0], "kitchen")
        told = {}
        for number in range(1, 4):
            heard, delivery = await works.result(number), await anext(results)
            await works.reply(heard, "yes")
            header = delivery.message.headers.get(PRIORITY_HEADER)
            told[delivery.message.routing_key.device] = header
            assert heard.priority == {"alarm": "urgent", "kitchen": "normal"}.get(
                heard.device_id, "background"
            )
    assert told == {"alarm": "urgent", DICTATION[0]: "background", "kitchen": None}


async def test_what_an_agent_is_asked_has_the_class_of_whoever_spoke() -> None:
    agents = {"agents": {"guard": {}}}
    async with open_works(devices=HOUSE, orchestrator=agents) as works, AsyncExitStack() as stack:
        asked = await stack.enter_async_context(works.broker.subscribe(REQUESTS_TOPIC, "user.guard"))
        await say(works, stack, "alarm")
        message = (await anext(asked)).message
        request = decode_request(message.payload)
        await works.reply(request.transcript, "help is coming", agent="guard", request_id=request.request_id)
        await works.idle()
    assert (request.transcript.priority, message.headers[PRIORITY_HEADER]) == ("urgent", "urgent")


async def test_a_change_holds_from_the_next_word_on() -> None:
    async with open_works(devices=HOUSE) as works, works.board("alarm") as alarm:
        stream = alarm.end.start_stream(end_on_silence=True)
        speak(alarm, stream, loud(1) + quiet(1))
        before = await works.result()
        config = plan(works.config, msgspec.convert({}, GatewayConfig)).config
        works.pipeline.reconfigure(config)
        speak(alarm, stream, loud(1) + quiet(1))
        after = await works.result(2)
        for heard in (before, after):
            await works.reply(heard, "yes")
        alarm.end.stop_stream(stream)
        alarm._pump()
        await works.idle()
    assert (before.priority, after.priority) == ("urgent", "normal")
    assert before.session_id != after.session_id, "a session is of one class"


async def leave_behind(journal: Path, *names: str) -> None:
    """A gateway that ends before any of it is transcribed."""
    engine = Engine()
    engine.go.clear()
    async with AsyncExitStack() as stack:
        works = await stack.enter_async_context(open_works(engine, journal=journal, devices=HOUSE))
        await say(works, stack, *names)
        await engine.working()
        await passes(lambda: works.recognizer.waiting == len(names) - 1)
        await works.settled()
        works.hush()
        engine.go.set()


async def test_a_session_keeps_its_class_over_a_restart_with_other_settings(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    await leave_behind(journal, "alarm", DICTATION[0])
    async with open_works(journal=journal) as works:
        for number in range(1, 3):
            await works.reply(await works.result(number), "yes")
    assert {heard.device_id: heard.priority for heard in works.results.items} == {
        "alarm": "urgent",
        DICTATION[0]: "background",
    }


async def test_what_is_typed_has_the_class_of_whoever_types_it() -> None:
    users = {"priorities": {"users": {"ann": "urgent"}}}
    async with open_works(devices=users) as works:
        for name, priority in (("ann", "urgent"), ("bob", "normal")):
            who = Principal(name=name, role=Role.OPERATOR, users=frozenset({name}))
            await works.pipeline.say("turn it off", who)
            heard = await works.result(user_id=name)
            await works.reply(heard, "yes")
            assert heard.priority == priority


async def test_what_a_gateway_left_behind_is_transcribed_by_urgency(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    await leave_behind(journal, *DICTATION[:4], "alarm")
    async with open_works(journal=journal, devices=HOUSE) as works:
        for number in range(1, 6):
            await works.reply(await works.result(number), "yes")
    devices = [heard.device_id for heard in works.results.items]
    assert "alarm" in devices[:2], "at most behind what the engine was at"
