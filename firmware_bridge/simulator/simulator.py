"""A simulated ESP32: the demo, the tests and the benchmarks all speak through it.

It is the reference device's end (``device_end``) on a real carrier, with recordings for a
microphone. Audio is made at a device's pace, whatever the wire does; what the ring cannot hold
meanwhile is lost, as it would be there.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from firmware_bridge.alarm import Alarm
from firmware_bridge.carriers.mqtt_address import Credentials
from firmware_bridge.images.taker import ImageTaker
from firmware_bridge.link.codecs import AdpcmEncoder
from firmware_bridge.link.device_end import DOWN_CREDIT, DeviceEnd, DeviceState
from firmware_bridge.link.events import SAMPLE_RATE, NoticeKind
from firmware_bridge.link.frames import (
    MAX_PAYLOAD,
    Codec,
    DeviceFrame,
    Fault,
    Partial,
    Pong,
    Reply,
    Status,
    TranscriptText,
    Welcome,
)
from firmware_bridge.link.framing import Decoded, Noise
from firmware_bridge.simulator.flash import SimulatedFlash
from firmware_bridge.simulator.user import (
    FaultShown,
    Linked,
    PartialShown,
    ReplyShown,
    Report,
    SpeechEnded,
    SpokenStream,
    SpokenUtterance,
    StatusShown,
    StreamBegan,
    TranscriptShown,
    WireChanged,
    WireMissing,
)
from firmware_bridge.simulator.wires import (
    DeviceWire,
    Mischief,
    MischiefMaker,
    Mqtt,
    PseudoTerminal,
    SerialPort,
)
from firmware_bridge.speech_files import read_wav, recordings


class WireRefused(Exception):
    """Whoever is at the other end of the wire does not let this device in; says why, and what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


REPLUG_SECONDS = 0.3
"""How long a wire stays broken when mischief breaks it."""
TRAILING_SILENCE_SECONDS = 5.0
"""How much silence follows speech that the gateway is to find the end of, at most."""
GOODBYE_SECONDS = 1.0
"""How long a device that is to be switched off waits for the gateway to know what it has taken."""
PING_AGAIN_SECONDS = 0.2


