"""The section `adapters.openai:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class OpenAISettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's audio interface at /v1 (docs/openai.md), behind the page's door, tokens and limits."""

    enabled: Annotated[bool, Meta(description="true: it is there.")] = False
    models: Annotated[
        tuple[_Name, ...],
        Meta(
            description="Further names under which programs ask for a model, beside its own and OpenAI's: they all "
            "mean transcription.model. '*': any."
        ),
    ] = ()
