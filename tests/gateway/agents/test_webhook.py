"""A webhook asked by an agent of ours: n8n's documented answers, and whatever else may answer there."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from docs.plan.house import ROOT
from examples.webhook import answer as example
from gateway.agents import http_peer
from gateway.agents.ready_made import probed, ready_made
from gateway.agents.webhook import agent as webhook_agent
from gateway.agents.webhook import whole_answer
from gateway.orchestrator import CannotAnswer, Rehearsal
from gateway.orchestrators.rehearsal import Rehearsed
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.agents.webhook import WebhookSettings
from gateway.settings.orchestrator import AgentSettings
from tests.servers.certificates import make_certificates
from tests.servers.process import free_port
from tests.servers.unruly_http import Told, UnrulyServer, as_events, as_json, unruly

TOKEN = "what lets it in"


@pytest.fixture
async def server() -> AsyncIterator[UnrulyServer]:
    async with unruly() as one:
        one.usual = as_json({"reply": "Hi"})
        yield one


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_AGENT_HOOK_TOKEN", TOKEN)


@asynccontextmanager
async def hook(url: str, ca_file: str = "", **settings: Any) -> AsyncIterator[Rehearsal]:
    made = AgentSettings(kind="webhook", url=url, ca_file=ca_file, webhook=WebhookSettings(**settings))
    async with Rehearsal(ready_made("hook", made)) as stage:
        yield stage


async def said(url: str, **how: Any) -> Rehearsed:
    async with hook(url, **how) as stage:
        return await stage.say("hello")


async def test_what_it_is_asked(server: UnrulyServer) -> None:
    async with hook(f"{server.url}/webhook/voice", replies_at="http://box:8080/", turns=1) as stage:
        for text in ("one", "two", "three"):
            last = await stage.say(
                text, room="Kitchen", user_id="ann", device_id="esp32", language="de", role="r"
            )
    request = last.request
    asked = server.asked[2]
    assert (asked.method, asked.path) == ("POST", "/webhook/voice")
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert "X-Earshot-Signature" not in asked.headers
    body = asked.json
    assert 0 < body.pop("seconds") <= 30
    assert body == {
        "text": "three",
        "language": "de",
        "user_id": "ann",
        "device_id": "esp32",
        "room": "Kitchen",
        "conversation_id": "v_esp32",
        "session_id": "s_esp32",
        "correlation_id": request.transcript.correlation_id,
        "request_id": request.request_id,
        "agent": "hook",
        "role": "r",
        "attempt": 1,
        "timestamp": request.transcript.timestamp,
        "conversation": [{"text": "two", "reply": "Hi"}],
        "reply_url": f"http://box:8080/api/v1/replies/{request.transcript.correlation_id}.{request.request_id}",
    }  # fmt: skip


async def test_n8n_s_chat_trigger_reads_names_of_its_own(server: UnrulyServer) -> None:
    await said(f"{server.url}/webhook/4f1/chat", turns=0)
    body = server.asked[0].json
    assert (body["action"], body["chatInput"], body["sessionId"]) == ("sendMessage", "hello", "v_device")
    assert body["conversation"] == []
    assert "reply_url" not in body


@pytest.mark.parametrize("beside", [False, True])
async def test_it_is_signed(server: UnrulyServer, tmp_path: Path, beside: object) -> None:
    secret = TOKEN
    settings: dict[str, Any] = {"token_signs": True}
    if beside:
        secret = "another"
        file = tmp_path / "secret"
        file.write_text(f"{secret}\n")
        settings = {"secret_file": str(file), "header": "X-Key"}
    await said(server.url, **settings)
    asked = server.asked[0]
    stamp = asked.headers["X-Earshot-Timestamp"]
    assert abs(int(stamp) - time.time()) < 30
    code = hmac.new(secret.encode(), f"{stamp}.".encode() + asked.body, hashlib.sha256).hexdigest()
    assert asked.headers["X-Earshot-Signature"] == f"sha256={code}"
    assert asked.headers.get("X-Key") == (TOKEN if beside else None)
    assert "Authorization" not in asked.headers


def test_what_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(**settings: Any) -> None:
        ready_made("hook", AgentSettings(kind="webhook", url="http://x", webhook=WebhookSettings(**settings)))

    (tmp_path / "empty").touch()
    with pytest.raises(BadOrchestrator, match="there is nothing in"):
        made(secret_file=str(tmp_path / "empty"))
    with pytest.raises(BadOrchestrator, match=r"file .* cannot be read: No such file"):
        made(secret_file=str(tmp_path / "none"))
    monkeypatch.delenv("EARSHOT_AGENT_HOOK_TOKEN")
    with pytest.raises(BadOrchestrator, match="needs the token that signs"):
        made(token_signs=True)
    made()  # nothing lets it in, and nothing has to


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (as_json({"reply": "Hi", "text": "other"}), "Hi"),
        (as_json({"text": "Hi 👋 **dear**"}), "Hi 👋 **dear**"),
        (as_json({"output": "Hi"}), "Hi"),
        (as_json({"answer": 42}), "42"),
        (as_json([{"output": {"reply": "Hi"}}, {"output": "second"}]), "Hi"),
        (as_json("Hi"), "Hi"),
        (as_json({"reply": ""}), ""),
        (as_json({"reply": "Grüße aus Köln", "message": "Workflow was started"}), "Grüße aus Köln"),
        (Told([b" Hi\n"], content_type="text/plain"), "Hi"),
        (Told([b"Hi"], content_type="text/html"), "Hi"),  # n8n's Respond With Text
        (Told(status=204), ""),
        (Told([b'\n{"re', b'ply":\n"Hi"}\n'], pause=0.001), "Hi"),
        (as_events({"text": "H"}, {"delta": "i"}, "[DONE]"), "Hi"),
        (as_events('"H"', {"content": "i"}, {"final": True}), "Hi"),
        (as_events({"text": "H"}, {"done": True, "text": "i"}, hangs=True), "Hi"),
        (Told([b'event: piece\ndata: "Hi"\n\nevent: end\ndata:\n\n'], content_type="text/event-stream"), "Hi"),
    ],
)  # fmt: skip
async def test_what_it_answers(server: UnrulyServer, told: Told, text: str) -> None:
    server.usual = told
    answer = await said(server.url)
    assert (answer.text, answer.end.error, answer.end.understood) == (text, None, True)


def n8n(*lines: dict[str, Any], kind: str = "application/json", **how: Any) -> Told:
    """Its stream, which calls itself plain JSON."""
    return Told([json.dumps(line).encode() + b"\n" for line in lines], content_type=kind, **how)


BEGIN = {"type": "begin", "metadata": {"nodeId": "1", "nodeName": "AI Agent", "itemIndex": 0, "runIndex": 0}}
END = {"type": "end", "metadata": {"nodeId": "1"}}


def item(content: str) -> dict[str, Any]:
    return {"type": "item", "content": content, "metadata": {"nodeId": "1"}}


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
async def test_n8n_s_stream_is_said_as_it_comes(server: UnrulyServer, kind: str) -> None:
    one, two = (BEGIN, item("Good "), item("morning. "), END), (BEGIN, item("All is well."), END)
    server.usual = n8n(*one, *two, kind=kind, pause=0.001)
    answer = await said(server.url)
    assert answer.pieces == ["Good ", "morning. ", "All is well."]
    assert (answer.text, answer.end.error) == ("Good morning. All is well.", None)


async def test_one_that_hangs_after_its_end_has_ended(
    server: UnrulyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_agent, "MORE_SECONDS", 0.02)
    server.usual = n8n(BEGIN, item("Hi"), END, hangs=True)
    assert (await said(server.url)).text == "Hi"


async def test_a_stream_that_ends_in_the_middle_is_no_answer(server: UnrulyServer) -> None:
    whole = (BEGIN, item("a"), END, BEGIN, item("b"), END)
    async with hook(server.url) as stage:
        server.next.append(n8n(END, BEGIN, item("a")))  # of a node whose beginning was not seen
        assert (await stage.say("hello")).end.error == "hook: its answer ends in the middle"
        for count in (1, 2, 4, 5):
            server.next.append(n8n(*whole[:count]))
            answer = await stage.say("hello")
            assert answer.end.error == "hook: its answer ends in the middle", count
        for count in range(len(whole) + 1):
            server.next.append(n8n(*whole[:count], cut=True))
            assert (await stage.say("hello")).end.error == "hook: the answer of the webhook was cut off", (
                count
            )
        events = ({"text": "a"}, {"text": "b"}, "[DONE]")
        for count in range(3):
            server.next.append(as_events(*events[:count]))
            assert (await stage.say("hello")).end.error == "hook: its answer ends in the middle", count


async def test_what_comes_with_it(server: UnrulyServer) -> None:
    async with hook(server.url) as stage:
        server.usual = as_json(
            {"reply": "Hi", "data": {"a": 1}, "confidence": 0.5, "hints": {"hotwords": "Aoife"}}
        )
        end = (await stage.say("hello")).end
        assert (end.data, end.confidence, end.hints and end.hints.hotwords) == ({"a": 1}, 0.5, "Aoife")
        server.usual = as_json({"reply": "Done.", "acted": True})
        assert (await stage.say("do it")).end.acted is True
        server.usual = as_json({"reply": "What?", "understood": False})
        end = (await stage.say("hello")).end
        assert (end.text, end.understood, end.error) == ("What?", False, None)
        server.usual = as_events({"text": "H"}, {"final": True, "text": "i", "data": {"b": 2}})
        end = (await stage.say("hello")).end
        assert (end.text, end.data) == ("Hi", {"b": 2})


NOT_REGISTERED = as_json(
    {
        "code": 404,
        "message": "The requested webhook is not registered.",
        "hint": "Click the 'Execute workflow' button on the canvas, then try again.",
    },
    404,
)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (as_json({"message": "Authorization data is wrong!"}, 403), "does not allow it: Authorization data is wrong!"),
        (as_json({}, 401), "does not let us in"),
        (as_json({}, 429, **{"Retry-After": "60"}), "has too much to do"),
        (as_json({"message": "Error in workflow"}, 500), "answers with status 500: Error in workflow"),
        (Told(status=302, headers={"Location": "http://elsewhere"}), "sends us elsewhere (status 302)"),
        (NOT_REGISTERED, "has nothing at that address: The requested webhook is not registered. (n8n's test address)"),
    ],
)  # fmt: skip
async def test_what_it_refuses(server: UnrulyServer, told: Told, error: str) -> None:
    server.usual = told
    answer = await said(f"{server.url}/webhook-test/voice")
    assert answer.end.error == f"hook: the webhook {error}"
    assert TOKEN not in str(answer)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (as_json({"message": "hello"}), "it answers with no reply"),
        (as_json({"reply": None}), "it answers with no reply"),
        (as_json({"reply": True}), "it answers with no reply"),
        (as_json([]), "it answers with no reply"),
        (as_json(7), "it answers with no reply"),
        (as_json({"reply": [[[[[["deep"]]]]]]}), "it answers with no reply"),
        (as_json({"error": {"message": "no\nquota"}}), "it failed: no quota"),
        (as_json({"reply": "a", "hints": 7}), "its hints are none: Expected `object`, got `int`"),
        (Told(), "it answers with nothing"),
        (Told([b"{'a'"]), "it answers with no JSON"),
        (Told([b"<!DOCTYPE html><html>"], content_type="text/html"), "it answers with a web page"),
        (Told([b"<html>"]), "it answers with a web page"),
        (Told([b'{"reply":'], cut=True), "the answer of the webhook was cut off"),
        (n8n(BEGIN, item("a"), {"type": "error", "content": "the model is away"}), "it failed: the model is away"),
        (as_events("no JSON"), "its stream has a line that is no JSON"),
        (as_events([1]), "its stream has something else than pieces"),
        (as_events({"error": "out of credits"}), "it failed: out of credits"),
    ],
)  # fmt: skip
async def test_what_is_no_answer(server: UnrulyServer, told: Told, error: str) -> None:
    server.usual = told
    assert (await said(server.url)).end.error == f"hook: {error}"


async def test_who_is_busy_is_waited_for_once(server: UnrulyServer) -> None:
    busy = as_json({"message": "Too many requests"}, 429, **{"Retry-After": "0"})
    async with hook(server.url, token_signs=True) as stage:
        server.next.append(busy)
        said_then = await stage.say("hello")
        assert (said_then.text, said_then.progress) == ("Hi", ["it has too much to do"])
        server.next.extend([busy, busy])
        assert (await stage.say("hello")).end.error == (
            "hook: the webhook has too much to do: Too many requests"
        )
        server.next.append(as_json({}, 500, **{"Retry-After": "0"}))  # perhaps it has begun
        assert (await stage.say("hello")).end.error == "hook: the webhook answers with status 500"
    assert len(server.asked) == 5


@pytest.mark.slow
async def test_more_than_anybody_reads(server: UnrulyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_peer, "MOST_BYTES", 512 * 1024)
    monkeypatch.setattr(whole_answer, "MOST_CHARACTERS", 1_000)
    words = Told([b"a" * 65_536] * 1_000, content_type="text/plain")
    long = as_json({"reply": "a" * 1_001})
    stream = n8n(*[item("a" * 100)] * 20)
    async with hook(server.url) as stage:
        for told, error in (
            (words, "the webhook answers with more than 0 MiB"),
            (Told([b'"' + b"a" * 65_536] * 1_000), "the webhook sends a line of more than 256 KiB"),
            (long, "it answers with more than 1000 characters"),
            (stream, "it answers with more than 1000 characters"),
        ):
            server.next.append(told)
            assert (await stage.say("hello")).end.error == f"hook: {error}"


async def test_it_may_come_later_and_be_slow(server: UnrulyServer) -> None:
    async with hook(f"http://127.0.0.1:{free_port()}") as stage:
        assert (await stage.say("hello")).end.error == "hook: the webhook is not there: Connection refused"
    async with hook(server.url) as stage:
        server.next.append(n8n(BEGIN, item("Well, "), hangs=True))
        slow = await stage.say("hello", seconds=0.1)
        assert (slow.end.error or "").startswith("hook took longer than 0.")
        await server.asked[0].gone.wait()
        assert (await stage.say("hello")).text == "Hi"


async def test_a_certificate_that_ended(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path, ended=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.server_cert, certificates.server_key)
    async with unruly(tls) as server:
        answer = await said(server.url, ca_file=str(certificates.ca))
        assert answer.end.error == "hook: the webhook cannot be trusted: certificate has expired"
        assert not server.asked


LATER = [
    as_json({"message": "Workflow was started"}),
    as_json({"message": "Workflow got started."}),
    as_json({"message": "Workflow executed successfully but no data was returned"}),
    Told([b"Workflow got started"], content_type="text/html"),
    as_json({}, 202),
]


@pytest.mark.parametrize("told", LATER)
async def test_whoever_is_asked_by_another_agent_cannot_answer_later(
    server: UnrulyServer, told: Told
) -> None:
    server.usual = told
    async with hook(server.url) as stage:
        asked = await stage.say("hello", path=("other",))
        assert asked.end.error == "hook: it answers later, and only the gateway waits"


async def test_the_example_answers_and_lets_in_who_has_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "SECRET", TOKEN)
    async with serving(example.app) as url:
        async with hook(url, token_signs=True) as stage:
            assert (await stage.say("what time is it")).text.startswith("It is ")
            puzzled = await stage.say("open the door", room="Kitchen")
            assert (puzzled.text, puzzled.end.understood) == ("I cannot do that in the Kitchen.", False)
        refused = "hook: the webhook does not let us in: not signed"
        assert (await said(url)).end.error == refused
        monkeypatch.setenv("EARSHOT_AGENT_HOOK_TOKEN", "another")
        assert (await said(url, token_signs=True)).end.error == refused
        stale = {"X-Earshot-Timestamp": "1", "X-Earshot-Signature": "sha256=é"}
        async with ClientSession() as client, client.post(url, json={"text": "a"}, headers=stale) as answer:
            assert answer.status == 401


async def test_what_the_doctor_sees(server: UnrulyServer) -> None:
    async def look(url: str) -> tuple[str, str]:
        return await probed("hook", AgentSettings(kind="webhook", url=url))

    server.usual = as_json({}, 404)  # n8n knows no OPTIONS
    there = ("somebody is there; what it answers is not tried", "")
    assert await look(f"{server.url}/webhook/voice") == there
    assert (await look(f"{server.url}/webhook-test/voice"))[1] == "write /webhook/ for /webhook-test/"
    (asked,) = server.asked
    assert (asked.method, asked.body, asked.headers.get("Authorization")) == ("OPTIONS", b"", None)
    server.usual = Told(status=308, headers={"Location": "/else"})
    with pytest.raises(CannotAnswer, match="sends us elsewhere"):
        await look(server.url)
    with pytest.raises(CannotAnswer, match="is not there: Connection refused"):
        await look(f"http://127.0.0.1:{free_port()}")


async def test_n8n_s_workflows_use_what_they_are_asked(server: UnrulyServer) -> None:
    """n8n itself does not run here: its workflows are joined up, and read fields that a question has."""
    flow = json.loads((ROOT / "examples" / "webhook" / "n8n.json").read_text(encoding="utf-8"))
    nodes = {node["name"]: node for node in flow["nodes"]}
    for name, joined in flow["connections"].items():
        assert {to["node"] for ways in joined["main"] for to in ways} | {name} <= nodes.keys()
    await said(server.url, replies_at="http://box:8080")
    read = set(re.findall(r"body\.(\w+)", json.dumps(flow)))
    assert read <= server.asked[0].json.keys()
    written = set(re.findall(r"\{ (\w+): '", json.dumps(flow)))
    assert written == {"reply", "text"}  # at once, and later


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/voice"
    finally:
        await runner.cleanup()
