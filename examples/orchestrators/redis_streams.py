"""An orchestrator with nothing but the Redis client: ``pip install redis``; docs/messages.md has the rest.

Run it as ``python redis_streams.py redis://broker``. Copies share the work; give each a name of its own.
"""

import contextlib
import json
import sys
import uuid

import redis

URL = sys.argv[1] if len(sys.argv) > 1 else "redis://localhost"
NAME = sys.argv[2] if len(sys.argv) > 2 else "parrot-1"
RESULTS, REPLIES = "earshot:transcription.results", "earshot:orchestrator.replies"

server = redis.Redis.from_url(URL, decode_responses=True, protocol=2)
with contextlib.suppress(redis.ResponseError):  # the group is there already
    server.xgroup_create(RESULTS, "parrot", id="$", mkstream=True)
print("listening", flush=True)

after = "0"  # first what this consumer was given before it ended, then what is new
while True:
    for _stream, entries in server.xreadgroup("parrot", NAME, {RESULTS: after}, count=10, block=1000):
        after = after if entries else ">"
        for entry_id, entry in entries:
            heard = json.loads(entry["body"])
            if heard["success"] and heard["text"]:
                reply = {name: heard[name] for name in ("correlation_id", "session_id")}
                reply |= {
                    "text": f"You said: {heard['text']}",
                    "agent": "parrot",
                    "message_id": uuid.uuid4().hex,
                }
                server.xadd(REPLIES, {"key": entry["key"], "body": json.dumps(reply)})
            server.xack(RESULTS, "parrot", entry_id)
