"""``orchestrator.agents.NAME.langgraph``: an agent of kind langgraph."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

GRAPH_PATTERN = r"^([A-Za-z_][\w.]*:[A-Za-z_][\w.]*)?$"


class GraphSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A compiled graph of LangGraph's."""

    graph: Annotated[
        str,
        Meta(
            max_length=256,
            pattern=GRAPH_PATTERN,
            description="'module:name' of the compiled graph, or of a function that makes it (async, or an async "
            "context manager, where it opens something).",
        ),
    ] = ""
    messages: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description="Under this key the graph's state has its messages: what was said goes in, and the last one of "
            "a model comes out.",
        ),
    ] = "messages"
    nodes: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...],
        Meta(
            max_length=64,
            description="What models write in these nodes is said as it comes. Empty: in all of them. The final answer "
            "is said in any case.",
        ),
    ] = ()
    recursion_limit: Annotated[
        int, Meta(ge=1, le=10_000, description="So many steps the graph may take for one answer.")
    ] = 25
