"""What Home Assistant has devices told: announced, or refused and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from firmware_bridge.pacing import Cooldown
from gateway.adapters.parts import AdapterParts
from gateway.pipeline.asking.typed_text import MAX_CHARACTERS
from gateway.pipeline.telling.announcements import CannotAnnounce

log = structlog.get_logger(__name__)

WHO = "Home Assistant"
OWNER = "home_assistant"
"""Whose share of all announcements these take."""
KEEP_SECONDS = 86_400.0
"""For so long an announcement is kept for a device that is away."""
MOST_WAITING = 64
"""That wait to be taken; further ones are refused and counted."""
COMPLAINT_SECONDS = 60.0


class Orders:
    """Those of one gateway, carried out one after the other."""

    def __init__(
        self, parts: AdapterParts, device_id: Callable[[str], str], on_refused: Callable[[], None]
    ) -> None:
        """``device_id``: whose part of a topic that is; empty: nobody's."""
        self._parts = parts
        self._device_id = device_id
        self._on_refused = on_refused
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MOST_WAITING)
        self._complaints = Cooldown(COMPLAINT_SECONDS, 16)
        self.refused = 0

    def take(self, here: str, payload: bytes) -> None:
        """Another one, for who has that part of a topic."""
        try:
            self._waiting.put_nowait((here, payload))
        except asyncio.QueueFull:
            self._refuse("so many wait already")

    async def run(self) -> None:
        """Carry them out, until it is cancelled."""
        while True:
            here, payload = await self._waiting.get()
            with self._parts.health.mishaps.contained("an announcement of Home Assistant's"):
                await self._announce(here, payload)

    async def _announce(self, here: str, payload: bytes) -> None:
        device_id, text = self._device_id(here), text_of(payload)
        if not device_id or not text:
            self._refuse("there is no such device" if text else "no text, or too long a one")
            return
        pipeline = self._parts.pipeline
        try:
            await pipeline.announcements.announce(
                device_id, pipeline.user(device_id), text, WHO, KEEP_SECONDS, owner=OWNER
            )
        except CannotAnnounce as error:
            self._refuse(str(error))

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        self._on_refused()
        if self._complaints.allows(reason, asyncio.get_running_loop().time()):
            log.warning("Home Assistant's announcement is refused", reason=reason, so_far=self.refused)


def text_of(payload: bytes) -> str:
    """What is to be announced; empty: nothing that can be."""
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return ""
    return text if len(text) <= MAX_CHARACTERS else ""
