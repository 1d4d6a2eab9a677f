"""Somebody else's server, as agents ask it: each way to fail is told in words, and nothing is unbounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.agents import http_peer
from gateway.agents.http_peer import HttpPeer, PeerFailed
from gateway.orchestrators.sdk import BadOrchestrator
from tests.servers.process import free_port
from tests.servers.unruly_http import Told, UnrulyServer, as_events, as_json, unruly


@pytest.fixture
async def server() -> AsyncIterator[UnrulyServer]:
    async with unruly() as one:
        yield one


@asynccontextmanager
async def peer(url: str, **how: Any) -> AsyncIterator[HttpPeer]:
    one = HttpPeer("brain", url, **how)
    async with one.running():
        yield one


async def ask(url: str, **how: Any) -> Any:
    async with peer(url, **how) as brain, brain.post("/ask", {"text": "hello"}) as answer:
        return await answer.json()


async def failure(url: str, **how: Any) -> PeerFailed:
    with pytest.raises(PeerFailed) as failed:
        await ask(url, **how)
    return failed.value


async def test_what_is_asked_and_answered(server: UnrulyServer) -> None:
    server.usual = as_json({"reply": "hi"})
    assert await ask(f"{server.url}/base/", token="s3cret") == {"reply": "hi"}
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.json) == ("POST", "/base/ask", {"text": "hello"})
    assert asked.headers["Authorization"] == "Bearer s3cret"
    await ask(server.url, token="s3cret", token_header="X-Key")
    assert server.asked[1].headers["X-Key"] == "s3cret"
    assert "Authorization" not in server.asked[1].headers


@pytest.mark.parametrize(
    ("told", "reason", "never_began"),
    [
        (as_json({"error": {"message": "no\nsuch key"}}, 401), "brain does not let us in: no such key", True),
        (as_json({"message": "busy"}, 503), "brain answers with status 503: busy", True),
        (Told([b"<html>Boom</html>"], 500, "text/html"), "brain answers with status 500", False),
        (Told([b"plain words"], 404, "text/plain"), "brain has nothing at that address: plain words", True),
        (Told(status=302, headers={"Location": "http://elsewhere"}), "brain sends us elsewhere (status 302)", False),
        (Told([b"<!doctype html>"], content_type="text/html"), "brain answers with a web page", False),
        (Told([b"{'a'"]), "brain answers with no JSON", False),
        (Told([b"[" * 100_000]), "brain answers with no JSON", False),
        (Told([b'{"a":'], cut=True), "the answer of brain was cut off", False),
    ],
)  # fmt: skip
async def test_what_is_no_answer(server: UnrulyServer, told: Told, reason: str, never_began: object) -> None:
    server.usual = told
    failed = await failure(server.url, token="s3cret")
    assert failed.reason == reason
    assert failed.never_began is never_began
    assert "s3cret" not in str(failed)


async def test_when_it_may_be_asked_again(server: UnrulyServer) -> None:
    for told, seconds in (("7", 7.0), ("9" * 9, 3600.0), ("Wed, 21 Oct 2026", None), ("", None)):
        server.usual = as_json({}, 429, **{"Retry-After": told})
        failed = await failure(server.url)
        assert (failed.retry_after, failed.never_began) == (seconds, True)


async def test_nobody_is_there() -> None:
    failed = await failure(f"http://127.0.0.1:{free_port()}")
    assert failed.reason == "brain is not there: Connection refused"
    assert failed.never_began
    assert (await failure("http://no-such-host.invalid")).reason.startswith("brain is not there: ")


async def test_more_than_anybody_reads(server: UnrulyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_peer, "MOST_BYTES", 1024 * 1024)
    server.usual = Told([b'"' + b"a" * 65_536] * 1_000)
    assert (await failure(server.url)).reason == "brain answers with more than 1 MiB"
    await asyncio.wait_for(server.asked[0].gone.wait(), 5)


async def test_who_says_nothing_for_too_long(server: UnrulyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_peer, "SILENT_SECONDS", 0.05)
    server.next.extend([Told(silent=True), Told([b"{"], hangs=True)])
    assert (await failure(server.url)).reason == "brain does not answer in time"
    assert (await failure(server.url)).reason == "the answer of brain was silent for 0 s"


async def test_events_as_they_come(server: UnrulyServer) -> None:
    server.usual = Told(
        [
            b": a comment\r\nevent: piece\r\nda",
            b"ta: one\r\ndata:two\r\n\r\n",
            b"\n\ndata: last\n\ndata: half",
        ],
        content_type="text/event-stream",
        pause=0.001,
    )
    async with peer(server.url) as brain, brain.get() as answer:
        assert [tuple(event) async for event in answer.events()] == [("piece", "one\ntwo"), ("", "last")]


async def test_a_line_without_an_end(server: UnrulyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_peer, "MOST_LINE", 1_000)
    server.usual = Told([b"data: " + b"a" * 70_000])
    async with peer(server.url) as brain, brain.get() as answer:
        with pytest.raises(PeerFailed, match="a line of more than"):
            [event async for event in answer.events()]


async def test_a_stream_that_is_cut_at_any_event(server: UnrulyServer) -> None:
    for count in range(3):
        server.next.append(as_events(*["piece"] * count, cut=True))
        async with peer(server.url) as brain, brain.get() as answer:
            events = answer.events()
            assert [(await anext(events)).data for _ in range(count)] == ["piece"] * count
            with pytest.raises(PeerFailed, match="was cut off"):
                await anext(events)


async def test_what_nobody_waits_for_is_hung_up_on(server: UnrulyServer) -> None:
    server.usual = as_events("one", hangs=True)
    began = asyncio.Event()

    async def listen() -> None:
        async with peer(server.url) as brain, brain.get() as answer:
            async for _ in answer.events():
                began.set()

    task = asyncio.create_task(listen())
    await asyncio.wait_for(began.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(server.asked[0].gone.wait(), 5)


async def test_a_file_of_certificates_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadOrchestrator, match=r"^ca_file: No such file"):
        async with peer("https://127.0.0.1", ca_file=str(tmp_path / "none.pem")):
            pass


async def test_it_is_asked_only_while_it_runs() -> None:
    with pytest.raises(PeerFailed, match="asked while nothing runs"):
        async with HttpPeer("brain", "http://127.0.0.1").get():
            pass


async def test_what_lets_us_in_is_told_to_nobody_who_reads_of_a_failure(server: UnrulyServer) -> None:
    server.usual = as_json({"error": "Incorrect key provided: Bearer s3cret-key"}, 401)
    assert (await failure(server.url, token="s3cret-key")).reason == (
        "brain does not let us in: Incorrect key provided: Bearer ***"
    )


async def test_no_cookie_of_one_answer_goes_with_another_persons_question(server: UnrulyServer) -> None:
    server.usual = Told([b"{}"], headers={"Set-Cookie": "session=anns; Path=/"})
    url = server.url.replace("127.0.0.1", "localhost")  # of an address none is taken
    async with peer(url) as brain:
        for _ in range(2):
            async with brain.post("/ask", {}) as answer:
                await answer.json()
    assert "Cookie" not in server.asked[1].headers


async def test_an_encoding_that_there_is_not_is_utf_8(server: UnrulyServer) -> None:
    server.usual = Told(['{"a": "ü"}'.encode()], content_type="application/json; charset=bogus-1")
    assert await ask(server.url) == {"a": "ü"}


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"])
async def test_what_is_no_http(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        failed = await failure(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    assert (failed.reason, failed.never_began) == ("brain answers with no HTTP", False)


async def test_the_trace_of_what_is_answered_goes_on_there(server: UnrulyServer) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    server.usual = as_json({})
    for told in (trace, "garbage", "a\r\nX-Evil: 1", ""):
        with structlog.contextvars.bound_contextvars(traceparent=told):
            await ask(server.url)
    await ask(server.url)
    assert [asked.headers.get("traceparent") for asked in server.asked] == [trace, None, None, None, None]
    assert not any("X-Evil" in asked.headers for asked in server.asked)
