"""A line that hears itself, RX and TX bridged: what adapter and cable carry at each rate, without any device."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from firmware_bridge.carriers.serial_link import ByteStream, open_port
from firmware_bridge.line_test.line_report import RATES, LineVerdict
from firmware_bridge.link.frames import Audio, Codec, Header, Ping
from firmware_bridge.link.framing import SerialDecoder, encode_serial

SECONDS: Final = 1.0
"""For each rate."""
WINDOW: Final = 4
"""Frames on the way: an adapter's buffer holds no more."""
SILENCE: Final = 1.5
_FRAME_BYTES: Final = 640


class RateResult(Struct, frozen=True, kw_only=True):
    """``round_trip``: of one short frame, in seconds; None: it did not come back."""

    rate: int
    sent: int
    intact: int
    broken: int
    bytes_per_second: float
    round_trip: float | None

    @property
    def sound(self) -> bool:
        """All that was sent has come back as it was."""
        return self.sent > 0 and self.sent == self.intact and not self.broken


async def hear_itself(
    port: str, on_step: Callable[[str], None], rates: Sequence[int] = RATES, seconds: float = SECONDS
) -> list[RateResult]:
    """Each rate, the slowest first. Raises PortUnavailable."""
    results: list[RateResult] = []
    for rate in sorted(rates):
        on_step(f"{rate} baud")
        results.append(await _at(port, rate, seconds))
        if not results[0].intact and not results[0].broken:
            break  # nothing comes back at all
    return results


def judge_loopback(results: Sequence[RateResult]) -> LineVerdict:
    """The highest rate at which nothing was lost."""
    sound = [result.rate for result in results if result.sound]
    if not any(result.intact or result.broken for result in results):
        return LineVerdict(
            holds=False,
            reason="nothing comes back",
            remedy="bridge RX and TX of the adapter with a wire, and take the board off",
        )
    if not sound:
        return LineVerdict(
            holds=False,
            reason="at no rate does everything come back whole",
            remedy="another adapter, or another cable",
        )
    worse = [result.rate for result in results if not result.sound and result.rate < max(sound)]
    return LineVerdict(
        holds=True,
        reason=f"up to {max(sound)} baud everything comes back whole",
        remedy=f"not at {', '.join(map(str, worse))}" if worse else "",
    )


async def _at(port: str, rate: int, seconds: float) -> RateResult:
    opened = await asyncio.to_thread(open_port, port, rate)
    try:
        return await _Loop(opened.fileno(), rate).run(seconds)
    finally:
        opened.close()


class _Loop:
    """Sends frames, and compares what comes back."""

    def __init__(self, descriptor: int, rate: int) -> None:
        self._rate = rate
        self._payload = random.Random(rate).randbytes(_FRAME_BYTES)
        self._decoder = SerialDecoder()
        self._changed = asyncio.Event()
        self._intact = 0
        self._pings = 0
        self._stream = ByteStream(descriptor, self._received, lambda _reason: self._changed.set())

    async def run(self, seconds: float) -> RateResult:
        """At this rate, for so long."""
        loop = asyncio.get_running_loop()
        try:
            round_trip = await self._once()
            begun, sent = loop.time(), 0
            while round_trip is not None and loop.time() < begun + seconds:
                self._stream.write(encode_serial(Audio(Header(sequence=sent), Codec.PCM16, self._payload)))
                sent += 1
                if not await self._until(lambda sent=sent: sent - self._intact < WINDOW):  # type: ignore[misc]
                    break
            await self._until(lambda: self._intact >= sent)
            through = (self._decoder.counters.bytes) / max(loop.time() - begun, 1e-9)
        finally:
            self._stream.close()
        broken = self._decoder.counters.broken
        return RateResult(
            rate=self._rate,
            sent=sent,
            intact=self._intact,
            broken=broken,
            bytes_per_second=through,
            round_trip=round_trip,
        )

    async def _once(self) -> float | None:
        """A frame alone. What an earlier rate left on the line is no answer."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        self._stream.write(b"\0" + encode_serial(Ping(Header(timestamp=self._rate))))
        return loop.time() - begun if await self._until(lambda: self._pings > 0) else None

    async def _until(self, done: Callable[[], bool]) -> bool:
        """False: nothing has come for too long."""
        while not done():
            self._changed.clear()
            try:
                async with asyncio.timeout(SILENCE):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True

    def _received(self, data: bytes) -> None:
        for arrival in self._decoder.feed(data):
            if isinstance(arrival, Ping) and arrival.header.timestamp == self._rate:
                self._pings += 1
            elif isinstance(arrival, Audio) and arrival.payload == self._payload:
                self._intact += 1
        self._changed.set()
