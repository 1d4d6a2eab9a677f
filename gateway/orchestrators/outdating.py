"""That answers are not true any more, over the broker: no gateway gives them again."""

from __future__ import annotations

import time

from gateway.broker.base import RoutingKey
from gateway.contract.agents import OUTDATED_TOPIC, OutdatedAnswers, decode_outdated
from gateway.contract.messages import encode, new_id
from gateway.orchestrators.post import Letter


def outdated(agent: str, text: str) -> Letter:
    """Ready to be sent. Raises ValueError for what would be refused at the other end."""
    message = OutdatedAnswers(agent=agent, text=text, message_id=new_id("m"), timestamp=time.time())
    payload = encode(message)
    decode_outdated(payload)
    return Letter(OUTDATED_TOPIC, RoutingKey(agent, "cache", "outdated"), payload, message.message_id)
