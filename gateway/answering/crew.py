"""Whoever the settings name to answer inside the gateway, and what its health says of all who answer.

Where agents are named, that is them; otherwise it is ``orchestrator.app``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Protocol, TypeAlias

import structlog

from firmware_bridge.servers import split_url
from gateway.access.loopback import is_loopback
from gateway.broker.base import MessageBroker
from gateway.broker.opening import MEMORY
from gateway.journal import AnyJournal
from gateway.observing.broker_health import BrokerHealth
from gateway.observing.health import Health
from gateway.observing.orchestrator_health import OrchestratorHealth
from gateway.orchestrators.loading import inside, load_orchestrator
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.pipeline.asking.attempts import Attempts
from gateway.pipeline.pipeline import Pipeline
from gateway.settings.orchestrator import IN_A_PROCESS, OrchestratorSettings

log = structlog.get_logger(__name__)

Work: TypeAlias = tuple[str, Callable[[], Awaitable[None]]]
"""What is to be kept up as long as the gateway runs, by its name."""


class _Watch(Protocol):
    """What is told of those inside."""

    def blocked(self, name: str, seconds: float) -> None: ...

    def ailing(self, name: str, reason: str, remedy: str) -> None: ...

    def unusable(self, name: str, reason: str) -> None: ...


class Crew:
    """To be made before anything is started: raises BadOrchestrator when the settings name what does not exist."""

    def __init__(self, settings: OrchestratorSettings, broker_url: str) -> None:
        self._named = bool(settings.agents)
        self._solo = "" if self._named else inside(settings.app, broker_url)
        self._shared = broker_url != MEMORY
        self._outside = dict(_outside(settings))
        for name, host in self._outside.items():
            log.info("what is said leaves this machine", agent=name, host=host)
        self.inside = tuple(_named(settings)) if self._named else tuple(_solo(self._solo))
        """Those that run inside the gateway."""

    def work(
        self,
        broker: MessageBroker,
        pipeline: Pipeline,
        journal: AnyJournal,
        *,
        health: Health,
        state: BrokerHealth,
        acted: Callable[..., None],
    ) -> Iterator[Work]:
        """All that is to be started, those inside first: who is asked then is listening.

        ``acted``: told the facts of each thing that one of them did by a tool.
        """
        watch, watching = self._watch(broker, pipeline, health, state)
        turn = Attempts(journal, pipeline.is_new).turn
        for orchestrator in self.inside:
            orchestrator.on_blocked = watch.blocked
            orchestrator.on_ailing = watch.ailing
            orchestrator.turn = turn
            orchestrator.acted = partial(acted, agent=orchestrator.name)
            yield f"orchestrator {orchestrator.name}", partial(_run, orchestrator, broker, watch)
        yield from watching

    def _watch(
        self, broker: MessageBroker, pipeline: Pipeline, health: Health, state: BrokerHealth
    ) -> tuple[_Watch, tuple[Work, ...]]:
        if pipeline.agents is not None:
            from gateway.answering.agents_health import AgentsHealth  # noqa: PLC0415 - where there are any

            names = [orchestrator.name for orchestrator in self.inside]
            agents = AgentsHealth(
                health,
                pipeline.agents,
                names,
                shared=self._shared,
                outside=self._outside,
                connected=lambda: state.status.connected,
                now=asyncio.get_running_loop().time,
            )
            return agents, (("agents", agents.watch),)
        solo = OrchestratorHealth(health, broker, self._solo, shared=self._shared)
        watch = partial(solo.watch, pipeline.knows_somebody, lambda: state.status.connected)
        return solo, (("orchestrators", watch), ("what the old default left", solo.tidy_up))


def _solo(app: str) -> Iterator[Orchestrator]:
    if app:
        yield load_orchestrator(app)


def _named(settings: OrchestratorSettings) -> Iterator[Orchestrator]:
    for name, agent in settings.agents.items():
        try:
            if agent.process or agent.kind in IN_A_PROCESS:
                from gateway.agents.process.stand_in import stand_in  # noqa: PLC0415 - where there are any

                yield stand_in(name, agent)
            elif agent.kind:
                from gateway.agents.ready_made import ready_made  # noqa: PLC0415 - where there are any

                yield ready_made(name, agent)
            elif agent.app:
                yield load_orchestrator(agent.app).renamed(name)
        except BadOrchestrator as error:
            field = "kind" if agent.kind else "app"
            raise BadOrchestrator(f"orchestrator.agents.{name}.{field}: {error}") from error


def _outside(settings: OrchestratorSettings) -> Iterator[tuple[str, str]]:
    """The agents that ask another machine, and which: themselves, by their tools, or over a broker."""
    for name, agent in settings.agents.items():
        tools = [server.url for server in agent.openai.tools.servers.values()]
        hosts = [split_url(url).hostname for url in (agent.url, *tools, agent.commands.mqtt.url) if url]
        if away := [host for host in dict.fromkeys(hosts) if host and not is_loopback(host)]:
            yield name, ", ".join(away)


async def _run(orchestrator: Orchestrator, broker: MessageBroker, watch: _Watch) -> None:
    try:
        await orchestrator.run(broker)
    except BadOrchestrator as error:
        watch.unusable(orchestrator.name, str(error))
