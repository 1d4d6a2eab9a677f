"""The device registry: who may come in, with which key, and what devices are called. One for the whole house."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.access.principals import Right
from gateway.registry.file import RegistryFile
from gateway.registry.records import RegistryError, RegistryUnreadable, RegistryUnwritable
from gateway.web.api.devices import DeviceName, Registration, registration
from gateway.web.api.operation import AnyCall, Call, Operation
from gateway.web.entrance.problems import Problem, unavailable

_Changed = TypeVar("_Changed")


class DeviceFacts(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is to be changed; an empty text takes it back. What config.yaml says of the device wins."""

    name: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    room: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    user: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,64}$")] | UnsetType = UNSET
    priority: Literal["", "urgent", "normal", "background"] | UnsetType = UNSET


class DeviceKey(Struct, frozen=True, kw_only=True):
    """What the device proves that it has: 32 bytes as 64 hexadecimal digits. It is not shown again."""

    device_id: str
    key: str


async def approve_device(call: Call[DeviceName, None, None]) -> Registration:
    """From its next HELLO on it is welcome."""
    return registration(await _change(call, RegistryFile.approve))


async def deny_device(call: Call[DeviceName, None, None]) -> Registration:
    """Cut off, and refused."""
    return registration(await _change(call, RegistryFile.deny))


async def revoke_device(call: Call[DeviceName, None, None]) -> Registration:
    """The same, and its key is forgotten."""
    return registration(await _change(call, RegistryFile.revoke))


async def make_key(call: Call[DeviceName, None, None]) -> DeviceKey:
    """A device that is here has to prove itself at once."""
    device = await _change(call, RegistryFile.make_key)
    return DeviceKey(device_id=device.device_id, key=device.key)


async def describe_device(call: Call[DeviceName, None, DeviceFacts]) -> Registration:
    """Who is nobody yet is approved with that."""
    facts: dict[str, str] = msgspec.to_builtins(call.body)
    return registration(await _change(call, lambda file, device_id: file.describe(device_id, facts)))


async def unregister_device(call: Call[DeviceName, None, None]) -> None:
    """From now on devices.unknown holds for it."""
    await _change(call, RegistryFile.remove)


async def _change(call: AnyCall, change: Callable[[RegistryFile, str], _Changed]) -> _Changed:
    """Once it holds: the links know of it before the answer leaves. Raises Problem."""
    register = call.parts.running().register
    try:
        changed = await asyncio.to_thread(change, register.file, call.path.device_id)
    except (RegistryUnreadable, RegistryUnwritable) as error:
        raise unavailable(str(error), "look at devices.json beside the journal") from error
    except RegistryError as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from error
    await register.look()
    return changed


_PROBLEMS = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)

OPERATIONS = (
    Operation(
        name="describeDevice", method="PATCH", path="/devices/{device_id}", right=Right.GOVERN, run=describe_device,
        summary="What a device is called, where it is, whose, and how urgent", path_type=DeviceName, body=DeviceFacts,
        answer=Registration, problems=(HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, *_PROBLEMS),
    ),
    Operation(
        name="approveDevice", method="POST", path="/devices/{device_id}/approve", right=Right.GOVERN,
        run=approve_device, summary="Let a device in, also one that was denied or revoked", path_type=DeviceName,
        answer=Registration, problems=_PROBLEMS,
    ),
    Operation(
        name="denyDevice", method="POST", path="/devices/{device_id}/deny", right=Right.GOVERN, run=deny_device,
        summary="Cut a device off, and refuse it", path_type=DeviceName, answer=Registration, problems=_PROBLEMS,
    ),
    Operation(
        name="revokeDevice", method="POST", path="/devices/{device_id}/revoke", right=Right.GOVERN, run=revoke_device,
        summary="Cut a device off, forget its key, and refuse it", path_type=DeviceName, answer=Registration,
        problems=_PROBLEMS,
    ),
    Operation(
        name="makeDeviceKey", method="POST", path="/devices/{device_id}/key", right=Right.GOVERN, run=make_key,
        summary="A new key, without which a device of this id is refused from now on", path_type=DeviceName,
        answer=DeviceKey, problems=_PROBLEMS,
    ),
    Operation(
        name="unregisterDevice", method="POST", path="/devices/{device_id}/unregister", right=Right.GOVERN,
        run=unregister_device, summary="Forget what was approved, denied, named or given as a key",
        path_type=DeviceName, problems=_PROBLEMS,
    ),
)  # fmt: skip
