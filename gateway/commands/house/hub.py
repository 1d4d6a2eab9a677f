"""``earshot hub``: the page and the API of a house, on a box without devices."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from gateway.commands.options import Trouble, config_option, read_config
from gateway.config.loading import variable_name
from gateway.contract.messages import is_token
from gateway.house_hub.running import MISCONFIGURED, NoHouse, run_hub
from gateway.observing import log
from gateway.process.no_cores import keep_no_cores
from gateway.process.open_files import REMEDY, TooFewFiles, raise_limit

BROKER, HOST, PORT = (variable_name(path) for path in (("broker", "url"), ("web", "host"), ("web", "port")))


@click.command("hub")
@config_option
@click.option("--broker", metavar="URL", help="The gateways' broker. Without it: broker.url.")
@click.option("--host", help="Where the page is served. Without it: web.host.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Its port; 0: any. Without it: web.port.")
@click.option(
    "--name",
    metavar="NAME",
    default="",
    help="What it is called in the house; each needs another. Without it: house.name, or the machine's, and '-hub'.",
)
def command(
    config_path: Path | None, broker: str | None, host: str | None, port: int | None, name: str
) -> None:
    """Serve the page, its listeners and the API for a house of several gateways.

    It has no devices of its own and hears no speech: it shows what all gateways show that have 'house.share' on and
    the same broker. A listener that loses its hub goes on at another, and misses no final event. Start as many as the
    listeners need, behind whatever balances connections. SIGTERM or Ctrl-C ends it.

    \b
    earshot hub --broker redis://broker.local
    earshot hub --broker nats://broker.local --host 0.0.0.0 --port 8443 --name hub-2
    """  # noqa: D301
    keep_no_cores()
    said = {BROKER: broker, HOST: host, PORT: None if port is None else str(port)}
    config = read_config(config_path, {key: value for key, value in said.items() if value is not None})
    _check_name(name)
    log.configure(config.log)
    try:
        raise_limit()
    except TooFewFiles as error:
        raise Trouble(f"{error}\nremedy: {REMEDY}") from error
    try:
        status = asyncio.run(run_hub(config, name, _greet))
    except NoHouse as error:
        click.echo(f"Error: {error}\nremedy: {error.remedy}", err=True)
        status = MISCONFIGURED
    sys.exit(status)


def _check_name(name: str) -> None:
    if name and not is_token(name):
        raise click.BadParameter("a name is 1 to 64 of A-Z a-z 0-9 _ -", param_hint="--name")


def _greet(url: str) -> None:
    """Where to look, for somebody who sits at a terminal; a log needs none of it."""
    if sys.stderr.isatty():
        click.echo(f"\n  The house is shown at {url}\n  Ctrl-C ends it\n", err=True)
