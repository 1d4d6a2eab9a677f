"""Text for a device outside any turn, over the broker: the gateway that knows the device keeps it until it has it."""

from __future__ import annotations

import time

from gateway.broker.base import RoutingKey
from gateway.contract.agents import ANNOUNCEMENTS_TOPIC, AnnouncementMessage, decode_announcement
from gateway.contract.messages import encode, new_id
from gateway.orchestrators.post import Letter


def announcement(agent: str, device_id: str, text: str, keep_seconds: float) -> Letter:
    """Ready to be sent. Raises ValueError for what would be refused at the other end."""
    message = AnnouncementMessage(
        device_id=device_id,
        text=text,
        agent=agent,
        keep_seconds=keep_seconds,
        message_id=new_id("m"),
        timestamp=time.time(),
    )
    key = RoutingKey(agent, device_id, "announcement")
    payload = encode(message)
    decode_announcement(payload)
    return Letter(ANNOUNCEMENTS_TOPIC, key, payload, message.message_id)
