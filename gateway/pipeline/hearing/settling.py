"""Which audio devices may forget: what is durable, published, or will never be needed."""

from __future__ import annotations

from gateway.pipeline.hearing.conversation import Conversation
from gateway.pipeline.telling.devices import Devices


class Settling:
    """Tells them, as soon as it is so."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._unsafe: dict[str, Conversation] = {}
        """By correlation id: what was said in them, and is not safe yet."""

    def settle(self, conversation: Conversation) -> None:
        """As much as is safe of its audio."""
        position = conversation.session.settled_position(conversation.needed_from)
        if position > conversation.settled_to:
            conversation.settled_to = position
            self._devices.settle(*conversation.session.name, position)

    def hold(self, conversation: Conversation, correlation_id: str) -> None:
        """An utterance was said in it that is not safe yet."""
        self._unsafe[correlation_id] = conversation

    def abandon(self, correlation_id: str) -> None:
        """It will not be safe while this gateway runs; its device is not told anything."""
        self._unsafe.pop(correlation_id, None)

    def release(self, correlation_id: str) -> None:
        """It is safe, or was given up: its device need not keep it. Idempotent."""
        conversation = self._unsafe.pop(correlation_id, None)
        if conversation is not None:
            self.settle(conversation)
