"""What agents tell devices outside any turn, over the broker: taken once, by each gateway that knows the device."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

import structlog

from gateway.broker.base import BrokerError, Delivery, MessageBroker
from gateway.contract.agents import ANNOUNCEMENTS_TOPIC, AnnouncementMessage, decode_announcement
from gateway.contract.messages import AGENT_CHARACTERS, BadMessage
from gateway.journal.effects import Received
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.telling.announcements import CannotAnnounce, KeptBack

log = structlog.get_logger(__name__)

REMEMBERED = 1_000
"""Of those that were told, also where there is no journal."""


class Announcing:
    """``run`` takes them. What cannot be told is a dead letter, but for what nobody may have."""

    def __init__(self, broker: MessageBroker, pipeline: Pipeline, group: str) -> None:
        """``group``: under which this gateway, and no other, reads."""
        self._broker = broker
        self._pipeline = pipeline
        self._group = group
        self._told: OrderedDict[Received, None] = OrderedDict()

    async def run(self) -> None:
        """Until the broker is closed."""
        async with self._broker.subscribe(ANNOUNCEMENTS_TOPIC, group=self._group) as told:
            async for delivery in told:
                with suppress(BrokerError):  # it comes again
                    await self._take(delivery)

    async def _take(self, delivery: Delivery) -> None:
        try:
            await self._announce(decode_announcement(delivery.message.payload), delivery)
        except KeptBack:
            await delivery.ack()
        except (BadMessage, CannotAnnounce) as error:
            await delivery.reject(str(error))
        except Exception as error:  # the boundary: one announcement must not stop the others
            log.exception("an announcement could not be told")
            await delivery.reject(f"the gateway stumbled over it ({type(error).__name__})")
        else:
            await delivery.ack()

    async def _announce(self, message: AnnouncementMessage, delivery: Delivery) -> None:
        device_id = message.device_id
        text = message.text.strip()
        if not text:
            raise BadMessage("there is nothing to say")
        if not self._pipeline.knows(device_id):  # another gateway may
            log.info("an announcement for a device that is not known here", device_id=device_id)
            return
        agent = (message.agent or delivery.message.routing_key.user)[:AGENT_CHARACTERS]
        received = Received(f"announcement {agent}", message.message_id or delivery.message.message_id)
        if received in self._told:
            return
        await self._pipeline.announcements.announce(
            device_id,
            self._pipeline.user(device_id),
            text,
            agent,
            message.keep_seconds,
            received=received,
        )
        self._told[received] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
