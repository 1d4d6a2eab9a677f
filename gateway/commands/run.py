"""``earshot run``: the gateway."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path

import click
import structlog

from gateway.app import MISCONFIGURED, run_gateway
from gateway.commands.options import config_option, read_config
from gateway.commands.orchestrator.agent_options import agent_option, as_settings, named
from gateway.config.loading import load_config, locate, variable_name
from gateway.observing import log
from gateway.process.no_cores import keep_no_cores
from gateway.process.open_files import REMEDY, TooFewFiles, raise_limit
from transcription.process.allocator import keep_one_arena


@click.command("run")
@config_option
@click.option(
    "--orchestrator",
    metavar="MODULE:NAME",
    help="Who answers: an Orchestrator to run inside the gateway, looked for in this folder too. 'builtin' "
    "gives the demo's answers; '' leaves it to orchestrators on the broker.",
)
@agent_option
def command(config_path: Path | None, orchestrator: str | None, agents: tuple[str, ...]) -> None:
    """Run the gateway.

    It waits for devices, its MQTT broker and its model, and goes on without those that are missing;
    http://127.0.0.1:8080/readyz says how each of them is. SIGTERM or Ctrl-C drains and ends it; SIGHUP reads the
    configuration again and changes the speech model without dropping a device.

    \b
    earshot run
    earshot run --config /etc/earshot/config.yaml
    earshot run --orchestrator my_house:house
    earshot run --agent openai:ollama=http://127.0.0.1:11434/v1
    EARSHOT_WEB__PORT=8081 EARSHOT_LOG__LEVEL=debug earshot run
    """  # noqa: D301
    keep_no_cores()
    keep_one_arena()
    app = {} if orchestrator is None else {variable_name(("orchestrator", "app")): orchestrator}
    told = named(agents)
    if told:
        app |= as_settings(read_config(config_path, app), told)
    config = read_config(config_path, app)
    log.configure(config.log)
    try:
        raise_limit()
    except TooFewFiles as error:
        structlog.get_logger(__name__).error("cannot start", reason=str(error), remedy=REMEDY)
        sys.exit(MISCONFIGURED)
    file = locate(config_path, os.environ)
    work = run_gateway(config, lambda: load_config(config_path, {**os.environ, **app}), file, _greet)
    status = _run(work)
    # Everything is drained and closed. Not sys.exit: it would wait for a thread in the middle of fetching
    # a model or of a long recognition, and a service has to end in time.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run(work: Coroutine[None, None, int]) -> int:
    """Status 2 (the configuration is wrong, nobody starts it again) is the gateway's word alone."""
    try:
        return asyncio.run(work)
    except SystemExit as error:  # somebody's code, out of a callback of the event loop
        structlog.get_logger(__name__).exception("something ended the gateway", status=error.code)
        return 1


def _greet(url: str) -> None:
    """Where to look, for somebody who sits at a terminal; a log needs none of it."""
    if sys.stderr.isatty():
        where = f"open {url}" if url else "no page yet: the lines above say why"
        click.echo(f"\n  Earshot is listening: {where}\n  Ctrl-C ends it\n", err=True)
