"""An orchestrator with nothing but pika: ``python rabbitmq_pika.py amqp://user:password@host``.

Several copies share the work. What it needs to know of Earshot is in docs/messages.md.
"""

import json
import sys
import time
import uuid

import pika

QUEUE = "earshot.transcription.results.orchestrator"  # the gateway declares it when it first starts
REPLIES = "earshot.orchestrator.replies"


def answer(channel, method, properties, body):
    heard = json.loads(body)
    if heard["success"] and heard["text"]:
        reply = {
            "correlation_id": heard["correlation_id"],
            "session_id": heard["session_id"],
            "text": f"pika heard: {heard['text']}",
            "message_id": str(
                uuid.uuid5(uuid.NAMESPACE_OID, heard["message_id"])
            ),  # the same when it comes again
        }
        persistent = pika.BasicProperties(delivery_mode=2, content_type="application/json")
        channel.basic_publish(REPLIES, method.routing_key, json.dumps(reply).encode(), persistent)
    channel.basic_ack(method.delivery_tag)  # last: if we die before, it comes again


def main(url):
    while True:
        try:
            with pika.BlockingConnection(pika.URLParameters(url)) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                channel.basic_qos(prefetch_count=16)
                channel.basic_consume(QUEUE, answer)
                channel.start_consuming()
        except pika.exceptions.AMQPError as error:
            print(f"not connected ({error!r}), trying again", flush=True)
            time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])
