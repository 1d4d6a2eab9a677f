"""``earshot orchestrator``: an agent in a process of its own, on this machine or any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import structs

from gateway.broker.base import BrokerError
from gateway.broker.opening import MEMORY
from gateway.commands.options import Trouble, config_option, read_config
from gateway.commands.orchestrator.agent_options import agent_option, as_settings, named
from gateway.config.configuration import GatewayConfig
from gateway.observing import log
from gateway.orchestrators.loading import load_orchestrator
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator
from gateway.orchestrators.serving import serve


@click.command("orchestrator")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@config_option
@agent_option
@click.option("--broker", metavar="URL", help="The gateway's broker. Without it: broker.url.")
def command(
    names: tuple[str, ...], config_path: Path | None, agents: tuple[str, ...], broker: str | None
) -> None:
    """Run agents outside the gateway, over its broker.

    NAME is one of orchestrator.agents in the configuration here; without any, those of --agent are meant. The
    gateway's own configuration names it, too, without a kind ("orchestrator: {agents: {ollama: {}}}"), or, where
    nobody is named, takes whoever answers. Copies share the work: start it twice. SIGTERM and Ctrl-C let it finish
    what it has begun.

    \b
    earshot orchestrator ollama
    earshot orchestrator --agent openai:ollama=http://127.0.0.1:11434/v1 --broker redis://localhost
    """  # noqa: D301
    told = named(agents)
    config = read_config(config_path, as_settings(read_config(config_path), told))
    log.configure(config.log)
    if broker is not None:
        config = structs.replace(config, broker=structs.replace(config.broker, url=broker, password_file=""))
    if config.broker.url == MEMORY:
        raise Trouble(
            "with memory:// nobody outside the gateway can answer\n"
            "remedy: name the gateway's broker (broker.url, or --broker), or run the agent inside the gateway "
            "(earshot run)"
        )
    made = [_agent(name, config) for name in names or told or _only(config)]
    try:
        serve(*made, url=config.broker.url, settings=config.broker)
    except (BadOrchestrator, BrokerError) as error:
        raise Trouble(str(error)) from error


def _only(config: GatewayConfig) -> Sequence[str]:
    """Whoever there is, where it is one."""
    there = [name for name, agent in config.orchestrator.agents.items() if agent.kind or agent.app]
    if len(there) != 1:
        which = f"one of {', '.join(there)}" if there else "none is set up in orchestrator.agents"
        raise click.UsageError(f"which agent? {which}; or say --agent")
    return there


def _agent(name: str, config: GatewayConfig) -> Orchestrator:
    settings = config.answering.agents.get(name)
    if settings is None or not (settings.kind or settings.app):
        lacks = "has no kind and no app" if settings is not None else "is not there"
        raise click.UsageError(f"orchestrator.agents.{name} {lacks} in this configuration")
    try:
        if settings.app:
            return load_orchestrator(settings.app).renamed(name)
        from gateway.agents.ready_made import ready_made  # noqa: PLC0415 - where there are any

        return ready_made(name, settings)
    except BadOrchestrator as error:
        raise Trouble(f"orchestrator.agents.{name}: {error}") from error
