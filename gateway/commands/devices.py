"""``earshot devices``: which there are, what they print, and forgetting those that are gone for good.

What changes who may come in is in ``registering.py``.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from firmware_bridge.flashing.ports import PATTERNS, candidates
from firmware_bridge.link.frames import is_device_id
from gateway.access.mqtt_secret import read_passwords
from gateway.commands import registering
from gateway.commands.asking import AskedGateway
from gateway.commands.device_lines import lines_of
from gateway.commands.options import (
    Trouble,
    as_long_as_somebody_reads,
    config_option,
    own_folder,
    read_config,
    token_option,
)
from gateway.contract.escaping import one_line

FOLLOW_SECONDS = 1.0
"""How often it is asked again."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _how(command: _Command) -> _Command:
    """The options of the list."""
    command = click.option("--watch", is_flag=True, help="Again every second; Ctrl-C ends it.")(command)
    return click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")(command)


@click.group("devices", invoke_without_command=True)
@config_option
@click.option("--url", default="", help="The gateway's page. Without it: that of the configuration, here.")
@token_option
@click.option("--ca-file", default="", metavar="FILE", help="https: who signs the gateway's certificate.")
@_how
@click.pass_context
def command(
    ctx: click.Context,
    config_path: Path | None,
    url: str,
    token: str,
    ca_file: str,
    *,
    as_json: bool,
    watch: bool,
) -> None:
    """The devices of a running gateway: here, away and refused, and the lines they are on.

    \b
    earshot devices                        # the same as: earshot devices list
    earshot devices log kitchen --follow
    earshot devices log /dev/ttyUSB0       # what came there before any device said HELLO
    earshot devices approve kitchen        # who may come in: devices.unknown
    earshot devices add attic --room Attic # with a key of its own, which is printed
    earshot devices revoke attic           # cut off, now
    earshot devices mqtt-password kitchen  # for the gateway's own MQTT broker
    earshot devices forget attic           # it is gone for good, and nobody misses it
    """  # noqa: D301
    ctx.obj = AskedGateway(config_path, url, token, ca_file)
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_devices, as_json=as_json, watch=watch)


for _registering in registering.COMMANDS:
    command.add_command(_registering)


@command.command("list")
@_how
@click.pass_obj
def list_devices(asked: AskedGateway, *, as_json: bool, watch: bool) -> None:
    """The devices, who waits or is refused, what came over each line, and what is plugged in beside.

    How loud a device is takes a second look: with --watch it is there from the second on.
    """
    with suppress(KeyboardInterrupt), as_long_as_somebody_reads():
        while True:
            told = {**asked.ask("/devices"), **asked.ask("/links")}
            told["ports"] = [] if asked.url else list(_ports(asked.config_path, told["links"]))
            if watch and not as_json:
                click.clear()
            shown = [json.dumps(told)] if as_json else map(one_line, lines_of(told))
            click.echo("\n".join(shown))
            if not watch:
                return
            time.sleep(FOLLOW_SECONDS)


def _ports(config_path: Path | None, links: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The serial ports of this machine that the gateway does not tell of."""
    patterns = read_config(config_path).devices.serial.ports
    told = {os.path.realpath(link["link"]) for link in links if link["link"].startswith("/")}
    watched = {os.path.realpath(port) for port in candidates(patterns)}
    for port in candidates((*patterns, *PATTERNS)):
        if (real := os.path.realpath(port)) not in told:
            yield {"port": port, "is_watched": real in watched}


@command.command("log")
@click.argument("name", metavar="DEVICE|PORT")
@click.option("-f", "--follow", is_flag=True, help="Go on with what it prints from now on; Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="Each line as one JSON line.")
@click.pass_obj
def show_log(asked: AskedGateway, name: str, *, follow: bool, as_json: bool) -> None:
    """What a device has printed lately: its LOG frames, and text on its serial line."""
    after = 0
    try:
        while True:
            for line in _lines(asked, name, after):
                after = line["number"]
                when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["timestamp"]))
                click.echo(json.dumps(line) if as_json else f"{when}  {one_line(line['text'])}")
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)
    except KeyboardInterrupt:
        return


@command.command("mqtt-password")
@click.argument("device", metavar="DEVICE")
@click.pass_context
def mqtt_password(ctx: click.Context, device: str) -> None:
    """What a device logs in with at the gateway's own MQTT broker; its user is its id.

    For operators, and for who may read the gateway's files.
    """
    asked: AskedGateway = ctx.obj
    click.echo(_own_password(asked, device) or asked.ask("/devices/{}/mqtt", device)["password"])


@command.command("forget")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@click.pass_obj
def forget(asked: AskedGateway, devices: tuple[str, ...]) -> None:
    """Forget devices that are away for good; should one come again, it is welcome."""
    for device in devices:
        asked.ask("/devices/{}", device, method="DELETE")
        click.echo(f"{one_line(device)} is forgotten")


def _own_password(asked: AskedGateway, device: str) -> str:
    """As the gateway of this machine has made it; empty where its files are not ours to read."""
    if asked.url or not is_device_id(device):
        return ""
    config = read_config(asked.config_path)
    if config.devices.mqtt.url != "embedded":
        return ""
    with suppress(OSError):
        return read_passwords(own_folder(config, asked.config_path)).of(device)
    return ""


def _lines(asked: AskedGateway, name: str, after: int) -> list[dict[str, Any]]:
    if not name.startswith("/"):
        lines: list[dict[str, Any]] = asked.ask(f"/devices/{{}}/log?after={after}", name)["lines"]
        return lines
    links = [link for link in asked.ask("/links")["links"] if link["link"] == name]
    if not links:
        raise Trouble(
            one_line(f"there is no port {name}") + "\nremedy: `earshot devices` names those there are"
        )
    return [line for line in links[0]["lines"] if line["number"] > after]
