"""The doctor's look at named agents: it imports those that run inside, and listens for a moment for the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.broker.base import MessageBroker
from gateway.broker.opening import MEMORY
from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.config.configuration import GatewayConfig
from gateway.contract.agents import ABSENT_SECONDS, PRESENCE_TOPIC, decode_presence
from gateway.contract.messages import BadMessage
from gateway.orchestrators.answer import CannotAnswer
from gateway.orchestrators.loading import load_orchestrator
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.registry.in_effect import in_effect
from gateway.settings.orchestrator import IN_A_PROCESS, AgentSettings, OrchestratorSettings

if TYPE_CHECKING:
    from gateway.agents.ready_made import Probed

MOST_FINDINGS = 8
"""Of agents that are well; more are counted."""
PROBE_SECONDS = 30.0
"""So long whom a ready-made agent asks may take to show that it is there."""
SERVERS_SECONDS = 20.0
"""So long the servers of tools have to show what they have."""
START = "start it under this name, with the gateway's broker (broker.url)"


async def listen(broker: MessageBroker, settings: OrchestratorSettings) -> Counter[str]:
    """Who says to be there, with how many copies; until all have, or had the time to. Raises BrokerError."""
    wanted = {name for name, agent in settings.agents.items() if not (agent.app or agent.kind)}
    copies: dict[str, set[str]] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(ABSENT_SECONDS), broker.subscribe(PRESENCE_TOPIC) as records:
            while not wanted <= copies.keys():
                delivery = await anext(records)
                with suppress(BadMessage):
                    said = decode_presence(delivery.message.payload)
                    copies.setdefault(said.agent, set()).add(said.instance)
                await delivery.ack()
    return Counter({name: len(its) for name, its in copies.items()})


def agents(config: GatewayConfig, there: Counter[str] | None) -> Iterator[Finding]:
    """Each agent of the settings. ``there``: who says to be, on the broker; None: it could not be asked."""
    findings = [_agent(name, agent, config, there) for name, agent in config.answering.agents.items()]
    for name, agent in config.answering.agents.items():
        if agent.kind == "openai" and agent.openai.tools.servers:
            findings += _servers(name, agent)
    well = [one for one in findings if one.state == "ok"]
    if len(well) > MOST_FINDINGS:
        yield ok("agents", f"{len(well)} of {len(findings)} are well")
        findings = [one for one in findings if one.state != "ok"]
    yield from findings
    strangers = sorted(there.keys() - config.orchestrator.agents.keys()) if there else []
    if strangers:
        yield warn(
            "agents",
            f"on the broker there is {', '.join(strangers)}, whom no setting names",
            "see orchestrator.agents",
        )
    yield from _rooms(config)
    yield from _teamless(config.orchestrator)


def _agent(name: str, agent: AgentSettings, config: GatewayConfig, there: Counter[str] | None) -> Finding:
    what = f"agent {name}"
    if agent.app or agent.kind:
        return _here(what, name, agent)
    if config.broker.url == MEMORY:
        remedy = f"name it in orchestrator.agents.{name}.app, or a broker in broker.url"
        return fail(what, "with memory:// nobody can come who could be it", remedy)
    if there is None:
        return warn(what, "the broker could not be asked whether it is there")
    if name not in there:
        return warn(what, "it is not there", START)
    return ok(what, "it is there" if there[name] == 1 else f"it is there, with {there[name]} copies")


def _here(what: str, name: str, agent: AgentSettings) -> Finding:
    if (agent.process and agent.app) or agent.kind in IN_A_PROCESS:
        return _in_a_process(what, name, agent)
    return _ready_made(what, name, agent) if agent.kind else _app(what, name, agent)


def _app(what: str, name: str, agent: AgentSettings) -> Finding:
    try:
        load_orchestrator(agent.app).check()
    except BadOrchestrator as error:
        return fail(what, str(error), f"correct orchestrator.agents.{name}.app, or what it names")
    return ok(what, f"{agent.app}, inside the gateway")


def _ready_made(what: str, name: str, agent: AgentSettings) -> Finding:
    from gateway.agents.ready_made import ready_made  # noqa: PLC0415 - where there are any

    where = f"{agent.kind}{f' at {agent.url}' if agent.url else ''}, inside the gateway"
    try:
        ready_made(name, agent).check()
        look = asyncio.run(_look(name, agent))
    except BadOrchestrator as error:
        return fail(what, str(error), f"correct orchestrator.agents.{name}")
    except CannotAnswer as error:
        return warn(what, f"{where}: {error.reason}", error.remedy)
    except TimeoutError:
        return warn(what, f"{where}: no answer within {PROBE_SECONDS:.0f} s", "see what it asks")
    return (warn if look.remedy else ok)(what, f"{where}{look.detail and f': {look.detail}'}", look.remedy)


def _in_a_process(what: str, name: str, agent: AgentSettings) -> Finding:
    from gateway.agents.process.stand_in import tried  # noqa: PLC0415 - where there are any

    try:
        asyncio.run(tried(name, agent))
    except CannotAnswer as error:
        return fail(what, error.reason, error.remedy)
    return ok(what, f"{agent.kind or agent.app}, in a process of its own")


async def _look(name: str, agent: AgentSettings) -> Probed:
    from gateway.agents.ready_made import probed  # noqa: PLC0415 - where there are any

    async with asyncio.timeout(PROBE_SECONDS):
        return await probed(name, agent)


def _servers(agent: str, settings: AgentSettings) -> Iterator[Finding]:
    """Each server of tools, and which of its tools the model gets."""
    from gateway.agents.mcp.servers import source  # noqa: PLC0415 - where there are any
    from gateway.agents.tools.belt import Belt  # noqa: PLC0415

    tools = settings.openai.tools
    try:
        servers = source(agent, tools)
    except BadOrchestrator as error:
        yield fail(f"tools of {agent}", str(error), f"correct orchestrator.agents.{agent}.openai.tools")
        return
    asyncio.run(servers.looked_at(SERVERS_SECONDS))
    belt = Belt(tools, [servers])
    offered = belt.offered()
    for name in tools.servers:
        what, found = f"tools of {agent}: {name}", servers.of(name)
        if found is None:
            reason = servers.reasons.get(name, f"it does not answer within {SERVERS_SECONDS:g} s")
            yield fail(what, reason, f"see orchestrator.agents.{agent}.openai.tools.servers.{name}")
            continue
        given = [tool for tool in found if tool.name in offered]
        left_out = [tool.name for tool in found if tool.name not in offered]
        names = [f"{tool.name}{' (asks first)' * belt.is_confirmed_first(tool)}" for tool in given]
        detail = f"{', '.join(names) or 'none of its tools is allowed'}"
        if left_out:
            detail += f"; not allowed: {', '.join(left_out)}"
        remedy = f"name them in orchestrator.agents.{agent}.openai.tools.allow"
        yield ok(what, detail) if given else warn(what, detail, remedy)


def _rooms(config: GatewayConfig) -> Iterator[Finding]:
    known = set(in_effect(config.devices, {}).rooms.values())
    for kind, all_of_them in (("agent", config.orchestrator.agents), ("team", config.orchestrator.teams)):
        for name, one in all_of_them.items():
            if unknown := sorted(set(one.rooms) - known):
                yield warn(
                    f"{kind} {name}",
                    f"no device is in {', '.join(unknown)}",
                    f"see devices.rooms, and orchestrator.{kind}s.{name}.rooms",
                )


def _teamless(settings: OrchestratorSettings) -> Iterator[Finding]:
    if not settings.teams:
        return
    asked = {name for team in settings.teams.values() for name in (*team.agents, team.combined_by)}
    if alone := [name for name in settings.agents if name not in asked]:
        yield warn(
            "agents",
            f"in no team, so that only other agents ask them: {', '.join(alone)}",
            "see orchestrator.teams",
        )
