"""A voice assistant of Home Assistant's asked over its WebSocket, which is kept, lost, and made anew."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from gateway.agents.home_assistant import known_house, wire
from gateway.agents.ready_made import probed, ready_made
from gateway.orchestrator import CannotAnswer, Rehearsal
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.agents.home_assistant import AssistSettings
from gateway.settings.orchestrator import AgentSettings
from tests.record import passes
from tests.servers.process import free_port
from tests.servers.unruly_http import Told, as_json, unruly

TOKEN = "a-long-lived-token"
CUT, HANG = "cut", "hang"
PIPELINES = {
    "pipelines": [
        {"id": "01A", "name": "Ours", "language": "en", "conversation_language": "en", "conversation_engine": "c.a"},
        {"id": "01B", "name": "Theirs", "language": "de-AT", "conversation_engine": "c.b"},
    ],
    "preferred_pipeline": "01A",
}  # fmt: skip
DEVICES = [
    {"id": "d1", "identifiers": [["mqtt", "earshot/kitchen"]]},
    {"id": "d2", "identifiers": [["mqtt", "other/hall"], ["hue", "1"], "odd", ["mqtt"]]},
    {"id": "d3"},
    "odd",
]


def progress(text: str) -> dict[str, Any]:
    return {"type": "intent-progress", "data": {"chat_log_delta": {"content": text}}}


def ended(speech: str, kind: str = "action_done", code: str = "") -> dict[str, Any]:
    response = {
        "response_type": kind,
        "speech": {"plain": {"speech": speech}},
        "data": {"code": code} if code else {},
    }
    return {
        "type": "intent-end",
        "data": {"intent_output": {"response": response, "conversation_id": "01C"}},
    }


RUN_END = {"type": "run-end", "data": None}


class Assist:
    """As much of Home Assistant as is asked; ``runs`` has the events of each, in order."""

    def __init__(self) -> None:
        self.url = ""
        self.runs: deque[Sequence[Any]] = deque()
        self.asked: list[dict[str, Any]] = []
        self.connections = 0
        self.hanging: list[web.Request] = []
        self.auth: Any = {"type": "auth_ok", "ha_version": "2025.4.4"}
        self.first: Any = {"type": "auth_required", "ha_version": "2025.4.4"}
        self.by_api: list[dict[str, Any]] = []

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.asked if one["type"] == kind]

    async def api(self, request: web.Request) -> web.Response:
        self.by_api.append(await request.json())
        return web.json_response(ended("Hallo")["data"]["intent_output"])

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        if self.first == HANG:
            self.hanging.append(request)
            await asyncio.Event().wait()  # nor does it answer that we hang up
        await self._send(socket, self.first)
        assert (await socket.receive_json()) == {"type": "auth", "access_token": TOKEN}
        await self._send(socket, self.auth)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            told = json.loads(message.data)
            self.asked.append(told)
            if not await self._answer(socket, told):
                request.transport and request.transport.abort()
        return socket

    async def _send(self, socket: web.WebSocketResponse, what: Any) -> None:
        await (socket.send_str(what) if isinstance(what, str) else socket.send_json(what))

    async def _answer(self, socket: web.WebSocketResponse, told: dict[str, Any]) -> bool:
        result = {"id": told["id"], "type": "result", "success": True, "result": None}
        match told["type"]:
            case "assist_pipeline/pipeline/list":
                await socket.send_json(result | {"result": PIPELINES})
            case "conversation/agent/list":
                await socket.send_json(result | {"result": {"agents": [{"id": "c.a"}, {"id": "c.b"}]}})
            case "config/device_registry/list":
                await socket.send_json(result | {"result": DEVICES})
            case "assist_pipeline/run":
                await socket.send_json(result)
                for event in self.runs.popleft() if self.runs else (ended("Done"), RUN_END):
                    if event in (CUT, HANG):
                        return event == HANG
                    whole = {"id": told["id"], "type": "event", "event": event}
                    await self._send(socket, event if isinstance(event, str) else whole)
        return True


@pytest.fixture
async def assist() -> AsyncIterator[Assist]:
    one = Assist()
    app = web.Application()
    app.router.add_get("/api/websocket", one.socket)
    app.router.add_post("/api/conversation/process", one.api)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_AGENT_HOME_TOKEN", TOKEN)


@asynccontextmanager
async def home(target: Any, **settings: Any) -> AsyncIterator[Rehearsal]:
    url = target if isinstance(target, str) else target.url
    how = AssistSettings(**({"assistant": "preferred"} | settings))
    agent = ready_made("home", AgentSettings(kind="home-assistant", url=url, home_assistant=how))
    async with Rehearsal(agent) as stage:
        yield stage


async def test_it_is_said_as_it_grows_and_asked_for_the_board(assist: Assist) -> None:
    assist.runs.append(
        [
            {"type": "run-start", "data": {}},
            {"type": "intent-progress", "data": {"chat_log_delta": {"role": "assistant"}}},
            progress("Good "),
            progress("evening"),
            ended("Good evening. ☀️"),
            RUN_END,
        ]
    )
    async with home(assist) as stage:
        first = await stage.say("hello", device_id="kitchen")
        assert (first.pieces, first.text) == (["Good ", "evening"], "Good evening. ☀️")
        assert first.end.data is not None
        again = await stage.say("thanks", device_id="kitchen")
        elsewhere = await stage.say("hello", device_id="hall")
        assert (again.text, elsewhere.text) == ("Done", "Done")
    asked = [
        (one["device_id"], one["conversation_id"], one["pipeline"])
        for one in assist.of("assist_pipeline/run")
    ]
    assert asked == [("d1", None, "01A"), ("d1", "01C", "01A"), (None, None, "01A")]
    assert len(assist.of("config/device_registry/list")) == 1
    assert len(assist.of("assist_pipeline/pipeline/list")) == 1
    assert assist.connections == 1
    assert assist.by_api == []


async def test_a_model_that_uses_its_tools_speaks_in_several_messages(assist: Assist) -> None:
    def delta(**what: Any) -> dict[str, Any]:
        return {"type": "intent-progress", "data": {"chat_log_delta": what}}

    messages = [
        delta(role="assistant", content="Let me"),
        progress(" see."),
        delta(tool_calls=[{"tool_name": "a"}]),
        delta(role="tool_result", content="not to be said"),
        delta(role="assistant"),
        progress("It is"),
        ended("It is dark."),
    ]
    assist.runs.append(messages)
    async with home(assist) as stage:
        said = await stage.say("is it dark")
    assert said.pieces == ["Let me", " see.", " ", "It is"]
    assert said.text == "Let me see. It is dark."


async def test_a_board_that_is_new_there_is_found(assist: Assist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_house, "MISSED_SECONDS", 0.0)
    async with home(assist) as stage:
        for _ in range(2):
            await stage.say("hello", device_id="attic")
        await stage.say("hello", device_id="kitchen")
        await stage.say("hello", device_id="kitchen")
    assert len(assist.of("config/device_registry/list")) == 2  # not for the one that is known


async def test_which_assistant_and_in_which_language(assist: Assist) -> None:
    async with home(assist, assistant="theirs") as stage:
        assert (await stage.say("hallo", language="de")).text == "Done"
        assert (await stage.say("hello", language="")).text == "Done"
        assert (
            await stage.say("hello", language="en")
        ).text == "Hallo"  # by the API, which is told the language
    assert {one["pipeline"] for one in assist.of("assist_pipeline/run")} == {"01B"}
    assert [(one["language"], one["agent_id"]) for one in assist.by_api] == [("en", "c.b")]
    async with home(assist, assistant="nobody") as stage:
        failed = await stage.say("hello")
        assert failed.end.error is not None
        assert failed.end.error.endswith("Home Assistant has no voice assistant 'nobody'")
    with pytest.raises(BadOrchestrator, match="agent_id is not looked at"):
        async with home(assist, agent_id="conversation.x"):
            pass


async def failure(stage: Rehearsal) -> str:
    error = (await stage.say("hello", device_id="kitchen")).end.error
    return (error or "").removeprefix("home: ")


async def test_what_is_no_answer(assist: Assist) -> None:
    whole = [{"type": "run-start", "data": {}}, progress("Good "), progress("evening"), ended("Good evening")]
    async with home(assist) as stage:
        for count in range(4):
            assist.runs.append([*whole[:count], RUN_END])
            assert await failure(stage) == "the answer of Home Assistant ends in the middle"
            assist.runs.append([*whole[:count], CUT])
            assert await failure(stage) == "the answer of Home Assistant was cut off"
            assert (await stage.say("hello")).text == "Done"  # on a new connection
        assert assist.connections == 5
        for events, error in (
            ([{"type": "error", "data": {"message": "Unexpected\nerror"}}], "Home Assistant failed: Unexpected error"),
            ([ended("The model is away", "error", "unknown")], "Home Assistant failed: The model is away"),
            ([{"type": "intent-end", "data": None}], "Home Assistant is something else: no conversation's answer"),
            (["<html>"], "Home Assistant answers with no JSON"),
            (["[1]"], "Home Assistant is something else"),
        ):  # fmt: skip
            assist.runs.append(events)
            assert await failure(stage) == error
        assist.runs.append([ended("What?", "error", "no_intent_match")])
        puzzled = await stage.say("hello")
        assert (puzzled.text, puzzled.end.understood) == ("What?", False)


async def test_more_than_is_listened_to(assist: Assist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_WAITING", 4)
    assist.runs.append([progress("la ") for _ in range(2_000)])
    async with home(assist) as stage:
        assert await failure(stage) == "Home Assistant says more than is listened to"
        assert (await stage.say("hello")).text == "Done"


async def test_who_is_not_waited_for_any_more_is_told(assist: Assist) -> None:
    assist.runs.append([progress("Well, "), HANG])
    async with home(assist) as stage:
        slow = await stage.say("hello", seconds=0.1)
        assert (slow.end.error or "").startswith("home took longer than 0.")
        await passes(lambda: bool(assist.of("unsubscribe_events")))
        (run,) = assist.of("assist_pipeline/run")
        assert assist.of("unsubscribe_events")[0]["subscription"] == run["id"]
        assert (await stage.say("hello")).text == "Done"
        assert assist.connections == 1


async def test_two_at_once_on_one_connection(assist: Assist) -> None:
    assist.runs.extend([[ended("one"), RUN_END], [ended("two"), RUN_END]])
    async with home(assist) as stage:
        said = await asyncio.gather(*(stage.say("hello", device_id=name) for name in ("a", "b")))
    assert {one.text for one in said} == {"one", "two"}
    assert assist.connections == 1


@pytest.mark.parametrize(
    ("first", "auth", "error"),
    [
        (None, {"type": "auth_invalid", "message": "Invalid access token"}, "does not let us in: Invalid access token"),
        ({"type": "hello"}, None, "is something else"),
        ("{", None, "answers with no JSON"),
    ],
)  # fmt: skip
async def test_it_is_not_let_in(assist: Assist, first: Any, auth: Any, error: str) -> None:
    assist.first, assist.auth = first or assist.first, auth or assist.auth
    async with home(assist) as stage:
        assert await failure(stage) == f"Home Assistant {error}"


async def test_one_that_says_nothing_is_hung_up_on(assist: Assist, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LOGIN_SECONDS", 0.05)
    assist.first, began = HANG, asyncio.get_running_loop().time()
    async with home(assist) as stage:
        assert await failure(stage) == "Home Assistant does not answer in time"
        await passes(lambda: all(one.transport is None for one in assist.hanging))
        assert asyncio.get_running_loop().time() - began < 5


async def test_no_home_assistant_is_there() -> None:
    async with home(f"http://127.0.0.1:{free_port()}") as stage:
        assert await failure(stage) == "Home Assistant is not there: Connection refused"
    async with unruly() as server:
        for told, error in (
            (as_json({}), "has no WebSocket there (status 200)"),
            (as_json({}, 404), "has no WebSocket there (status 404)"),
            (Told(status=301, headers={"Location": f"{server.url}/else"}), "sends us elsewhere (status 301)"),
        ):
            server.usual = told
            async with home(server.url) as stage:
                assert await failure(stage) == f"Home Assistant {error}"
        assert {one.path for one in server.asked} == {"/api/websocket"}


async def look(url: str, **settings: Any) -> str:
    how = AssistSettings(**settings)
    return (await probed("home", AgentSettings(kind="home-assistant", url=url, home_assistant=how))).detail


async def test_what_the_doctor_sees(assist: Assist, monkeypatch: pytest.MonkeyPatch) -> None:
    lets_in = "Home Assistant 2025.4.4 lets us in"
    assert await look(assist.url) == f"{lets_in}; its default agent answers"
    assert await look(assist.url, agent_id="c.b") == f"{lets_in}; c.b answers"
    assert await look(assist.url, assistant="preferred") == f"{lets_in}; its assistant Ours answers"
    with pytest.raises(CannotAnswer, match=r"has no agent c\.c"):
        await look(assist.url, agent_id="c.c")
    assist.auth = {"type": "auth_invalid", "message": "Invalid access token"}
    with pytest.raises(CannotAnswer, match="does not let us in"):
        await look(assist.url)
    with pytest.raises(CannotAnswer, match="is not there"):
        await look(f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("EARSHOT_AGENT_HOME_TOKEN")
    with pytest.raises(BadOrchestrator, match=r"needs a token .*, in EARSHOT_AGENT_HOME_TOKEN or"):
        await look(assist.url)
