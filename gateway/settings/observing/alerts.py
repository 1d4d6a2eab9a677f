"""The section `alerts:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

_Share = Annotated[float, Meta(ge=0, le=1)]
_Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class AlertSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people are told of without Prometheus: on the page, and where wanted by a webhook and MQTT (docs/alerts.md).

    A threshold of 0 is off.
    """

    after_seconds: Annotated[
        float,
        Meta(
            ge=0.0,
            le=86_400.0,
            description="Something has to be amiss for so long before anybody is told, and well for so long before "
            "it is over.",
        ),
    ] = 120.0
    window_seconds: Annotated[
        float,
        Meta(ge=10.0, le=86_400.0, description="Waits and failures are those of the last so many seconds."),
    ] = 600.0
    speech_to_text_seconds: Annotated[
        _Seconds, Meta(description="One utterance in twenty waits longer for its text.")
    ] = 3.0
    speech_to_reply_seconds: Annotated[
        _Seconds, Meta(description="One in twenty waits longer until the whole answer is in its device.")
    ] = 10.0
    failed_share: Annotated[
        _Share, Meta(description="More of the utterances are not understood, for a fault of ours.")
    ] = 0.05
    unanswered_share: Annotated[_Share, Meta(description="More of the questions have no answer.")] = 0.2
    memory_free_share: Annotated[_Share, Meta(description="Less of the memory is free.")] = 0.08
    disk_free_share: Annotated[_Share, Meta(description="Less of the journal's disk is free.")] = 0.05
    event_loop_lag_seconds: Annotated[
        _Seconds, Meta(description="One timer in a hundred comes later than that.")
    ] = 0.1
    ends_days: Annotated[
        float,
        Meta(ge=0.0, le=3_650.0, description="A token, or the page's certificate, ends within so many days."),
    ] = 14.0
    webhook: Annotated[
        str,
        Meta(
            pattern=r"^(https?://[^\s]+)?$",
            description="Where alerts are told, as JSON by POST, when they are raised and when they are over; empty: "
            "nowhere.",
        ),
    ] = ""
    webhook_secret_file: Annotated[
        str,
        Meta(
            description="A file whose first line signs them, as questions to webhooks are (X-Earshot-Signature)."
        ),
    ] = ""
    webhook_ca_file: Annotated[
        str, Meta(description="Certificates that vouch for it; empty: those that this machine trusts.")
    ] = ""
    mqtt: Annotated[
        str,
        Meta(
            max_length=1_000,
            description="An MQTT broker, mqtt[s]://[user@]host[:port], that keeps (retained) each alert at "
            "earshot/alerts/NAME; empty: none.",
        ),
    ] = ""
    mqtt_password_file: Annotated[
        str,
        Meta(description="A file whose first line is its password; a relative name is a systemd credential."),
    ] = ""
    mqtt_ca_file: Annotated[
        str, Meta(description="Who may have signed its certificate (PEM); empty: the system's list.")
    ] = ""
