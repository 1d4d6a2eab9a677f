"""The section `journal:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


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
