"""Who somebody is to the gateway, and what that lets them see and do. Plain values; no I/O.

Whoever talks to the web server is a :class:`Principal`: made from a token, or :data:`LOCAL` on a loopback
address that asks for none.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum

from msgspec import Struct

from firmware_bridge.link.wires import WEB_IDS

WEB_DEVICE = WEB_IDS
"""What the ids of devices begin with that are pages or programs: listeners that speak."""

_OWN_NAME_CHARACTERS = 32
_PLAIN = re.compile(r"[A-Za-z0-9_]{1,32}\Z")


def own_device_beside(device_id: str) -> str:
    """The own device of whoever this one belongs to, if it is a page's or a program's; else empty."""
    if not device_id.startswith(WEB_DEVICE):
        return ""
    return WEB_DEVICE + device_id.removeprefix(WEB_DEVICE).partition("-")[0]


class Role(StrEnum):
    """What a token is for."""

    LISTENER = "listener"
    OPERATOR = "operator"
    ORCHESTRATOR = "orchestrator"
    DEVICE = "device"
    SCRAPER = "scraper"


class Right(StrEnum):
    """One kind of thing that can be done."""

    LISTEN = "listen"
    """See events, devices, sessions and history, as far as the scope goes."""
    SPEAK = "speak"
    """Say something and be answered: text, a microphone's audio, a file to be transcribed."""
    REPLY = "reply"
    """Answer a transcript, or announce something to a device."""
    BE_DEVICE = "be a device"
    """Stream audio as a device, under an id of the scope."""
    OPERATE = "operate"
    """Dead letters, erasing, and what devices print, as far as the scope goes."""
    MEASURE = "measure"
    """See loads, counts and times of the whole house, without anybody's words. Nobody's with a scope."""
    GOVERN = "govern"
    """What is one for the whole house: the configuration, the models, the lines. Nobody's with a scope."""


_RIGHTS: dict[Role, frozenset[Right]] = {
    Role.LISTENER: frozenset({Right.LISTEN, Right.SPEAK, Right.MEASURE}),
    Role.ORCHESTRATOR: frozenset({Right.LISTEN, Right.REPLY}),
    Role.DEVICE: frozenset({Right.BE_DEVICE}),
    Role.OPERATOR: frozenset(Right),
    Role.SCRAPER: frozenset({Right.MEASURE}),
}

_OF_THE_HOUSE = {Right.GOVERN, Right.MEASURE}


class Principal(Struct, frozen=True, kw_only=True):
    """Somebody who was let in.

    ``users`` and ``devices`` are the scope: what belongs to none of them is not there for this principal.
    An empty list bounds nothing. ``token_id`` is empty without a token; ``expires_at`` is Unix time, 0 for never.
    """

    name: str
    role: Role
    users: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    token_id: str = ""
    expires_at: float = 0.0

    def may(self, right: Right) -> bool:
        """Whether the role has ``right``; within the scope, which keeps from what is the house's."""
        return right in _RIGHTS[self.role] and not (right in _OF_THE_HOUSE and self.is_scoped)

    @property
    def is_scoped(self) -> bool:
        """Whether there is anything in the house that is not there for this principal."""
        return bool(self.users or self.devices)

    def sees(self, *, user_id: str | None, device_id: str | None) -> bool:
        """Whether something of this user and this device is within the scope.

        What has neither is for everybody; what somebody said over the web is theirs to see.
        """
        if user_id is None and device_id is None:
            return True
        if device_id is not None and self.owns(device_id):
            return True
        return (not self.users or user_id in self.users) and (not self.devices or device_id in self.devices)

    @property
    def owner(self) -> str:
        """Whose part of a shared table it fills (`firmware_bridge/shares.py`)."""
        return self.token_id or self.name

    @property
    def own_device(self) -> str:
        """As which device this principal speaks: ``web-`` and its name, which no other principal's can be."""
        if _PLAIN.match(self.name):
            return WEB_DEVICE + self.name
        plain = re.sub("[^A-Za-z0-9_]", "_", self.name)[:_OWN_NAME_CHARACTERS]
        digest = hashlib.sha256(self.name.encode("utf-8", "replace")).hexdigest()[:8]
        return f"{WEB_DEVICE}{plain}_{digest}"

    def owns(self, device_id: str) -> bool:
        """Whether it is this principal's own device, or one that it has beside (``web-<name>-<anything>``)."""
        return device_id == self.own_device or device_id.startswith(f"{self.own_device}-")

    @property
    def own_user(self) -> str:
        """Whose words it speaks; empty: whoever devices belong to that are nobody's."""
        return min(self.users, default="")

    def may_be(self, device_id: str, user_id: str) -> bool:
        """Whether it may stream audio as this device of this user: its own page, or a device of its scope.

        A device's token names its devices, whosoever they are; a page of somebody else's is no listener's.
        """
        if self.may(Right.SPEAK) and self.owns(device_id):
            return True
        if self.devices and device_id not in self.devices:
            return False
        return self.may(Right.BE_DEVICE) and (
            self.role is Role.DEVICE or not self.users or user_id in self.users
        )

    @property
    def possible_devices(self) -> str:
        """As which devices it may stream audio, in words."""
        own = [self.own_device] if self.may(Right.SPEAK) else []
        named = sorted(self.devices) if self.may(Right.BE_DEVICE) else []
        return ", ".join([*named, *own]) or "no device"


LOCAL = Principal(name="local", role=Role.OPERATOR)
"""Whoever is on this machine, where no token is asked for."""
