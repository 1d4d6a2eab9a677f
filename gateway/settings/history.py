"""The section `history:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


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
