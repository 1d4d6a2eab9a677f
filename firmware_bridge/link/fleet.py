"""Which device is on which line: admission, duplicate ids, moves between carriers. No I/O.

Carriers tell the fleet what arrives on their lines; the fleet keeps one GatewayEnd per device (for
its present boot), reports LinkEvents in order, and says which frames go out on which line. Time is
``now``: seconds of a monotonic clock.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from firmware_bridge.link.admission import Admission, NoOtherGateways, OpenHouse, OtherGateways
from firmware_bridge.link.challenges import Challenges, Judgement
from firmware_bridge.link.events import DeviceDisconnected, DeviceLog, HelloRefused, LinkChanged, LinkEvent
from firmware_bridge.link.frames import DeviceFrame, Fault, FaultCode, FrameType, Header, Hello
from firmware_bridge.link.framing import Decoded, FrameRejected, Noise
from firmware_bridge.link.link import (
    GatewayEnd,
    GatewayState,
    LinkCounters,
    LinkSettings,
    answer,
    refuse,
    say_hello,
)
from firmware_bridge.link.wires import MICROPHONE, WEB, WEB_IDS, Line
from firmware_bridge.pacing import Allowance, Cooldown
from firmware_bridge.settings import DeviceSettings
from firmware_bridge.shares import HOUSE, gives_way

log = structlog.get_logger(__name__)

RESUME_SECONDS = 300.0
"""How long a device that vanished keeps its state, so that it can go on where it was."""
REBOOT_SECONDS = 2.0
"""No device reboots and says HELLO on another line sooner: who does so is a second one."""
SUPERSEDED_BOOTS = 8
"""Earlier boots of a device that are remembered, to know a second one with its id."""
ANSWER_SECONDS = 0.2
"""A line without a device is told what is wrong at most this often."""
ANSWERED_LINES = 1024
"""Lines without a device whose last answer is remembered."""
REFUSAL_SECONDS = 5.0
"""The same refusal is reported at most this often."""
REFUSAL_BURST = 64
REFUSALS_PER_SECOND = 10.0
"""Refusals that are reported per carrier, of whomever; further ones are answered only."""
NOISE_BURST = 100
NOISE_PER_SECOND = 10.0
"""Stretches of text outside frames that are reported per carrier; further ones are counted."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What is known about a device. ``link``: the carrier it is on, or was on last."""

    id: str
    boot: int
    link: str
    connected: bool
    firmware: str
    counters: LinkCounters
    drift_ppm: float | None = None
    """By how many millionths its clock is fast; None as long as nobody knows."""


@dataclass(slots=True)
class FleetCounters:
    """What the fleet has refused or dropped so far."""

    duplicate_ids: int = 0
    bad_ids: int = 0
    refused: int = 0
    strangers: int = 0
    noise_dropped: int = 0
    failures: int = 0
    """Mistakes of the gateway's own, each over one event, frame or link of a device."""


def log_failure(work: str, error: Exception) -> None:
    """A mistake of the gateway's own, which ended this piece of work and nothing else."""
    log.error("something went wrong inside the gateway", work=work, exc_info=error)


@dataclass(slots=True, eq=False)
class _Device:
    """One device id: its present boot, and the line it is on (None: on none)."""

    end: GatewayEnd
    line: Line | None = None
    visitor: str = HOUSE
    key: bytes | None = None
    """What it has proved that it has."""
    superseded: deque[int] = field(default_factory=lambda: deque(maxlen=SUPERSEDED_BOOTS))
    due: float = math.inf
    """When something is to be done on its link, or it is to be forgotten; found with what goes out."""

    @property
    def connected(self) -> bool:
        return self.end.state in (GatewayState.WELCOMED, GatewayState.OPEN)


class _Refusal(NamedTuple):
    """Why a HELLO is not welcome. ``turned_away``: the house does not want it, and is told that it came."""

    code: FaultCode
    reason: str
    remedy: str = ""
    turned_away: bool = False


