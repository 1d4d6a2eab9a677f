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


class GatewayEvent(enum.Enum):
    """What moves the gateway's end."""

    HELLO = "HELLO of this boot"
    FRAME = "frame of this link"
    CARRIER_LOST = "carrier lost"
    SILENCE = "silent too long"
    CLOSE = "closed"


GATEWAY_TABLE: Final = {
    (GatewayState.WELCOMED, GatewayEvent.HELLO): GatewayState.WELCOMED,
    (GatewayState.WELCOMED, GatewayEvent.FRAME): GatewayState.OPEN,
    (GatewayState.WELCOMED, GatewayEvent.CARRIER_LOST): GatewayState.HELD,
    (GatewayState.WELCOMED, GatewayEvent.SILENCE): GatewayState.HELD,
    (GatewayState.WELCOMED, GatewayEvent.CLOSE): GatewayState.CLOSED,
    (GatewayState.OPEN, GatewayEvent.HELLO): GatewayState.WELCOMED,
    (GatewayState.OPEN, GatewayEvent.FRAME): GatewayState.OPEN,
    (GatewayState.OPEN, GatewayEvent.CARRIER_LOST): GatewayState.HELD,
    (GatewayState.OPEN, GatewayEvent.SILENCE): GatewayState.HELD,
    (GatewayState.OPEN, GatewayEvent.CLOSE): GatewayState.CLOSED,
    (GatewayState.HELD, GatewayEvent.HELLO): GatewayState.WELCOMED,
    (GatewayState.HELD, GatewayEvent.CARRIER_LOST): GatewayState.HELD,
    (GatewayState.HELD, GatewayEvent.CLOSE): GatewayState.CLOSED,
}
"""Every move there is. A frame while held is answered with SAY_HELLO before it gets here."""


class DeviceState(enum.Enum):
    """Where the device's end stands."""

    OFFLINE = "offline"
    GREETING = "greeting"
    LINKED = "linked"
    REFUSED = "refused"


class DeviceEvent(enum.Enum):
    """What moves the device's end."""

    CARRIER = "carrier there"
    WELCOME = "WELCOME"
    SAY_HELLO = "FAULT SAY_HELLO"
    REFUSAL = "FAULT that refuses"
    WAITED = "waited long enough"
    UNHEARD = "gateway unheard"
    CARRIER_LOST = "carrier lost"


DEVICE_TABLE: Final = {
    (DeviceState.OFFLINE, DeviceEvent.CARRIER): DeviceState.GREETING,
    (DeviceState.OFFLINE, DeviceEvent.CARRIER_LOST): DeviceState.OFFLINE,
    (DeviceState.GREETING, DeviceEvent.CARRIER): DeviceState.GREETING,
    (DeviceState.GREETING, DeviceEvent.WELCOME): DeviceState.LINKED,
    (DeviceState.GREETING, DeviceEvent.REFUSAL): DeviceState.REFUSED,
    (DeviceState.GREETING, DeviceEvent.CARRIER_LOST): DeviceState.OFFLINE,
    (DeviceState.LINKED, DeviceEvent.CARRIER): DeviceState.GREETING,
    (DeviceState.LINKED, DeviceEvent.SAY_HELLO): DeviceState.GREETING,
    (DeviceState.LINKED, DeviceEvent.REFUSAL): DeviceState.REFUSED,
    (DeviceState.LINKED, DeviceEvent.UNHEARD): DeviceState.GREETING,
    (DeviceState.LINKED, DeviceEvent.CARRIER_LOST): DeviceState.OFFLINE,
    (DeviceState.REFUSED, DeviceEvent.CARRIER): DeviceState.GREETING,
    (DeviceState.REFUSED, DeviceEvent.WAITED): DeviceState.GREETING,
    (DeviceState.REFUSED, DeviceEvent.CARRIER_LOST): DeviceState.OFFLINE,
}
"""Every move there is. What a state has no use for is ignored before it gets here, and counted."""
