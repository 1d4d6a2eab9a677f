"""Whose devices are, where, how urgent and what they are called: by hand, and then by what was said at run time."""

from __future__ import annotations

from msgspec import structs

from firmware_bridge.settings import DeviceSettings, KnownDevice
from gateway.registry.file import Registered


def in_effect(devices: DeviceSettings, registered: Registered) -> DeviceSettings:
    """The settings as all others are to read them: each device that is named anywhere stands in ``known``, with all."""
    by_hand = devices.known, devices.users, devices.rooms, devices.priorities.devices, devices.microphones
    known = {
        device_id: _merged(devices, device_id, registered)
        for device_id in dict.fromkeys(device_id for place in (*by_hand, registered) for device_id in place)
    }
    classes = {device_id: one.priority for device_id, one in known.items() if one.priority}
    return structs.replace(
        devices,
        known=known,
        users={device_id: one.user for device_id, one in known.items() if one.user},
        rooms={device_id: one.room for device_id, one in known.items() if one.room},
        priorities=structs.replace(devices.priorities, devices=classes),
    )


def _merged(devices: DeviceSettings, device_id: str, registered: Registered) -> KnownDevice:
    """What is written by hand wins."""
    by_hand = devices.known.get(device_id, KnownDevice())
    later = registered[device_id].facts if device_id in registered else KnownDevice()
    return KnownDevice(
        name=by_hand.name or later.name,
        room=by_hand.room or devices.rooms.get(device_id, "") or later.room,
        user=by_hand.user or devices.users.get(device_id, "") or later.user,
        priority=by_hand.priority or devices.priorities.devices.get(device_id, "") or later.priority,
    )
