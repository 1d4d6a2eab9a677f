"""Which devices are judged together, by the settings; what their streams hear, as claims; and who waits for that."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from firmware_bridge.settings import DeviceSettings
from gateway.pipeline.arbitration.arbiter import LOOK_SECONDS, Arbiter
from gateway.pipeline.arbitration.claims import Claim, Decision
from gateway.pipeline.arbitration.voice_track import VoiceTrack
from transcription.audio import AudioChunk
from transcription.utterance.segmenter import EndReason, Utterance

WOKEN_COUNTS_SECONDS = 10.0
"""So soon after a wake word it is the moment of what is said."""
_CUT = frozenset({EndReason.STOP, EndReason.DISCONNECT, EndReason.SHUTDOWN})
_GOES_ON = frozenset({EndReason.PAUSE, EndReason.MAX_LENGTH})


Group: TypeAlias = tuple[str, str]
"""Of one user, by its name: what the one user's devices hear is never told to another's."""


class Contested:
    """What somebody has said, and perhaps several devices have heard."""

    __slots__ = ("_arbiter", "_claim", "_now")

    def __init__(self, claim: Claim, arbiter: Arbiter, now: Callable[[], float]) -> None:
        self._claim = claim
        self._arbiter = arbiter
        self._now = now

    async def decision(self) -> Decision:
        """Which of them answers, as soon as that is known. To be asked once."""
        claim = self._claim
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        claim.on_decision = decided.set_result
        while claim.decision is None:
            await asyncio.wait([decided], timeout=max(LOOK_SECONDS, claim.held_until - self._now()))
            self._arbiter.settle(self._now())
        return claim.decision


class Contestant:
    """One stream of a device that others may hear the same voice as."""

    __slots__ = ("_arbiter", "_claim", "_device_id", "_now", "_pressed", "_track", "_woke_at")

    def __init__(self, device_id: str, arbiter: Arbiter, now: Callable[[], float], *, pressed: bool) -> None:
        self._device_id = device_id
        self._arbiter = arbiter
        self._now = now
        self._pressed = pressed
        self._track = VoiceTrack()
        self._claim: Claim | None = None
        self._woke_at: float | None = None

    def hear(self, chunk: AudioChunk) -> None:
        """The next audio of it."""
        self._track.hear(chunk.position, chunk.samples, self._now())
        if self._claim is not None:
            self._claim.absent = False

    def woken(self) -> None:
        """Its wake word has just been heard, perhaps by the device itself, before there is any audio."""
        at = self._track.when(self._track.heard_to)
        self._woke_at = at if math.isfinite(at) else self._now()

    def speech_began(self, position: int) -> None:
        """Somebody begins to speak."""
        woke_at, self._woke_at = self._woke_at, None
        began = self._track.when(position)
        if woke_at is not None and began - woke_at > WOKEN_COUNTS_SECONDS:
            woke_at = None
        self._claim = Claim(self._device_id, self._track, position, self._pressed, woke_at)
        self._arbiter.enter(self._claim, self._now())

    def is_judged_by(self, arbiter: Arbiter) -> bool:
        """Whether it is this one that its claims are entered with."""
        return self._arbiter is arbiter

    def trails(self) -> bool:
        """Whether another device hears this better so far."""
        return self._claim is not None and self._arbiter.trails(self._claim)

    def away(self) -> None:
        """Its device is gone, perhaps only for now."""
        if self._claim is not None:
            self._arbiter.leave(self._claim, self._now())

    def withdraw(self) -> None:
        """What was being said is nothing, or never will be complete. Idempotent."""
        claim, self._claim = self._claim, None
        if claim is not None:
            self._arbiter.withdraw(claim, self._now())

    def complete(self, utterance: Utterance) -> Contested | None:
        """All of it was heard; None: nobody could have heard it, too."""
        claim, self._claim = self._claim, None
        if claim is None:
            return None
        reason, end = utterance.end_reason, utterance.speech_end
        fell_mute = self._track.fell_mute(end, utterance.end)
        cut = not self._pressed and (reason in _CUT or fell_mute)
        self._arbiter.complete(claim, end, self._now(), cut=cut, goes_on=reason in _GOES_ON)
        return Contested(claim, self._arbiter, self._now)


class Contests:
    """Those of all groups. Where the settings do not ask for it, nothing is listened to and nobody is held."""

    def __init__(
        self, devices: DeviceSettings, place: Callable[[str], tuple[str, str]], now: Callable[[], float]
    ) -> None:
        """``place`` tells whose a device is, and in which room."""
        self._place = place
        self._now = now
        self._arbiters: dict[Group, Arbiter] = {}
        self.reconfigure(devices)

    def reconfigure(self, devices: DeviceSettings) -> None:
        """From now on by these settings."""
        wanted = devices.arbitration
        self._names = {**devices.rooms, **wanted.groups} if wanted.enabled else {}
        self._window = wanted.window_ms / 1000
        self._members = Counter(filter(None, map(self.group, self._names)))
        self._arbiters = {group: one for group, one in self._arbiters.items() if self._members[group] > 1}
        for arbiter in self._arbiters.values():
            arbiter.window = self._window

    def group(self, device_id: str) -> Group | None:
        """Whom it is judged with; None: with nobody."""
        name = self._names.get(device_id)
        return (self._place(device_id)[0], name) if name else None

    def enter(self, device_id: str, *, pressed: bool, before: Contestant | None = None) -> Contestant | None:
        """A stream of it begins; None: there is no other device that could hear the same.

        ``before``: what it was until the settings changed, which goes on where it is judged with the same devices.
        """
        group = self.group(device_id)
        if group is None or self._members[group] < 2:
            return None
        arbiter = self._arbiters.setdefault(group, Arbiter(self._window))
        if before is not None and before.is_judged_by(arbiter):
            return before
        return Contestant(device_id, arbiter, self._now, pressed=pressed)
