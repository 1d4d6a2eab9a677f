"""The states of an update on a device, and every move there is between them; docs/protocol.md draws them."""

from __future__ import annotations

import enum
from typing import Final


class TakerState(enum.Enum):
    """Where an update stands on a device. A start begins in NONE, or in TRIAL."""

    NONE = 0
    FETCHING = 1
    WHOLE = 2
    STARTING = 3
    TRIAL = 4


class TakerEvent(enum.Enum):
    """What moves it."""

    OFFER = "offer taken"
    WHOLE = "all there and sound"
    GIVEN_UP = "given up"
    QUIET = "nobody speaks"
    WELCOME = "WELCOME"


TAKER_TABLE: Final = {
    (TakerState.NONE, TakerEvent.OFFER): TakerState.FETCHING,
    (TakerState.FETCHING, TakerEvent.OFFER): TakerState.FETCHING,
    (TakerState.FETCHING, TakerEvent.WHOLE): TakerState.WHOLE,
    (TakerState.FETCHING, TakerEvent.GIVEN_UP): TakerState.NONE,
    (TakerState.WHOLE, TakerEvent.OFFER): TakerState.FETCHING,
    (TakerState.WHOLE, TakerEvent.QUIET): TakerState.STARTING,
    (TakerState.STARTING, TakerEvent.GIVEN_UP): TakerState.NONE,
    (TakerState.TRIAL, TakerEvent.WELCOME): TakerState.NONE,
}
"""Every move there is. From STARTING a device restarts, and from TRIAL, when its time is up."""
