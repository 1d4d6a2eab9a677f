"""All device links at work: carriers, fleet and clock on the event loop.

``async with Bridge(settings, on_event) as bridge`` opens what the settings name and reports
LinkEvents synchronously, in order, on the loop; what the bridge is told to send leaves in the same
turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from firmware_bridge.alarm import Alarm
from firmware_bridge.carriers.serial_link import SerialLink
from firmware_bridge.embedded_broker.passwords import Passwords
from firmware_bridge.link.admission import Admission, OtherGateways
from firmware_bridge.link.events import DeviceStatus, LinkEvent
from firmware_bridge.link.fleet import DeviceInfo, Fleet, FleetCounters, log_failure
from firmware_bridge.link.frames import FaultCode, Hello, Image, Offer
from firmware_bridge.link.framing import Decoded, DecoderCounters
from firmware_bridge.link.link import LinkCounters
from firmware_bridge.link.wires import MQTT, Carrier, Line
from firmware_bridge.settings import DeviceSettings

if TYPE_CHECKING:
    from firmware_bridge.carriers.mqtt_link import MqttLink
    from firmware_bridge.microphones.microphone import MicrophoneCounters
    from firmware_bridge.microphones.microphones import Microphones


WAKE_WORD_SECONDS = 2.0
"""As long as a wake word is, at most."""


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A carrier, why it is down or weak, and what was counted on it since it came up (None: nothing counts)."""

    name: str
    up: bool
    reason: str
    remedy: str
    counters: DecoderCounters | MicrophoneCounters | None


