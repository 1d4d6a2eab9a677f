"""The section `adapters.wyoming:` of config.yaml."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

_DeviceId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=64)]
_Name = Annotated[str, Meta(min_length=1, max_length=64)]


class WyomingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Home Assistant and other programs that speak Wyoming, which has no passwords: name who may come."""

    listen: Annotated[
        tuple[str, ...],
        Meta(
            description="Where programs come to, as tcp://host:port or unix:///path. Home Assistant's is usually "
            "tcp://0.0.0.0:10300. Empty: nowhere."
        ),
    ] = ()
    allow: Annotated[
        dict[_Name, str],
        Meta(
            description="Who may come beside this machine, by the name that people see: an address or a network. "
            "Example: {Home Assistant: 192.168.1.5}."
        ),
    ] = {}
    conversation: Annotated[
        bool,
        Meta(
            description="true: who may come may also ask whoever answers here (orchestrator), as Home Assistant's "
            "conversation agent. Agents act in the house: so it is only where it is wanted."
        ),
    ] = False
    connections: Annotated[
        int, Meta(ge=1, le=1_000, description="At once; one address never has more than are left for others.")
    ] = 64
    partial_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="After so much more speech its text so far is sent (transcript-chunk), beside what is sent at "
            "each pause, which costs nothing. Home Assistant reads none of it. 0: never.",
        ),
    ] = 0
    zeroconf: Annotated[
        bool,
        Meta(description="Home Assistant finds the gateway by itself, where it listens on the network."),
    ] = True
    satellites: Annotated[
        dict[_DeviceId, str],
        Meta(
            description="Wyoming satellites, which the gateway dials and which are devices then, by device id. "
            "Example: {kitchen: tcp://192.168.1.31:10700}."
        ),
    ] = {}
