"""Which audio devices may forget: what is durable, published, or will never be needed."""

from __future__ import annotations

from gateway.pipeline.hearing.heard_stream import HeardStream
from gateway.pipeline.telling.devices import Devices


class Settling:
    """Tells them, as soon as it is so."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._unsafe: dict[str, HeardStream] = {}
        """By correlation id: what was said in them, and is not safe yet."""

    def settle(self, heard: HeardStream) -> None:
        """As much as is safe of its audio."""
        position = heard.session.settled_position(heard.needed_from)
        if position > heard.settled_to:
            heard.settled_to = position
            self._devices.settle(*heard.session.name, position)

    def hold(self, heard: HeardStream, correlation_id: str) -> None:
        """An utterance was said in it that is not safe yet."""
        self._unsafe[correlation_id] = heard

    def abandon(self, correlation_id: str) -> None:
        """It will not be safe while this gateway runs; its device is not told anything."""
        self._unsafe.pop(correlation_id, None)

    def release(self, correlation_id: str) -> None:
        """It is safe, or was given up: its device need not keep it. Idempotent."""
        heard = self._unsafe.pop(correlation_id, None)
        if heard is not None:
            self.settle(heard)
