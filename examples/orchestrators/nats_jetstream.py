"""An orchestrator with nothing but the NATS client: ``pip install nats-py``; docs/messages.md has the rest.

Run it as ``python nats_jetstream.py nats://broker``. Copies share the work.
"""

import asyncio
import contextlib
import json
import sys
import uuid

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

URL = sys.argv[1] if len(sys.argv) > 1 else "nats://localhost"
RESULTS, REPLIES = "transcription.results", "orchestrator.replies"


async def main() -> None:
    client = await nats.connect(URL, max_reconnect_attempts=-1)
    jetstream = client.jetstream()
    with contextlib.suppress(
        nats.js.errors.BadRequestError
    ):  # the gateway has made the stream, in its own way
        name = f"earshot={RESULTS.replace('.', '=')}"
        await jetstream.add_stream(name=name, subjects=[f"{RESULTS}.*.*.*"], max_msgs=100_000)
    new = ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
    results = await jetstream.pull_subscribe(f"{RESULTS}.*.*.*", durable="parrot", config=new)
    print("listening", flush=True)
    while True:
        try:
            messages = await results.fetch(10, timeout=5)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            heard, key = json.loads(message.data), message.subject.removeprefix(f"{RESULTS}.")
            if heard["success"] and heard["text"]:
                reply = {name: heard[name] for name in ("correlation_id", "session_id")}
                reply |= {
                    "text": f"You said: {heard['text']}",
                    "agent": "parrot",
                    "message_id": uuid.uuid4().hex,
                }
                headers = {"Nats-Msg-Id": reply["message_id"]}
                await jetstream.publish(f"{REPLIES}.{key}", json.dumps(reply).encode(), headers=headers)
            await message.ack()


asyncio.run(main())
