"""A gateway that has no place of its own yet: it waits for that of another, and serves nobody until it has it.

Its page says so (503 at /readyz, for balancers), and the house knows of it. What it has to do beside that is to notice
that nobody has the place any more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self, cast

import structlog
from msgspec import structs

from gateway.access.audit import Audit
from gateway.broker.address import gateway_name
from gateway.broker.base import BrokerStatus, Leases
from gateway.broker.opening import open_broker
from gateway.config.configuration import GatewayConfig
from gateway.contract.house import GatewayPresence
from gateway.contract.messages import new_id
from gateway.house.copies.keeping import CopyKeeper
from gateway.house.neighbours import GONE_BEATS
from gateway.house.presence import HousePresence
from gateway.house.row.tenure import Tenure
from gateway.hub.hub import Hub
from gateway.journal import Journal, JournalError, JournalState
from gateway.journal.file import journal_path
from gateway.observing.broker_health import BrokerHealth
from gateway.observing.health import Health, HealthState
from gateway.process.mishaps import Mishaps
from gateway.systemd.notifier import Notifier
from gateway.web.entrance.listening import CannotListen
from gateway.web.parts import Parts
from gateway.web.server import WebServer

OpenJournal = Callable[[GatewayConfig, Callable[[JournalState], None]], Journal]

log = structlog.get_logger(__name__)

STANDBY = "standby"
"""The component that tells what is waited for."""
AT_ONCE_SECONDS = 1.0
"""Whoever has its place by then was never standing by."""
OWNER_FIRST_SECONDS = 2.0
"""Of two that find a place free, the one that it is named after has it."""
PATIENCE_SECONDS = 3.0
"""A gateway whose own place it is does not wait longer for a broker that is away: its devices wait for it."""


def place_of(config: GatewayConfig) -> str:
    """Which place it is."""
    return config.house.standby_for or gateway_name(config.house, config.broker)


def in_place(config: GatewayConfig) -> GatewayConfig:
    """The same with the name of whoever has the place: whose replies are its own goes by that."""
    if not config.house.is_in_row:
        return config
    place = place_of(config)
    house = structs.replace(config.house, name=place, standby_for="", has_standby=True)
    return structs.replace(config, house=house, broker=structs.replace(config.broker, client_id=place))


async def until_in_place(
    config: GatewayConfig, stop: asyncio.Event, notifier: Notifier, journal_of: OpenJournal
) -> str:
    """Wait until the place is this one's, or it is to stop; who this one is, of those that may have it."""
    async with StandingBy(config, journal_of) as standing:
        due = asyncio.create_task(standing.until_due(), name="standing by")
        stopped = asyncio.create_task(stop.wait())
        watchdog = asyncio.create_task(notifier.watchdog(lambda: True), name="watchdog")
        await asyncio.wait([due], timeout=AT_ONCE_SECONDS)
        if not due.done():
            log.info("standing by", place=place_of(config), page=standing.url)
            notifier.ready(f"standing by for {place_of(config)}")
        await asyncio.wait([due, stopped], return_when=asyncio.FIRST_COMPLETED)
        watchdog.cancel()
        stopped.cancel()
        if due.done():
            await due
            await standing.give_up_what_is_old()
            log.info("the place is free, and taken over", place=place_of(config))
        due.cancel()
    return gateway_name(config.house, config.broker)


class StandingBy:
    """``async with``, and ``until_due`` until the place is this one's."""

    def __init__(self, config: GatewayConfig, journal_of: OpenJournal) -> None:
        self.url = ""
        self._config = config
        self._name, self._place = gateway_name(config.house, config.broker), place_of(config)
        self.mishaps = Mishaps()
        self._hub = Hub(config.web, redact=config.privacy.redact, mishaps=self.mishaps)
        self.health = Health(self._hub.publish, self.mishaps)
        self._broker_health = BrokerHealth(self.health)
        self._instance = new_id("g")
        self._was_connected = asyncio.Event()
        self._journal = journal_of(config, self._journal_changed) if config.journal.enabled else None
        self.keeper: CopyKeeper | None = None
        """Of the journal of the gateway that serves."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        broker_settings = structs.replace(self._config.broker, client_id=f"{self._name[:38]}-standby")
        self._broker = open_broker(broker_settings.url, broker_settings, self._broker_changed)
        self._presence = HousePresence(self._broker, self._facts)
        self.tenure = Tenure(cast("Leases", self._broker), self._place, self._name, self._is_taken)
        async with AsyncExitStack() as stack:
            if self._journal is not None:
                await stack.enter_async_context(self._journal)
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            stack.callback(self._hub.close)
            await self._serve_page(stack)
            stack.push_async_callback(self._broker.close, 0.5)
            self._start(stack, "presence in the house", self._presence.run)
            if self._journal is not None:
                self.keeper = CopyKeeper(self._broker, self._journal, self._place, self._name)
                self._start(stack, "a copy of the journal", self.keeper.run)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def _start(self, stack: AsyncExitStack, name: str, work: Callable[[], Awaitable[None]]) -> None:
        task = self._tasks.create_task(self.mishaps.keep_up(name, work), name=name)
        stack.callback(task.cancel)

    async def give_up_what_is_old(self) -> None:
        """Of the journal that was copied here, where it is not as it was called durable."""
        if self.keeper is not None:
            with suppress(JournalError):
                await self.keeper.give_up_what_is_old()

    async def until_due(self) -> None:
        """Until nobody else has the place, and this one does."""
        self._tell()
        if not self._is_own:
            await asyncio.sleep(OWNER_FIRST_SECONDS)
        had = asyncio.create_task(self.tenure.until_had(), name="the place")
        try:
            if self._is_own:
                await asyncio.wait([had], timeout=PATIENCE_SECONDS)
                if not had.done() and not self._was_connected.is_set():  # else it may have been told
                    log.warning("nobody can say whose place this is: it is taken up", place=self._place)
                    return
            await had
        finally:
            had.cancel()

    @property
    def _is_own(self) -> bool:
        return not self._config.house.standby_for

    def _is_taken(self) -> bool:
        """As far as is to be seen; whoever has just begun has not looked long enough."""
        neighbours = self._presence.neighbours
        if neighbours.beats <= GONE_BEATS:
            return True
        return any(one.name == self._place and one.facts.role == "gateway" for one in neighbours.here())

    def _tell(self) -> None:
        reason = f"it stands by for {self._place}, and serves nobody until it has its place"
        self.health.set(STANDBY, HealthState.UNHEALTHY, reason, "nothing: it takes over by itself")

    def _facts(self) -> GatewayPresence:
        return GatewayPresence(
            gateway=self._name, instance=self._instance, role="standby", url=self.url, standby_for=self._place
        )

    def _journal_changed(self, state: JournalState) -> None:
        fine = HealthState.HEALTHY if state.durable else HealthState.DEGRADED
        self.health.set("journal", fine, state.reason, state.remedy)

    def _broker_changed(self, status: BrokerStatus) -> None:
        self._broker_health.broker_changed(status)
        if status.connected:
            self._was_connected.set()

    async def _serve_page(self, stack: AsyncExitStack) -> None:
        config = self._config
        if not config.web.enabled:
            return
        folder: Path = journal_path(config.journal.path, os.environ).parent
        audit = Audit(folder, of_gateway=True)
        parts = Parts(config.web, self._hub, self.health, lambda: None, folder, audit, config.adapters.openai)
        try:
            server = await stack.enter_async_context(WebServer(parts))
        except CannotListen as error:
            log.warning("no page while standing by", reason=error.reason, address=error.address)
            return
        self.url = server.url
