"""A gateway's end that offers one image, a board that takes it, and a wire between them on which anything happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from firmware_bridge.images.image_file import Manifest, checked, read_manifest, signed_image
from firmware_bridge.images.serving import ImageServing
from firmware_bridge.images.signing import new_key, public_of
from firmware_bridge.images.taker import TakerState
from firmware_bridge.link.events import DeviceConnected, DeviceStatus, ImageAsked, ImageTold, LinkEvent
from firmware_bridge.link.frames import Header, Hello, Image, UpdateReason, UpdateState
from firmware_bridge.link.link import GatewayEnd, LinkSettings, say_hello
from tests.firmware_bridge.images.boards import BOARDS, AnyBoard, Flash
from tests.firmware_bridge.link.test_link_hostile import Wire

STEP = 0.01
KIND = "s3-box-3"
OFFER_AGAIN = 3.0
S, R = UpdateState, UpdateReason


@cache
def private(_name: str) -> bytes:
    return new_key()


def file_of(
    image: bytes, version: str = "2.0", *, kind: str = KIND, number: int = 20, key: str = "ours"
) -> bytes:
    return signed_image(image, kind=kind, version=version, number=number, private=private(key))


def an_image(size: int = 30_000, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@dataclass
class House:
    make: Callable[..., AnyBoard]
    seed: int = 1
    fault: float = 0.0
    own_version: str = "1.0"
    own_number: int = 10
    max_payload: int = 2048
    flash: Flash = field(default_factory=lambda: Flash(public_of(private("ours"))))

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.now = 10.0
        self.up, self.down = Wire(self.rng, self.fault), Wire(self.rng, self.fault)
        self.gateway: GatewayEnd | None = None
        self.serving = ImageServing()
        self.offered: tuple[Manifest, bytes] | None = None
        self.versions: dict[bytes, str] = {self.flash.image: self.own_version}
        self.told: list[tuple[UpdateState, UpdateReason]] = []
        self.offsets: list[int] = []
        self.fetched = 0
        self.welcomes = 0
        self.plugged = True
        self.gateway_is_there = True
        self.talks = False
        self._offer_at = 0.0
        self._answered: ImageTold | None = None
        self.power_on()

    # -- what happens

    def power_on(self) -> None:
        """The bootloader decides, and what it starts says hello."""
        self.flash.boot()
        image = self.flash.image
        self.board = self.make(
            self.flash,
            self.now,
            boot=self.rng.getrandbits(32),
            firmware=self.versions.get(image, "nonsense"),
            kind=KIND,
            number=self.own_number,
        )
        self.up.cut()
        self.down.cut()
        if self.plugged:
            self.board.end.hello(self.now)

    def offer(self, file: bytes) -> Manifest:
        manifest, start = checked(file), read_manifest(file)[1]
        self.offered = manifest, file[start:]
        self.versions[file[start:]] = manifest.version
        self._offer_at, self._answered = self.now, None
        return manifest

    def unplug(self) -> None:
        self.plugged = False
        self.board.end.carrier_lost()
        self.up.cut()
        self.down.cut()
        if self.gateway:
            self.gateway.carrier_lost(self.now)

    def replug(self) -> None:
        self.plugged = True
        self.board.end.hello(self.now)

    def restart_gateway(self) -> None:
        self.gateway = None
        self.serving = ImageServing()

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """False: it did not come to that."""
        end = self.now + seconds
        while self.now < end and not until():
            self.step()
        return until()

    def run_until_told(self, state: UpdateState, seconds: float = 60) -> bool:
        return self.run(seconds, lambda: bool(self.told) and self.told[-1][0] is state)

    @property
    def states(self) -> list[tuple[UpdateState, UpdateReason]]:
        """What the gateway was told, without what it was told again."""
        return [one for at, one in enumerate(self.told) if not at or self.told[at - 1] != one]

    def step(self) -> None:
        self.now += STEP
        if self.plugged:
            for frame in self.down.arrived(self.now):
                self.board.receive(frame, self.now)
            self.up.put(self.board.turn(self.now), self.now)
            if self.gateway_is_there:
                self._gateway_turn()
        else:
            self.board.turn(self.now)
        if self.flash.dead or self.flash.starting:
            self.power_on()

    # -- the gateway

    def _gateway_turn(self) -> None:
        for frame in self.up.arrived(self.now):
            if isinstance(frame, Hello):
                self._greet(frame)
            elif self.gateway:
                self._hear(self.gateway.receive(frame, self.now))
            elif (answer := say_hello(frame)) is not None:
                self.down.put([answer], self.now)
        if self.gateway is None:
            return
        self._hear(self.gateway.tick(self.now))
        if self._offer_at <= self.now and self._answered is None and self.offered:
            self._offer_at = self.now + OFFER_AGAIN
            self.gateway.send_image(self.offered[0].offer)
        if self.talks:
            self.gateway.send_status(0, DeviceStatus.IDLE)
        self._serve(self.gateway)
        self.down.put(self.gateway.outgoing(), self.now)

    def _greet(self, hello: Hello) -> None:
        if self.gateway and self.gateway.boot == hello.boot:
            self._hear(self.gateway.resumed(hello, "wire", self.now))
        else:
            self.gateway = GatewayEnd(hello, carrier="wire", settings=LinkSettings(), now=self.now)
            self._hear([self.gateway.connected])

    def _hear(self, events: list[LinkEvent]) -> None:
        for event in events:
            match event:
                case DeviceConnected():
                    self.welcomes += 1
                    piece = min(self.max_payload, event.max_payload) - 8
                    self.serving.admit(event.device_id, piece=piece, rate=100_000)
                    self._offer_at, self._answered = self.now, None
                case ImageTold():
                    self._answered = event
                    self.told.append((UpdateState(event.state), UpdateReason(event.reason)))
                    self.offsets.append(event.offset)
                case ImageAsked():
                    self._asked(event)

    def _asked(self, event: ImageAsked) -> None:
        assert self.gateway
        there = self.offered is not None and self.offered[0].image == event.image
        size = self.offered[0].size if self.offered and there else 0
        if not self.serving.ask(event.device_id, event.image, event.offset, event.length, size):
            self.gateway.send_image(Image(Header(), event.image, event.offset, b""))

    def _serve(self, gateway: GatewayEnd) -> None:
        for helping in self.serving.due(self.now):
            for at in range(helping.offset, helping.end, helping.piece):
                data = self.offered[1][at : min(at + helping.piece, helping.end)] if self.offered else b""
                self.fetched += len(data)
                gateway.send_image(Image(Header(), helping.image, at, data))


__all__ = ["BOARDS", "KIND", "House", "TakerState", "an_image", "file_of", "private"]
