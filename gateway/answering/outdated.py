"""That agents' answers are not true any more, told by any program over the broker: they are not given again."""

from __future__ import annotations

from contextlib import suppress

import structlog

from gateway.broker.base import BrokerError, Message, MessageBroker
from gateway.contract.agents import OUTDATED_TOPIC, decode_outdated
from gateway.contract.messages import BadMessage
from gateway.pipeline.agents.answer_cache import AnswerCaches

log = structlog.get_logger(__name__)


async def watch_outdated(broker: MessageBroker, answers: AnswerCaches) -> None:
    """Until the broker is closed. What is told while it is away is not kept: all is forgotten then."""
    async with broker.subscribe(OUTDATED_TOPIC) as told:
        async for delivery in told:
            _take(delivery.message, answers)
            with suppress(BrokerError):  # it comes again, and says the same
                await delivery.ack()


def _take(message: Message, answers: AnswerCaches) -> None:
    """Who says so in words that nobody can read means something all the same: all of that agent's."""
    agent = message.routing_key.user
    try:
        outdated = decode_outdated(message.payload)
    except BadMessage as error:
        log.warning("which answers are outdated cannot be read", agent=agent, reason=str(error))
        answers.invalidate("" if agent == "all" else agent)
    else:
        count = answers.invalidate(outdated.agent, outdated.text)
        log.info("answers are outdated", agent=outdated.agent, count=count)
