"""Firmware over the air at work: the folder watched, devices offered and handed what is theirs, and all of it told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog
from msgspec import structs

from firmware_bridge.images.image_file import Manifest
from firmware_bridge.images.serving import Helping, ImageServing
from firmware_bridge.link.events import (
    DeviceConnected,
    DeviceDisconnected,
    ImageAsked,
    ImageTold,
)
from firmware_bridge.link.frames import IMAGE_SIZE, Header, Image, Offer
from firmware_bridge.link.wires import MQTT, WEB
from gateway.access.audit import Audit, What
from gateway.contract.events import FirmwareEvent, HubEvent
from gateway.firmware.deployment import LEAST_PAYLOAD, Deployment
from gateway.firmware.records import BROKEN, FirmwareError, Rollout, Stage, UpdateProgress
from gateway.firmware.room import FirmwareRoom, Stamps
from gateway.firmware.standby import LOOK_SECONDS, OfImages
from gateway.observing.health import Health, HealthState

log = structlog.get_logger(__name__)

COMPONENT = "firmware"
KEEP_SECONDS = 2.0
"""How far devices have come is written at most so often."""
NETWORK_BYTES_PER_SECOND = 128_000.0
SERIAL_SHARE = 0.5
"""Of a serial line: the rest is for what is said and answered."""
_UNREAD: Stamps = ((0, 0, 0), (0, 0, 0))
_REMEDY = "earshot firmware status shows which; earshot firmware resume VERSION goes on"


class ImageLinks(Protocol):
    """The way to the devices."""

    def send_image(self, device_id: str, boot: int, frame: Offer | Image) -> bool:
        """Behind all else. False: that boot is not here, or enough of it waits."""


class FirmwareAtWork:
    """All of it but signing. Everything but reading and writing files happens on the event loop."""

    def __init__(
        self,
        folder: Path,
        links: ImageLinks,
        *,
        room_of: Callable[[str], str],
        user_of: Callable[[str], str],
        baudrate: int,
        health: Health,
        publish: Callable[[HubEvent], None],
        audit: Audit,
    ) -> None:
        """``baudrate``: of serial lines. ``folder``: the gateway's, of what must not be lost."""
        self.room = FirmwareRoom(folder)
        self._links = links
        self._user_of = user_of
        self._serial_rate = baudrate / 10 * SERIAL_SHARE
        self._health, self._publish, self._audit = health, publish, audit
        self._deployment = Deployment(room_of)
        self._serving = ImageServing()
        self._boots: dict[str, int] = {}
        self._stamps: Stamps = _UNREAD
        self._there: tuple[list[Manifest], list[Rollout]] = ([], [])
        self._wake = asyncio.Event()
        self._unwritten: dict[str, str] = {}
        """Rollouts that stopped by themselves, and why, until that is written."""
        self._stop_at = 0.0
        self._dirty = False
        self._kept_at = 0.0

    # -- what devices say

    def hear(self, event: OfImages) -> None:
        """Take what a device says of images, or that it has come or gone."""
        now = time.monotonic()
        match event:
            case DeviceConnected():
                self._connected(event, now)
            case DeviceDisconnected():
                self._boots.pop(event.device_id, None)
                self._serving.dismiss(event.device_id)
                self._deployment.disconnected(event.device_id)
            case ImageTold():
                self._deployment.told(event, now)
                self._wake.set()
            case ImageAsked():
                self._asked(event, now)

    def _connected(self, event: DeviceConnected, now: float) -> None:
        if event.max_payload >= LEAST_PAYLOAD:
            self._boots[event.device_id] = event.boot
            rate = NETWORK_BYTES_PER_SECOND if event.link in (MQTT, WEB) else self._serial_rate
            self._serving.admit(event.device_id, piece=event.max_payload - IMAGE_SIZE, rate=rate)
        self._deployment.connected(event, now)
        self._wake.set()

    def _asked(self, event: ImageAsked, now: float) -> None:
        manifest = self._deployment.image_of(event.device_id, event.image)
        size = 0 if manifest is None else manifest.size
        if self._serving.ask(event.device_id, event.image, event.offset, event.length, size):
            self._deployment.asked(event.device_id, event.offset, now)
        else:  # it is told so as often as it asks, for it asks no more then
            self._send(event.device_id, Image(Header(), event.image, event.offset, b""))
        self._wake.set()

    # -- what goes on

    def progress(self) -> list[UpdateProgress]:
        """How far each device has come with the image that it was offered last."""
        return self._deployment.progress()

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._recall()
        while True:
            self._wake.clear()
            await self._look()
            self._offer()
            await self._serve()
            await self._tell()
            wait = self._serving.next_deadline() - asyncio.get_running_loop().time()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(wait, LOOK_SECONDS))):
                    await self._wake.wait()

    async def _recall(self) -> None:
        try:
            kept = await asyncio.to_thread(self.room.progress)
        except FirmwareError as error:
            log.warning("how far devices had come with their firmware is forgotten", reason=str(error))
            return
        self._deployment.recall(kept, time.monotonic())

    async def _look(self) -> None:
        """What lies on the disk is what there is. What cannot be read changes nothing."""
        stamps = self.room.stamps()
        if stamps == self._stamps:
            return
        try:
            images, rollouts = await asyncio.to_thread(lambda: (self.room.images(), self.room.rollouts()))
        except FirmwareError as error:
            self._health.set(COMPONENT, HealthState.DEGRADED, str(error), "restore it, or remove it")
            return
        self._stamps = stamps
        rollouts = [
            structs.replace(one, paused=one.paused or self._unwritten.get(one.sha256, "")) for one in rollouts
        ]
        if (images, rollouts) != self._there:  # how far devices are is written there, too
            self._there = images, rollouts
            self._deployment.take(images, rollouts, time.monotonic())
        if not self._unwritten:
            self._show()

    def _offer(self) -> None:
        for due in self._deployment.due(time.monotonic()):
            self._send(due.device_id, due.manifest.offer)

    def _send(self, device_id: str, frame: Offer | Image) -> bool:
        boot = self._boots.get(device_id)
        return boot is not None and self._links.send_image(device_id, boot, frame)

    async def _serve(self) -> None:
        for helping in self._serving.due(asyncio.get_running_loop().time()):
            manifest = self._deployment.image_of(helping.device_id, helping.image)
            if manifest is not None:
                await self._help(helping, manifest)

    async def _help(self, helping: Helping, manifest: Manifest) -> None:
        try:
            data = await asyncio.to_thread(self.room.read, manifest, helping.offset, helping.end)
        except FirmwareError as error:
            self._health.set(COMPONENT, HealthState.DEGRADED, str(error), "earshot firmware add, once more")
            self._send(helping.device_id, Image(Header(), helping.image, helping.offset, b""))
            return
        for at in range(0, len(data), helping.piece):
            piece = Image(Header(), helping.image, helping.offset + at, data[at : at + helping.piece])
            self._send(helping.device_id, piece)

    # -- what becomes of it

    async def _tell(self) -> None:
        for one in self._deployment.changed:
            self._tell_of(one)
        self._deployment.changed.clear()
        stopped, self._deployment.stopped = self._deployment.stopped, {}
        for sha256, why in stopped.items():
            self._audit.note(What.FIRMWARE, image=sha256[:16], outcome=why)
        self._unwritten |= stopped
        try:
            await self._write_stopped()
            await self._keep()
        except FirmwareError as error:
            self._health.set(
                COMPONENT, HealthState.DEGRADED, str(error), "make room, or give the folder back"
            )

    def _tell_of(self, one: UpdateProgress) -> None:
        self._dirty = True
        self._publish(
            FirmwareEvent(
                device_id=one.device_id,
                user_id=self._user_of(one.device_id),
                version=one.version,
                stage=one.stage.value,
                percent=one.percent,
                reason=one.reason,
            )
        )
        if one.stage in BROKEN or one.stage is Stage.CONFIRMED:
            self._audit.note(
                What.FIRMWARE, device_id=one.device_id, version=one.version, outcome=one.stage.value
            )

    async def _write_stopped(self) -> None:
        """So that it holds after us, too; what fails is tried again."""
        now = time.monotonic()
        if not self._unwritten or now < self._stop_at:
            return
        self._stop_at = now + KEEP_SECONDS
        await asyncio.to_thread(self.room.stop, self._unwritten)
        self._unwritten, self._stop_at = {}, 0.0
        self._show()

    async def _keep(self) -> None:
        now = time.monotonic()
        if not self._dirty or now < self._kept_at + KEEP_SECONDS:
            return
        self._kept_at = now
        await asyncio.to_thread(self.room.write_progress, self._deployment.progress())
        self._dirty = False

    def _show(self) -> None:
        """A rollout that stopped by itself is a matter of health until somebody has said what is to become of it."""
        stopped = [
            f"{one.version} for {one.kind}: {one.paused}"
            for one in self._deployment.rollouts()
            if one.stopped_itself
        ]
        if stopped:
            self._health.set(COMPONENT, HealthState.DEGRADED, "; ".join(stopped), _REMEDY)
        else:
            self._health.forget(COMPONENT)
