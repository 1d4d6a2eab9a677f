"""The devices: which there are, what they are doing, what they print, and what their lines have carried."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from firmware_bridge.bridge import LinkInfo
from firmware_bridge.link.fleet import DeviceInfo
from firmware_bridge.link.frames import FaultCode
from firmware_bridge.settings import DeviceId
from gateway.access.principals import Right
from gateway.pipeline.sessions.session import Session
from gateway.pipeline.telling.device_logs import LogLine
from gateway.pipeline.telling.roster import Presence, Refusal
from gateway.registry.admission import Applicant
from gateway.registry.records import RegisteredDevice
from gateway.web.api.operation import AnyCall, Call, Carry, Operation
from gateway.web.entrance.problems import Problem, not_found
from gateway.web.parts import RunningParts


class Device(Struct, frozen=True, kw_only=True):
    """One device, connected or expected back.

    ``since``: when it came or went (Unix time). ``reason``: why it went, or may not come back. ``counters``: what its
    link has seen since the device was switched on; nothing, once it has been away for minutes. ``priority``: urgent,
    normal or background. ``has_key``: it has to prove itself. ``drift_ppm``: by how many millionths its clock is fast,
    once that is known. ``level``: how loud it is, in dBFS, if it was heard in the last seconds and somebody asked
    before.
    """

    device_id: str
    user_id: str
    room: str
    priority: str
    state: str
    link: str
    firmware: str
    since: float
    reason: str
    counters: dict[str, int]
    name: str
    has_key: bool
    drift_ppm: float | None
    level: int | None


class Registration(Struct, frozen=True, kw_only=True):
    """What was written down of a device at run time. ``standing``: approved, denied or revoked, at ``changed_at``."""

    device_id: str
    standing: str
    has_key: bool
    changed_at: float
    name: str
    room: str
    user: str
    priority: str


class WaitingDevice(Struct, frozen=True, kw_only=True):
    """A device that awaits approval. ``since`` and ``seen``: its first and its last HELLO (Unix time)."""

    device_id: str
    link: str
    firmware: str
    since: float
    seen: float
    times: int


class RefusedDevice(Struct, frozen=True, kw_only=True):
    """Somebody who says HELLO and is not taken on. ``device_id`` is empty where the HELLO could not be read."""

    device_id: str
    link: str
    fault: str
    reason: str
    since: float
    times: int


class DeviceList(Struct, frozen=True):
    """Those that whoever asks may see.

    ``refused``: who says HELLO in vain just now. ``waiting``: who of them can be approved. ``registered``: whom
    somebody has approved, denied, named or given a key, whether they are here or not.
    """

    devices: tuple[Device, ...]
    refused: tuple[RefusedDevice, ...]
    waiting: tuple[WaitingDevice, ...]
    registered: tuple[Registration, ...]


class DeviceLogPage(Struct, frozen=True):
    """Oldest first. ``dropped``: how many lines are not kept any more."""

    lines: tuple[LogLine, ...]
    dropped: int


class After(Struct, frozen=True):
    """Which lines."""

    after: Annotated[int, Meta(ge=0, le=(1 << 62) - 1, description="Those with higher numbers.")] = 0


class Link(Struct, frozen=True, kw_only=True):
    """One carrier: a serial port, or MQTT.

    ``reason`` and ``remedy``: why it is down, or works badly. ``counters``: what came over it since it was opened.
    ``lines``: what was printed there before any device said HELLO.
    """

    link: str
    up: bool
    reason: str
    remedy: str
    devices: tuple[str, ...]
    counters: dict[str, int]
    lines: tuple[LogLine, ...]


class LinkList(Struct, frozen=True):
    """All that are watched."""

    links: tuple[Link, ...]


class DeviceName(Struct, frozen=True):
    """Which device."""

    device_id: DeviceId


class Login(Struct, frozen=True, kw_only=True):
    """What a device logs in with at the gateway's own MQTT broker, which only programs of its machine reach."""

    url: str
    user: str
    password: str


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
    running, sees = call.parts.running(), call.principal.sees
    register, user = running.register, running.pipeline.user
    return DeviceList(
        visible_devices(call),
        tuple(
            _refused(one)
            for one in running.pipeline.roster.refusals()
            if sees(user_id="", device_id=one.event.device_id)
        ),
        tuple(_waiting(one) for one in register.waiting() if sees(user_id="", device_id=one.device_id)),
        tuple(
            registration(one)
            for name, one in register.registered().items()
            if sees(user_id=user(name), device_id=name)
        ),
    )


async def show_device(call: Call[DeviceName, None, None]) -> Device:
    """One of them."""
    return find_device(call, call.path.device_id)


async def forget_device(call: Call[DeviceName, None, None]) -> None:
    """Do not miss it any more."""
    device = find_device(call, call.path.device_id)
    if not call.parts.running().pipeline.forget(device.device_id):
        raise Problem(HTTPStatus.CONFLICT, "the device is here", remedy="unplug it or switch it off first")


async def show_log(call: Call[DeviceName, After, None]) -> DeviceLogPage:
    """What it has printed lately."""
    logs = call.parts.running().pipeline.logs
    device_id = find_device(call, call.path.device_id).device_id
    if not logs.keeps:
        raise Problem(HTTPStatus.CONFLICT, "privacy.redact is on: what devices print is not kept")
    return DeviceLogPage(logs.lines(device_id, call.query.after), logs.dropped(device_id))


