"""An orchestrator in FastStream: ``python faststream_app.py amqp://user:password@host``.

It declares a queue of its own and binds it, so it is a group of its own: it gets every transcript, whoever
else does. What it needs to know of Earshot is in docs/messages.md.
"""

import asyncio
import sys
import uuid
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

broker = RabbitBroker(sys.argv[1] if len(sys.argv) > 1 else "amqp://localhost")
app = FastStream(broker)

results = RabbitExchange("earshot.transcription.results", type=ExchangeType.TOPIC, durable=True)
replies = RabbitExchange("earshot.orchestrator.replies", type=ExchangeType.TOPIC, durable=True)
queue = RabbitQueue("earshot.transcription.results.faststream", durable=True, routing_key="#")


@broker.subscriber(queue, results, ack_policy=AckPolicy.NACK_ON_ERROR)
async def answer(heard: dict[str, Any], message: RabbitMessage) -> None:
    if heard["success"] and heard["text"]:
        reply = {
            "correlation_id": heard["correlation_id"],
            "session_id": heard["session_id"],
            "text": f"FastStream heard: {heard['text']}",
            "message_id": str(
                uuid.uuid5(uuid.NAMESPACE_OID, heard["message_id"])
            ),  # the same when it comes again
        }
        await broker.publish(
            reply, exchange=replies, routing_key=message.raw_message.routing_key, persist=True
        )


if __name__ == "__main__":
    asyncio.run(app.run())
