"""Firmware over the API: kept, offered, paused, resumed and removed by whoever governs, and by nobody else."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.images.image_file import MOST_BYTES, signed_image
from firmware_bridge.images.signing import new_key
from gateway.access.principals import Right
from gateway.firmware.room import FirmwareRoom
from gateway.web.api.firmware import OPERATIONS
from tests.gateway.web.api.served import Served, open_served

OCTETS = {"Content-Type": "application/octet-stream"}


@cache
def file(version: str = "2.0") -> bytes:
    return signed_image(b"firmware", kind="s3", version=version, number=5, private=new_key())


async def add(served: Served, data: bytes | io.BytesIO, status: int = 200) -> Any:
    return await served.call("POST", "/firmware", status, data=data, headers=OCTETS)


async def post(served: Served, verb: str, status: int = 200, **body: Any) -> Any:
    return await served.call("POST", f"/firmware/{verb}", status, json=body)


def test_all_of_it_is_for_who_governs() -> None:
    assert {one.right for one in OPERATIONS} == {Right.GOVERN}


async def test_an_image_goes_its_way(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        assert (await served.get("/firmware"))["images"] == []
        assert (await add(served, file()))["version"] == "2.0"
        told = await post(served, "offer", version="2.0", device="kitchen")
        assert told["rollouts"][0]["circle"] == "kitchen"
        assert (await post(served, "pause", version="2.0"))["rollouts"][0]["paused"]
        assert not (await post(served, "resume", version="2.0"))["rollouts"][0]["paused"]
        assert FirmwareRoom(tmp_path).rollouts()[0].devices == ("kitchen",)
        told = await post(served, "remove", version="2.0")
        assert (told["images"], told["rollouts"]) == ([], [])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"version": "2.0"}, 422),
        ({"version": "2.0", "device": "a", "room": "b"}, 422),
        ({"version": "2.0", "device": "no such/id"}, 422),
        ({"version": "", "everybody": True}, 422),
        ({"version": "2.0", "everybody": True, "more": 1}, 422),
        ({"version": "9.0", "everybody": True}, 404),
    ],
)
async def test_an_offer_that_makes_no_sense_is_refused(
    tmp_path: Path, body: dict[str, Any], status: int
) -> None:
    async with open_served(tmp_path) as served:
        await add(served, file())
        await post(served, "offer", status, **body)
        assert FirmwareRoom(tmp_path).rollouts() == []


async def test_what_is_no_signed_image_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        await add(served, b"nonsense", 422)
        await add(served, file()[:-1], 422)
        await add(served, io.BytesIO(bytes(MOST_BYTES + 5000)), 413)
        assert FirmwareRoom(tmp_path).images() == []
        await add(served, file())
        other = signed_image(b"other", kind="s3", version="2.0", number=6, private=new_key())
        told = await add(served, other, 409)
        assert told["detail"] == "there is another image 2.0 for s3"
        assert told["remedy"] == "earshot firmware remove 2.0, or another version"
