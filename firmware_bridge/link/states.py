"""The states of both ends of a link, and every move there is between them.

The tables are literal: docs/protocol.md draws them, the tests walk them.
"""

from __future__ import annotations

import enum
from typing import Final


class LinkStateError(RuntimeError):
    """An event that the state table does not allow. Nothing has changed."""


class GatewayState(enum.Enum):
    """Where the gateway's end stands."""

    WELCOMED = "welcomed"
    OPEN = "open"
    HELD = "held"
    CLOSED = "closed"


class GatewayEndEvent(enum.Enum):
    """What moves the gateway's end."""

    HELLO = "HELLO of this boot"
    FRAME = "frame of this link"
    CARRIER_LOST = "carrier lost"
    SILENCE = "silent too long"
    CLOSE = "closed"


GATEWAY_TABLE: Final = {
    (GatewayState.WELCOMED, GatewayEndEvent.HELLO): GatewayState.WELCOMED,
    (GatewayState.WELCOMED, GatewayEndEvent.FRAME): GatewayState.OPEN,
    (GatewayState.WELCOMED, GatewayEndEvent.CARRIER_LOST): GatewayState.HELD,
    (GatewayState.WELCOMED, GatewayEndEvent.SILENCE): GatewayState.HELD,
    (GatewayState.WELCOMED, GatewayEndEvent.CLOSE): GatewayState.CLOSED,
    (GatewayState.OPEN, GatewayEndEvent.HELLO): GatewayState.WELCOMED,
    (GatewayState.OPEN, GatewayEndEvent.FRAME): GatewayState.OPEN,
    (GatewayState.OPEN, GatewayEndEvent.CARRIER_LOST): GatewayState.HELD,
    (GatewayState.OPEN, GatewayEndEvent.SILENCE): GatewayState.HELD,
    (GatewayState.OPEN, GatewayEndEvent.CLOSE): GatewayState.CLOSED,
    (GatewayState.HELD, GatewayEndEvent.HELLO): GatewayState.WELCOMED,
    (GatewayState.HELD, GatewayEndEvent.CARRIER_LOST): GatewayState.HELD,
    (GatewayState.HELD, GatewayEndEvent.CLOSE): GatewayState.CLOSED,
}
"""Every move there is. A frame while held is answered with SAY_HELLO before it gets here."""


class DeviceState(enum.Enum):
    """Where the device's end stands."""

    OFFLINE = "offline"
    GREETING = "greeting"
    LINKED = "linked"
    REFUSED = "refused"


class DeviceEndEvent(enum.Enum):
    """What moves the device's end."""

    CARRIER = "carrier there"
    WELCOME = "WELCOME"
    SAY_HELLO = "FAULT SAY_HELLO"
    REFUSAL = "FAULT that refuses"
    WAITED = "waited long enough"
    UNHEARD = "gateway unheard"
    CARRIER_LOST = "carrier lost"


DEVICE_TABLE: Final = {
    (DeviceState.OFFLINE, DeviceEndEvent.CARRIER): DeviceState.GREETING,
    (DeviceState.OFFLINE, DeviceEndEvent.CARRIER_LOST): DeviceState.OFFLINE,
    (DeviceState.GREETING, DeviceEndEvent.CARRIER): DeviceState.GREETING,
    (DeviceState.GREETING, DeviceEndEvent.WELCOME): DeviceState.LINKED,
    (DeviceState.GREETING, DeviceEndEvent.REFUSAL): DeviceState.REFUSED,
    (DeviceState.GREETING, DeviceEndEvent.CARRIER_LOST): DeviceState.OFFLINE,
    (DeviceState.LINKED, DeviceEndEvent.CARRIER): DeviceState.GREETING,
    (DeviceState.LINKED, DeviceEndEvent.SAY_HELLO): DeviceState.GREETING,
    (DeviceState.LINKED, DeviceEndEvent.REFUSAL): DeviceState.REFUSED,
    (DeviceState.LINKED, DeviceEndEvent.UNHEARD): DeviceState.GREETING,
    (DeviceState.LINKED, DeviceEndEvent.CARRIER_LOST): DeviceState.OFFLINE,
    (DeviceState.REFUSED, DeviceEndEvent.CARRIER): DeviceState.GREETING,
    (DeviceState.REFUSED, DeviceEndEvent.WAITED): DeviceState.GREETING,
    (DeviceState.REFUSED, DeviceEndEvent.CARRIER_LOST): DeviceState.OFFLINE,
}
"""Every move there is. What a state has no use for is ignored before it gets here, and counted."""
