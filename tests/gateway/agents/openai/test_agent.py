"""A language model as an agent: what it is asked, what is said of its answer, and each way that there is none."""

# ruff: noqa: RUF001 - other languages are meant

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.agents.openai import endpoint
from gateway.agents.ready_made import ready_made
from gateway.orchestrator import AgentAnswer, ConversationTurn, Rehearsal
from gateway.settings.agents.openai import PROMPT, ChatSettings
from gateway.settings.orchestrator import AgentSettings
from tests.gateway.agents.openai.scripted import delta, stage, why, words
from tests.servers.certificates import make_certificates
from tests.servers.process import free_port
from tests.servers.unruly_http import Told, UnrulyServer, as_events, as_json, unruly

MODELS = as_json({"data": [{"id": "first"}, {"id": "second"}]})


@pytest.fixture
async def server() -> AsyncIterator[UnrulyServer]:
    async with unruly() as one:
        one.usual = words("The light", " is", " on.")
        yield one


async def error(server: UnrulyServer, *told: Told, **settings: Any) -> str:
    server.next.extend(told)
    async with stage(server.url, **settings) as brain:
        said = await brain.say("hello")
    assert said.text == ""
    return why(said)


async def test_what_is_asked_and_said(server: UnrulyServer) -> None:
    async with stage(server.url, temperature=0.5, reasoning_effort="none", max_tokens=50) as brain:
        said = await brain.say("turn on the light", room="Kitchen", user_id="ann", language="en")
    assert said.text == "The light is on."
    assert said.pieces[0] == "The light"
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    system, user = asked.json["messages"]
    assert user == {"role": "user", "content": "turn on the light"}
    assert "Room: Kitchen. Speaking: ann." in system["content"]
    assert "turn on" not in system["content"]
    body = {
        name: asked.json[name]
        for name in ("model", "stream", "temperature", "reasoning_effort", "max_tokens")
    }
    assert body == {
        "model": "m",
        "stream": True,
        "temperature": 0.5,
        "reasoning_effort": "none",
        "max_tokens": 50,
    }
    assert not {"tools", "stream_options"} & asked.json.keys()


async def test_the_conversation_is_told_in_turns(server: UnrulyServer) -> None:
    async with stage(server.url, turns=1) as brain:
        for text in ("one", "two", "three"):
            await brain.say(text)
    told = [(message["role"], message["content"]) for message in server.asked[2].json["messages"][1:]]
    assert told == [("user", "two"), ("assistant", "The light is on."), ("user", "three")]


async def test_what_others_answered_is_told_with_what_was_heard(server: UnrulyServer) -> None:
    answers = (
        AgentAnswer(agent="home", text="It is off."),
        AgentAnswer(agent="web", error="web is not there"),
    )
    async with stage(server.url) as brain:
        await brain.say("is it on?", answers=answers)
    told = server.asked[0].json["messages"][1]["content"]
    assert told == "is it on?\n\nWhat others have answered to that:\nhome: It is off.\nweb: web is not there"


async def test_the_first_model_that_the_server_names(server: UnrulyServer) -> None:
    server.next.append(MODELS)
    async with stage(server.url, model="") as brain:
        await server.requests(1)
        await brain.say("hello")
        await brain.say("hello")
    assert [asked.path for asked in server.asked] == ["/v1/models", *["/v1/chat/completions"] * 2]
    assert server.asked[1].json["model"] == "first"