async def show_login(call: Call[DeviceName, None, None]) -> Login:
    """Also of a device that has not come yet."""
    running, device_id = call.parts.running(), call.path.device_id
    if not call.principal.sees(user_id=running.pipeline.user(device_id), device_id=device_id):
        raise not_found("device")
    address = urlsplit(running.bridge.mqtt_url_of(device_id))
    if address.password is None:
        raise Problem(HTTPStatus.CONFLICT, "devices do not log in at a broker of this gateway's own")
    return Login(url=running.bridge.mqtt_url, user=device_id, password=address.password)


async def list_links(call: Call[None, None, None]) -> LinkList:
    """All of them, with what was counted; with a scope those that a device of it is on, without what they print."""
    running, whole = call.parts.running(), not call.principal.is_scoped
    visible = visible_devices(call)
    links = running.bridge.links()
    on = {info.name: tuple(one.device_id for one in visible if one.link == info.name) for info in links}
    return LinkList(
        tuple(_link(one, on[one.name], running, whole=whole) for one in links if whole or on[one.name])
    )


async def list_sessions(call: Call[None, None, None]) -> SessionList:
    """Those that are open now."""
    sees, now = call.principal.sees, time.time() - asyncio.get_running_loop().time()
    found = call.parts.running().pipeline.sessions()
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
    running, sees = call.parts.running(), call.principal.sees
    on_links = {info.id: info for info in running.bridge.devices()}
    levels = running.pipeline.levels()
    known = running.pipeline.roster.devices()
    devices = (_device(one, running, on_links.get(one.hello.device_id), levels) for one in known)
    return tuple(one for one in devices if sees(user_id=one.user_id, device_id=one.device_id))


def registration(device: RegisteredDevice) -> Registration:
    """Without its key."""
    facts = device.facts
    return Registration(
        device_id=device.device_id,
        standing=device.standing.value,
        has_key=bool(device.key),
        changed_at=device.changed_at,
        name=facts.name,
        room=facts.room,
        user=facts.user,
        priority=facts.priority,
    )


def _waiting(one: Applicant) -> WaitingDevice:
    return WaitingDevice(**asdict(one))


def _device(
    known: Presence, running: RunningParts, on_link: DeviceInfo | None, levels: dict[str, int]
) -> Device:
    device_id = known.hello.device_id
    return Device(
        device_id=device_id,
        user_id=running.pipeline.user(device_id),
        room=running.pipeline.room(device_id),
        priority=running.pipeline.priority(device_id).value,
        state="connected" if known.gone is None else "disconnected",
        link=known.hello.link,
        firmware=known.hello.firmware,
        since=known.since,
        reason="" if known.gone is None else running.register.why_not(device_id) or known.gone.reason,
        counters={} if on_link is None else asdict(on_link.counters),
        name=running.pipeline.device_name(device_id),
        has_key=running.register.key(device_id) is not None,
        drift_ppm=None if on_link is None else on_link.drift_ppm,
        level=levels.get(device_id),
    )


def _refused(refusal: Refusal) -> RefusedDevice:
    event = refusal.event
    return RefusedDevice(
        device_id=event.device_id,
        link=event.link,
        fault=FaultCode(event.code).name,
        reason=event.reason,
        since=refusal.since,
        times=refusal.times,
    )


def _link(info: LinkInfo, devices: tuple[str, ...], running: RunningParts, *, whole: bool) -> Link:
    """``whole``: with what was printed there by nobody knows whom."""
    return Link(
        link=info.name,
        up=info.up,
        reason=info.reason,
        remedy=info.remedy,
        devices=devices,
        counters=asdict(info.counters) if info.counters else {},
        lines=running.pipeline.logs.lines(info.name) if whole else (),
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
        summary="The devices that are connected or expected back", answer=DeviceList, carry=Carry.TO_ALL,
    ),
    Operation(
        name="showDevice", method="GET", path="/devices/{device_id}", right=Right.LISTEN, run=show_device,
        summary="One device", path_type=DeviceName, answer=Device, problems=(HTTPStatus.NOT_FOUND,),
        carry=Carry.TO_ITS_GATEWAY,
    ),
    Operation(
        name="forgetDevice", method="DELETE", path="/devices/{device_id}", right=Right.OPERATE, run=forget_device,
        summary="Forget a device that is away for good", path_type=DeviceName,
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT), carry=Carry.TO_ITS_GATEWAY,
    ),
    Operation(
        name="showDeviceLog", method="GET", path="/devices/{device_id}/log", right=Right.OPERATE, run=show_log,
        summary="What a device has printed lately", path_type=DeviceName, query=After, answer=DeviceLogPage,
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
        carry=Carry.TO_ITS_GATEWAY,
    ),
    Operation(
        name="showDeviceLogin", method="GET", path="/devices/{device_id}/mqtt", right=Right.OPERATE, run=show_login,
        summary="What a device logs in with at the gateway's own MQTT broker", path_type=DeviceName, answer=Login,
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        name="listLinks", method="GET", path="/links", right=Right.OPERATE, run=list_links,
        summary="The serial ports and MQTT: what is wrong with them, and what came over them", answer=LinkList,
    ),
    Operation(
        name="listSessions", method="GET", path="/sessions", right=Right.LISTEN, run=list_sessions,
        summary="The sessions that are open", answer=SessionList, carry=Carry.TO_ALL,
    ),
)  # fmt: skip
