"""All Wyoming satellites that the settings name: the carrier of their frames, and their dialling."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from firmware_bridge.bridge import Bridge
from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.wires import Line
from gateway.adapters.parts import AdapterParts
from gateway.adapters.wyoming.satellite import Satellite, carrier_of
from gateway.process.mishaps import Mishaps

WatchSpeech = Callable[[str, Callable[[], None]], None]


def dialling(parts: AdapterParts) -> Callable[[], Awaitable[None]]:
    """Those of the settings, for as long as the gateway goes on."""
    addresses = parts.config.adapters.wyoming.satellites
    return Satellites(addresses, parts.bridge, parts.pipeline.watch_speech, parts.health.mishaps).run


class Satellites:
    """Each is dialled by itself; ``run`` goes on until it is cancelled."""

    def __init__(
        self, addresses: Mapping[str, str], bridge: Bridge, watch_speech: WatchSpeech, mishaps: Mishaps
    ) -> None:
        """``addresses``: by device id. ``watch_speech``: has somebody told when a device begins to be spoken to."""
        self._mishaps = mishaps
        self._satellites = {
            carrier_of(device_id): Satellite(device_id, address, bridge)
            for device_id, address in addresses.items()
        }
        for carrier, satellite in self._satellites.items():
            bridge.attach(carrier, self)
            watch_speech(satellite.device_id, satellite.began_to_speak)

    async def run(self) -> None:
        """Dial them and listen to them; what goes wrong with one is no other's."""
        async with asyncio.TaskGroup() as tasks:
            for carrier, satellite in self._satellites.items():
                tasks.create_task(self._mishaps.keep_up(carrier, satellite.run), name=carrier)

    def send(self, line: Line, frame: DeviceFrame) -> bool:
        """Hand a frame to a satellite's device end."""
        satellite = self._satellites.get(line.carrier)
        return satellite is not None and satellite.take(frame)
