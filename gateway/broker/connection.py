"""One connection to a broker on the network, kept for ever: lost, tried again, reported.

There is no limit to the attempts. The first comes at once, and no pause between two is longer than
``RETRY_SECONDS``, so that whoever heals the network, starts the server or corrects a password need do
nothing more. An attempt whose packets were swallowed would hang long after the network is well again, so the
first after a loss gets little time, and each further one twice as much, up to ``broker.connect_seconds``.

Of several servers each attempt is the next one's: what was lost or not to be had is tried again
when the others were.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from typing import Protocol

import structlog
from msgspec.structs import replace

from firmware_bridge.pacing import Backoff
from gateway.broker.address import Scheme, each_server, resolve
from gateway.broker.base import BrokerRefused, BrokerStatus, BrokerUnavailable
from gateway.broker.wire import Connect, Wire
from gateway.settings.broker import BrokerSettings

log = structlog.get_logger(__name__)

FIRST_RETRY_SECONDS = 0.1
RETRY_SECONDS = 0.5
REFUSED_SECONDS = 5.0
"""The pause after we were refused: nothing changes by itself there."""
STABLE_SECONDS = 1.0
"""A connection that lasted so long was a good one: when it is lost, the next is tried at once."""
FIRST_ATTEMPT_SECONDS = 0.75
PING_SECONDS = 0.5
PONG_SECONDS = 0.75
"""A connection on which nothing is answered for so long is dead, even if nobody has said so."""
LATE_SECONDS = 0.25
"""And so much longer, for what has come already while this process had no time to look."""
GOODBYE_SECONDS = 1.0
STAYED_SECONDS = 3.0
"""A connection that lasted so long is not ended again for what ended the one before, which somebody was to mend."""
_TO_STAY = ""

OnStatus = Callable[[BrokerStatus], None]


class Passenger(Protocol):
    """Who uses the connection, and is told of each new one and of its end."""

    async def board(self, wire: Wire, tasks: asyncio.TaskGroup) -> None:
        """A connection begins. ``tasks`` live as long as it. Raises BrokerUnavailable: then it is no good."""

    async def leave_wire(self) -> None:
        """It is lost. Idempotent."""


class Connection:
    """Keeps connected from ``start`` to ``close``; ``wire`` is there while it is."""

    def __init__(
        self,
        url: str,
        scheme: Scheme,
        connect: Connect,
        settings: BrokerSettings,
        *,
        passenger: Passenger,
        on_status: OnStatus | None,
    ) -> None:
        """``url`` has been checked."""
        self.status = BrokerStatus(connected=False, reason="not connected yet")
        self.wire: Wire | None = None
        self.tasks: asyncio.TaskGroup | None = None
        self.ready = False
        """Whether everybody is aboard: nothing may be published that a subscription should get and cannot."""
        self.tried = asyncio.Event()
        """The first attempt is over, or nothing more will be tried."""
        self._servers = itertools.cycle(each_server(url))
        self._how = (scheme, settings)
        self._connect = connect
        self._settings = settings
        self._passenger = passenger
        self._on_status = on_status
        self._lost: asyncio.Future[BrokerStatus] | None = None
        self._backoff = Backoff(FIRST_RETRY_SECONDS, RETRY_SECONDS)
        self._patience = math.inf  # a server that we do not know yet may be slow
        self._loop: asyncio.Task[None] | None = None
        self._denied: dict[str, BrokerUnavailable] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to connect. Idempotent; needs a running loop."""
        if self._loop is None and not self.tried.is_set():
            self._loop = asyncio.create_task(self._stay_connected(), name="broker connection")

    async def close(self) -> None:
        """End the connection and try no more."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await asyncio.gather(*self._goodbyes, return_exceptions=True)
        self.tried.set()

    def lose(self, wire: Wire, error: BrokerUnavailable) -> None:
        """``wire`` turned out to be no good."""
        if self.wire is wire:
            self._give_up(error)

    def denied(self, what: str, error: BrokerUnavailable) -> None:
        """The server does not let us do something: that is our status until it does, over all connections."""
        self._denied[what] = error
        self._report(self._with_denials(self.status))

    def allowed(self, what: str) -> None:
        """It did."""
        if what in self._denied:
            del self._denied[what]
            self._report(self._with_denials(replace(self.status, reason="", remedy="")))

    async def _stay_connected(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._lost = asyncio.get_running_loop().create_future()
            began = clock()
            try:
                wire = await self._open()
                status = await self._serve(wire)
            except BrokerUnavailable as error:
                status = BrokerStatus(connected=False, reason=str(error), remedy=error.remedy)
                pause = REFUSED_SECONDS if isinstance(error, BrokerRefused) else self._backoff.next()
            else:
                status = self._with_denials(status)
                if clock() - began > STABLE_SECONDS:
                    self._backoff.reset()
                    pause = 0.0
                else:
                    pause = self._backoff.next()
            self._report(status)
            self.tried.set()
            await asyncio.sleep(pause)

    async def _open(self) -> Wire:
        """Raises BrokerUnavailable."""
        address = await asyncio.to_thread(
            resolve, next(self._servers), *self._how
        )  # it reads files, and prepares TLS
        loop, lost = asyncio.get_running_loop(), self._lost

        def on_lost(reason: str, remedy: str = "", /) -> None:
            if lost is self._lost:
                error = BrokerRefused(reason, remedy) if remedy else BrokerUnavailable(reason)
                loop.call_soon_threadsafe(self._give_up, error)

        try:
            async with asyncio.timeout(min(self._patience, address.connect_seconds)):
                return await self._connect(address, on_lost)
        except TimeoutError as error:
            self._patience *= 2
            raise BrokerUnavailable(
                f"{address} does not answer", "start the broker, or correct broker.url"
            ) from error
        except BrokerUnavailable:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if _is_our_end(error):
                raise
            raise _failed(error) from error

    async def _serve(self, wire: Wire) -> BrokerStatus:
        """Until the connection is lost; why it was. Raises BrokerUnavailable when it is no good."""
        assert self._lost is not None
        refused: BrokerUnavailable | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                self.wire, self.tasks = wire, tasks
                beats = tasks.create_task(self._ping(wire), name="broker ping")
                try:
                    await self._passenger.board(wire, tasks)
                    await self._gather(wire)
                    self._begin(wire)
                    status = await self._lost
                except BrokerUnavailable as error:
                    refused = error
                beats.cancel()
                await self._stop_serving(wire)
        except (Exception, asyncio.CancelledError) as error:
            if _is_our_end(error):
                raise
            raise _failed(error) from error
        finally:
            await self._stop_serving(wire)
        if refused is not None:
            raise refused
        return status

    async def _gather(self, wire: Wire) -> None:
        """Let others come back, too, unless this is the first connection."""
        assert self._lost is not None
        if self._patience < math.inf:
            await asyncio.wait((self._lost,), timeout=wire.facts.gather_seconds)

    def _begin(self, wire: Wire) -> None:
        assert self._lost is not None
        if self._lost.done():
            return
        self.ready = True
        self._patience = FIRST_ATTEMPT_SECONDS
        facts = wire.facts
        status = BrokerStatus(
            connected=True,
            server=f"{facts.name} {facts.version}".strip(),
            instance=facts.instance,
            durability=facts.durability,
            weaknesses=facts.weaknesses,
        )
        self._report(self._with_denials(status))
        self.tried.set()
        if _TO_STAY in self._denied:
            asyncio.get_running_loop().call_later(STAYED_SECONDS, self._stayed, wire)

    def _stayed(self, wire: Wire) -> None:
        if self.wire is wire:
            self.allowed(_TO_STAY)

    async def _stop_serving(self, wire: Wire) -> None:
        """Idempotent."""
        if self.wire is not wire:
            return
        self.ready, self.wire = False, None
        try:
            await self._passenger.leave_wire()
        finally:
            await self._say_goodbye(wire)

    async def _say_goodbye(self, wire: Wire) -> None:
        """It ends by itself, whoever stops waiting for it; ``close`` waits, too. Whatever it ends with is over."""
        goodbye = asyncio.create_task(_close_wire(wire), name="broker goodbye")
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)
        await asyncio.wait({goodbye})

    async def _ping(self, wire: Wire) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            if not await self._answers(wire):
                self.lose(wire, BrokerUnavailable("the broker does not answer any more"))
                return

    async def _answers(self, wire: Wire) -> bool:
        """Whether it answers in time. What is late because we are is no silence of the broker's."""
        ping = asyncio.create_task(wire.ping(), name="broker ping's answer")
        try:
            for seconds in (min(PONG_SECONDS, self._settings.connect_seconds), LATE_SECONDS):
                done, _ = await asyncio.wait({ping}, timeout=seconds)
                if done:
                    ping.result()
                    return True
        except BrokerUnavailable:
            return False
        finally:
            ping.cancel()
            await asyncio.gather(ping, return_exceptions=True)
        return False

    def _give_up(self, error: BrokerUnavailable) -> None:
        if self._lost is not None and not self._lost.done():
            if isinstance(error, BrokerRefused):
                self._denied[_TO_STAY] = error
            self._lost.set_result(BrokerStatus(connected=False, reason=str(error), remedy=error.remedy))

    def _with_denials(self, status: BrokerStatus) -> BrokerStatus:
        """What is denied is told while connections come and go for it."""
        for error in self._denied.values():
            status = replace(status, reason=str(error), remedy=error.remedy)
        return status

    def _report(self, status: BrokerStatus) -> None:
        if status != self.status:
            self.status = status
            if self._on_status is not None:
                self._on_status(status)


def _is_our_end(error: BaseException) -> bool:
    """Whether it is we who are cancelled, and not a task of an adapter's library that somebody awaited here."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


def _failed(error: BaseException) -> BrokerUnavailable:
    """A mistake in an adapter is no reason to stay away for ever."""
    log.error("the broker's adapter failed", exc_info=error)
    return BrokerUnavailable(f"the adapter failed ({type(error).__name__})")


async def _close_wire(wire: Wire) -> None:
    """A library may also end with the cancellation of a task of its own, which is nobody else's."""
    closing = asyncio.ensure_future(wire.close())
    await asyncio.wait({closing}, timeout=GOODBYE_SECONDS)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)
