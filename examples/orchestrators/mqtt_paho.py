"""An orchestrator with nothing but paho-mqtt: ``python mqtt_paho.py host port [name]``.

Several copies, each with a name of its own, share the work. What it needs to know of Earshot is in
docs/messages.md.
"""

import json
import sys
import uuid

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

RESULTS = "earshot/transcription/results"
REPLIES = "earshot/orchestrator/replies"


def connected(client, userdata, flags, reason, properties):
    client.subscribe(f"$share/orchestrator/{RESULTS}/+/+/+", qos=1)


def answer(client, userdata, message):
    heard = json.loads(message.payload)
    if heard["success"] and heard["text"]:
        reply = {
            "correlation_id": heard["correlation_id"],
            "session_id": heard["session_id"],
            "text": f"paho heard: {heard['text']}",
            "message_id": str(
                uuid.uuid5(uuid.NAMESPACE_OID, heard["message_id"])
            ),  # the same when it comes again
        }
        key = message.topic.removeprefix(RESULTS)  # /user/device/session
        client.publish(REPLIES + key, json.dumps(reply), qos=1)
    client.ack(message.mid, message.qos)  # last: if we die before, it comes again


def main(host, port, name="orchestrator-1"):
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5, manual_ack=True
    )
    client.on_connect = connected
    client.on_message = answer
    kept = Properties(PacketTypes.CONNECT)
    kept.SessionExpiryInterval = 86_400  # what comes while we are away waits for a day
    client.connect(host, int(port), clean_start=False, properties=kept)
    client.loop_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
