"""The agent of kind home-assistant: what was heard is put to Home Assistant's conversation."""

from __future__ import annotations

from gateway.agents.home_assistant.conversation_ids import ConversationIds
from gateway.agents.home_assistant.response import read_answer
from gateway.agents.http_peer import HttpPeer
from gateway.orchestrators.answer import Reply
from gateway.orchestrators.heard import Heard
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.settings.agents.home_assistant import AssistSettings
from gateway.settings.orchestrator import AgentSettings

API = "/api/conversation/process"
NOT_LET_IN = "it needs a token of Home Assistant's (its user's profile, Security: long-lived access tokens)"


def orchestrator(name: str, settings: AgentSettings, token: str) -> Orchestrator:
    """The agent of that name. Raises BadOrchestrator where nothing lets it in."""
    if not token:
        raise BadOrchestrator(NOT_LET_IN)
    peer = HttpPeer("Home Assistant", settings.url, token=token, ca_file=settings.ca_file)
    agent = Orchestrator(
        name, timeout_seconds=settings.timeout_seconds, description=f"Home Assistant at {settings.url}"
    )
    agent.lifespan = peer.running
    agent.on_transcript(_Assist(peer, settings.home_assistant).answer)
    return agent


class _Assist:
    def __init__(self, peer: HttpPeer, settings: AssistSettings) -> None:
        self._peer = peer
        self._settings = settings
        self._conversations = ConversationIds()

    async def answer(self, heard: Heard) -> Reply:
        """By its conversation API. Raises NotUnderstood and CannotAnswer."""
        question = {
            "text": heard.text,
            "language": heard.language,
            "conversation_id": self._conversations.of(heard.conversation_id),
            "agent_id": self._settings.agent_id,
        }
        async with self._peer.post(API, {key: value for key, value in question.items() if value}) as answer:
            told = read_answer(await answer.json())
        self._conversations.note(heard.conversation_id, told.conversation_id)
        return told.reply()
