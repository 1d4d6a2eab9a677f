"""Which versions of everything that others rely on this gateway speaks."""

from __future__ import annotations

from msgspec import Struct

from firmware_bridge.link.frames import VERSION
from gateway.access.needed import Open
from gateway.contract.agents import AGENTS_SCHEMA
from gateway.contract.messages import SCHEMA
from gateway.web.api.health import running_version
from gateway.web.api.operation import Call, Operation

API_VERSION = 1


class Versions(Struct, frozen=True, kw_only=True):
    """All that it understands, the oldest first; within a version things are added, and nothing changes or goes.

    ``api``: of this API. ``events``, ``messages``: the ``schema`` of events, and of messages on the broker. ``link``:
    of the frames that devices speak. ``gateway``: its own, which nothing should depend on.
    """

    gateway: str
    api: tuple[int, ...]
    events: tuple[int, ...]
    messages: tuple[int, ...]
    link: tuple[int, ...]


async def show_versions(_call: Call[None, None, None]) -> Versions:
    """Also while the gateway starts."""
    return Versions(
        gateway=running_version(),
        api=(API_VERSION,),
        events=(SCHEMA,),
        messages=(SCHEMA, AGENTS_SCHEMA),
        link=(VERSION,),
    )


OPERATIONS = (
    Operation(
        name="showVersions", method="GET", path="/versions", right=Open.EVERYBODY, run=show_versions,
        summary="Which versions of this API, of events, messages and frames there are (also at /api)", answer=Versions,
    ),
)  # fmt: skip
