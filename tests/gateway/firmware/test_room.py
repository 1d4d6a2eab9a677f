"""The folder of firmware: what lies in it is signed and whole, changed by one at a time, and read in parts."""

from __future__ import annotations

import os
import resource
from functools import cache
from pathlib import Path

import pytest

from firmware_bridge.images.image_file import MOST_BYTES, BadImage, read_manifest, signed_image
from firmware_bridge.images.signing import new_key
from gateway.firmware.records import (
    FirmwareError,
    FirmwareUnreadable,
    FirmwareUnwritable,
    NoSuchImage,
    Stage,
    UpdateProgress,
)
from gateway.firmware.room import MOST_IMAGES, FirmwareRoom


@cache
def key() -> bytes:
    return new_key()


def signed(version: str = "2.0", *, kind: str = "s3", number: int = 1, image: bytes = b"") -> bytes:
    what = image or f"firmware {version} {kind}".encode() * 100
    return signed_image(what, kind=kind, version=version, number=number, private=key())


@pytest.fixture
def room(tmp_path: Path) -> FirmwareRoom:
    return FirmwareRoom(tmp_path)


def test_there_is_nothing_at_first(room: FirmwareRoom) -> None:
    assert room.images() == room.rollouts() == room.progress() == []
    assert not room.folder.exists()


def test_an_image_is_kept_whole_and_read_in_parts(room: FirmwareRoom) -> None:
    file = signed()
    manifest = room.add(file)
    assert room.images() == [manifest]
    start = read_manifest(file)[1]
    assert room.read(manifest, 10, 50) == file[start + 10 : start + 50]
    assert room.read(manifest, 0, manifest.size) == file[start:]


def test_only_what_is_signed_and_whole_is_kept(room: FirmwareRoom) -> None:
    for wrong in (b"", signed()[:-1], signed().replace(b"2.0", b"2.1", 1), bytes(MOST_BYTES)):
        with pytest.raises(BadImage):
            room.add(wrong)
    assert room.images() == []


def test_files_are_for_nobody_else(room: FirmwareRoom) -> None:
    room.add(signed())
    room.offer("2.0", everybody=True)
    assert room.folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o177 == 0 for path in room.folder.iterdir())


def test_a_folder_that_cannot_be_read_is_told(room: FirmwareRoom) -> None:
    room.folder.write_bytes(b"no folder")
    with pytest.raises(FirmwareUnreadable):
        room.images()
    with pytest.raises(FirmwareUnwritable):
        room.add(signed())


def test_signed_again_it_takes_its_own_place(room: FirmwareRoom) -> None:
    room.add(signed())
    again = room.add(signed(number=7))
    assert room.images() == [again]


def test_signed_again_its_circle_is_what_it_was(room: FirmwareRoom) -> None:
    room.add(signed())
    room.offer("2.0", device="kitchen")
    room.pause("2.0")
    room.add(signed(number=7))
    (rollout,) = room.rollouts()
    assert (rollout.number, rollout.circle, bool(rollout.paused)) == (7, "kitchen", True)


def test_another_image_of_the_same_name_is_refused(room: FirmwareRoom) -> None:
    room.add(signed())
    room.add(signed(kind="c3"))
    with pytest.raises(FirmwareError, match=r"another image 2.0 for s3"):
        room.add(signed(image=b"something else"))


def test_there_is_room_for_so_many(room: FirmwareRoom) -> None:
    for number in range(MOST_IMAGES):
        room.add(signed(f"1.{number}"))
    with pytest.raises(FirmwareError, match="32 images"):
        room.add(signed("2.0"))
    room.remove("1.0")
    room.add(signed("2.0"))


def test_what_is_no_image_is_not_listed(room: FirmwareRoom) -> None:
    room.add(signed())
    (room.folder / "x.earshot").write_bytes(b"nonsense")
    (room.folder / "y.earshot").symlink_to("/etc/passwd")
    assert len(room.images()) == 1


def test_a_folder_that_is_none_is_told(tmp_path: Path, room: FirmwareRoom) -> None:
    (tmp_path / "firmware").write_bytes(b"")
    with pytest.raises(FirmwareUnreadable, match="firmware cannot be read: Not a directory"):
        room.images()
    with pytest.raises(FirmwareError):
        room.add(signed())


