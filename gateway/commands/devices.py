"""``earshot devices``: which there are, what they print, and forgetting those that are gone for good.

What changes who may come in is in ``registering.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from firmware_bridge.link.frames import is_device_id
from gateway.access.mqtt_secret import read_passwords
from gateway.client.credentials import BadCertificates, Introduction
from gateway.client.questions import Api, ApiError
from gateway.commands import registering
from gateway.commands.no_answer import NoAnswer
from gateway.commands.options import config_option, own_folder, own_page, read_config, token_option
from gateway.contract.escaping import one_line

FOLLOW_SECONDS = 1.0
"""How often it is asked for what a device has printed since."""


@click.group("devices", invoke_without_command=True)
@config_option
@click.option("--url", default="", help="The gateway's page. Without it: that of the configuration, here.")
@token_option
@click.option("--ca-file", default="", metavar="FILE", help="https: who signs the gateway's certificate.")
@click.pass_context
def command(ctx: click.Context, config_path: Path | None, url: str, token: str, ca_file: str) -> None:
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
    if not url:
        url, own_certificate = own_page(config_path)
        ca_file = ca_file or own_certificate
    try:
        ctx.obj = Api(url, Introduction(token, ca_file))
    except BadCertificates as error:
        raise click.BadParameter(one_line(str(error)), param_hint="--ca-file") from error
    except ValueError as error:
        raise click.BadParameter(one_line(str(error)), param_hint="--url") from error
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_devices)


for _registering in registering.COMMANDS:
    command.add_command(_registering)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@click.pass_obj
def list_devices(api: Api, *, as_json: bool = False) -> None:
    """The devices, who is refused, and what came over each line."""
    try:
        told = {**api.ask("/devices"), **api.ask("/links")}
    except ApiError as error:
        raise NoAnswer(error) from error
    if as_json:
        click.echo(json.dumps(told))
        return
    if not told["devices"]:
        click.echo("no device has called yet")
    for line in (
        *map(_device, told["devices"]),
        *map(_waiting, told["waiting"]),
        *map(_refused, told["refused"]),
        *map(_registered, told["registered"]),
        *(line for link in told["links"] for line in _link(link)),
    ):
        click.echo(one_line(line))


@command.command("log")
@click.argument("name", metavar="DEVICE|PORT")
@click.option("-f", "--follow", is_flag=True, help="Go on with what it prints from now on; Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="Each line as one JSON line.")
@click.pass_obj
def show_log(api: Api, name: str, *, follow: bool, as_json: bool) -> None:
    """What a device has printed lately: its LOG frames, and text on its serial line."""
    after = 0
    try:
        while True:
            for line in _lines(api, name, after):
                after = line["number"]
                when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["timestamp"]))
                click.echo(json.dumps(line) if as_json else f"{when}  {one_line(line['text'])}")
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)
    except ApiError as error:
        raise NoAnswer(error) from error
    except KeyboardInterrupt:
        return


@command.command("mqtt-password")
@click.argument("device", metavar="DEVICE")
@click.pass_context
def mqtt_password(ctx: click.Context, device: str) -> None:
    """What a device logs in with at the gateway's own MQTT broker; its user is its id.

    For operators, and for who may read the gateway's files.
    """
    api: Api = ctx.obj
    try:
        click.echo(_own_password(ctx, device) or api.ask("/devices/{}/mqtt", device)["password"])
    except ApiError as error:
        raise NoAnswer(error) from error


@command.command("forget")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@click.pass_obj
def forget(api: Api, devices: tuple[str, ...]) -> None:
    """Forget devices that are away for good; should one come again, it is welcome."""
    for device in devices:
        try:
            api.ask("/devices/{}", device, method="DELETE")
        except ApiError as error:
            raise NoAnswer(error) from error
        click.echo(f"{one_line(device)} is forgotten")


def _own_password(ctx: click.Context, device: str) -> str:
    """As the gateway of this machine has made it; empty where its files are not ours to read."""
    assert ctx.parent
    asked = ctx.parent.params
    if asked["url"] or not is_device_id(device):
        return ""
    config = read_config(asked["config_path"])
    if config.devices.mqtt.url != "embedded":
        return ""
    with suppress(OSError):
        return read_passwords(own_folder(config, asked["config_path"])).of(device)
    return ""


def _lines(api: Api, name: str, after: int) -> list[dict[str, Any]]:
    if not name.startswith("/"):
        lines: list[dict[str, Any]] = api.ask(f"/devices/{{}}/log?after={after}", name)["lines"]
        return lines
    links = [link for link in api.ask("/links")["links"] if link["link"] == name]
    if not links:
        raise ApiError(f"there is no port {name}", "earshot devices list names those there are")
    return [line for line in links[0]["lines"] if line["number"] > after]


def _device(device: dict[str, Any]) -> str:
    here = device["state"] == "connected"
    state = "here" if here else f"away ({device['reason']})"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(device["since"]))
    facts = [
        device["name"],
        device["room"],
        f"of {device['user_id']}",
        f"over {device['link']}",
        device["firmware"],
    ]
    facts += [device["priority"]] if device["priority"] != "normal" else []
    lost = device["counters"].get("lost_frames", 0)
    facts += [f"{lost} frames lost"] if lost else []
    facts += [f"its clock {device['drift_ppm']:+.0f} ppm"] if device["drift_ppm"] is not None else []
    facts += ["has a key"] if device["has_key"] else []
    return f"{device['device_id']:<16}  {state} since {since}: {', '.join(filter(None, facts))}"


def _refused(device: dict[str, Any]) -> str:
    name = device["device_id"] or "somebody"
    return f"{name:<16}  REFUSED on {device['link']} ({device['fault']}, {device['times']} times): {device['reason']}"


def _waiting(device: dict[str, Any]) -> str:
    seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(device["seen"]))
    facts = ", ".join(filter(None, (f"over {device['link']}", device["firmware"], f"last heard {seen}")))
    return f"{device['device_id']:<16}  WAITS for approval: {facts}"


def _registered(device: dict[str, Any]) -> str:
    facts = [
        device["name"],
        device["room"],
        f"of {device['user']}" if device["user"] else "",
        device["priority"],
    ]
    facts += ["with a key"] if device["has_key"] else []
    said = ", ".join(filter(None, facts))
    return f"{device['device_id']:<16}  {device['standing']}{': ' if said else ''}{said}"


def _link(link: dict[str, Any]) -> Iterator[str]:
    counted = link["counters"]
    bad = ("crc_errors", "cobs_errors", "oversized", "overruns", "lost_ms")
    broken = {name: counted[name] for name in bad if counted.get(name)}
    facts = [f"{counted['frames']} frames" if counted else "", *(f"{n} {name}" for name, n in broken.items())]
    yield f"{link['link']}: {'up' if link['up'] else 'down'}, {', '.join(filter(None, facts))}".rstrip(", ")
    if link["reason"]:
        yield f"    {link['reason']}"
    if link["remedy"]:
        yield f"    remedy: {link['remedy']}"
