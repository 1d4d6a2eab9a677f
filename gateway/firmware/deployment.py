"""Who is to be offered which image, and how far each has come: a state machine without I/O.

It is told what devices and people say, and asked what is to be offered now. Time is ``now``, the seconds
of a clock that nobody sets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec import structs

from firmware_bridge.images.image_file import Manifest
from firmware_bridge.link.events import DeviceConnected, ImageTold
from firmware_bridge.link.frames import NAME_MOST, OFFER_SIZE, UpdateReason, UpdateState
from firmware_bridge.pacing import Allowance
from gateway.firmware.records import BROKEN, STOPPED, UNDER_WAY, Rollout, Stage, UpdateProgress

MOST_AT_ONCE = 4
"""Devices of one rollout that are under way: those that come behind learn from them."""
OFFER_AGAIN = 3.0
"""Seconds without a word until an offer is repeated; doubles up to OFFER_AGAIN_MAX."""
OFFER_AGAIN_MAX = 60.0
LATER = 600.0
"""Seconds until a device that would rather not is asked again."""
UNSTUCK = 60.0
"""Seconds until one that stalled is."""
MISSING_SECONDS = 900.0
"""Seconds after its start until a device that did not come back is called missing."""
NEWS_SECONDS = 1.0
"""How far a fetch has come is told at most so often."""
SAYINGS, SAYINGS_PER_SECOND = 20.0, 0.5
"""So much a device may say about images at once, and in the long run; more is not listened to."""
KEPT = 1_024
"""Devices whose progress is remembered beside those that are here."""
LEAST_PAYLOAD = OFFER_SIZE + NAME_MOST
"""A device that takes less is offered nothing: no offer would be sure to fit."""
STOPPING_CIRCLE, STOPPING_ALL = 1, 2
"""So many devices that break stop a rollout: while it is for some, and once it is for all."""
_STAGES = {
    UpdateState.FETCHING: Stage.FETCHING,
    UpdateState.STARTING: Stage.STARTING,
    UpdateState.CONFIRMED: Stage.CONFIRMED,
    UpdateState.DECLINED: Stage.DECLINED,
    UpdateState.FAILED: Stage.FAILED,
    UpdateState.ROLLED_BACK: Stage.ROLLED_BACK,
}
_AGAIN = {UpdateReason.NOT_NOW: LATER, UpdateReason.STALLED: UNSTUCK}
"""What passes, and after how long it is tried again."""
WORDS = {
    UpdateReason.NONE: "",
    UpdateReason.NOT_NOW: "not now",
    UpdateReason.SAME_VERSION: "it runs this version already",
    UpdateReason.TOO_LARGE: "there is no room for it",
    UpdateReason.BAD_SIGNATURE: "not signed by the key that is built into it, or for another kind",
    UpdateReason.BAD_IMAGE: "the bytes are not those that were signed",
    UpdateReason.STORAGE: "its flash could not be written",
    UpdateReason.STALLED: "the gateway sent nothing for too long",
    UpdateReason.NOT_REACHED: "it did not reach the gateway, or crashed; it is taken again once it is signed again",
    UpdateReason.OLDER: "it runs something newer; to go back, sign the older image again",
}
TOO_SMALL = f"its frames are too small for an offer: it takes fewer than {LEAST_PAYLOAD} bytes (mtu)"
_PASSING = {*(WORDS[reason] for reason in _AGAIN), TOO_SMALL}


@dataclass(slots=True)
class _Here:
    """A device that is connected. ``offer_at``: when it is to be offered its image (again)."""

    hello: DeviceConnected
    sayings: Allowance
    offer_at: float = 0.0
    patience: float = OFFER_AGAIN
    offered: Manifest | None = None
    told_at: float = 0.0


@dataclass(frozen=True, slots=True)
class DueOffer:
    """What a device is to be offered now."""

    device_id: str
    boot: int
    manifest: Manifest


class Deployment:
    """All rollouts of the house. After every call ``changed`` and ``stopped`` may have something new."""

    def __init__(self, room_of: Callable[[str], str], unix: Callable[[], float] = time.time) -> None:
        """``unix``: what is written down, and compared with what people said when."""
        self._room_of, self._unix = room_of, unix
        self._since: dict[str, float] = {}
        self._images: dict[str, Manifest] = {}
        self._rollouts: list[Rollout] = []
        self._progress: dict[str, UpdateProgress] = {}
        self._here: dict[str, _Here] = {}
        self.changed: list[UpdateProgress] = []
        """What is to be told, oldest first; whoever reads it empties it."""
        self.stopped: dict[str, str] = {}
        """Rollouts that are to be paused, by SHA-256, and why; whoever reads it empties it."""

    # -- what there is

    def progress(self) -> list[UpdateProgress]:
        """Of each device, with the image that it was offered last."""
        return list(self._progress.values())

    def rollouts(self) -> list[Rollout]:
        """All that are known."""
        return self._rollouts

    def image_of(self, device_id: str, image: int) -> Manifest | None:
        """What a device may fetch, if that is what it asks for."""
        here = self._here.get(device_id)
        if here is None or here.offered is None or here.offered.image != image:
            return None
        wanted = self._wanted(device_id, here)
        return here.offered if wanted is not None and wanted[1] == here.offered else None

    def recall(self, kept: Iterable[UpdateProgress], now: float) -> None:
        """How far devices had come, of each what it did last."""
        self._progress = {one.device_id: one for one in kept} | self._progress
        self._since = dict.fromkeys(self._progress, now) | self._since

    # -- what people say

    def take(self, images: Iterable[Manifest], rollouts: Iterable[Rollout], now: float) -> None:
        """This is what there is from now on."""
        self._images = {one.sha256: one for one in images}
        self._rollouts = [
            one for one in rollouts if one.sha256 in self._images and one.is_of(self._images[one.sha256])
        ]
        for here in self._here.values():
            here.offer_at, here.patience = now, OFFER_AGAIN

    # -- what devices say

    def connected(self, hello: DeviceConnected, now: float) -> None:
        """It said HELLO and was welcomed."""
        if not hello.takes_images or not hello.kind:
            self._here.pop(hello.device_id, None)
            return
        before = self._here.get(hello.device_id)
        sayings = before.sayings if before else Allowance(SAYINGS, SAYINGS_PER_SECOND, now)
        self._here[hello.device_id] = _Here(hello, sayings, now)
        one = self._progress.get(hello.device_id)
        if one and one.stage is Stage.MISSING:  # it took its time
            self._set(one, Stage.OFFERED, now)

    def disconnected(self, device_id: str) -> None:
        """It is away."""
        self._here.pop(device_id, None)

    def told(self, event: ImageTold, now: float) -> None:
        """It says how far it has come, with what it was offered; anything else is no news."""
        here = self._here.get(event.device_id)
        if here is None or here.offered is None or here.offered.image != event.image:
            return
        if not here.sayings.take(now):
            return
        stage, reason = _STAGES[UpdateState(event.state)], UpdateReason(event.reason)
        if stage is Stage.DECLINED and reason is UpdateReason.SAME_VERSION:
            stage = Stage.CONFIRMED
        here.offer_at = math.inf if stage is not Stage.FETCHING else now + OFFER_AGAIN_MAX
        here.patience = OFFER_AGAIN
        if reason in _AGAIN:
            here.offer_at = now + _AGAIN[reason]
        words = WORDS[reason] if stage is not Stage.CONFIRMED else ""
        self._set(self._started(here, here.offered), stage, now, event.offset, words)

    def asked(self, device_id: str, offset: int, now: float) -> None:
        """It fetches, from there on."""
        here = self._here.get(device_id)
        if here is None or here.offered is None:
            return
        here.offer_at, here.patience = now + OFFER_AGAIN_MAX, OFFER_AGAIN
        one = self._started(here, here.offered)
        if one.stage in UNDER_WAY and offset <= one.size:
            self._set(one, Stage.FETCHING, now, offset)

    # -- what is due

    def due(self, now: float) -> list[DueOffer]:
        """What is to be offered now."""
        self._miss(now)
        offers = []
        for device_id, here in self._here.items():
            if here.offer_at > now or (wanted := self._wanted(device_id, here)) is None:
                continue
            rollout, manifest = wanted
            if self._is_done(device_id, rollout, here, now) or not self._has_room(device_id, rollout):
                continue
            if here.hello.max_payload < LEAST_PAYLOAD:
                self._leave_out(here, manifest, now)
                continue
            here.offered = manifest
            here.offer_at, here.patience = now + here.patience, min(2 * here.patience, OFFER_AGAIN_MAX)
            one = self._started(here, manifest)
            if one.stage not in UNDER_WAY or self._progress.get(device_id) is not one:
                self._set(one, Stage.OFFERED, now)
            offers.append(DueOffer(device_id, here.hello.boot, manifest))
        return offers

    def _wanted(self, device_id: str, here: _Here) -> tuple[Rollout, Manifest] | None:
        """The image that a device is to have: of those offered to it, the one offered last."""
        room = self._room_of(device_id)
        mine = [
            one
            for one in self._rollouts
            if one.kind == here.hello.kind and not one.paused and one.includes(device_id, room)
        ]
        newest = max(mine, key=lambda one: one.offered_at, default=None)
        return None if newest is None else (newest, self._images[newest.sha256])

    def _is_done(self, device_id: str, rollout: Rollout, here: _Here, now: float) -> bool:
        """Whether a device has this image behind it, for better or worse."""
        manifest = self._images[rollout.sha256]
        one = self._started(here, manifest)
        if here.hello.firmware == rollout.version:
            if one.stage is not Stage.CONFIRMED:
                self._set(one, Stage.CONFIRMED, now, manifest.size)
            return True
        is_over = one.stage not in UNDER_WAY and one.reason not in _PASSING
        return is_over and rollout.again.get(device_id, 0.0) <= one.at

    def _leave_out(self, here: _Here, manifest: Manifest, now: float) -> None:
        """No offer would fit: until it comes back with larger frames it is asked no more."""
        here.offer_at = math.inf
        one = self._started(here, manifest)
        if one.reason != TOO_SMALL:
            self._set(one, Stage.DECLINED, now, reason=TOO_SMALL)

    def _has_room(self, device_id: str, rollout: Rollout) -> bool:
        busy = [
            one
            for one in self._progress.values()
            if one.sha256 == rollout.sha256 and one.stage in UNDER_WAY and one.device_id != device_id
        ]
        return len(busy) < MOST_AT_ONCE

    def _miss(self, now: float) -> None:
        """Devices that started an image and were not seen since; who went away before keeps nobody waiting."""
        for one in list(self._progress.values()):
            until = self._since[one.device_id] + MISSING_SECONDS
            if one.device_id in self._here or one.stage not in UNDER_WAY or until > now:
                continue
            if one.stage is Stage.STARTING:
                self._set(one, Stage.MISSING, now, one.offset, "it did not come back after it was started")
            else:
                self._set(one, Stage.FAILED, now, one.offset, WORDS[UpdateReason.STALLED])

    # -- how far

    def _started(self, here: _Here, manifest: Manifest) -> UpdateProgress:
        """What is known of this device and this image."""
        one = self._progress.get(here.hello.device_id)
        if one is not None and (one.sha256, one.number) == (manifest.sha256, manifest.number):
            return one
        return UpdateProgress(
            device_id=here.hello.device_id,
            sha256=manifest.sha256,
            number=manifest.number,
            version=manifest.version,
            stage=Stage.OFFERED,
            at=self._unix(),
            size=manifest.size,
        )

    def _set(self, one: UpdateProgress, stage: Stage, now: float, offset: int = 0, reason: str = "") -> None:
        after = structs.replace(one, stage=stage, at=self._unix(), offset=offset, reason=reason)
        self._since[one.device_id] = now
        before = self._progress.pop(one.device_id, None)
        self._progress[one.device_id] = after
        self._forget_oldest()
        if before is not None and self._is_no_news(before, after, now):
            return
        self.changed.append(after)
        if stage in BROKEN and not (before and before.stage in BROKEN and before.sha256 == after.sha256):
            self._count_broken(after)

    def _is_no_news(self, before: UpdateProgress, after: UpdateProgress, now: float) -> bool:
        facts = (after.sha256, after.number, after.stage, after.reason)
        if (before.sha256, before.number, before.stage, before.reason) != facts:
            return False
        here = self._here.get(after.device_id)
        if after.stage is not Stage.FETCHING or here is None or now < here.told_at + NEWS_SECONDS:
            return True
        here.told_at = now
        return False

    def _count_broken(self, one: UpdateProgress) -> None:
        for at, rollout in enumerate(self._rollouts):
            if rollout.sha256 != one.sha256 or rollout.paused:
                continue
            broken = [
                other.device_id
                for other in self._progress.values()
                if other.sha256 == one.sha256 and other.stage in BROKEN and other.at >= rollout.counted_from
            ]
            if len(broken) >= (STOPPING_ALL if rollout.everybody else STOPPING_CIRCLE):
                why = f"{STOPPED}: {', '.join(sorted(broken))} {one.words}"
                self._rollouts[at] = structs.replace(rollout, paused=why)
                self.stopped[rollout.sha256] = why

    def _forget_oldest(self) -> None:
        away = [device_id for device_id in self._progress if device_id not in self._here]
        for device_id in away[: max(0, len(away) - KEPT)]:
            del self._progress[device_id], self._since[device_id]
