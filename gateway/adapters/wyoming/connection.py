"""One connection of a program that speaks Wyoming: what it says, handed to whoever answers that, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import reduce

import structlog

from gateway.adapters.wyoming.events import ErrorReport, PingEvent, PongEvent, WyomingEvent
from gateway.adapters.wyoming.info import Describe, Info
from gateway.adapters.wyoming.respondents import Service
from gateway.adapters.wyoming.way_back import WayBack
from gateway.adapters.wyoming.wire import Arrived, EventDecoder, MalformedEvent, WireError, in_longer_pieces

log = structlog.get_logger(__name__)

READ_BYTES = 65_536
IDLE_SECONDS = 300.0
"""A program that has said nothing for so long, and waits for nothing, has left its connection behind."""
CLOSE_SECONDS = 5.0
"""What was sent last is read within this time, or lost."""


class ProgramConnection:
    """Served until the program leaves, or what it says is no Wyoming."""

    def __init__(self, reader: asyncio.StreamReader, line: WayBack, services: Sequence[Service]) -> None:
        self._reader = reader
        self._line = line
        self._services = services
        self._respondents = [service.begin(line) for service in services]

    async def run(self) -> None:
        """To its end, whoever makes it."""
        try:
            await self._converse()
        except (WireError, TimeoutError) as error:
            log.info("connection of a program closed", program=self._line.name, reason=str(error))
            self._line.put(
                ErrorReport(str(error), "malformed" if isinstance(error, WireError) else "timeout")
            )
        except ConnectionError as error:
            log.debug("a program is gone", program=self._line.name, reason=str(error))
        finally:
            for respondent in self._respondents:
                respondent.close()
            await self._line.close(CLOSE_SECONDS)

    async def _converse(self) -> None:
        decoder = EventDecoder()
        while data := await self._read():
            for arrived in in_longer_pieces(decoder.feed(data)):
                await self._answer(arrived)
                await asyncio.sleep(0)  # who sends without a pause lets others have their turn

    async def _read(self) -> bytes:
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    return await self._reader.read(READ_BYTES)
            except TimeoutError:
                if not any(one.is_busy for one in self._respondents):
                    raise TimeoutError(f"nothing was said for {IDLE_SECONDS:.0f} s") from None

    async def _answer(self, arrived: Arrived) -> None:
        match arrived:
            case MalformedEvent(kind, reason):
                self._line.put(ErrorReport(f"{kind}: {reason}", "malformed"))
            case Describe():
                await self._line.send(await described(self._services))
            case PingEvent(text):
                self._line.put(PongEvent(text))
            case WyomingEvent():
                for respondent in self._respondents:
                    if respondent.takes(arrived):
                        await respondent.take(arrived)
            case _:  # an event that is not ours is dropped, as the reference has it
                pass


async def described(services: Sequence[Service]) -> Info:
    """All that the gateway does here."""
    return reduce(_together, [await service.info() for service in services], Info())


def _together(one: Info, other: Info) -> Info:
    return Info(
        **{
            name: getattr(one, name) + getattr(other, name)
            for name in Info.__struct_fields__
            if name != "satellite"
        }
    )