async def test_a_server_that_does_not_stream(server: UnrulyServer) -> None:
    message = {"role": "assistant", "content": "Here I am."}
    server.usual = as_json({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    async with stage(server.url) as brain:
        assert (await brain.say("hello")).text == "Here I am."


async def test_markdown_is_said_as_plain_words_and_may_stay(server: UnrulyServer) -> None:
    server.usual = words("**Two** things 🎉:\n- one\n", "- two")
    async with stage(server.url) as brain:
        assert (await brain.say("what?")).text == "Two things: one. two."
    async with stage(server.url, plain=False) as brain:
        assert (await brain.say("what?")).text == "**Two** things 🎉:\n- one\n- two"


async def test_what_it_thinks_is_not_said(server: UnrulyServer) -> None:
    server.usual = as_events(
        delta("", reasoning="Hmm, the user"),
        delta("", reasoning_content="wants"),
        delta("<thi"),
        delta("nk>secret"),
        delta("</think>\n\nHello."),
        delta(None, "stop"),
        {"choices": [], "usage": {"total_tokens": 7}},
        "[DONE]",
    )
    async with stage(server.url) as brain:
        assert (await brain.say("hello")).text == "Hello."


CUT = [
    as_events(delta("Half"), cut=True),
    as_events(delta("Half")),
    as_events(delta("Half"), "[DONE]"),
    as_events(delta("Half"), delta(None, finish="error"), "[DONE]"),
    as_events(delta("Half"), delta(None, finish="abort"), "[DONE]"),
]


@pytest.mark.parametrize("told", CUT, ids=["cut", "ended", "done", "error", "abort"])
async def test_an_answer_without_its_end_is_none(server: UnrulyServer, told: Told) -> None:
    assert "the model's server" in await error(server, told)


async def test_a_stream_that_is_cut_at_every_event(server: UnrulyServer) -> None:
    chunks = [delta("", role="assistant"), delta("One"), delta(" two"), delta(None)]
    async with stage(server.url) as brain:
        for count in range(len(chunks) + 1):
            server.next.append(as_events(*chunks[:count], cut=True))
            said = await brain.say("hello")
            assert why(said) == "the answer of the model's server was cut off"


async def test_what_comes_after_the_end_of_an_answer_is_not_waited_for(server: UnrulyServer) -> None:
    server.usual = as_events(delta("Yes."), delta(None, "stop"), hangs=True)
    async with stage(server.url) as brain:
        assert (await brain.say("hello", seconds=5)).text == "Yes."


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (as_json({"error": {"message": "bad key"}}, 401), "the model's server does not let us in: bad key"),
        (as_json({"error": {"message": "boom"}}, 500), "the model's server answers with status 500: boom"),
        (Told([b"<html>"], content_type="text/html"), "the model's server answers with a web page"),
        (Told(status=308, headers={"Location": "/x"}), "the model's server sends us elsewhere (status 308)"),
        (as_events("what?"), "the model's server sends what is no chat completion"),
        (as_events({"choices": [{"delta": {"content": 5}}]}), "the model's server sends what is no chat completion"),
        (as_events({"error": {"message": "out of memory"}}), "the model's server failed: out of memory"),
        (as_events(delta("Well"), {"error": "gone"}), "the model's server failed: gone"),
        (as_events({"error": {}}), "the model's server failed: it does not say why"),
        (words("Not so", finish="content_filter"), "the model's content filter stopped its answer"),
        (words("", finish="length"), "the model used up its tokens before it said a word"),
        (words(""), "the model says nothing"),
        (as_json({}), "the model's server stopped in the middle of its answer"),
        (as_json([1]), "the model's server sends what is no chat completion"),
    ],
)  # fmt: skip
async def test_what_is_no_answer(server: UnrulyServer, told: Told, said: str) -> None:
    assert await error(server, told) == f"{said}"


async def test_an_answer_that_was_cut_by_its_limit_says_so(server: UnrulyServer) -> None:
    server.usual = words("Once upon", " a time", finish="length")
    async with stage(server.url) as brain:
        said = await brain.say("a story")
    assert (said.text, said.end.data) == ("Once upon a time...", {"finish_reason": "length"})


async def test_nobody_is_there_and_comes_later(server: UnrulyServer) -> None:
    port = free_port()
    async with stage(f"http://127.0.0.1:{port}", model="") as brain:
        assert why(await brain.say("hello")) == "the model's server is not there: Connection refused"
        async with unruly(port=port) as late:
            late.next.append(MODELS)
            late.usual = words("Now.")
            assert (await brain.say("hello")).text == "Now."


async def test_a_server_without_a_model(server: UnrulyServer) -> None:
    server.usual = as_json({"data": []})
    assert await error(server, model="") == "the model's server has no model"


