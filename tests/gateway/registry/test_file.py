"""The registry's file: changed by several processes, damaged, full, and looked at again."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.settings import KnownDevice
from gateway.registry.file import MAX_DEVICES, RegistryFile
from gateway.registry.records import (
    RegisteredDevice,
    RegistryError,
    RegistryUnreadable,
    RegistryUnwritable,
    Standing,
)

WHOLE = b'[{"device_id":"a","standing":"approved","changed_at":1.0}]'


@pytest.fixture
def file(tmp_path: Path) -> RegistryFile:
    return RegistryFile(tmp_path / "state", lambda: 1_800_000_000.0)


def test_no_file_is_nobody(file: RegistryFile) -> None:
    assert (file.read(), file.stamp()) == ({}, None)


def test_what_was_said_of_a_device_stays_until_something_else_is_said(file: RegistryFile) -> None:
    file.approve("kitchen", {"name": "Küche", "room": "Kitchen"})
    file.describe("kitchen", {"user": "ann", "room": ""})
    device = file.make_key("kitchen")
    assert len(bytes.fromhex(device.key)) == 32
    assert file.read() == {
        "kitchen": RegisteredDevice(
            device_id="kitchen",
            standing=Standing.APPROVED,
            changed_at=1_800_000_000.0,
            key=device.key,
            facts=KnownDevice(name="Küche", user="ann"),
        )
    }


def test_who_is_revoked_has_no_key_and_who_is_denied_keeps_it(file: RegistryFile) -> None:
    key = file.make_key("kitchen").key
    assert (file.deny("kitchen").key, file.read()["kitchen"].is_welcome) == (key, False)
    assert file.approve("kitchen").key == key
    revoked = file.revoke("kitchen")
    assert (revoked.key, revoked.standing, file.read()["kitchen"].is_welcome) == ("", Standing.REVOKED, False)
    assert file.approve("kitchen").key == ""


def test_each_key_is_another(file: RegistryFile) -> None:
    assert len({file.make_key("kitchen").key for _ in range(5)}) == 5


def test_who_is_removed_was_never_there(file: RegistryFile) -> None:
    file.deny("kitchen")
    file.remove("kitchen")
    assert file.read() == {}
    with pytest.raises(RegistryError, match="nobody has written down a device 'kitchen'"):
        file.remove("kitchen")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[1]", b"[{}]", b"\xff", b"[" * 100_000, b"x" * (4 * 1024 * 1024 + 1),
        *(WHOLE[:length] for length in range(1, len(WHOLE), 7)),
        *(
            WHOLE.replace(*other)
            for other in (
                (b"approved", b"king"), (b'"a"', b'"a b"'), (b'"a"', b'"web-panel"'), (b"1.0", b'1.0,"key":"00"'),
                (b"1.0", b'1.0,"more":1'),
            )
        ),
    ],
    ids=lambda data: data[:20],
)  # fmt: skip
def test_a_file_that_is_none(file: RegistryFile, data: bytes) -> None:
    """Also one that somebody has half written; what is damaged is somebody's to look at."""
    file.approve("kitchen")
    file.path.write_bytes(data)
    with pytest.raises(RegistryUnreadable):
        file.read()
    for change in (file.approve, file.deny, file.revoke, file.make_key, file.remove):
        with pytest.raises(RegistryUnreadable):
            change("kitchen")
    assert file.path.read_bytes() == data


@given(st.binary(max_size=200))
def test_any_bytes_are_a_register_or_unreadable(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = RegistryFile(tmp_path_factory.getbasetemp())
    file.path.write_bytes(data)
    try:
        assert isinstance(file.read(), dict)
    except RegistryUnreadable as error:
        assert str(file.path) in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize("device_id", ["", "a b", "a/b", "ä", "x" * 65, "a\n", "../x", "$", "web-panel"])
def test_no_board_is_called_that(file: RegistryFile, device_id: str) -> None:
    for change in (file.approve, file.deny, file.revoke, file.make_key):
        with pytest.raises(RegistryError) as caught:
            change(device_id)
        assert str(caught.value).isprintable()
    assert file.read() == {}


@pytest.mark.parametrize(
    "facts", [{"name": "x" * 65}, {"room": "x" * 65}, {"user": "a b"}, {"priority": "now"}], ids=repr
)
def test_no_device_is_described_like_that(file: RegistryFile, facts: dict[str, str]) -> None:
    with pytest.raises(RegistryError):
        file.describe("kitchen", facts)
    assert file.read() == {}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryUnwritable, match="cannot be written"):
        RegistryFile(tmp_path / "file").approve("kitchen")


def test_the_longest_register_fits_and_no_longer_one_is_made(file: RegistryFile) -> None:
    file.approve("kitchen")
    longest = RegisteredDevice(
        device_id="x",
        standing=Standing.APPROVED,
        changed_at=1_800_000_000.123456,
        key="0" * 64,
        facts=KnownDevice(name="ö" * 64, room="ö" * 64, user="u" * 64, priority="background"),
    )
    many = [msgspec.structs.replace(longest, device_id=f"{i:064}") for i in range(MAX_DEVICES)]
    file.path.write_bytes(msgspec.json.encode(many))
    file.deny(f"{7:064}")
    assert len(file.read()) == MAX_DEVICES
    with pytest.raises(RegistryError, match=f"{MAX_DEVICES} devices already"):
        file.approve("one-too-many")
    assert len(file.read()) == MAX_DEVICES


def test_every_change_has_another_stamp(file: RegistryFile) -> None:
    stamps = [file.stamp()]
    for change in (file.approve, file.make_key, file.revoke, file.remove):
        change("kitchen")
        stamps.append(file.stamp())
    assert len(set(stamps)) == 5


def test_the_modes_are_nobody_elses(file: RegistryFile) -> None:
    file.make_key("kitchen")
    assert file.path.parent.stat().st_mode & 0o777 == 0o700
    for one in file.path.parent.iterdir():
        assert one.stat().st_mode & 0o777 == 0o600, one


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, 12_345)
    RegistryFile(tmp_path).approve("kitchen")
    for one in tmp_path.iterdir():
        assert (one.stat().st_uid, one.stat().st_gid) == (12_345, 12_345), one


def _approve_some(folder: Path, prefix: str) -> None:
    for number in range(10):
        RegistryFile(folder).approve(f"{prefix}{number}")


@pytest.mark.slow
def test_several_processes_lose_nothing_of_each_others(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_approve_some, args=(tmp_path, prefix)) for prefix in ("a", "b", "c")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(RegistryFile(tmp_path).read()) == 30