class SimulatedDevice:
    """One device on one wire; ``async with`` is its power switch."""

    def __init__(
        self,
        device_id: str,
        wire: DeviceWire,
        *,
        boot: int | None = None,
        ring_frames: int = 1500,
        codec: Codec = Codec.PCM16,
        speed: float = 1.0,
        wants_partials: bool = False,
        wants_pieces: bool = False,
        max_payload: int = MAX_PAYLOAD,
        credit: int = DOWN_CREDIT,
        key: bytes = b"",
        mischief: Mischief | None = None,
        kind: str = "",
        flash: SimulatedFlash | None = None,
        report: Callable[[Report], None] = lambda _report: None,
    ) -> None:
        """``speed``: times real time; infinity is as fast as ring and gateway take it.

        ``flash``: with it the device takes firmware images of its ``kind``, and is what is in it.
        """
        if codec is Codec.OPUS:
            raise ValueError("the simulator speaks pcm16 and adpcm")
        self.device_id = device_id
        self.wire = wire
        self._switch_on = partial(
            DeviceEnd,
            device_id,
            ring_frames=ring_frames,
            wants_partials=wants_partials,
            wants_pieces=wants_pieces,
            max_payload=max_payload,
            credit=credit,
            key=key,
            kind=kind,
            takes_images=flash is not None,
        )
        self.flash, self._is_wired = flash, False
        self.taker: ImageTaker | None = None
        self.end = self._switched_on(secrets.randbits(32) if boot is None else boot)
        self.mischief = MischiefMaker(mischief or Mischief(), checksummed=wire.checksummed)
        self._unplug_seconds = mischief.unplug_seconds if mischief else 0.0
        self._ring_frames = ring_frames
        self._codec = codec
        self._adpcm = AdpcmEncoder()
        self._missing = ""
        self._speed = speed
        self._report = report
        self._conversations: dict[int, SpokenStream] = {}
        self._linked = asyncio.Event()
        self._progress = asyncio.Event()
        self._pong = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._refused: asyncio.Future[None] = self._loop.create_future()
        self._alarm = Alarm(self._tick)
        if self.flash is not None:
            self.flash.on_restart = self._restart_soon
            self.taker = ImageTaker(self.end, self.flash, self._loop.time())
        self._running = [self._tasks.create_task(self.wire.run(self), name=f"{self.device_id}'s wire")]
        if self._unplug_seconds:
            self._running.append(
                self._tasks.create_task(self._keep_unplugging(), name=f"{self.device_id}'s cat")
            )
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._alarm.cancel()
        for task in self._running:
            task.cancel()
        await self._tasks.__aexit__(None, None, None)

    # -- what its user does

    async def connected(self) -> None:
        """Wait until the gateway has welcomed the device. Raises WireRefused when it is not let in."""
        linked = asyncio.ensure_future(self._linked.wait())
        try:
            await asyncio.wait((linked, self._refused), return_when=asyncio.FIRST_COMPLETED)
        finally:
            linked.cancel()
        if not self._linked.is_set():
            self._refused.result()

    async def say(
        self, speech: Path | bytes, *, end_on_silence: bool = False, patience: float = 30.0
    ) -> SpokenUtterance:
        """Speak a WAV file, or PCM16 samples at 16 kHz, and wait for the final reply.

        ``end_on_silence``: leave it to the gateway to find the end; else push-to-talk. Returns what
        has come when ``patience`` seconds after the speech are over. Raises BadRecording.
        """
        pcm = await asyncio.to_thread(read_wav, speech) if isinstance(speech, Path) else speech
        overrun = self.end.counters.overrun_frames
        stream = self.end.start_stream(end_on_silence=end_on_silence)
        conversation = self._conversations[stream] = SpokenStream(stream)
        utterance = conversation.utterance
        self._report(StreamBegan(self.device_id, self._loop.time(), stream))
        try:
            await self._record(stream, pcm)
            utterance.stopped_at = self._loop.time()
            self._report(
                SpeechEnded(self.device_id, utterance.stopped_at, stream, len(pcm) / 2 / SAMPLE_RATE)
            )
            if end_on_silence:
                silence = bytes(2 * int(SAMPLE_RATE * TRAILING_SILENCE_SECONDS))
                await self._record(stream, silence, until=conversation.heard_out)
            if self._keeps(stream):
                self.end.stop_stream(stream)
            self._pump()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await conversation.answered.wait()
        finally:
            del self._conversations[stream]
        utterance.overrun_frames = self.end.counters.overrun_frames - overrun
        return utterance

    async def goodbye(self) -> None:
        """Wait until the gateway knows all that this device has taken, for a second at most."""
        self._pong.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                while not self._pong.is_set():
                    self.end.ping()  # its header acknowledges; on a bad wire it may be lost
                    self._pump()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(PING_AGAIN_SECONDS):
                            await self._pong.wait()

    def notice(self, kind: NoticeKind, value: int = 0, text: str = "") -> None:
        """Press a button, hear a wake word, measure a level."""
        self.end.notice(kind, value, text)
        self._pump()

    def unplug(self) -> None:
        """Break the wire; recording goes on."""
        self.wire.unplug()

    def replug(self) -> None:
        """Mend the wire."""
        self.wire.replug()

    # -- what the wire says (WireOwner)

    def wire_up(self) -> None:
        """Frames can be sent now."""
        now = self._loop.time()
        self._is_wired, self._missing = True, ""
        self._report(WireChanged(self.device_id, now, up=True))
        self.end.hello(now)
        self._pump()

    def wire_down(self) -> None:
        """Nothing can be sent any more."""
        self._is_wired = False
        self._linked.clear()
        self.end.carrier_lost()
        self._report(WireChanged(self.device_id, self._loop.time(), up=False))

    def wire_missing(self, reason: str, remedy: str = "") -> None:
        """There is no port or no broker: reported once."""
        if reason != self._missing:
            self._missing = reason
            self._report(WireMissing(self.device_id, self._loop.time(), reason, remedy))

    def wire_refused(self, reason: str, remedy: str = "") -> None:
        """Nobody lets this device in: for whoever waits until it is connected."""
        if not self._refused.done():
            self._refused.set_exception(WireRefused(reason, remedy))
            self._refused.exception()  # retrieved: perhaps nobody waits

    def received(self, decoded: Decoded) -> None:
        """A frame came from the gateway, or what was none."""
        if isinstance(decoded, Noise):
            return
        now = self._loop.time()
        for frame in self.end.receive(decoded, now):
            self._show(frame, now)
            if self.taker is not None:
                self.taker.hear(frame, now)
        if self.end.state is not DeviceState.LINKED:
            self._linked.clear()
        if isinstance(decoded, Pong):
            self._pong.set()
        self._progress.set()
        self._pump()

    # -- inside

    async def _record(self, stream: int, pcm: bytes, until: asyncio.Event | None = None) -> None:
        """Audio at the microphone's pace, each frame when its last sample is there."""
        if self._codec is Codec.IMA_ADPCM:
            pcm += bytes(-len(pcm) % 4)  # it has two samples a byte
        began = self._loop.time()
        size = 2 * self.wire.audio_samples
        for start in range(0, len(pcm), size):
            piece = pcm[start : start + size]
            await self._microphone_reaches(began + (start + len(piece)) / 2 / SAMPLE_RATE / self._speed)
            if (until is not None and until.is_set()) or not self._keeps(stream):
                return
            self.end.audio(stream, self._encode(piece), len(piece) // 2, self._codec)
            self._pump()

    def _keeps(self, stream: int) -> bool:
        """Whether it has not been restarted since; what was being said then is gone with its ring."""
        conversation = self._conversations.get(stream)
        return conversation is None or not conversation.is_lost

    async def _microphone_reaches(self, when: float) -> None:
        if self._speed != math.inf:
            await asyncio.sleep(when - self._loop.time())
            return
        while self.end.unacknowledged > self._ring_frames // 2:
            self._progress.clear()
            await self._progress.wait()
        await asyncio.sleep(0)

    def _encode(self, pcm: bytes) -> bytes:
        return self._adpcm.encode(pcm) if self._codec is Codec.IMA_ADPCM else pcm

    def _show(self, frame: DeviceFrame, now: float) -> None:
        device_id, stream = self.device_id, frame.header.stream
        conversation = self._conversations.get(stream)
        match frame:
            case Welcome():
                self._linked.set()
                self._report(Linked(device_id, now))
            case Status():
                if conversation:
                    conversation.show_status(frame.status, now)
                self._report(StatusShown(device_id, now, stream, frame.status))
            case Partial():
                self._report(PartialShown(device_id, now, stream, frame.text, frame.stable_text))
            case TranscriptText():
                if conversation:
                    conversation.show_transcript(frame, now)
                self._report(TranscriptShown(device_id, now, stream, frame.correlation_id, frame.text))
            case Reply():
                self._show_reply(conversation, frame, now)
            case Fault():
                self._report(FaultShown(device_id, now, frame.code, frame.message))

    def _show_reply(self, conversation: SpokenStream | None, part: Reply, now: float) -> None:
        reply = self.end.replies.take(part)
        if reply is None:
            return
        if conversation:
            conversation.show_reply(reply, now)
        self._report(
            ReplyShown(
                self.device_id,
                now,
                reply.header.stream,
                reply.correlation_id,
                reply.text,
                reply.final,
                reply.fallback,
                reply.error,
            )
        )

    def _pump(self) -> None:
        for frame in self.end.outgoing():
            for data in self.mischief.through(self.wire.encode(frame)):
                self.wire.write(data)
        now = self._loop.time()
        for part in (self.end, self.taker):
            if part is not None and (deadline := part.next_deadline(now)) is not None:
                self._alarm.set(deadline)

    def _tick(self) -> None:
        now = self._loop.time()
        self.end.tick(now)
        if self.taker is not None:
            self.taker.tick(now)
        self._pump()

    def _switched_on(self, boot: int) -> DeviceEnd:
        return self._switch_on(boot=boot, firmware="simulator" if self.flash is None else self.flash.firmware)

    def _restart_soon(self) -> None:
        self._loop.call_soon(self._restart)

    def _restart(self) -> None:
        """With whatever firmware its bootloader finds; what was in its ring is gone."""
        assert self.flash is not None
        self.flash.boot()
        now = self._loop.time()
        self.end = self._switched_on(secrets.randbits(32))
        self.taker = ImageTaker(self.end, self.flash, now)
        self._linked.clear()
        for conversation in self._conversations.values():
            conversation.lose()
        self._progress.set()
        if self._is_wired:
            self.end.hello(now)
        self._pump()

    async def _keep_unplugging(self) -> None:
        while True:
            await asyncio.sleep(self._unplug_seconds)
            self.unplug()
            await asyncio.sleep(REPLUG_SECONDS)
            self.replug()


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateOptions:
    """What ``earshot simulate`` can be told. Exactly one of ``serial``, ``pty``, ``mqtt`` and ``other``.

    ``serial``: a port that exists. ``pty``: where a pseudo-terminal is to appear. ``mqtt``: a
    broker's URL. ``other``: makes a wire that this package does not know. ``wav``: what is said, one
    utterance a file; empty: the first demo recordings. ``key``: proves who it is to a gateway that asks.
    """

    device_id: str = "simulated"
    serial: str = ""
    baudrate: int = 921_600
    pty: str = ""
    mqtt: str = ""
    other: Callable[[], DeviceWire] | None = None
    prefix: str = "earshot/v1"
    credentials: Credentials = field(default_factory=Credentials)
    wav: tuple[Path, ...] = ()
    repeat: int = 1
    pause_seconds: float = 0.5
    end_on_silence: bool = False
    wants_partials: bool = True
    wants_pieces: bool = True
    codec: Codec = Codec.PCM16
    speed: float = 1.0
    ring_frames: int = 1500
    key: bytes = b""
    patience: float = 30.0
    mischief: Mischief = field(default_factory=Mischief)
    kind: str = ""
    flash: SimulatedFlash | None = None

    def wire(self) -> DeviceWire:
        """The wire that was asked for. Raises ValueError when it is not exactly one, or a bad URL."""
        if [bool(self.serial), bool(self.pty), bool(self.mqtt), bool(self.other)].count(True) != 1:
            raise ValueError(
                "say exactly one of a serial port, a pseudo-terminal, an MQTT broker and a WebSocket"
            )
        if self.other:
            return self.other()
        if self.serial:
            return SerialPort(self.serial, self.baudrate)
        if self.pty:
            return PseudoTerminal(Path(self.pty))
        return Mqtt(self.mqtt, self.device_id, self.prefix, self.credentials)


def _speech(options: SimulateOptions) -> list[bytes]:
    wav = options.wav or tuple(recording.path for recording in recordings() if recording.demo)[:3]
    return [read_wav(path) for path in wav]


async def simulate(options: SimulateOptions, report: Callable[[Report], None]) -> int:
    """Be a device, say everything, report; 0 when each utterance had its transcript and its orchestrator's reply.

    Raises ValueError for options that make no sense, BadRecording (a ValueError) for a bad WAV file, and
    WireRefused when the device is not let in.
    """
    spoken = await asyncio.to_thread(_speech, options)
    answered = True
    async with SimulatedDevice(
        options.device_id,
        options.wire(),
        ring_frames=options.ring_frames,
        codec=options.codec,
        speed=options.speed,
        wants_partials=options.wants_partials,
        wants_pieces=options.wants_pieces,
        key=options.key,
        kind=options.kind,
        flash=options.flash,
        mischief=options.mischief,
        report=report,
    ) as device:
        await device.connected()
        for count, pcm in enumerate(spoken * options.repeat):
            if count:
                await asyncio.sleep(options.pause_seconds)
            said = await device.say(pcm, end_on_silence=options.end_on_silence, patience=options.patience)
            answered &= said.transcript is not None and said.reply is not None
            answered &= not (said.fallback or said.error)
        await device.goodbye()
    return 0 if answered else 1
