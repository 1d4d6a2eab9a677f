"""``orchestrator.agents.NAME.langgraph``: an agent of kind langgraph."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class GraphSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A compiled graph of LangGraph's."""

    graph: Annotated[
        str,
        Meta(
            max_length=256, description="'module:name' of the compiled graph, or of a function that makes it."
        ),
    ] = ""
