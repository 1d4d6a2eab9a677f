"""POST /replies/{ticket}: who answers later does so at the address that came with the question."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.agents.ready_made import ready_made
from gateway.contract.events import ReplyEvent
from gateway.orchestrator import Heard, Orchestrator
from tests.gateway.web.api.served import Served, open_served
from tests.servers.unruly_http import UnrulyServer, as_json, unruly
from tests.system.house import running

LATER = as_json({"message": "Workflow was started"})


@asynccontextmanager
async def flow(
    folder: Path, *others: Orchestrator, **more: Any
) -> AsyncIterator[tuple[Served, UnrulyServer]]:
    """A gateway that asks n8n, whose answers come later, and others in turn. ``more``: settings of n8n's agent."""
    async with unruly() as n8n:
        n8n.usual = LATER
        own = {"kind": "webhook", "url": n8n.url, "webhook": {"replies_at": "http://127.0.0.1:1"}} | more
        names = {"flow": own, **{one.name: {} for one in others}}
        settings = {"agents": names, "teams": {"all": {"agents": list(names), "policy": "in_turn"}}}
        async with open_served(folder, orchestrator=settings) as served:
            agent = ready_made("flow", served.works.config.orchestrator.agents["flow"])
            with running(*(one.run(served.works.broker) for one in (agent, *others))):
                yield served, n8n


async def asked(served: Served, n8n: UnrulyServer, text: str = "what is for dinner") -> dict[str, Any]:
    """Somebody asks; what n8n gets of it, with the path of its address."""
    await served.call("POST", "/say", 202, json={"text": text})
    body: dict[str, Any] = (await n8n.requests(len(n8n.asked) + 1))[-1].json
    body["path"] = body["reply_url"].removeprefix("http://127.0.0.1:1/api/v1")
    return body


async def test_an_answer_and_its_pieces_come_later(tmp_path: Path) -> None:
    async with flow(tmp_path) as (served, n8n):
        body = await asked(served, n8n)
        for part in (
            {"text": "Let me see.", "interim": True, "final": False},
            {"text": "Soup", "final": False},
        ):
            await served.call("POST", body["path"], 202, json=part)
        await served.call(
            "POST", body["path"], 202, json={"text": "Soup and bread.", "data": {"calories": 300}}
        )
        answer = await served.works.events.first(ReplyEvent, final=True)
        assert (answer.text, answer.agents) == ("Soup and bread.", ("flow",))
        assert (answer.correlation_id, answer.data) == (body["correlation_id"], {"calories": 300})
        assert served.works.events.of(ReplyEvent, interim=True)[0].text == "Let me see."
        await served.works.settled()
        told = await served.call("POST", body["path"], 404, json={"text": "Or fish."})
        assert told["title"] or told["detail"]
        body = await asked(served, n8n, "and tomorrow")  # nobody had to wait for the first
        await served.call("POST", body["path"], 202, json={"error": "the cook is ill"})
        failed = await served.works.events.first(ReplyEvent, correlation_id=body["correlation_id"])
        assert failed.error


async def test_of_a_team_the_next_is_asked_when_it_has_not_understood(tmp_path: Path) -> None:
    cook = Orchestrator("cook")

    @cook.on_transcript
    async def answer(_heard: Heard) -> str:
        return "Soup"

    async with flow(tmp_path, cook) as (served, n8n):
        body = await asked(served, n8n)
        await served.call("POST", body["path"], 202, json={"text": "Dinner?", "understood": False})
        ended = await served.works.events.first(ReplyEvent, final=True)
        assert (ended.text, ended.agents) == ("Soup", ("cook",))


async def test_the_address_lets_in_for_that_alone(tmp_path: Path) -> None:
    async with flow(tmp_path) as (served, n8n):
        body = await asked(served, n8n)
        correlation, request = body["path"].removeprefix("/replies/").split(".")
        for path, status in (
            (f"/replies/{correlation}.q_guessed", 404),
            (f"/replies/{request}.{correlation}", 404),
            (f"/replies/{correlation}", 422),
            (f"/replies/{correlation}.{request}.more", 422),
        ):
            await served.call("POST", path, status, json={"text": "mine"})
        for wrong in ({"text": 7}, {"confidence": 2}, {"output": "a key of n8n's"}):
            await served.call("POST", body["path"], 422, json=wrong)
        assert not served.works.events.of(ReplyEvent)
        await served.call("POST", body["path"], 202, json={"text": "Soup"})
        assert (await served.works.events.first(ReplyEvent, final=True)).text == "Soup"


async def test_what_was_done_later_is_not_said_to_be_done_again(tmp_path: Path) -> None:
    """Not out of a cache, where the answer says that something was done."""
    async with flow(tmp_path, cache={"seconds": 60}) as (served, n8n):
        for _ in range(2):
            body = await asked(served, n8n, "order a pizza")
            await served.call("POST", body["path"], 202, json={"text": "Ordered.", "acted": True})
            await served.works.events.first(ReplyEvent, correlation_id=body["correlation_id"], final=True)
        assert len(n8n.asked) == 2
