"""A device that is expected at a gateway over its network: looked for until it is there, and new."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.commands.asking import AskedGateway, NoAnswer

LOOK_SECONDS = 1.0


class Arrival:
    """One device. Made before it is restarted, so that an old connection of its is not taken for the new one."""

    def __init__(self, asked: AskedGateway, device_id: str) -> None:
        """Raises NoAnswer, and what AskedGateway raises."""
        self._asked = asked
        self._device_id = device_id
        self._before = self._connected()

    async def comes(self, seconds: float) -> dict[str, Any] | None:
        """What the gateway tells of it then; None: it has not come in that time."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found = await asyncio.to_thread(self._look)
                    if found:
                        return found
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            return None

    def _look(self) -> dict[str, Any] | None:
        try:
            found = self._connected()
        except NoAnswer:  # it may be restarted just now
            return None
        return found if found and found["since"] != (self._before or {}).get("since") else None

    def _connected(self) -> dict[str, Any] | None:
        every: list[dict[str, Any]] = self._asked.ask("/devices")["devices"]
        here = (one for one in every if one["device_id"] == self._device_id and one["state"] == "connected")
        return next(here, None)