class Fleet:
    """All devices on all carriers.

    After every call, :meth:`outgoing` and :attr:`next_deadline` may have something new.
    """

    def __init__(
        self,
        settings: DeviceSettings,
        on_event: Callable[[LinkEvent], None],
        on_delivered: Callable[[str, int, str], None] = lambda _device_id, _boot, _correlation_id: None,
        on_failure: Callable[[str, Exception], None] = log_failure,
        admission: Admission | None = None,
        *,
        elsewhere: OtherGateways | None = None,
    ) -> None:
        """``on_delivered``: device id, boot and correlation id of a reply the device has taken.

        ``on_failure``: which work a mistake of the gateway's own ended; a device's link among them is over then.
        ``admission``: who may come in; None: everybody. ``elsewhere``: who else may know it; None: nobody.
        """
        self._admission = admission or OpenHouse()
        self._elsewhere = elsewhere or NoOtherGateways()
        self._at_the_door: dict[str, tuple[Line, Hello]] = {}
        self._settings = settings
        self._link_settings = LinkSettings(
            credit_frames=settings.credit_frames, silence_seconds=settings.silence_seconds
        )
        self._on_event = on_event
        self._on_delivered = on_delivered
        self._on_failure = on_failure
        self._devices: dict[str, _Device] = {}
        self._lines: dict[Line, _Device] = {}
        self._carriers: dict[str, LinkChanged] = {}
        self._touched: set[_Device] = set()
        self._answers: list[tuple[Line, DeviceFrame]] = []
        self._answered = Cooldown(ANSWER_SECONDS, ANSWERED_LINES)
        self._refused = Cooldown(REFUSAL_SECONDS, ANSWERED_LINES)
        self._turned_away = Cooldown(ANSWER_SECONDS, ANSWERED_LINES)
        self._refusals: dict[str, Allowance] = {}
        self._challenges = Challenges()
        self._noise: dict[str, Allowance] = {}
        self._is_busy: Callable[[str], bool] = lambda _device_id: False
        self._open = True
        self.next_deadline = math.inf
        """When tick() is due next."""
        self.counters = FleetCounters()
        self._of_gone = LinkCounters()
        """Of links that are over: their devices rebooted, or are forgotten."""

    # -- what carriers say

    def carrier_up(self, carrier: str) -> None:
        """Reported once per change, as carrier_down."""
        self._change(LinkChanged(carrier, up=True))

    def carrier_weak(self, carrier: str, reason: str, remedy: str) -> None:
        """It is up and works badly; with an empty reason it is well."""
        self._change(LinkChanged(carrier, up=True, reason=reason, remedy=remedy))

    def carrier_down(
        self, carrier: str, reason: str, remedy: str, now: float, *, passing: bool = False
    ) -> None:
        """All devices on the carrier are held for a resume."""
        for device in [device for line, device in self._lines.items() if line.carrier == carrier]:
            self._detach(device, reason, now)
        self._turn_from_the_door(lambda line: line.carrier == carrier)
        self._noise.pop(carrier, None)
        self._refusals.pop(carrier, None)
        self._change(LinkChanged(carrier, up=False, reason=reason, remedy=remedy, passing=passing))
        if passing:  # names of ports come and go; those that are there are bounded
            self._carriers.pop(carrier, None)

    def line_lost(self, line: Line, reason: str, now: float) -> None:
        """The device on this line is held for a resume."""
        self._turn_from_the_door(lambda other: other == line)
        device = self._lines.get(line)
        if device is not None:
            self._detach(device, reason, now)

    def receive(self, line: Line, arrivals: Iterable[Decoded], now: float) -> None:
        """What arrived on a line, in order. Never raises."""
        if not self._open:
            return
        device = self._lines.get(line)
        for arrival in arrivals:
            if isinstance(arrival, Hello):
                self._greet(line, arrival, now)
                device = self._lines.get(line)
                continue
            if isinstance(arrival, Noise):
                self._report_noise(line, device, arrival, now)
                continue
            if isinstance(arrival, FrameRejected) and _is_hello(arrival):
                self.note_refusal(line, line.device_id, arrival.code, arrival.message, now)
            if device is not None:
                self._touched.add(device)
                try:
                    self._report(device.end.receive(arrival, now))
                except Exception as error:  # noqa: BLE001 - the boundary between devices
                    self._drop(device, error)
                    device = None
            else:
                self._answer_stranger(line, arrival, now)

    # -- what the owner asks for

    def end(self, device_id: str, boot: int) -> GatewayEnd | None:
        """The link of this boot of a device, to send on or to settle; None when it is not known."""
        device = self._devices.get(device_id)
        if device is None or device.end.boot != boot:
            return None
        self._touched.add(device)
        return device.end

    def blank(self, correlation_ids: Collection[str]) -> None:
        """Whatever goes by these ids is told to no device any more, but that it was."""
        for device in self._devices.values():
            device.end.blank(correlation_ids)

    def renew(self, device_id: str, boot: int) -> None:
        """Ask a device for all that is not durable yet: its link ends, and the next begins where its ring does."""
        device = self._devices.get(device_id)
        if device is not None and device.end.boot == boot:
            self._renew(device, "there is room for you now", "it is asked for what it keeps")

    def _renew(self, device: _Device, message: str, reason: str = "") -> None:
        if device.line is None:
            return
        line, link = device.line, device.end.link
        self._end(device, reason or message)
        self._answers.append((line, Fault(Header(link=link), FaultCode.SAY_HELLO, message)))

    def send_fault(self, device_id: str, code: FaultCode, message: str) -> None:
        """Tell a device what it did wrong, best effort."""
        device = self._devices.get(device_id)
        if device is not None and device.line is not None:
            self._answers.append((device.line, Fault(Header(link=device.end.link), code, message)))

    def set_busy(self, is_busy: Callable[[str], bool]) -> None:
        """For which devices there is no time now: they get no credit, and keep what they record in their rings."""
        self._is_busy = is_busy
        for device in self._devices.values():
            self._give_credit(device)

    def devices(self) -> tuple[DeviceInfo, ...]:
        """Every device that is known, also those held for a resume."""
        return tuple(
            DeviceInfo(
                id=device_id,
                boot=device.end.boot,
                link=device.end.carrier,
                connected=device.connected,
                firmware=device.end.connected.firmware,
                counters=dataclasses.replace(device.end.counters),
                drift_ppm=device.end.drift_ppm,
            )
            for device_id, device in self._devices.items()
        )

    def link_counters(self) -> LinkCounters:
        """Of all links since the start; none of it ever falls."""
        seen = dataclasses.replace(self._of_gone)
        for device in self._devices.values():
            seen.add(device.end.counters)
        return seen

    def visitor(self, device_id: str) -> str:
        """Who speaks as this device; HOUSE: it is a board, or not known."""
        device = self._devices.get(device_id)
        return HOUSE if device is None else device.visitor

    def carriers(self) -> tuple[LinkChanged, ...]:
        """What was told last of each carrier that has not passed."""
        return tuple(self._carriers.values())

    def forget(self, device_id: str, now: float) -> bool:
        """Give up a device that is away; False when it is here."""
        device = self._devices.get(device_id)
        if device is not None and device.connected:
            return False
        if device is not None:
            self._forget(device_id, "forgotten", now)
        return True

    def readmit(self, now: float) -> list[str]:
        """Who may come in has changed: whoever may not be here any more is told so and gone. Their ids.

        Whose key is another one is to say HELLO again.
        """
        cut_off = []
        for device_id, device in list(self._devices.items()):
            if (objection := self._admission.objection(device_id)) is None:
                if self._admission.key(device_id) not in (None, device.key):
                    self._renew(device, f"{device_id} has to prove who it is")
                continue
            cut_off.append(device_id)
            self.send_fault(device_id, FaultCode.REFUSED, objection.reason)
            self._forget(device_id, objection.reason, now)
        return cut_off

    def tick(self, now: float) -> None:
        """Do what is due on the links, and forget devices that were gone too long.

        Hundreds of devices have nothing to do while one speaks: only who is due is looked at.
        """
        due = [item for item in self._devices.items() if item[1].due <= now]
        for device_id, device in due:
            device.due = math.inf
            self._touched.add(device)
            try:
                self._report(device.end.tick(now))
            except Exception as error:  # noqa: BLE001 - the boundary between devices
                self._drop(device, error)
                continue
            held_since = device.end.held_since
            if held_since is not None and now - held_since >= RESUME_SECONDS:
                self._forget(device_id, "did not come back", now)
        self.next_deadline = min((device.due for device in self._devices.values()), default=math.inf)

    def outgoing(self, now: float) -> list[tuple[Line, DeviceFrame]]:
        """The frames to put on the lines now, in order for each line. Drains."""
        frames, self._answers = self._answers, []
        touched, self._touched = self._touched, set()
        for device in touched:
            try:
                frames += self._outgoing(device, now)
            except Exception as error:  # noqa: BLE001 - the boundary between devices
                self._drop(device, error)
        return frames

    def _outgoing(self, device: _Device, now: float) -> list[tuple[Line, DeviceFrame]]:
        end, line = device.end, device.line
        end.pass_time(now)
        out = end.outgoing()
        for correlation_id in end.delivered():
            try:
                self._on_delivered(end.device_id, end.boot, correlation_id)
            except Exception as error:  # noqa: BLE001 - the boundary: the frames go out all the same
                self.fail("a delivery", error)
        device.due = _deadline(end, now)
        self.next_deadline = min(self.next_deadline, device.due)
        return [] if line is None else [(line, frame) for frame in out]

    def fail(self, work: str, error: Exception) -> None:
        """Count and tell a mistake of the gateway's own."""
        self.counters.failures += 1
        self._on_failure(work, error)

    def _drop(self, device: _Device, error: Exception) -> None:
        """The gateway stumbled over a link: it is over, and whatever its device says is answered with "say HELLO"."""
        self.fail("the link of a device", error)
        self._end(device, f"the gateway failed on its link ({type(error).__name__})")

    def _end(self, device: _Device, reason: str) -> None:
        end = device.end
        if self._devices.get(end.device_id) is device:
            del self._devices[end.device_id]
            self._of_gone.add(end.counters)
        self._touched.discard(device)
        if device.line is not None:
            self._lines.pop(device.line, None)
        self._report((DeviceDisconnected(end.device_id, end.boot, reason),))

    def shut_down(self, now: float) -> None:
        """Tell every device that the gateway stops; it keeps its audio and says HELLO later.

        What arrives from now on is ignored.
        """
        self._open = False
        for device in self._devices.values():
            self._touched.add(device)
            self._report(device.end.close(now, "the gateway stops", FaultCode.SHUTTING_DOWN))

    # -- HELLO

    def _greet(self, line: Line, hello: Hello, now: float) -> None:
        refusal = self._stranger(line, hello)
        if refusal is None and not self._is_proven(line, hello, now):
            return
        refusal = refusal or self._crowd(line, hello, now)
        if refusal is not None:
            self._refuse(line, hello, refusal, now)
            return
        device = self._devices.get(hello.device_id)
        if (device is None or device.end.boot != hello.boot) and self._elsewhere.holds(hello):
            self._at_the_door[hello.device_id] = line, hello
            return
        self._let_in(line, hello, now)

    def _let_in(self, line: Line, hello: Hello, now: float) -> None:
        self._at_the_door.pop(hello.device_id, None)
        device = self._devices.get(hello.device_id)
        if device is None:
            self._admit(line, hello, now)
        elif device.end.boot == hello.boot:
            self._attach(device, line, now)
            self._report(device.end.resumed(hello, line.carrier, now))
        else:
            self._replace(device, line, hello, now)

    def open_the_door(self, device_id: str, speaks_at: str, now: float) -> None:
        """What is known elsewhere of a device that waits is here, or will not come. Idempotent.

        ``speaks_at``: the gateway where another device of that id speaks; empty: there is none.
        """
        line, hello = self._at_the_door.pop(device_id, (None, None))
        if not self._open or line is None or hello is None:
            return
        refusal = self._crowd(line, hello, now)
        if speaks_at:
            reason = f"{device_id} is connected already at gateway {speaks_at}"
            refusal = _Refusal(FaultCode.DUPLICATE_ID, reason)
        if refusal is not None:
            self._refuse(line, hello, refusal, now)
            return
        self._let_in(line, hello, now)

    def _turn_from_the_door(self, is_gone: Callable[[Line], bool]) -> None:
        for device_id in [one for one, (line, _) in self._at_the_door.items() if is_gone(line)]:
            del self._at_the_door[device_id]

    def let_go(self, device_id: str, moved_to: str, now: float) -> bool:
        """A device has said HELLO at another gateway: its link here is over. False: there was none."""
        device = self._devices.get(device_id)
        if device is None:
            return False
        was_connected, reason = device.connected, f"it is at gateway {moved_to} now"
        self._forget(device_id, reason, now, moved_to)
        if not was_connected:  # it was told as lost, and is not
            self._report((DeviceDisconnected(device_id, device.end.boot, reason, moved_to),))
        return True

    def speaks(self, device_id: str, boot: int, now: float) -> bool:
        """Whether a device of that id and another boot is heard just now, as no device is that has rebooted."""
        device = self._devices.get(device_id)
        if device is None or device.end.boot == boot or not device.connected:
            return False
        return now - device.end.heard_at < REBOOT_SECONDS

    def greeted(self) -> list[tuple[str, int, int]]:
        """The devices that are here: their boots, and when, by their own clocks, they said HELLO last."""
        return [(i, one.end.boot, one.end.greeted_at) for i, one in self._devices.items() if one.connected]

    def greeted_at(self, device_id: str, boot: int) -> int | None:
        """By its own clock, when this boot of a device said HELLO here last; None: it is not known."""
        device = self._devices.get(device_id)
        return device.end.greeted_at if device is not None and device.end.boot == boot else None

    def admits(self, line: Line, hello: Hello, now: float) -> bool:
        """Whether this HELLO would be welcome, if it is who it says. Changes nothing."""
        return self._open and self._stranger(line, hello) is None and self._crowd(line, hello, now) is None

    def _stranger(self, line: Line, hello: Hello) -> _Refusal | None:
        """Why nobody of this id is welcome on that line."""
        if line.device_id and line.device_id != hello.device_id:
            return _Refusal(FaultCode.BAD_ID, f"this topic is {line.device_id}'s")
        if hello.device_id.startswith(WEB_IDS) and line.carrier != WEB:
            return _Refusal(FaultCode.REFUSED, f"ids that begin with {WEB_IDS} are for WebSockets")
        if hello.device_id in self._settings.microphones and not _is_in_house(line):
            return _Refusal(FaultCode.REFUSED, f"{hello.device_id} is a microphone of the gateway's machine")
        if (objection := self._admission.objection(hello.device_id)) is not None:
            return _Refusal(FaultCode.REFUSED, *objection, turned_away=True)
        return None

    def _is_proven(self, line: Line, hello: Hello, now: float) -> bool:
        """Whether it is who it says, where the house has a key of it; if not, it was told what is missing."""
        key = self._admission.key(hello.device_id)
        if key is None or _is_in_house(line):
            return True
        verdict, challenge = self._challenges.judge(line, hello, key, now)
        if challenge is not None:
            self._answers.append((line, challenge))
        elif verdict is Judgement.WRONG or verdict is Judgement.MISSING:
            name = hello.device_id
            reason = f"{name} has to prove who it is"
            if verdict is Judgement.WRONG:
                reason = f"{reason}, and its proof is wrong"
            remedy = f"write its key into the device: earshot devices key {name} makes a new one"
            self._refuse(line, hello, _Refusal(FaultCode.REFUSED, reason, remedy, turned_away=True), now)
        return verdict is Judgement.PROVEN

    def _crowd(self, line: Line, hello: Hello, now: float) -> _Refusal | None:
        """Why there is no room for it, or it is there already."""
        device = self._devices.get(hello.device_id)
        if device is None:
            most = self._settings.max_devices
            is_full = len(self._devices) >= most and self._gives_way(line.visitor) is None
            return _Refusal(FaultCode.REFUSED, f"there are {most} devices already") if is_full else None
        if device.end.boot != hello.boot and self._is_second(device, line, hello, now):
            where = f"over {device.end.carrier} (boot {device.end.boot})"
            return _Refusal(FaultCode.DUPLICATE_ID, f"{hello.device_id} is connected already {where}")
        return None

    def _admit(self, line: Line, hello: Hello, now: float) -> None:
        if len(self._devices) >= self._settings.max_devices:
            self._make_room(line.visitor, now)
        device = _Device(self._new_end(line, hello, now))
        self._devices[hello.device_id] = device
        self._welcome(device, line, now)

    def _replace(self, device: _Device, line: Line, hello: Hello, now: float) -> None:
        """The device has rebooted: its old boot is over."""
        old = device.end
        self._report(old.close(now, "rebooted"))
        self._of_gone.add(old.counters)
        device.superseded.append(old.boot)
        # Another nonce than before, so that no frame of the old boot can pass for one of the new.
        device.end = self._new_end(line, hello, now, link=old.link % 255 + 1)
        self._welcome(device, line, now)

    def _welcome(self, device: _Device, line: Line, now: float) -> None:
        self._attach(device, line, now)
        self._give_credit(device)
        self._report((device.end.connected,))

    def _new_end(self, line: Line, hello: Hello, now: float, link: int | None = None) -> GatewayEnd:
        return GatewayEnd(hello, carrier=line.carrier, settings=self._link_settings, now=now, link=link)

    def _is_second(self, device: _Device, line: Line, hello: Hello, now: float) -> bool:
        """Whether another device with the same id is heard at the same time."""
        unheard = now - device.end.heard_at
        if not device.connected:
            return False
        if hello.boot in device.superseded:
            return unheard < self._settings.silence_seconds
        return line != device.line and unheard < REBOOT_SECONDS

    def _refuse(self, line: Line, hello: Hello, refusal: _Refusal, now: float) -> None:
        counter = _COUNTED_AS[refusal.code]
        setattr(self.counters, counter, getattr(self.counters, counter) + 1)
        if refusal.turned_away:
            self._admission.turned_away(hello, line.carrier)
        if not refusal.turned_away or self._turned_away.allows(line, now):
            self._answers.append((line, refuse(hello, refusal.code, refusal.reason)))
        self.note_refusal(line, hello.device_id, refusal.code, refusal.reason, now, remedy=refusal.remedy)

    def note_refusal(
        self, line: Line, device_id: str, code: FaultCode | None, reason: str, now: float, *, remedy: str = ""
    ) -> None:
        """Report that a HELLO was not good, though not as often as it is said."""
        # That a proof was wrong is news, though it was refused for want of one just before.
        what = reason if remedy else code
        if code is None or not self._refused.allows((line.carrier, device_id, what), now):
            return
        allowance = self._refusals.setdefault(
            line.carrier, Allowance(REFUSAL_BURST, REFUSALS_PER_SECOND, now)
        )
        if allowance.take(now):
            self._report((HelloRefused(device_id, line.carrier, int(code), reason, remedy),))

    def _make_room(self, visitor: str, now: float) -> None:
        device_id = self._gives_way(visitor)
        assert device_id is not None
        self.send_fault(device_id, FaultCode.REFUSED, "another device needed its place")
        self._forget(device_id, "another device needed its place", now)

    def _gives_way(self, visitor: str) -> str | None:
        """Visitors who are gone, then those of whoever has most of them; and for a board, boards that are gone."""
        visitors = {i: d for i, d in self._devices.items() if d.visitor != HOUSE}
        if (held := _held_longest(visitors)) is not None:
            return held
        crowd = gives_way(Counter(device.visitor for device in visitors.values()), visitor)
        if crowd is not None:
            return next(i for i, device in visitors.items() if device.visitor == crowd)
        return _held_longest(self._devices) if visitor == HOUSE else None

    # -- lines

    def _attach(self, device: _Device, line: Line, now: float) -> None:
        """Put the device on the line, whichever line it or whichever device the line had."""
        before = self._lines.get(line)
        if before is not None and before is not device:
            self._detach(before, f"{device.end.device_id} took its line", now)
        if device.line is not None:
            del self._lines[device.line]
        device.line = line
        device.visitor = line.visitor
        device.key = self._admission.key(device.end.device_id)
        self._lines[line] = device
        self._touched.add(device)

    def _detach(self, device: _Device, reason: str, now: float) -> None:
        if not self._open:  # its link is closed, and goes down with all others
            return
        assert device.line
        del self._lines[device.line]
        device.line = None
        self._touched.add(device)
        self._report(device.end.carrier_lost(now, reason))

    def _forget(self, device_id: str, reason: str, now: float, moved_to: str = "") -> None:
        device = self._devices.pop(device_id)
        self._of_gone.add(device.end.counters)
        self._touched.discard(device)
        if device.line is not None:
            del self._lines[device.line]
        self._report(dataclasses.replace(gone, moved_to=moved_to) for gone in device.end.close(now, reason))

    def _give_credit(self, device: _Device) -> None:
        device.end.credit = 0 if self._is_busy(device.end.device_id) else self._settings.credit_frames
        self._touched.add(device)

    def _answer_stranger(self, line: Line, arrival: DeviceFrame | FrameRejected, now: float) -> None:
        """Bytes on a line whose device has not said HELLO (to this run of the gateway)."""
        self.counters.strangers += 1
        reply = answer(arrival) if isinstance(arrival, FrameRejected) else say_hello(arrival)
        if reply is not None and self._answered.allows(line, now):
            self._answers.append((line, reply))

    # -- reporting

    def _report(self, events: Iterable[LinkEvent]) -> None:
        for event in events:
            try:
                self._on_event(event)
            except Exception as error:  # noqa: BLE001 - the boundary: one's trouble must not stop the others
                self.fail(f"a link event ({type(event).__name__})", error)

    def _report_noise(self, line: Line, device: _Device | None, noise: Noise, now: float) -> None:
        allowance = self._noise.setdefault(line.carrier, Allowance(NOISE_BURST, NOISE_PER_SECOND, now))
        if not allowance.take(now):
            self.counters.noise_dropped += 1
            return
        text = noise.data.decode("utf-8", "replace").strip()
        if text:
            self._report((DeviceLog(device.end.device_id if device else None, line.carrier, text),))

    def _change(self, change: LinkChanged) -> None:
        if self._carriers.get(change.link) != change:
            self._carriers[change.link] = change
            self._report((change,))


_COUNTED_AS = {
    FaultCode.BAD_ID: "bad_ids",
    FaultCode.DUPLICATE_ID: "duplicate_ids",
    FaultCode.REFUSED: "refused",
}


def _held_longest(devices: Mapping[str, _Device]) -> str | None:
    """The one that is gone longest; None when none is gone."""
    held = [(d.end.held_since, i) for i, d in devices.items() if d.end.held_since is not None]
    return min(held)[1] if held else None


def _is_in_house(line: Line) -> bool:
    """Whether nobody but the gateway itself can be on it."""
    return line.carrier.startswith(MICROPHONE)


def _is_hello(rejected: FrameRejected) -> bool:
    """Whether it was a device's first word: of another version, every frame is."""
    return rejected.type_byte == FrameType.HELLO or rejected.code is FaultCode.UNSUPPORTED_VERSION


def _deadline(end: GatewayEnd, now: float) -> float:
    """Of a device on hold: when it is forgotten."""
    if end.held_since is not None:
        return end.held_since + RESUME_SECONDS
    deadline = end.next_deadline(now)
    return math.inf if deadline is None else deadline
