"""The section `recognizers:` of config.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class RecognizersSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recognizers on other machines (`earshot recognizer`), reached over the broker (docs/recognizers.md)."""

    use: Annotated[
        Literal["never", "sooner", "only"],
        Meta(
            description="never: this gateway's own engine does everything. sooner: whoever is expected to have the "
            "text sooner is asked, and this gateway does it itself when the others are late or gone. only: always the "
            "others (this gateway then needs no model: transcription.engine may be off)."
        ),
    ] = "never"
    model: Annotated[
        str,
        Meta(
            max_length=200,
            description="The model that they are to have; empty: that of transcription.model.",
        ),
    ] = ""
    codec: Annotated[
        Literal["flac", "opus", "pcm"],
        Meta(
            description="How audio travels: flac loses nothing (20 KB a second); opus is 3 KB a second, and words may "
            "differ by it; pcm is as it is heard (32 KB a second), and loads no codec: for a small gateway."
        ),
    ] = "flac"
    audio_at: Annotated[
        str,
        Meta(
            max_length=500,
            description="This gateway's web address as recognizers reach it (https://hall.house:8443), for audio of "
            "more than 256 KB where the broker keeps messages only (MQTT, RabbitMQ, Kafka): they fetch it there, each "
            "with a secret of its own. Empty: it is sent in messages, up to 1.5 MB. Its name belongs into web.hosts.",
        ),
    ] = ""
