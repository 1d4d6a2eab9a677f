"""The devices and what they are doing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from http import HTTPStatus

from msgspec import Struct

from firmware_bridge.fleet import DeviceInfo
from gateway.access import Right
from gateway.session import Session
from gateway.web.api.operation import AnyCall, Call, Operation, Token
from gateway.web.api.problems import not_found
from gateway.web.house import Works


class Device(Struct, frozen=True, kw_only=True):
    """One device, connected or expected back. ``counters``: what its link has seen since it was switched on."""

    device_id: str
    user_id: str
    room: str
    state: str
    link: str
    firmware: str
    counters: dict[str, int]


class DeviceList(Struct, frozen=True):
    """Those that whoever asks may see."""

    devices: tuple[Device, ...]


class DeviceName(Struct, frozen=True):
    """Which device."""

    device_id: Token


class OpenSession(Struct, frozen=True, kw_only=True):
    """One stream of a device that is being heard, or whose answers are awaited."""

    session_id: str
    user_id: str
    device_id: str
    state: str
    turns: int
    opened_at: float


class SessionList(Struct, frozen=True):
    """Those that whoever asks may see, oldest first."""

    sessions: tuple[OpenSession, ...]


async def list_devices(call: Call[None, None, None]) -> DeviceList:
    """All of them that are within the scope."""
    return DeviceList(visible_devices(call))


async def show_device(call: Call[DeviceName, None, None]) -> Device:
    """One of them."""
    return find_device(call, call.path.device_id)


async def list_sessions(call: Call[None, None, None]) -> SessionList:
    """Those that are open now."""
    sees, now = call.principal.sees, time.time() - asyncio.get_running_loop().time()
    found = call.house.works().pipeline.sessions()
    return SessionList(
        tuple(_session(one, now) for one in found if sees(user_id=one.user_id, device_id=one.device_id))
    )


def find_device(call: AnyCall, device_id: str) -> Device:
    """The device, if whoever asks may know of it. Raises Problem."""
    for device in visible_devices(call):
        if device.device_id == device_id:
            return device
    raise not_found("device")


def visible_devices(call: AnyCall) -> tuple[Device, ...]:
    """The devices within the scope of whoever asks."""
    works, sees = call.house.works(), call.principal.sees
    devices = (_device(info, works) for info in works.bridge.devices())
    return tuple(one for one in devices if sees(user_id=one.user_id, device_id=one.device_id))


def _device(info: DeviceInfo, works: Works) -> Device:
    return Device(
        device_id=info.id,
        user_id=works.pipeline.user(info.id),
        room=works.config.devices.rooms.get(info.id, ""),
        state="connected" if info.connected else "disconnected",
        link=info.link,
        firmware=info.firmware,
        counters=asdict(info.counters),
    )


def _session(session: Session, since: float) -> OpenSession:
    return OpenSession(
        session_id=session.session_id,
        user_id=session.user_id,
        device_id=session.device_id,
        state=session.state.value,
        turns=len(session.turns),
        opened_at=session.opened_at + since,
    )


OPERATIONS = (
    Operation(
        name="listDevices", method="GET", path="/devices", right=Right.LISTEN, run=list_devices,
        summary="The devices that are connected or expected back", answer=DeviceList,
    ),
    Operation(
        name="showDevice", method="GET", path="/devices/{device_id}", right=Right.LISTEN, run=show_device,
        summary="One device", path_type=DeviceName, answer=Device, problems=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        name="listSessions", method="GET", path="/sessions", right=Right.LISTEN, run=list_sessions,
        summary="The sessions that are open", answer=SessionList,
    ),
)  # fmt: skip