async def test_who_is_busy_is_waited_for_once(server: UnrulyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PAUSE_SECONDS", 0.01)
    busy = as_json({}, 429)
    assert await error(server, busy, busy) == "the model's server has too much to do"
    server.next.append(as_json({}, 429, **{"Retry-After": "0"}))
    async with stage(server.url) as brain:
        said = await brain.say("hello")
    assert (said.text, said.progress) == ("The light is on.", ["the model has much to do"])
    server.next.append(as_json({}, 429, **{"Retry-After": "60"}))
    assert await error(server) == "the model's server has too much to do"


async def test_a_model_that_is_being_loaded_is_waited_for(
    server: UnrulyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "PAUSE_SECONDS", 0.01)
    loading = as_json({"error": {"message": "Loading model", "code": 503}}, 503)
    server.next.extend([loading] * 3)
    async with stage(server.url) as brain:
        said = await brain.say("hello")
        assert (said.text, said.progress) == ("The light is on.", ["the model is being loaded"] * 3)
        server.usual = loading
        monkeypatch.setattr(endpoint, "SPARE_SECONDS", 9.9)
        said = await brain.say("hello", seconds=10.0)
    assert why(said) == "the model's server is not ready: answers with status 503: Loading model"


async def test_a_server_that_closes_a_kept_connection_is_asked_again_once(server: UnrulyServer) -> None:
    async with stage(server.url) as brain:
        assert (await brain.say("hello")).text == "The light is on."
        server.next.append(Told(drops=True))
        assert (await brain.say("hello")).text == "The light is on."
        server.next.extend([Told(drops=True), Told(drops=True)])
        assert why(await brain.say("hello")) == "the model's server is not there: ServerDisconnectedError"
    assert len(server.asked) == 5


TOO_LONG = as_json({"error": {"message": "the request exceeds the available context size"}}, 400)


@pytest.mark.parametrize("told", [TOO_LONG, as_events({"error": {"message": "maximum context length is 8"}})])
async def test_more_than_the_model_takes_is_tried_once_shorter(server: UnrulyServer, told: Told) -> None:
    server.next.append(told)
    turns = (ConversationTurn(text="before", reply="yes"),)
    async with stage(server.url) as brain:
        assert (await brain.say("hello", conversation=turns)).text == "The light is on."
        server.next.extend([told, told])
        said = await brain.say("hello", conversation=turns)
    assert why(said) == "what was said is more than the model takes at once"
    assert [len(asked.json["messages"]) for asked in server.asked] == [4, 2, 4, 2]


async def test_a_server_that_knows_the_limit_by_another_name(server: UnrulyServer) -> None:
    said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.next.append(as_json({"error": {"message": said}}, 400))
    async with stage(server.url) as brain:
        assert (await brain.say("hello")).text == "The light is on."
        assert (await brain.say("hello")).text == "The light is on."
    assert [("max_tokens" in asked.json) for asked in server.asked] == [True, False, False]


@pytest.mark.slow
async def test_what_nobody_waits_for_any_more_is_hung_up_on(server: UnrulyServer) -> None:
    server.usual = as_events(delta("Well"), hangs=True)
    async with stage(server.url, timeout_seconds=1.0) as brain:
        said = await brain.say("hello")
        assert why(said) == "brain took longer than 1 s"
        await asyncio.wait_for(server.asked[0].gone.wait(), 5)
        assert "".join(said.pieces) == "Well"


async def test_its_tokens_are_counted(server: UnrulyServer) -> None:
    usage = {"choices": [], "usage": {"total_tokens": 60}}
    server.usual = as_events(delta("Yes."), delta(None, "stop"), usage, "[DONE]")
    async with stage(server.url, tokens_per_hour=100) as brain:
        for _ in range(2):
            assert (await brain.say("hello")).text == "Yes."
        said = await brain.say("hello")
    assert why(said) == "the model has had its 100 tokens of this hour"
    assert server.asked[0].json["stream_options"] == {"include_usage": True}
    assert len(server.asked) == 2


async def test_it_is_warmed_up_where_that_is_wanted(server: UnrulyServer) -> None:
    async with stage(server.url, warm_up=True):
        (asked,) = await server.requests(1)
    system, user = asked.json["messages"]
    assert user == {"role": "user", "content": "Say: ready."}
    assert PROMPT.startswith(system["content"])


@pytest.mark.slow
async def test_more_than_anybody_listens_to_is_hung_up_on(server: UnrulyServer) -> None:
    server.usual = as_events(*[delta("word " * 10_000)] * 1_200)  # 60 MB
    assert "answers with more than" in await error(server)
    await asyncio.wait_for(server.asked[0].gone.wait(), 5)


@pytest.mark.parametrize(("ended", "said"), [(True, "certificate has expired"), (False, "The light is on.")])
async def test_a_certificate_that_has_ended(tmp_path: Path, ended: bool, said: str) -> None:  # noqa: FBT001
    files = make_certificates(tmp_path, ended=ended)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.server_cert, files.server_key)
    async with unruly(tls=context) as server:
        server.usual = words("The light is on.")
        brain = ready_made(
            "brain",
            AgentSettings(
                kind="openai", url=server.url, ca_file=str(files.ca), openai=ChatSettings(model="m")
            ),
        )
        async with Rehearsal(brain) as one:
            answer = await one.say("hello")
    assert said in (why(answer) or answer.text)
    assert len(server.asked) == (0 if ended else 1)


async def test_answers_in_another_language_for_a_small_display(server: UnrulyServer) -> None:
    server.usual = words("## Wetter ☀️\n\n", "- **Köln**: 21,5 °C\n- Łódź: −3 °C 🥶\n", "\nВсё, 以上。")
    async with stage(server.url) as brain:
        said = await brain.say("wie wird das Wetter?", language="de")
    assert said.text == "Wetter. Köln: 21,5 °C. Łódź: −3 °C. Всё, 以上。"
    assert "{language}" not in server.asked[0].json["messages"][0]["content"]
    assert "Language: de." in server.asked[0].json["messages"][0]["content"]
