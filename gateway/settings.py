"""Settings of the gateway's own parts, as they stand in ``config.yaml``.

Every field's description is the comment above it in config.yaml and in the JSON schema.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

_Seconds = Annotated[float, Meta(gt=0, le=86_400)]


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
            "(Redis Streams; TLS: rediss://), nats:// (JetStream; TLS: tls://)."
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
        _Seconds, Meta(description="A message that the broker has not confirmed by then is published again.")
    ] = 5.0
    lease_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=3_600,
            description="Redis and NATS: what a process holds that died goes to another of its group after so long.",
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
        Meta(ge=1, le=5, description="NATS: how many servers of a cluster keep a topic; made so at first."),
    ] = 1
    nats_sync_always: Annotated[
        bool,
        Meta(
            description="NATS: its sync_interval is 'always', which it does not tell; receipts then say fsync."
        ),
    ] = False
    keep_for_groups: Annotated[
        tuple[str, ...],
        Meta(
            description="RabbitMQ, Redis, NATS: transcripts are kept for these groups from the gateway's first start "
            "on, also while none of their members has ever come."
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


class OrchestratorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who answers, and how long is waited."""

    app: Annotated[
        str,
        Meta(
            description="'module:name' runs your Orchestrator inside the gateway; empty: orchestrators connect "
            "through the broker; 'auto': so, too, but with memory://, which nobody can connect to, the demo's answers. "
            "'builtin': the demo's answers in any case. It switches nothing, and each of its answers says whose it is."
        ),
    ] = "auto"
    timeout_seconds: Annotated[
        _Seconds, Meta(description="A request without a final reply expires then.")
    ] = 30.0
    late_seconds: Annotated[
        _Seconds, Meta(description="How long an answered or expired request is remembered, for late replies.")
    ] = 300.0
    max_pending: Annotated[int, Meta(ge=1, le=1_000_000, description="Requests remembered at once.")] = 10_000
    fallback_text: Annotated[
        str,
        Meta(max_length=500, description="What a device is told when no answer came in time; may be empty."),
    ] = "Sorry, nobody answered."


class SessionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a conversation outlives its wire."""

    resume_seconds: Annotated[
        _Seconds,
        Meta(
            description="A stream whose device vanished is ended after so long; until then it can be resumed."
        ),
    ] = 10.0
    hints_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="What an orchestrator asked for (hints), and a detected language, hold for the device's next "
            "stream too if it begins within so long after the last speech or reply.",
        ),
    ] = 60.0
    max_sessions: Annotated[int, Meta(ge=1, le=1_000_000, description="Open sessions at once.")] = 1_000


class WebTlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """https and wss. Without a certificate, whoever is on the way reads and forges what is said."""

    cert_file: Annotated[
        str, Meta(description="The page's certificate with its chain (PEM); read again when it changes.")
    ] = ""
    key_file: Annotated[
        str, Meta(description="Its key, without a passphrase; empty: it is in cert_file.")
    ] = ""
    self_signed: Annotated[
        bool,
        Meta(
            description="true: a certificate of the gateway's own, web.crt beside the journal, made when it is "
            "missing (extra tls). Browsers warn once; its fingerprint is in the log."
        ),
    ] = False


class WebLimitSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one address, and one token, may do. 0: as much as it likes."""

    connections: Annotated[
        int, Meta(ge=1, le=100_000, description="Open connections of everybody together.")
    ] = 4_096
    connections_per_address: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Open connections of one address (IPv6: of one /64). Many listeners behind one (a wall of "
            "pages, a program that hands on) need it as high as web.max_listeners, and a few more.",
        ),
    ] = 256
    requests_per_second: Annotated[
        float, Meta(ge=0, description="Requests of one address or token; ten times as many at once.")
    ] = 100.0
    messages_per_second: Annotated[
        float,
        Meta(
            ge=0,
            description="WebSocket messages of one listener's address or token; ten times as many at once. Of any "
            "WebSocket, a device's too, twice as many frames are read, and of all of one address twenty times as many.",
        ),
    ] = 200.0
    uploads_per_minute: Annotated[
        float, Meta(ge=0, description="Files to transcribe of one address or token; as many at once.")
    ] = 60.0
    megabytes_per_second: Annotated[
        float, Meta(ge=0, description="What one address sends is read no faster; ten times as much at once.")
    ] = 16.0
    failures_per_minute: Annotated[
        float,
        Meta(
            ge=0,
            description="Wrong tokens of one address, before it is told to wait; a right one is let in still.",
        ),
    ] = 10.0
    header_seconds: Annotated[
        float, Meta(gt=0, le=600, description="A request whose head is not there by then is cut off.")
    ] = 10.0
    idle_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3_600,
            description="A connection without a request, or with one that stops coming, is closed after so long.",
        ),
    ] = 75.0


class UploadSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recordings that are sent to be transcribed (POST /api/v1/transcriptions)."""

    megabytes: Annotated[int, Meta(ge=1, le=1_000_000, description="Of one recording, in MiB.")] = 512
    seconds: Annotated[int, Meta(ge=1, le=1_000_000, description="Of one recording, decoded.")] = 14_400
    at_once: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="Further ones are refused; 0: all are. A token has no more of them than are left for others: "
            "of 4 it may send 2 at once.",
        ),
    ] = 4
    stall_seconds: Annotated[
        _Seconds,
        Meta(
            description="One of which nothing, or less than 32 bytes a second, comes for so long is given up."
        ),
    ] = 30.0


class WebSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page, the WebSocket and the health endpoints."""

    host: Annotated[
        str,
        Meta(
            description="127.0.0.1, ::1 or localhost: for this machine only. Any other address, such as 0.0.0.0, lets "
            "in nobody without a token (docs/security.md)."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="0 takes a free port (printed at start).")] = 8080
    enabled: Annotated[bool, Meta(description="false: no web server at all.")] = True
    require_token: Annotated[
        bool,
        Meta(description="true: nobody without a token, on this machine either (`earshot token create`)."),
    ] = False
    secret_file: Annotated[
        str,
        Meta(
            description="The key that tokens are signed with; empty: token.key beside the journal, made on first use. "
            "One of that name among systemd's credentials (LoadCredential=) is used first."
        ),
    ] = ""
    hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Further names that the gateway is reached by, as name or name:port, say those of a reverse "
            "proxy. With any, everybody needs a token."
        ),
    ] = ()
    origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Pages elsewhere that may talk to the gateway, exactly, as https://house.example:8443."
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, as addresses or "
            "networks (127.0.0.1, 10.0.0.0/24): limits are then those of whom they hand on. With any, everybody "
            "needs a token."
        ),
    ] = ()
    max_listeners: Annotated[
        int, Meta(ge=1, le=100_000, description="Listeners at once (listener_policy).")
    ] = 1_000
    listener_policy: Annotated[
        Literal["refuse_new", "replace_slowest"],
        Meta(
            description="When max_listeners are there: refuse_new refuses the next one; replace_slowest closes the "
            "one that is furthest behind (when none is, the one that came first), which may resume later."
        ),
    ] = "refuse_new"
    outbox_messages: Annotated[int, Meta(ge=8, description="Events that may wait for one slow listener.")] = (
        256
    )
    outbox_bytes: Annotated[
        int, Meta(ge=64 * 1024, description="Bytes that may wait for one slow listener.")
    ] = 1024 * 1024
    slow_seconds: Annotated[
        _Seconds, Meta(description="A listener over its bound for so long is closed as a slow consumer.")
    ] = 5.0
    heartbeat_seconds: Annotated[_Seconds, Meta(description="WebSocket ping interval.")] = 20.0
    history_events: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Events kept for listeners that resume.")
    ] = 2_000
    tls: WebTlsSettings = WebTlsSettings()
    limits: WebLimitSettings = WebLimitSettings()
    uploads: UploadSettings = UploadSettings()


class LogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is logged, and how. Transcripts are personal data and never logged at info."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least serious level shown.")
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"], Meta(description="auto: text on a terminal, else JSON lines.")
    ] = "auto"


class ShutdownSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the gateway ends."""

    drain_seconds: Annotated[
        float,
        Meta(gt=0, le=60, description="On SIGTERM: time to finish speech in progress and deliver replies."),
    ] = 8.0


class JournalSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file in which speech, messages and answers on their way outlive the gateway.

    Without it, a gateway that dies loses every transcript that the broker has not yet got and every answer
    that its device has not yet taken; what devices with a ring still hold is heard again.
    """

    enabled: Annotated[
        bool,
        Meta(
            description="false: nothing is written; what is on its way when the gateway dies is lost, except what "
            "devices still hold."
        ),
    ] = True
    path: Annotated[
        str,
        Meta(description="Empty: journal.db in systemd's state folder, else in ~/.local/state/earshot."),
    ] = ""
    keep_audio: Annotated[
        bool,
        Meta(description="true: speech stays after it is transcribed, until audio_mb is full."),
    ] = False
    audio_mb: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Bound of the speech that is kept, in MiB.")
    ] = 256
    outbox_messages: Annotated[
        int,
        Meta(ge=1, description="Messages kept for a broker that is away; the oldest become dead letters."),
    ] = 1_000_000
    outbox_mb: Annotated[int, Meta(ge=1, le=1_000_000, description="The same bound, in MiB.")] = 512
    dead_letters: Annotated[
        int, Meta(ge=1, description="Dead letters kept; the oldest are forgotten and counted.")
    ] = 10_000
    dead_letters_mb: Annotated[int, Meta(ge=1, le=1_000_000, description="The same bound, in MiB.")] = 64


class HistorySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was said, to be found again on the page and by the API. It is in the journal; without one there is none."""

    enabled: Annotated[
        bool, Meta(description="false: nothing is remembered once it is answered; what was, goes by days.")
    ] = True
    days: Annotated[
        float,
        Meta(
            gt=0,
            le=36_500,
            description="After so many days what was said is erased, with its reply; dead letters, and answers that no "
            "device took, too.",
        ),
    ] = 30.0
    utterances: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Utterances remembered; the oldest make room, and before them those of a listener whose texts "
            "fill more than is theirs.",
        ),
    ] = 100_000
    mb: Annotated[int, Meta(ge=1, le=1_000_000, description="The same bound, in MiB.")] = 64
    audio_days: Annotated[
        float,
        Meta(
            gt=0,
            le=36_500,
            description="With journal.keep_audio: speech is erased after so many days, or when journal.audio_mb is "
            "full.",
        ),
    ] = 7.0


class PrivacySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who gets to see what was said."""

    redact: Annotated[
        bool,
        Meta(
            description="true: listeners, the page and the history learn that something was said, when, and how long "
            "each step took, never the words, nor what an orchestrator calls itself or its failure; speech, and what "
            "devices print, is not kept. Devices and the broker get them as ever."
        ),
    ] = False
