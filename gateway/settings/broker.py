"""The section `broker:` of config.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.settings.durations import Seconds

NAMESPACE = "earshot"
"""Of a house that has its server for itself."""


class BrokerTlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Certificates, for a broker whose url says TLS."""

    ca_file: Annotated[
        str, Meta(description="Who may have signed the broker's certificate (PEM); empty: the system's list.")
    ] = ""
    cert_file: Annotated[str, Meta(description="Our own certificate (PEM), where the broker wants one.")] = ""
    key_file: Annotated[
        str, Meta(description="Its key, without a passphrase; empty: it is in cert_file.")
    ] = ""
    verify: Annotated[
        bool, Meta(description="false: anybody may pose as the broker, and read and forge what is said.")
    ] = True


class BrokerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The message broker that transcripts are published on."""

    url: Annotated[
        str,
        Meta(
            description="memory:// keeps everything inside this process; the others are "
            "kind://[user:password@]host[:port]: mqtt:// (TLS: mqtts://), amqp:// (RabbitMQ; TLS: amqps://), redis:// "
            "(Redis Streams; TLS: rediss://), nats:// (JetStream; TLS: tls://), kafka:// (TLS: kafkas://). Servers of "
            "a cluster stand between commas, host[:port],host[:port]: whichever answers is taken."
        ),
    ] = "memory://"
    password_file: Annotated[
        str,
        Meta(
            description="A file whose first line is the password, instead of one in the url. A relative name is "
            "looked up among systemd's credentials (LoadCredential=), then in the folder that the gateway was "
            "started in."
        ),
    ] = ""
    client_id: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_-]{0,48}$",
            description="What the broker knows us by, and whose replies are ours; empty: derived from this "
            "machine's id. Two gateways on one machine need one each.",
        ),
    ] = ""
    buffer_messages: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Bound of one subscription's buffer, in messages.")
    ] = 10_000
    buffer_bytes: Annotated[
        int, Meta(ge=1024, description="Bound of one subscription's buffer, in bytes of payload.")
    ] = 16 * 1024 * 1024
    prefetch: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description="A subscription takes at most so many unsettled messages from a broker on the network; "
            "further ones wait there, or go to others of its group.",
        ),
    ] = 128
    connect_seconds: Annotated[
        float, Meta(gt=0, le=60, description="A broker that has not answered by then is tried again.")
    ] = 3.0
    confirm_seconds: Annotated[
        Seconds, Meta(description="A message that the broker has not confirmed by then is published again.")
    ] = 5.0
    lease_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=3_600,
            description="Redis, NATS and Kafka: what a process holds that died goes to another of its group after so "
            "long. Kafka takes 6 s or more unless it is told otherwise.",
        ),
    ] = 10.0
    stream_messages: Annotated[
        int,
        Meta(
            ge=100,
            le=1_000_000_000,
            description="Redis and NATS: the broker keeps about so many messages of a topic; older ones go, read or "
            "not. RabbitMQ: so many for each group.",
        ),
    ] = 100_000
    stream_replicas: Annotated[
        int,
        Meta(
            ge=1,
            le=5,
            description="NATS and Kafka: how many servers of a cluster keep a topic; made so at first. Kafka: 1 leaves "
            "it to the server.",
        ),
    ] = 1
    nats_sync_always: Annotated[
        bool,
        Meta(
            description="NATS: its sync_interval is 'always', which it does not tell; receipts then say fsync."
        ),
    ] = False
    namespace: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_-]{1,32}$",
            description="What the names of our topics, exchanges, queues and streams begin with at the server. Houses "
            "that share one and shall not hear each other have one each, and so have those who answer there.",
        ),
    ] = NAMESPACE
    kafka_partitions: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000,
            description="Kafka: how many partitions a topic is made with; so many of a group work on it at most.",
        ),
    ] = 12
    kafka_sasl: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        Meta(description="Kafka: how user and password of the url are shown to the server."),
    ] = "PLAIN"
    amqp_sasl: Annotated[
        Literal["PLAIN", "EXTERNAL"],
        Meta(
            description="RabbitMQ: PLAIN shows it user and password of the url, EXTERNAL our certificate "
            "(broker.tls.cert_file), whose name is then the user's."
        ),
    ] = "PLAIN"
    keep_for_groups: Annotated[
        tuple[str, ...],
        Meta(
            description="RabbitMQ, Redis, NATS, Kafka: transcripts are kept for these groups from the gateway's first "
            "start on, also while none of their members has ever come."
        ),
    ] = ("orchestrator",)
    mqtt_durability: Annotated[
        Literal["memory", "os", "fsync"],
        Meta(
            description="MQTT: how safe a message is that the broker has acknowledged, which MQTT has no way to ask. "
            "Mosquitto: memory as it is installed, os with autosave_on_changes."
        ),
    ] = "memory"
    tls: BrokerTlsSettings = BrokerTlsSettings()
