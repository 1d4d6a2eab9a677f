"""One message as MQTT 5 has it, and its properties as they travel. No I/O."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Publication(Struct, frozen=True, kw_only=True):
    """One message as MQTT has it. With 3.1.1 only topic, payload and ``kept`` travel.

    ``packet_id`` is what it is acknowledged by; 0: it came at QoS 0, to which no acknowledgement may be sent.
    ``kept``: the broker says it again to whoever subscribes (retained).
    """

    topic: str
    payload: bytes
    response_topic: str = ""
    correlation_data: bytes = b""
    content_type: str = ""
    user_properties: tuple[tuple[str, str], ...] = ()
    packet_id: int = 0
    repeated: bool = False
    kept: bool = False


class Packed:
    """Properties of a PUBLISH as they travel (MQTT 5, 2.2.2): paho's own cost more than all the rest."""

    def __init__(self, publication: Publication) -> None:
        """Raises ValueError when a text is too long for MQTT."""
        fields = [
            b"\x26" + _binary(name.encode()) + _binary(value.encode())
            for name, value in publication.user_properties
        ]
        if publication.content_type:
            fields.append(b"\x03" + _binary(publication.content_type.encode()))
        if publication.response_topic:
            fields.append(b"\x08" + _binary(publication.response_topic.encode()))
        if publication.correlation_data:
            fields.append(b"\x09" + _binary(publication.correlation_data))
        self._bytes = b"".join(fields)

    def pack(self) -> bytes:
        """What paho asks properties for."""
        length, head = len(self._bytes), bytearray()
        while length > 0x7F:
            head.append(length & 0x7F | 0x80)
            length >>= 7
        head.append(length)
        return bytes(head) + self._bytes


def _binary(data: bytes) -> bytes:
    if len(data) > 0xFFFF:
        raise ValueError(f"a text of {len(data)} bytes; MQTT takes 65535")
    return len(data).to_bytes(2, "big") + data


def from_paho(topic: str, message: Any) -> Publication:
    """A message as paho-mqtt hands it over."""
    properties: Any = message.properties
    return Publication(
        topic=topic,
        payload=bytes(message.payload),
        response_topic=getattr(properties, "ResponseTopic", ""),
        correlation_data=getattr(properties, "CorrelationData", b""),
        content_type=getattr(properties, "ContentType", ""),
        user_properties=tuple(tuple(pair) for pair in getattr(properties, "UserProperty", ())),
        packet_id=message.mid,
        repeated=bool(message.dup),
        kept=bool(message.retain),
    )
