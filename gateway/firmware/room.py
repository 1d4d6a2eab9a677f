"""The folder of firmware beside the journal: images, to whom they are offered, and how far devices have come.

``earshot firmware`` and the API change images and rollouts, each alone and whole; the running gateway looks at them
again when they have changed, and alone writes how far devices have come.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias, TypeVar

from msgspec import Struct, structs

from firmware_bridge.images.image_file import (
    MOST_OF_HEAD,
    SUFFIX,
    BadImage,
    Manifest,
    checked,
    read_manifest,
)
from gateway.access.private_files import (
    Stamp,
    alone,
    open_private,
    refuse_links,
    stamp_of,
    write_private,
)
from gateway.access.private_records import PrivateRecords
from gateway.firmware.records import (
    FirmwareError,
    FirmwareUnreadable,
    FirmwareUnwritable,
    NoSuchImage,
    Rollout,
    UpdateProgress,
)
from gateway.firmware.standby import FOLDER

ROLLOUTS = "rollouts.json"
PROGRESS = "progress.json"
MOST_IMAGES = 32
MOST_NAMED = 256
"""Devices or rooms that a rollout names."""

Stamps: TypeAlias = tuple[Stamp, Stamp]
_Row = TypeVar("_Row", bound=Struct)


class FirmwareRoom:
    """The folder, and what may be done in it from any process. Everything raises FirmwareError."""

    def __init__(self, state_folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = state_folder / FOLDER
        self._rollouts = self._records(ROLLOUTS, Rollout)
        self._progress = self._records(PROGRESS, UpdateProgress)
        self._clock = clock

    def stamps(self) -> Stamps:
        """Others when images or rollouts have changed."""
        return stamp_of(self.folder), self._rollouts.stamp()

    # -- images

    def images(self) -> list[Manifest]:
        """What the images say of themselves, by kind and number. What is none is left out.

        Raises FirmwareUnreadable where that is not to be known now.
        """
        found = []
        for path in self._files():
            try:
                found.append(self._head(path)[0])
            except (BadImage, FileNotFoundError):
                continue
            except OSError as error:
                raise _unreadable(path, error) from error
        return sorted(found, key=lambda one: (one.kind, one.number))

    def add(self, data: bytes) -> Manifest:
        """Keep a signed image; signed again it takes the place of what it was. Raises BadImage for what is none."""
        manifest = checked(data)
        with self._changing():
            self._check_room(manifest)
            rollouts = self.rollouts()
            write_private(self._path(manifest), data)
            if any(one.sha256 == manifest.sha256 for one in rollouts):  # the circle is what it was
                self._rollouts.write([_renumbered(one, manifest) for one in rollouts])
        return manifest

    def _check_room(self, manifest: Manifest) -> None:
        there = [one for one in self.images() if one.sha256 != manifest.sha256]
        for one in there:
            if (one.kind, one.version) == (manifest.kind, manifest.version):
                what = f"there is another image {one.version} for {one.kind}"
                raise FirmwareError(
                    f"{what}\nremedy: earshot firmware remove {one.version}, or another version"
                )
        if len(there) >= MOST_IMAGES:
            raise FirmwareError(
                f"there are {MOST_IMAGES} images already\nremedy: earshot firmware remove VERSION"
            )

    def remove(self, version: str, kind: str = "") -> list[Manifest]:
        """Images of that version, of all kinds or one; nobody is offered them any more."""
        with self._changing():
            gone = self._named(version, kind)
            for manifest in gone:
                self._path(manifest).unlink(missing_ok=True)
            sums = {manifest.sha256 for manifest in gone}
            self._rollouts.write([one for one in self.rollouts() if one.sha256 not in sums])
        return gone

    def read(self, manifest: Manifest, offset: int, end: int) -> bytes:
        """A part of an image. Raises FirmwareUnreadable."""
        try:
            with self._opened(self._path(manifest)) as file:
                there, start = read_manifest(os.pread(file, MOST_OF_HEAD, 0))
                data = os.pread(file, end - offset, start + offset)
        except (OSError, BadImage) as error:
            raise FirmwareUnreadable(f"{self._path(manifest)}: {error}") from error
        if there != manifest or len(data) != end - offset:
            raise FirmwareUnreadable(f"{self._path(manifest)} is not what it was")
        return data

    # -- rollouts

    def rollouts(self) -> list[Rollout]:
        """To whom images are offered. Raises FirmwareUnreadable."""
        return self._rollouts.read()

    def offer(
        self, version: str, *, kind: str = "", device: str = "", room: str = "", everybody: bool = False
    ) -> list[Rollout]:
        """Widen the circle; a device that is named gets it though it had it before. Goes on what was paused."""
        now = self._clock()

        def widened(rollout: Rollout) -> Rollout:
            again = {**rollout.again, device: now} if device else rollout.again
            names = tuple(dict.fromkeys((*rollout.devices, *([device] if device else []))))
            rooms = tuple(dict.fromkeys((*rollout.rooms, *([room] if room else []))))
            if max(len(names), len(rooms), len(again)) > MOST_NAMED:
                raise FirmwareError(f"a rollout names at most {MOST_NAMED} devices and rooms")
            return structs.replace(
                rollout, devices=names, rooms=rooms, everybody=rollout.everybody or everybody,
                again=again, offered_at=now, counted_from=now, paused="",
            )  # fmt: skip

        return self._change(version, kind, widened, make=True)

    def pause(self, version: str, kind: str = "", reason: str = "somebody said so") -> list[Rollout]:
        """Offer it to nobody until somebody says so; who fetches it stops."""
        return self._change(version, kind, lambda one: structs.replace(one, paused=one.paused or reason))

    def resume(self, version: str, kind: str = "") -> list[Rollout]:
        """Go on; devices that broke before do not count any more."""
        now = self._clock()
        return self._change(version, kind, lambda one: structs.replace(one, paused="", counted_from=now))

    def stop(self, stopped: dict[str, str]) -> None:
        """Rollouts that the gateway pauses, by their image's SHA-256, and why."""
        with self._changing():
            self._rollouts.write(
                [
                    structs.replace(one, paused=one.paused or stopped.get(one.sha256, ""))
                    for one in self.rollouts()
                ]
            )

    def _change(
        self, version: str, kind: str, how: Callable[[Rollout], Rollout], *, make: bool = False
    ) -> list[Rollout]:
        with self._changing():
            there = {one.sha256: one for one in self.rollouts()}
            images = self._named(version, kind)
            if not make and not any(image.sha256 in there for image in images):
                raise FirmwareError(f"{version} is offered to nobody")
            changed = [
                how(self._rollout(image, there.get(image.sha256)))
                for image in images
                if make or image.sha256 in there
            ]
            there |= {one.sha256: one for one in changed}
            kept = {image.sha256 for image in self.images()}
            self._rollouts.write([one for one in there.values() if one.sha256 in kept])
        return changed

    def _rollout(self, image: Manifest, before: Rollout | None) -> Rollout:
        if before is not None:
            return _renumbered(before, image)
        now = self._clock()
        return Rollout(
            sha256=image.sha256,
            number=image.number,
            kind=image.kind,
            version=image.version,
            offered_at=now,
            counted_from=now,
        )

    # -- how far devices have come

    def progress(self) -> list[UpdateProgress]:
        """As the running gateway wrote it last. Raises FirmwareUnreadable."""
        return self._progress.read()

    def write_progress(self, rows: list[UpdateProgress]) -> None:
        """Only the running gateway does."""
        self._progress.write(rows)

    # -- inside

    def _records(self, name: str, of: type[_Row]) -> PrivateRecords[_Row]:
        return PrivateRecords(self.folder / name, of, FirmwareUnreadable, FirmwareUnwritable)

    def _named(self, version: str, kind: str) -> list[Manifest]:
        found = [one for one in self.images() if one.version == version and kind in ("", one.kind)]
        if not found:
            of = f" for {kind}" if kind else ""
            raise NoSuchImage(f"there is no image {version!r:.80}{of}; `earshot firmware list` shows them")
        return found

    def _files(self) -> list[Path]:
        """Without what is no file of ours: nobody opens that."""
        try:
            return sorted(path for path in self.folder.iterdir() if path.suffix == SUFFIX and _is_own(path))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(self.folder, error) from error

    def _path(self, manifest: Manifest) -> Path:
        return self.folder / f"{manifest.sha256[:32]}{SUFFIX}"

    def _head(self, path: Path) -> tuple[Manifest, int]:
        with self._opened(path) as file:
            return read_manifest(os.pread(file, MOST_OF_HEAD, 0))

    @contextmanager
    def _opened(self, path: Path) -> Iterator[int]:
        file = open_private(path, os.O_RDONLY)
        try:
            yield file
        finally:
            os.close(file)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with alone(self._rollouts.path):
                yield
        except OSError as error:
            raise FirmwareUnwritable(f"{self.folder} cannot be written: {error.strerror or error}") from error


def _renumbered(rollout: Rollout, image: Manifest) -> Rollout:
    return structs.replace(rollout, number=image.number) if rollout.sha256 == image.sha256 else rollout


def _is_own(path: Path) -> bool:
    with suppress(OSError):
        refuse_links(path)
        return True
    return False


def _unreadable(path: Path, error: OSError) -> FirmwareUnreadable:
    return FirmwareUnreadable(f"{path} cannot be read: {error.strerror or error}")
