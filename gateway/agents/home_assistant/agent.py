"""The agent of kind home-assistant: what was heard is put to Home Assistant's conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.agents.home_assistant import voice_assistant
from gateway.agents.home_assistant.conversation_ids import ConversationIds
from gateway.agents.home_assistant.known_house import KnownHouse
from gateway.agents.home_assistant.response import AssistAnswer, read_answer
from gateway.agents.home_assistant.wire import AssistWire
from gateway.agents.http_peer import HttpPeer
from gateway.agents.ready_made import Probed
from gateway.agents.tokens import variable
from gateway.orchestrators.answer import CannotAnswer, Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.orchestrator import AgentSettings

API = "/api/conversation/process"
WHO = "Home Assistant"
NOT_LET_IN = "it needs a token of Home Assistant's (its user's profile, Security: long-lived access tokens)"


def orchestrator(name: str, settings: AgentSettings, token: str) -> Orchestrator:
    """The agent of that name. Raises BadOrchestrator where nothing lets it in."""
    if not token:
        raise BadOrchestrator(_not_let_in(name))
    assist = _Assist(settings, token)
    agent = Orchestrator(
        name, timeout_seconds=settings.timeout_seconds, description=f"{WHO} at {settings.url}"
    )
    agent.lifespan = assist.running
    agent.on_transcript(assist.answer)
    return agent


class _Assist:
    def __init__(self, settings: AgentSettings, token: str) -> None:
        how = settings.home_assistant
        if how.assistant and how.agent_id:
            raise BadOrchestrator("agent_id is not looked at where an assistant is asked, which has its own")
        self._peer = HttpPeer(WHO, settings.url, token=token, ca_file=settings.ca_file)
        self._wire = AssistWire(self._peer, token)
        self._house = KnownHouse(self._wire, how.assistant, how.gateway)
        self._agent_id = how.agent_id
        self._by_wire = bool(how.assistant)
        self._conversations = ConversationIds()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """With its connections."""
        async with self._peer.running():
            ahead = asyncio.create_task(self._wire.connect()) if self._by_wire else None
            try:
                yield
            finally:
                if ahead is not None:
                    ahead.cancel()
                    await asyncio.gather(ahead, return_exceptions=True)
                await self._wire.close()

    async def answer(self, heard: Heard) -> Reply:
        """Raises NotUnderstood and CannotAnswer."""
        known = self._conversations.of(heard.conversation_id)
        if not self._by_wire:
            return self._told(heard, await self._by_api(heard, known, self._agent_id))
        assistant = await self._house.assistant()
        if not assistant.speaks(heard.language):
            return self._told(heard, await self._by_api(heard, known, assistant.engine))
        told, spoken = await voice_assistant.ask(self._wire, self._house, assistant, heard, known)
        reply = self._told(heard, told)
        return Reply(spoken.rest(reply.text), data=reply.data, acted=reply.acted)

    def _told(self, heard: Heard, answer: AssistAnswer) -> Reply:
        self._conversations.note(heard.conversation_id, answer.conversation_id)
        return answer.reply()

    async def _by_api(self, heard: Heard, conversation_id: str, agent_id: str) -> AssistAnswer:
        question = {
            "text": heard.text,
            "language": heard.language,
            "conversation_id": conversation_id,
            "agent_id": agent_id,
        }
        async with self._peer.post(API, {key: value for key, value in question.items() if value}) as answer:
            return read_answer(await answer.json())


def _not_let_in(name: str) -> str:
    return f"{NOT_LET_IN}, in {variable(name)} or a token_file"


async def probe(name: str, settings: AgentSettings, token: str) -> Probed:
    """Its version, whether the token lets in, and who answers there. Raises BadOrchestrator and CannotAnswer."""
    if not token:
        raise BadOrchestrator(_not_let_in(name))
    how = settings.home_assistant
    peer = HttpPeer(WHO, settings.url, token=token, ca_file=settings.ca_file)
    wire = AssistWire(peer, token)
    async with peer.running():
        try:
            told = await wire.ask("conversation/agent/list")
            found = told.get("agents") if isinstance(told, dict) else None
            agents = {str(one.get("id")) for one in found or () if isinstance(one, dict)}
            if how.agent_id and how.agent_id not in agents:
                there = ", ".join(sorted(agents)[:8]) or "none"
                raise CannotAnswer(f"{WHO} has no agent {how.agent_id}", f"take one of its agents: {there}")
            who = how.agent_id or "its default agent"
            if how.assistant:
                who = f"its assistant {(await KnownHouse(wire, how.assistant, how.gateway).assistant()).name}"
            return Probed(f"{WHO} {wire.version} lets us in; {who} answers")
        finally:
            await wire.close()
