"""Firmware over the air: images, to whom they are offered, and how far devices have come. One for the whole house."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, TypeVar

from aiohttp import web
from msgspec import Meta, Struct

from firmware_bridge.images.image_file import MOST_BYTES, MOST_OF_HEAD, BadImage, Manifest
from gateway.access.audit import What
from gateway.access.principals import Right
from gateway.firmware.records import FirmwareError, FirmwareUnreadable, FirmwareUnwritable, NoSuchImage
from gateway.firmware.told import FirmwareTold, told_of
from gateway.web.api.operation import AnyCall, Call, Operation
from gateway.web.entrance.problems import Problem, misfit, not_found, unavailable

if TYPE_CHECKING:
    from gateway.firmware.room import FirmwareRoom

_MEDIA = ("application/octet-stream",)
_Result = TypeVar("_Result")
_Name = Annotated[str, Meta(min_length=1, max_length=64)]
_NameOrNone = Annotated[str, Meta(max_length=64)]


class Image(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which one. ``kind`` empty: that version for all kinds there are."""

    version: _Name
    kind: _NameOrNone = ""


class ImageOffer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which image for whom: one of a device, a room, and everybody of its kind; each time the circle grows."""

    version: _Name
    kind: _NameOrNone = ""
    device: Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?$", max_length=64)] = ""
    room: _NameOrNone = ""
    everybody: bool = False


async def show_firmware(call: Call[None, None, None]) -> FirmwareTold:
    """All of it, as the gateway wrote it some seconds ago."""
    return await _done(call, told_of)


async def add_image(call: Call[None, None, None]) -> Manifest:
    """Nobody is offered it yet."""
    data = await _body(call.request)
    manifest = await _done(call, lambda room: room.add(data))
    _note(call, f"{manifest.version} for {manifest.kind} added")
    return manifest


async def offer_image(call: Call[None, None, ImageOffer]) -> FirmwareTold:
    """What was paused goes on."""
    wish = call.body
    if [bool(wish.device), bool(wish.room), wish.everybody].count(True) != 1:
        raise misfit("", "say one of device, room and everybody")
    circle = {"device": wish.device, "room": wish.room, "everybody": wish.everybody}
    await _done(call, lambda room: room.offer(wish.version, kind=wish.kind, **circle))  # type: ignore[arg-type]
    _note(call, f"offer {wish.version} to {wish.device or wish.room or 'all'}")
    return await _done(call, told_of)


async def pause_image(call: Call[None, None, Image]) -> FirmwareTold:
    """Devices that fetch it stop, and keep what they have."""
    return await _change(call, "pause", lambda room, image: room.pause(image.version, image.kind))


async def resume_image(call: Call[None, None, Image]) -> FirmwareTold:
    """Devices that broke before do not count any more."""
    return await _change(call, "resume", lambda room, image: room.resume(image.version, image.kind))


async def remove_image(call: Call[None, None, Image]) -> FirmwareTold:
    """Devices that run it go on with it."""
    return await _change(call, "remove", lambda room, image: room.remove(image.version, image.kind))


async def _change(
    call: Call[None, None, Image], verb: str, change: Callable[[FirmwareRoom, Image], object]
) -> FirmwareTold:
    await _done(call, lambda room: change(room, call.body))
    _note(call, f"{verb} {call.body.version}")
    return await _done(call, told_of)


async def _done(call: AnyCall, work: Callable[[FirmwareRoom], _Result]) -> _Result:
    """In the gateway's folder, which it looks at within a second. Raises Problem."""
    from gateway.firmware.room import FirmwareRoom  # noqa: PLC0415 - where somebody asks

    if call.parts.folder is None:
        raise Problem(HTTPStatus.CONFLICT, "this gateway keeps nothing")
    try:
        return await asyncio.to_thread(work, FirmwareRoom(call.parts.folder))
    except BadImage as error:
        raise misfit("body", str(error)) from error
    except NoSuchImage as error:
        raise not_found("image") from error
    except (FirmwareUnreadable, FirmwareUnwritable) as error:
        raise unavailable(str(error), "look at the folder firmware beside the journal") from error
    except FirmwareError as error:
        reason, _, remedy = str(error).partition("\nremedy: ")
        raise Problem(HTTPStatus.CONFLICT, reason, remedy=remedy) from error
    except ImportError as error:
        raise unavailable(
            "signatures need the package cryptography", "install earshot-gateway[firmware]"
        ) from error


async def _body(request: web.Request) -> bytes:
    most = MOST_BYTES + MOST_OF_HEAD
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > most:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an image has at most {MOST_BYTES} bytes")
    return bytes(data)


def _note(call: AnyCall, change: str) -> None:
    call.parts.audit.note(What.FIRMWARE, change=change, by=call.principal.name)


_PROBLEMS = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
_BODY = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, *_PROBLEMS)

OPERATIONS = (
    Operation(
        name="showFirmware", method="GET", path="/firmware", right=Right.GOVERN, run=show_firmware,
        summary="Firmware images, to whom they are offered, and how far devices have come", answer=FirmwareTold,
        problems=(HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Operation(
        name="addFirmware", method="POST", path="/firmware", right=Right.GOVERN, run=add_image,
        summary="Keep a signed firmware image", uploads=_MEDIA, answer=Manifest,
        problems=(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, *_PROBLEMS),
    ),
    Operation(
        name="offerFirmware", method="POST", path="/firmware/offer", right=Right.GOVERN, run=offer_image,
        summary="Offer an image to a device, a room, or all of its kind", body=ImageOffer, answer=FirmwareTold,
        problems=_BODY,
    ),
    Operation(
        name="pauseFirmware", method="POST", path="/firmware/pause", right=Right.GOVERN, run=pause_image,
        summary="Offer an image to nobody for now", body=Image, answer=FirmwareTold, problems=_BODY,
    ),
    Operation(
        name="resumeFirmware", method="POST", path="/firmware/resume", right=Right.GOVERN, run=resume_image,
        summary="Go on with an image that was paused, or that stopped by itself", body=Image, answer=FirmwareTold,
        problems=_BODY,
    ),
    Operation(
        name="removeFirmware", method="POST", path="/firmware/remove", right=Right.GOVERN, run=remove_image,
        summary="Forget an image; nobody is offered it any more", body=Image, answer=FirmwareTold, problems=_BODY,
    ),
)  # fmt: skip