class Bridge:
    """Every device on every carrier, as one thing to listen and to speak to."""

    def __init__(
        self,
        settings: DeviceSettings,
        on_event: Callable[[LinkEvent], None],
        on_delivered: Callable[[str, int, str], None] = lambda _device_id, _boot, _correlation_id: None,
        on_failure: Callable[[str, Exception], None] = log_failure,
        passwords: Passwords | None = None,
        *,
        admission: Admission | None = None,
        elsewhere: OtherGateways | None = None,
        is_fenced: Callable[[], bool] = lambda: False,
    ) -> None:
        """``on_delivered``: device id, boot and correlation id of a final reply the device has taken.

        ``on_failure``: which work a mistake of the gateway's own ended. ``passwords``: of the embedded MQTT broker.
        ``admission``: who may come in; None: everybody. ``elsewhere``: who else may know it; None: nobody.
        ``is_fenced``: whether another gateway may speak to the devices on MQTT, where all hear all.

        Raises ValueError when the MQTT URL is no broker's.
        """
        self._fleet = Fleet(settings, on_event, on_delivered, on_failure, admission, elsewhere=elsewhere)
        self._is_fenced = is_fenced
        self._serial = SerialLink(settings.serial, self) if settings.serial.ports else None
        self._mqtt = self._mqtt_link(settings, passwords) if settings.mqtt.url else None
        self._microphones = self._local_microphones(settings) if settings.microphones else None
        self._carriers: dict[str, Carrier] = {MQTT: self._mqtt} if self._mqtt else {}
        if self._microphones:
            self._carriers |= dict.fromkeys(self._microphones.carriers, self._microphones)
        self._open = True
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []
        self._flush_is_due = False

    def _mqtt_link(self, settings: DeviceSettings, passwords: Passwords | None) -> MqttLink:
        from firmware_bridge.carriers.mqtt_link import MqttLink  # noqa: PLC0415 - without MQTT, paho is not loaded

        return MqttLink(settings.mqtt, self, passwords)

    def _local_microphones(self, settings: DeviceSettings) -> Microphones:
        from firmware_bridge.microphones.microphones import Microphones  # noqa: PLC0415 - only where there are any

        wake = settings.wake
        pause = wake.seconds + WAKE_WORD_SECONDS if wake.devices or wake.rooms else 0.0
        return Microphones(settings.microphones, self, pause_seconds=pause)

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._tick)
        if self._serial:
            self._running.append(self._tasks.create_task(self._serial.run(), name="serial links"))
        if self._mqtt:
            self._running.append(self._tasks.create_task(self._mqtt.run(), name="mqtt link"))
        if self._microphones:
            self._running.append(self._tasks.create_task(self._microphones.run(), name="microphones"))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._fleet.shut_down(self._loop.time())
        self._flush()
        self._open = False
        self._alarm.cancel()
        for task in self._running:
            task.cancel()
        await self._tasks.__aexit__(None, None, None)

    # -- what the owner asks for

    @property
    def mqtt_url(self) -> str:
        """The MQTT broker in use, without a password; empty when there is none (yet)."""
        return self._mqtt.url if self._mqtt else ""

    def mqtt_url_of(self, device_id: str) -> str:
        """The same with the device's own user and password, where the broker is the embedded one."""
        return self._mqtt.url_of(device_id) if self._mqtt else ""

    @property
    def counters(self) -> FleetCounters:
        """What was refused or dropped so far, over all devices."""
        return self._fleet.counters

    def link_counters(self) -> LinkCounters:
        """What became of frames, over all links since the start."""
        return self._fleet.link_counters()

    def devices(self) -> tuple[DeviceInfo, ...]:
        """Every device that is known, also those that may still come back."""
        return self._fleet.devices()

    def visitor(self, device_id: str) -> str:
        """Who speaks as this device; HOUSE: it is a board, or not known."""
        return self._fleet.visitor(device_id)

    def links(self) -> tuple[LinkInfo, ...]:
        """Every carrier that is watched, and what has come over it."""
        seen: dict[str, DecoderCounters | MicrophoneCounters] = {}
        if self._serial:
            seen |= self._serial.counters()
        if self._microphones:
            seen |= self._microphones.counters()
        if self._mqtt:
            seen[MQTT] = self._mqtt.counters
        return tuple(
            LinkInfo(change.link, change.up, change.reason, change.remedy, seen.get(change.link))
            for change in self._fleet.carriers()
        )

    def forget(self, device_id: str) -> bool:
        """Give up a device that is away; False when it is here."""
        forgotten = self._fleet.forget(device_id, self._loop.time())
        self._flush_soon()
        return forgotten

    def readmit(self) -> list[str]:
        """Who may come in has changed: whoever may not be here any more is cut off. Their ids."""
        cut_off = self._fleet.readmit(self._loop.time())
        self._flush_soon()
        return cut_off

    def open_the_door(self, device_id: str, speaks_at: str = "") -> None:
        """What is known elsewhere of a device that waits is here, or will not come.

        ``speaks_at``: the gateway where another device of that id speaks; empty: there is none.
        """
        self._fleet.open_the_door(device_id, speaks_at, self._loop.time())
        self._flush_soon()

    def let_go(self, device_id: str, moved_to: str) -> bool:
        """A device is at another gateway now; False: it was not known here."""
        return self._fleet.let_go(device_id, moved_to, self._loop.time())

    def speaks(self, device_id: str, boot: int) -> bool:
        """Whether a device of that id and another boot is heard just now."""
        return self._fleet.speaks(device_id, boot, self._loop.time())

    def greeted_at(self, device_id: str, boot: int) -> int | None:
        """By its own clock, in milliseconds, when this boot of a device said HELLO here last; None: it is not known."""
        return self._fleet.greeted_at(device_id, boot)

    def greeted(self) -> list[tuple[str, int, int]]:
        """The devices that are here: their boots, and when, by their own clocks, they said HELLO."""
        return self._fleet.greeted()

    def refused(self, line: Line, hello: Hello, code: FaultCode, reason: str) -> None:
        """A carrier's owner does not want this device (it has told it so)."""
        self._fleet.note_refusal(line, hello.device_id, code, reason, self._loop.time())

    def set_busy(self, is_busy: Callable[[str], bool]) -> None:
        """For which devices there is no time now: they keep what they record in their rings and send none of it."""
        self._fleet.set_busy(is_busy)
        self._flush_soon()

    def settle(self, device_id: str, boot: int, stream: int, position: int) -> None:
        """Audio of a stream before ``position`` is durable; the device may forget it."""
        end = self._fleet.end(device_id, boot)
        if end:
            end.settle(stream, position)
            self._flush_soon()

    def renew(self, device_id: str, boot: int) -> None:
        """Ask a device that is here for everything that is not durable yet, from the beginning."""
        self._fleet.renew(device_id, boot)
        self._flush_soon()

    def send_status(self, device_id: str, boot: int, stream: int, status: DeviceStatus) -> bool:
        """False, as for all send_ methods: that boot is not known (any more), or its outbox is full."""
        end = self._fleet.end(device_id, boot)
        self._flush_soon()
        return end is not None and end.send_status(stream, status)

    def wants_partials(self, device_id: str, boot: int) -> bool:
        """Whether that boot of the device is there and wants what ``send_partial`` sends."""
        end = self._fleet.end(device_id, boot)
        return end is not None and end.wants_partials

    def send_partial(self, device_id: str, boot: int, stream: int, text: str, stable: str = "") -> bool:
        """What was understood so far; each replaces the one before. ``stable``: its beginning that will not change."""
        end = self._fleet.end(device_id, boot)
        self._flush_soon()
        return end is not None and end.send_partial(stream, text, stable)

    def send_transcript(self, device_id: str, boot: int, stream: int, correlation_id: str, text: str) -> bool:
        """What was said."""
        end = self._fleet.end(device_id, boot)
        self._flush_soon()
        return end is not None and end.send_transcript(stream, correlation_id, text)

    def send_reply(
        self,
        device_id: str,
        boot: int,
        stream: int,
        correlation_id: str,
        text: str,
        *,
        final: bool,
        fallback: bool = False,
        error: bool = False,
        whole: bool = True,
    ) -> bool:
        """An answer, or (``final`` false) a first one; ``whole`` false: it goes behind its pieces."""
        end = self._fleet.end(device_id, boot)
        self._flush_soon()
        return end is not None and end.send_reply(
            stream, correlation_id, text, final=final, fallback=fallback, error=error, whole=whole
        )

    def wants_pieces(self, device_id: str, boot: int) -> bool:
        """Whether that boot of the device wants what ``send_piece`` sends; it may be away for now."""
        end = self._fleet.end(device_id, boot)
        return end is not None and end.wants_pieces

    def send_piece(
        self, device_id: str, boot: int, stream: int, correlation_id: str, text: str, *, anew: bool
    ) -> bool:
        """What an answer grows by; ``anew``: it takes the place of all that was told of it."""
        end = self._fleet.end(device_id, boot)
        self._flush_soon()
        return end is not None and end.send_piece(stream, correlation_id, text, anew=anew)

    def blank(self, correlation_ids: Collection[str]) -> None:
        """Of what goes by these ids the words are told to no device any more, however long it is away."""
        self._fleet.blank(correlation_ids)

    def send_fault(self, device_id: str, code: FaultCode, message: str) -> None:
        """Tell a device what it did wrong, best effort."""
        self._fleet.send_fault(device_id, code, message)
        self._flush_soon()

    def send_image(self, device_id: str, boot: int, frame: Offer | Image) -> bool:
        """An offer of firmware, or a part of it, behind all else."""
        end = self._fleet.end(device_id, boot)
        self._flush_soon()
        return end is not None and end.send_image(frame)

    def attach(self, name: str, carrier: Carrier) -> None:
        """From now on ``carrier`` is the way out on lines of this name; its owner tells this bridge what comes in."""
        self._carriers[name] = carrier

    # -- what carriers say (Wires)

    def carrier_up(self, carrier: str) -> None:
        """A carrier works now."""
        self._fleet.carrier_up(carrier)

    def carrier_weak(self, carrier: str, reason: str, remedy: str) -> None:
        """A carrier works badly."""
        self._fleet.carrier_weak(carrier, reason, remedy)

    def carrier_down(self, carrier: str, reason: str, remedy: str, *, passing: bool = False) -> None:
        """A carrier does not work."""
        self._fleet.carrier_down(carrier, reason, remedy, self._loop.time(), passing=passing)
        self._flush_soon()

    def line_lost(self, line: Line, reason: str) -> None:
        """One device is gone."""
        self._fleet.line_lost(line, reason, self._loop.time())
        self._flush_soon()

    def admits(self, line: Line, hello: Hello) -> bool:
        """Whether this HELLO, were it received now, would be welcome. Changes nothing."""
        return self._fleet.admits(line, hello, self._loop.time())

    def receive(self, line: Line, arrivals: Iterable[Decoded]) -> None:
        """Frames, and what was none."""
        if line.carrier == MQTT and self._is_fenced():
            return
        self._fleet.receive(line, arrivals, self._loop.time())
        self._flush_soon()

    # -- out, and the clock

    def _flush_soon(self) -> None:
        if self._open and not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if not self._open:
            return
        for line, frame in self._fleet.outgoing(self._loop.time()):
            # A frame that a carrier does not take is lost like any other, and resent by the link.
            if line.carrier == MQTT and self._is_fenced():
                continue
            carrier = self._carriers.get(line.carrier) or self._serial
            try:
                assert carrier, line
                carrier.send(line, frame)
            except Exception as error:  # noqa: BLE001 - the boundary between lines
                self._fleet.fail("a frame to a device", error)
        self._alarm.set(self._fleet.next_deadline)

    def _tick(self) -> None:
        self._fleet.tick(self._loop.time())
        self._flush()
