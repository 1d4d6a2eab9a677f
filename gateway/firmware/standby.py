"""The port behind which firmware over the air is at work (``at_work.py``), once there is a folder of images.

Where nobody has added an image, and no device speaks of one, nothing of it is loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from firmware_bridge.link.events import DeviceConnected, DeviceDisconnected, ImageAsked, ImageTold

FOLDER: Final = "firmware"
LOOK_SECONDS: Final = 0.5
"""How often it is looked whether the folder is there."""
OfImages: TypeAlias = DeviceConnected | DeviceDisconnected | ImageAsked | ImageTold


class AtWork(Protocol):
    """Images offered and handed out."""

    def hear(self, event: OfImages) -> None:
        """What a device says."""

    async def run(self) -> None:
        """Until it is cancelled."""


class FirmwareStandby:
    """Firmware over the air, at work or not yet. On the event loop."""

    def __init__(self, state_folder: Path, begin: Callable[[], AtWork]) -> None:
        """``begin`` makes what is at work, when it is needed; ``state_folder``: the gateway's."""
        self._folder = state_folder / FOLDER
        self._begin = begin
        self._at_work: AtWork | None = None
        self._here: dict[str, DeviceConnected] = {}
        """Devices that came before it was at work."""
        self._needed = asyncio.Event()

    def hear(self, event: OfImages) -> None:
        """Take what a device says of images, or that it has come or gone."""
        if self._at_work is not None:
            self._at_work.hear(event)
            return
        match event:
            case DeviceConnected():
                self._here[event.device_id] = event
            case DeviceDisconnected():
                self._here.pop(event.device_id, None)
            case ImageAsked() | ImageTold():
                self._work().hear(event)

    async def run(self) -> None:
        """Until it is cancelled."""
        while self._at_work is None and not self._folder.exists():
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._needed.wait()
            except TimeoutError:
                continue
        await self._work().run()

    def _work(self) -> AtWork:
        if self._at_work is None:
            self._at_work = self._begin()
            for hello in self._here.values():
                self._at_work.hear(hello)
            self._here.clear()
            self._needed.set()
        return self._at_work
