"""What is asked of Home Assistant once for many answers: its voice assistants, and which devices our boards are."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from msgspec import Struct

from gateway.agents.home_assistant.wire import AssistWire
from gateway.orchestrators.answer import CannotAnswer

PREFERRED: Final = "preferred"
FRESH_SECONDS: Final = 300.0
"""So long nothing is asked again."""
MISSED_SECONDS: Final = 30.0
"""A board that was not among its devices is looked for again after so long."""
MOST_DEVICES: Final = 4_096


class VoiceAssistant(Struct, frozen=True):
    """One of its voice assistants: who answers there, in which language (``*``: any)."""

    assistant_id: str
    name: str
    language: str
    engine: str

    def speaks(self, language: str) -> bool:
        """Whether it answers in that; nobody knows it: yes."""
        own = self.language.partition("-")[0]
        return not language or own in ("*", language)


class KnownHouse:
    """``gateway``: what our own is called there."""

    def __init__(self, wire: AssistWire, wanted: str, gateway: str) -> None:
        self._wire = wire
        self._wanted = wanted
        self._gateway = gateway
        self._assistant: VoiceAssistant | None = None
        self._devices: dict[str, str] = {}
        self._asked_at = {"assistant": float("-inf"), "devices": float("-inf")}

    async def assistant(self) -> VoiceAssistant:
        """The one that is wanted. Raises CannotAnswer where there is no such."""
        if self._assistant is None or self._is_due("assistant", FRESH_SECONDS):
            told = await self._wire.ask("assist_pipeline/pipeline/list")
            self._assistant = _chosen(told, self._wanted)
            self._note("assistant")
        return self._assistant

    async def device(self, device_id: str) -> str:
        """What a board is called there; empty: it is none of its devices. Raises PeerFailed."""
        fresh = FRESH_SECONDS if device_id in self._devices else MISSED_SECONDS
        if self._is_due("devices", fresh):
            self._devices = _ours(await self._wire.ask("config/device_registry/list"), self._gateway)
            self._note("devices")
        return self._devices.get(device_id, "")

    def _is_due(self, what: str, seconds: float) -> bool:
        return asyncio.get_running_loop().time() >= self._asked_at[what] + seconds

    def _note(self, what: str) -> None:
        self._asked_at[what] = asyncio.get_running_loop().time()


def _chosen(told: object, wanted: str) -> VoiceAssistant:
    found = told if isinstance(told, dict) else {}
    there = [one for one in found.get("pipelines") or [] if isinstance(one, dict)]
    wanted_id = found.get("preferred_pipeline") if wanted == PREFERRED else wanted
    for one in there:
        if wanted_id == one.get("id") or wanted.casefold() == str(one.get("name", "")).casefold():
            return VoiceAssistant(
                str(one.get("id", "")),
                str(one.get("name", "")),
                str(one.get("conversation_language") or one.get("language") or "*"),
                str(one.get("conversation_engine") or ""),
            )
    names = ", ".join(str(one.get("name", ""))[:40] for one in there[:8]) or "none"
    raise CannotAnswer(
        f"Home Assistant has no voice assistant {wanted!r:.80}",
        f"correct home_assistant.assistant; there: {names}",
    )


def _ours(told: object, gateway: str) -> dict[str, str]:
    """By the ids of our boards, those of its devices that MQTT discovery has made for them."""
    found: dict[str, str] = {}
    for one in told if isinstance(told, list) else ():
        for ours in _identifiers(one):
            name, _, device_id = ours.partition("/")
            if name == gateway and device_id and len(found) < MOST_DEVICES:
                found[device_id] = str(one.get("id", ""))
    return found


def _identifiers(device: Any) -> list[str]:
    pairs = device.get("identifiers") if isinstance(device, dict) else None
    return [
        str(pair[1]) for pair in pairs or () if isinstance(pair, list) and pair[:1] == ["mqtt"] and pair[1:]
    ]
