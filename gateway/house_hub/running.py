"""A hub by itself: the page, its listeners and the API for a house, on a box without devices, over the house's broker.

Whatever can be missing (the broker, the shared store) is a state that shows in /readyz and is tried again.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Self

import structlog
from msgspec import structs

from gateway.access.audit import Audit
from gateway.access.common_door import CommonDoor
from gateway.broker.address import gateway_name
from gateway.broker.base import BrokerError
from gateway.broker.opening import MEMORY, open_broker
from gateway.config.configuration import GatewayConfig
from gateway.contract.events import HUB_EPOCH
from gateway.contract.house import GatewayPresence
from gateway.contract.messages import new_id
from gateway.house.presence import HousePresence
from gateway.house.sharing import Sharing
from gateway.hub.hub import Hub
from gateway.journal.errors import NoHome
from gateway.journal.file import journal_path
from gateway.observing.broker_health import BrokerHealth
from gateway.observing.health import Health, HealthState
from gateway.observing.machine.sampler import Sampler
from gateway.process.ending import until_done
from gateway.process.mishaps import Mishaps
from gateway.systemd.notifier import Notifier
from gateway.web.elsewhere.carrying import HouseApi
from gateway.web.entrance.listening import CannotListen
from gateway.web.parts import Parts
from gateway.web.server import WebServer

log = structlog.get_logger(__name__)

BROKER_SECONDS = 1.0
"""Time for what is on its way, once the last listener has left."""
FAILED, MISCONFIGURED = 1, 2
"""Exit statuses: the page's address is taken; the configuration names what cannot be."""
NO_BROKER = "a hub shows what gateways publish on a broker, and memory:// is none that it shares with them"
AWAY = "what the gateways show is not seen here"
UNKNOWN = "it is finding out what there is in the house"
UNKNOWN_REMEDY = "wait some seconds; if it stays so, look at the broker"
BROKER_REMEDY = "name the gateways' broker (--broker, or broker.url)"


class NoHouse(Exception):
    """There is nothing that it could be the hub of; ``remedy`` says what to do."""

    def __init__(self) -> None:
        super().__init__(NO_BROKER)
        self.remedy = BROKER_REMEDY


class HouseHub:
    """A running hub: ``async with HouseHub(config) as hub``; leaving it ends its listeners, who may go on elsewhere.

    Entering raises NoHouse, BrokerError for a url that can be none, and CannotListen.
    """

    def __init__(self, config: GatewayConfig, name: str = "") -> None:
        """``name``: what it is called in the house; empty: after the gateway that this configuration would be."""
        if config.broker.url == MEMORY:
            raise NoHouse
        self.name = name or f"{gateway_name(config.house, config.broker)[:59]}-hub"
        self.config = structs.replace(config, broker=structs.replace(config.broker, client_id=self.name))
        self.mishaps = Mishaps()
        self.hub = Hub(
            config.web,
            redact=config.privacy.redact,
            mishaps=self.mishaps,
            epoch=new_id(HUB_EPOCH.rstrip("_")),
        )
        self.sharing = Sharing(self.name, self.hub)
        self.health = Health(self.hub.publish, self.mishaps)
        self.url = ""
        self._instance = new_id("g")
        self._folder = journal_path(config.journal.path, os.environ).parent
        self._common_door = CommonDoor()
        self.machine = Sampler(self._folder)
        self._workers: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        config = self.config
        self.broker = open_broker(
            config.broker.url, config.broker, BrokerHealth(self.health, AWAY).broker_changed
        )
        self.presence = HousePresence(self.broker, self._told)
        async with AsyncExitStack() as stack:
            parts = Parts(
                config.web,
                self.hub,
                self.health,
                folder=self._folder,
                audit=Audit(self._folder, of_gateway=True),
                common_door=self._common_door,
                others=HouseApi(self.sharing, has_store=bool(config.house.store)),
                house_figures=self.sharing.figures,
                machine=self.machine,
            )
            server = await stack.enter_async_context(WebServer(parts))
            self.url = server.url
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            stack.push_async_callback(self.broker.close, BROKER_SECONDS)
            stack.callback(self._cancel_workers)
            self._start(self.presence.run, "presence in the house")
            self._start(self.machine.run, "machine")
            for name, work in self.sharing.work(self.broker, self.presence):
                self._start(work, name)
            self.health.set("house", HealthState.UNHEALTHY, UNKNOWN, UNKNOWN_REMEDY)
            self._start(self._find_out, "finding out")
            await self._start_store()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            with self.mishaps.contained("closing the hub"):
                self.hub.close()
            await self.sharing.drain()
        finally:
            await self._stack.aclose()

    @property
    def well(self) -> bool:
        """Whether it still says that it is there; some of its work comes to an end."""
        return not self._workers[0].done()

    def _told(self) -> GatewayPresence:
        facts = GatewayPresence(gateway=self.name, instance=self._instance, role="hub", url=self.url)
        return self.sharing.told(facts)

    async def _find_out(self) -> None:
        """Until then it is not ready: who restarts hubs one by one waits for each to know what the last one did."""
        await self.sharing.known()
        self.health.set("house", HealthState.HEALTHY)
        await asyncio.Event().wait()

    async def _start_store(self) -> None:
        if not self.config.house.store:
            return
        from gateway.shared_store.at_work import StoreAtWork  # noqa: PLC0415 - where there is one

        store = await asyncio.to_thread(
            StoreAtWork,
            self.config.house,
            self.name,
            self._folder,
            common_door=self._common_door,
            health=self.health,
        )
        self._start(store.run, "shared store")

    def _start(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        self._workers.append(self._tasks.create_task(self.mishaps.keep_up(name, work), name=name))

    def _cancel_workers(self) -> None:
        self._ending = asyncio.create_task(until_done(self._workers), name="the end of the workers")


async def run_hub(
    config: GatewayConfig, name: str = "", on_ready: Callable[[str], None] = lambda _url: None
) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status. ``on_ready`` is told where the page is. Raises NoHouse."""
    notifier, stop = Notifier(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with HouseHub(config, name) as hub:
            on_ready(hub.url)
            notifier.ready(f"listening; page at {hub.url}")
            watchdog = asyncio.create_task(notifier.watchdog(lambda: hub.well), name="watchdog")
            await stop.wait()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)  # the next one ends the process at once
            watchdog.cancel()
            notifier.stopping("its listeners leave")
    except (BrokerError, NoHome) as error:
        log.error("cannot start", reason=str(error))  # noqa: TRY400 - the reason says it all
        return MISCONFIGURED
    except CannotListen as error:
        log.error("cannot start", address=error.address, reason=error.reason, remedy=error.remedy)  # noqa: TRY400
        return FAILED
    log.info("stopped")
    return 0
