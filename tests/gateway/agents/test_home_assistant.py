"""Home Assistant asked by an agent of ours, word for word as it answers, and as it does not."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.agents import http_peer
from gateway.agents.home_assistant import conversation_ids
from gateway.agents.ready_made import ready_made
from gateway.orchestrator import Rehearsal
from gateway.orchestrators.rehearsal import Rehearsed
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.agents.home_assistant import AssistSettings
from gateway.settings.orchestrator import AgentSettings
from tests.servers.certificates import make_certificates
from tests.servers.process import free_port
from tests.servers.unruly_http import Told, UnrulyServer, as_json, unruly

TOKEN = "a-long-lived-token"


@pytest.fixture
async def server() -> AsyncIterator[UnrulyServer]:
    async with unruly() as one:
        one.usual = done("Turned on the light")
        yield one


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_AGENT_HOME_TOKEN", TOKEN)


def done(speech: Any, kind: str = "action_done", code: str = "", **more: Any) -> Told:
    """As Home Assistant 2025.4.4 answers."""
    words = {"plain": {"speech": speech, "extra_data": None}} if isinstance(speech, str) else speech
    data: dict[str, Any] = {"code": code} if code else {"targets": [], "success": [], "failed": []}
    response = {"speech": words, "card": {}, "language": "en", "response_type": kind, "data": data}
    return as_json({"response": response, "conversation_id": "01JR4", "continue_conversation": False} | more)


@asynccontextmanager
async def home(url: str, ca_file: str = "", **settings: Any) -> AsyncIterator[Rehearsal]:
    agent = ready_made(
        "home",
        AgentSettings(
            kind="home-assistant", url=url, ca_file=ca_file, home_assistant=AssistSettings(**settings)
        ),
    )
    async with Rehearsal(agent) as stage:
        yield stage


async def said(url: str, text: str = "turn on the light", **how: Any) -> Rehearsed:
    async with home(url, **how) as stage:
        return await stage.say(text)


async def test_what_it_is_asked_and_answers(server: UnrulyServer) -> None:
    target = {"name": "Light", "type": "entity", "id": "light.light", "more": 1}
    told = done("Turned on the light", continue_conversation=True)
    answer = json.loads(b"".join(told.parts))
    answer["response"]["data"]["success"] = [target, "odd"]
    server.usual = as_json(answer)
    async with home(server.url, agent_id="conversation.home_assistant") as stage:
        first = await stage.say("turn on the light", language="de")
        await stage.say("and off", language="")
    assert (first.text, first.end.error, first.end.understood) == ("Turned on the light", None, True)
    assert first.end.data == {
        "home_assistant": {
            "response_type": "action_done",
            "success": [{"name": "Light", "type": "entity", "id": "light.light"}],
            "failed": [],
            "continue_conversation": True,
        }
    }
    one, two = server.asked
    assert (one.method, one.path, one.headers["Authorization"]) == (
        "POST",
        "/api/conversation/process",
        f"Bearer {TOKEN}",
    )
    assert one.json == {
        "text": "turn on the light",
        "language": "de",
        "agent_id": "conversation.home_assistant",
    }
    assert two.json == {
        "text": "and off",
        "conversation_id": "01JR4",
        "agent_id": "conversation.home_assistant",
    }


@pytest.mark.parametrize(
    ("kind", "goes_on", "acted"),
    [("action_done", False, True), ("query_answer", False, False), ("query_answer", True, True)],
)
async def test_only_the_answer_to_a_question_may_be_given_again(
    server: UnrulyServer, kind: str, goes_on: object, acted: object
) -> None:
    server.usual = done("It is on", kind, continue_conversation=goes_on)
    assert (await said(server.url)).end.acted is acted


async def test_each_conversation_of_ours_is_one_of_its_own(
    server: UnrulyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_ids, "MOST", 2)
    async with home(server.url) as stage:
        for number, device in enumerate(("a", "b", "a", "c", "b")):
            server.next.append(done("ok", conversation_id=f"theirs-{number}"))
            await stage.say("hello", device_id=device)
    known = [asked.json.get("conversation_id") for asked in server.asked]
    assert known == [None, None, "theirs-0", None, None]  # b was the oldest of three


@pytest.mark.parametrize(
    ("speech", "text"),
    [
        ({"ssml": {"speech": "<speak>It is <break time='1s'/>12 &amp; <b>dark</b></speak>"}}, "It is 12 & dark"),
        ({"plain": {"speech": "Es ist 21 °C ☀️ **warm**"}}, "Es ist 21 °C ☀️ **warm**"),
        ({"plain": {"speech": ""}}, ""),
        ({}, ""),
        ({"plain": "odd"}, ""),
    ],
)  # fmt: skip
async def test_what_is_to_be_said(server: UnrulyServer, speech: Any, text: str) -> None:
    server.usual = done(speech)
    answer = await said(server.url)
    assert (answer.text, answer.end.error, answer.end.understood) == (text, None, True)


@pytest.mark.parametrize("code", ["no_intent_match", "no_valid_targets"])
async def test_what_it_does_not_understand_is_for_another(server: UnrulyServer, code: str) -> None:
    server.usual = done("Sorry, I couldn't understand that", "error", code)
    answer = await said(server.url)
    assert (answer.text, answer.end.error, answer.end.understood) == (
        "Sorry, I couldn't understand that",
        None,
        False,
    )


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (done("An unexpected error occurred", "error", "failed_to_handle"), "failed: An unexpected error occurred"),
        (done("", "error", "unknown"), "failed"),
        (as_json({"message": "Invalid access token"}, 401), "does not let us in: Invalid access token"),
        (Told([b"401: Unauthorized"], 401, "text/plain"), "does not let us in: 401: Unauthorized"),
        (as_json({}, 429, **{"Retry-After": "3"}), "has too much to do"),
        (Told([b"500 Internal Server Error"], 500, "text/plain"), "answers with status 500: 500 Internal Server Error"),
        (Told([b"<html>nginx</html>"], content_type="text/html"), "answers with a web page"),
        (Told([b"]garbage"]), "answers with no JSON"),
        (as_json({"message": "API running."}), "is something else: no conversation's answer"),
        (as_json([1, 2]), "is something else: no conversation's answer"),
        (Told(status=307, headers={"Location": "https://elsewhere"}), "sends us elsewhere (status 307)"),
    ],
)  # fmt: skip
async def test_what_is_no_answer(server: UnrulyServer, told: Told, error: str) -> None:
    server.usual = told
    answer = await said(server.url)
    assert answer.end.error == f"home: Home Assistant {error}"
    assert TOKEN not in str(answer)


async def test_an_answer_that_is_cut_off(server: UnrulyServer) -> None:
    server.usual = Told([b'{"response":'], cut=True)
    assert (await said(server.url)).end.error == "home: the answer of Home Assistant was cut off"


async def test_more_than_anybody_reads(server: UnrulyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_peer, "MOST_BYTES", 128 * 1024)
    server.usual = Told([b'"' + b"a" * 65_536] * 1_000)
    assert (await said(server.url)).end.error == "home: Home Assistant answers with more than 0 MiB"


async def test_it_may_come_later_and_be_slow(server: UnrulyServer) -> None:
    async with home(f"http://127.0.0.1:{free_port()}") as stage:
        assert (await stage.say("hello")).end.error == "home: Home Assistant is not there: Connection refused"
    server.usual = Told(silent=True)
    async with home(server.url) as stage:
        slow = await stage.say("hello", seconds=0.05)
        assert slow.end.error is not None
        assert slow.end.error.startswith("home took longer than 0.0")
        await server.asked[0].gone.wait()
        server.usual = done("Here I am")
        assert (await stage.say("hello")).text == "Here I am"


async def test_a_certificate_that_ended(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path, ended=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.server_cert, certificates.server_key)
    async with unruly(tls) as server:
        server.usual = done("ok")
        answer = await said(server.url, ca_file=str(certificates.ca))
        assert answer.end.error == "home: Home Assistant cannot be trusted: certificate has expired"
        assert not server.asked


def test_nothing_lets_it_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARSHOT_AGENT_HOME_TOKEN")
    with pytest.raises(BadOrchestrator, match="needs a token of Home Assistant's"):
        ready_made("home", AgentSettings(kind="home-assistant", url="http://127.0.0.1"))