def test_for_want_of_descriptors_nothing_is_taken_for_gone(room: FirmwareRoom) -> None:
    room.add(signed())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(free := os.dup(0))  # the lowest number that is left: the folder has it, and no image
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(FirmwareUnreadable, match="cannot be read: Too many open files"):
            room.images()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_image_that_was_changed_is_not_handed_out(room: FirmwareRoom) -> None:
    manifest = room.add(signed())
    (path,) = room.folder.glob("*.earshot")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FirmwareUnreadable):
        room.read(manifest, 0, manifest.size)
    path.unlink()
    with pytest.raises(FirmwareUnreadable):
        room.read(manifest, 0, 10)


def test_the_circle_grows(room: FirmwareRoom) -> None:
    room.add(signed())
    assert room.offer("2.0", device="kitchen")[0].circle == "kitchen"
    assert room.offer("2.0", device="kitchen")[0].circle == "kitchen"
    (wide,) = room.offer("2.0", room="Hall")
    assert (wide.circle, wide.everybody) == ("kitchen, room Hall", False)
    assert room.offer("2.0", everybody=True)[0].circle == "all of s3"
    assert room.rollouts()[0].devices == ("kitchen",)


def test_a_version_means_all_kinds_unless_one_is_named(room: FirmwareRoom) -> None:
    room.add(signed())
    room.add(signed(kind="c3"))
    assert {one.kind for one in room.offer("2.0", everybody=True)} == {"s3", "c3"}
    assert [one.kind for one in room.pause("2.0", "c3")] == ["c3"]
    with pytest.raises(NoSuchImage):
        room.offer("2.0", kind="p4", everybody=True)
    with pytest.raises(NoSuchImage):
        room.offer("9.0", everybody=True)


def test_paused_resumed_and_stopped(room: FirmwareRoom) -> None:
    manifest = room.add(signed())
    with pytest.raises(FirmwareError, match="nobody"):
        room.pause("2.0")
    room.offer("2.0", everybody=True)
    assert room.pause("2.0")[0].paused
    assert not room.resume("2.0")[0].paused
    room.stop({manifest.sha256: "stopped by itself: two"})
    assert room.rollouts()[0].stopped_itself
    room.stop({manifest.sha256: "stopped by itself: three"})
    assert room.rollouts()[0].paused.endswith("two"), "the first reason is the reason"
    assert not room.offer("2.0", device="kitchen")[0].paused


def test_what_is_removed_is_offered_to_nobody(room: FirmwareRoom) -> None:
    room.add(signed())
    room.offer("2.0", everybody=True)
    room.remove("2.0")
    assert room.images() == room.rollouts() == []


def test_a_change_is_seen_by_its_stamp(room: FirmwareRoom) -> None:
    stamps = [room.stamps()]
    for change in (
        lambda: room.add(signed()),
        lambda: room.offer("2.0", everybody=True),
        lambda: room.pause("2.0"),
        lambda: room.remove("2.0"),
    ):
        change()
        stamps.append(room.stamps())
    assert len(set(stamps)) == len(stamps)


def test_how_far_devices_came_is_kept(room: FirmwareRoom) -> None:
    row = UpdateProgress(
        device_id="kitchen", sha256="0" * 64, number=1, version="2.0", stage=Stage.FETCHING, at=1.0, size=200, offset=86
    )  # fmt: skip
    room.write_progress([row])
    assert room.progress() == [row]
    assert row.words == "fetching, 43 %"


@pytest.mark.parametrize("damage", [b"", b"{", b'[{"sha256": 1}]', b"[" * 5000])
def test_a_damaged_file_says_so_and_changes_nothing(room: FirmwareRoom, damage: bytes) -> None:
    room.add(signed())
    room.offer("2.0", everybody=True)
    (room.folder / "rollouts.json").write_bytes(damage)
    with pytest.raises(FirmwareUnreadable, match="damaged"):
        room.rollouts()
    with pytest.raises(FirmwareUnreadable):
        room.pause("2.0")
