"""A board's first words: the gateway's end of a link for one device on one port, until it has said HELLO."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firmware_bridge.bridge import Bridge
from firmware_bridge.link.events import DeviceConnected, LinkEvent
from firmware_bridge.settings import DeviceSettings, MqttSettings, SerialSettings

LOOK_SECONDS = 0.25
"""A board on USB of its own is gone while it starts, and comes back."""


async def greet(
    port: str, baudrate: int, seconds: float, on_event: Callable[[LinkEvent], None]
) -> DeviceConnected | None:
    """Wait for HELLO and welcome it; all that is said meanwhile is told. None: nothing was said in that time."""
    hello: asyncio.Future[DeviceConnected] = asyncio.get_running_loop().create_future()

    def told(event: LinkEvent) -> None:
        on_event(event)
        if isinstance(event, DeviceConnected) and not hello.done():
            hello.set_result(event)

    serial = SerialSettings(ports=(port,), baudrate=baudrate, scan_seconds=LOOK_SECONDS)
    async with Bridge(DeviceSettings(serial=serial, mqtt=MqttSettings(url="")), told):
        try:
            async with asyncio.timeout(seconds):
                return await hello
        except TimeoutError:
            return None
