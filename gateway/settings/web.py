"""The section `web:` of config.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.settings.durations import Seconds


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
        Seconds,
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
            description="No longer needed but for tokens that earlier versions made and signed, which end with their "
            "key: its file; empty: token.key beside the journal. One of that name among systemd's credentials "
            "(LoadCredential=) is used first."
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
        Seconds, Meta(description="A listener over its bound for so long is closed as a slow consumer.")
    ] = 5.0
    heartbeat_seconds: Annotated[Seconds, Meta(description="WebSocket ping interval.")] = 20.0
    history_events: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Events kept for listeners that resume; in a house so many of each gateway.",
        ),
    ] = 2_000
    tls: WebTlsSettings = WebTlsSettings()
    limits: WebLimitSettings = WebLimitSettings()
    uploads: UploadSettings = UploadSettings()
