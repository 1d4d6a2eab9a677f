"""All microphones of this machine that the settings name: found, listened to, lost, and found again.

Each is listened to by a process of its own. Those that are missing are looked for by another one, since PortAudio
sees in a process only what was there when that began; it runs when something has changed in /dev/snd, and
every now and then, for what comes without that (PulseAudio's own). A microphone that is missing is a state, told once
with its remedy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from firmware_bridge.link.frames import DeviceFrame
from firmware_bridge.link.wires import Line, Wires
from firmware_bridge.microphones.microphone import Microphone, MicrophoneCounters, carrier_of
from firmware_bridge.microphones.names import assign, inputs
from firmware_bridge.microphones.records import (
    GaveUp,
    Hush,
    Listen,
    Listening,
    Measured,
    Sound,
    SoundDevice,
    SoundRecord,
)
from firmware_bridge.microphones.sound_process import SoundProcess, look
from firmware_bridge.pacing import Backoff
from firmware_bridge.settings import MicrophoneSettings

log = structlog.get_logger(__name__)

FIRST_SECONDS = 0.5
"""Until a microphone that was lost is looked for again; doubles up to MOST_SECONDS."""
MOST_SECONDS = 30.0
WATCH_SECONDS = 1.0
"""How often /dev/snd is looked at while a microphone is missing."""
PROVEN_SECONDS = 10.0
"""Who was listened to for so long is looked for with the short waits again."""
HOLD_SECONDS = 8.0
"""A stream goes on for so long after the last that was loud: longer than any pause within what is said."""
SOUND_CARDS = Path("/dev/snd")
BY_ITSELF = "plug it in; it is found by itself; `earshot microphones` names those there are"


@dataclass(slots=True, eq=False)
class _Wanted:
    """One of the settings. ``name``: of the device that is listened to; empty: it is missing.

    ``failed``: those that are meant, too, but could not be opened in this round; another may be.
    """

    settings: MicrophoneSettings
    microphone: Microphone
    name: str = ""
    opened_at: float | None = None
    failed: set[str] = field(default_factory=set)
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_SECONDS, MOST_SECONDS))
    look_at: float = 0.0


class Microphones:
    """The carrier of all of them."""

    def __init__(
        self, settings: Mapping[str, MicrophoneSettings], wires: Wires, *, pause_seconds: float = 0.0
    ) -> None:
        """``pause_seconds``: so long may somebody think before they go on in the same stream."""
        self._hold = max(HOLD_SECONDS, pause_seconds)
        self.carriers = tuple(carrier_of(device_id) for device_id in settings)
        self._settings = settings
        self._wires = wires
        self._wanted: dict[str, _Wanted] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Find and listen to them for ever; cancel it to let go of them."""
        self._loop = asyncio.get_running_loop()
        for device_id, settings in self._settings.items():
            microphone = Microphone(device_id, self._wires)
            self._wanted[carrier_of(device_id)] = _Wanted(settings, microphone)
        try:
            async with asyncio.TaskGroup() as tasks:
                cards = await asyncio.to_thread(_cards)
                while True:
                    await self._look(tasks)
                    cards = await self._something_to_do(cards)
        finally:
            for wanted in self._wanted.values():
                wanted.microphone.close()

    def send(self, line: Line, frame: DeviceFrame) -> bool:
        """Hand a frame to a microphone's device end."""
        wanted = self._wanted.get(line.carrier)
        if wanted is None or not wanted.name:
            return False
        wanted.microphone.take(frame)
        return True

    def counters(self) -> dict[str, MicrophoneCounters]:
        """What each that is listened to has heard."""
        return {
            name: one.microphone.counters for name, one in self._wanted.items() if one.opened_at is not None
        }

    def _missing(self) -> dict[str, _Wanted]:
        return {carrier: one for carrier, one in self._wanted.items() if not one.name}

    async def _something_to_do(self, cards: str) -> str:
        """Wait until it is time to look for those that are missing; what /dev/snd was like then."""
        while True:
            self._changed.clear()
            missing = self._missing()
            now = self._loop.time()
            if missing:
                there = await asyncio.to_thread(_cards)
                if there != cards:
                    for one in missing.values():
                        one.failed.clear()  # it may be the very one that came
                    return there
                if any(one.look_at <= now for one in missing.values()):
                    return cards
            due = min((one.look_at - now for one in missing.values()), default=None)
            wait = None if due is None else max(0.01, min(due, WATCH_SECONDS))
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        """Look for all that are missing, and listen to those that are there."""
        missing = self._missing()
        if not missing:
            return
        found = await look(_note)
        devices = () if isinstance(found, GaveUp) else found
        given = assign(
            {carrier: _choices(one, devices) for carrier, one in missing.items()},
            {one.name for one in self._wanted.values() if one.name},
        )
        for carrier, wanted in missing.items():
            if carrier in given:
                wanted.name = given[carrier]
                tasks.create_task(self._listen(wanted), name=carrier)
                continue
            wanted.look_at = self._loop.time() + wanted.backoff.next()
            if wanted.failed:  # and why, is told
                wanted.failed.clear()
            elif isinstance(found, GaveUp):
                wanted.microphone.unplugged(found.reason, found.remedy)
            else:
                wanted.microphone.unplugged(_not_there(wanted.settings.name, devices), BY_ITSELF)

    async def _listen(self, wanted: _Wanted) -> None:
        """One life of the process that listens to it."""
        settings = wanted.settings
        order = Listen(
            name=wanted.name, channel=settings.channel, rate=settings.rate, gate_db=settings.gate_db,
            hold_seconds=self._hold,
        )  # fmt: skip
        await SoundProcess(order, lambda record: self._take(wanted, record), _note).run()

    def _take(self, wanted: _Wanted, record: SoundRecord) -> None:
        match record:
            case Sound():
                wanted.microphone.hear(record)
            case Hush():
                wanted.microphone.hush()
            case Measured():
                wanted.microphone.measured(record)
            case Listening():
                wanted.opened_at = self._loop.time()
                wanted.microphone.plugged()
            case GaveUp():
                self._lose(wanted, record)

    def _lose(self, wanted: _Wanted, why: GaveUp) -> None:
        now = self._loop.time()
        if wanted.opened_at is None:
            wanted.failed.add(wanted.name)
            wanted.look_at = now
        else:
            if now - wanted.opened_at >= PROVEN_SECONDS:
                wanted.backoff.reset()
            wanted.look_at = now + wanted.backoff.next()
        wanted.name, wanted.opened_at = "", None
        wanted.microphone.unplugged(why.reason, why.remedy)
        self._changed.set()


def _choices(wanted: _Wanted, devices: tuple[SoundDevice, ...]) -> list[str]:
    return [name for name in inputs(wanted.settings.name, devices) if name not in wanted.failed]


def _note(line: str) -> None:
    log.debug("a sound process says", line=line)


def _cards() -> str:
    """What is in /dev/snd: another text when a card comes or goes."""
    try:
        return " ".join(sorted(entry.name for entry in SOUND_CARDS.iterdir()))
    except OSError:
        return ""


def _not_there(wanted: str, devices: tuple[SoundDevice, ...]) -> str:
    there = ", ".join(one.name for one in devices if one.inputs > 0) or "none"
    return f"there is no microphone {wanted} (there is: {there})"
