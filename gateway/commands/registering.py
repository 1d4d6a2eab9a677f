"""What of ``earshot devices`` changes who may come in, and what devices are called.

It is done in the registry's file, which a running gateway looks at again within a second; by the gateway's API where
that file is not ours to write, or the gateway is named with ``--url``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from gateway.access.audit import Audit, What
from gateway.commands.asking import AskedGateway
from gateway.commands.near_names import tell_strangers
from gateway.commands.options import Trouble, own_folder, read_config
from gateway.contract.escaping import one_line
from gateway.registry.file import RegistryFile
from gateway.registry.records import RegisteredDevice, RegistryError, RegistryUnwritable

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Change:
    """One thing that is done to a device. ``path``: that of the API, below the device's own."""

    word: str
    on_file: Callable[[RegistryFile, str], RegisteredDevice | None]
    path: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def _facts(command: _Command) -> _Command:
    """The options that say what a device is called."""
    for option in (
        click.option("--priority", type=click.Choice(["urgent", "normal", "background", ""])),
        click.option("--user", metavar="ID", help="Whose it is."),
        click.option("--room", help="Where it is."),
        click.option("--name", help="What people call it."),
    ):
        command = option(command)
    return command


def new_key(asked: AskedGateway, device: str, facts: dict[str, str]) -> str:
    """Approve a device, with these facts and a key of its own, which is returned this once."""
    return _do(
        asked, device, _Change("given a key", lambda file, one: file.make_key(one, facts), "key", facts)
    )


def _do(asked: AskedGateway, device: str, change: _Change) -> str:
    """Do it, here or by the API; the key that was made, if one was."""
    if asked.url:
        return _ask(asked, device, change)
    config = read_config(asked.config_path)
    folder = own_folder(config, asked.config_path)
    try:
        changed = change.on_file(RegistryFile(folder), device)
    except RegistryUnwritable as error:
        if not isinstance(error.__cause__, PermissionError):
            raise Trouble(str(error)) from error
        return _ask(asked, device, change)
    except RegistryError as error:
        raise Trouble(str(error)) from error
    audit = Audit(folder)
    audit.note(What.REGISTRY, device_id=device, change=change.word, by=f"uid {os.getuid()}", **change.facts)
    if audit.lost:
        click.echo("warning: the audit log beside the registry cannot be written", err=True)
    return changed.key if changed is not None else ""


def _do_each(asked: AskedGateway, devices: Iterable[str], change: _Change, said: str) -> None:
    for device in devices:
        _do(asked, device, change)
        _say(f"{device} {said}")


def _ask(asked: AskedGateway, device: str, change: _Change) -> str:
    if change.facts:
        asked.ask("/devices/{}", device, method="PATCH", body=change.facts)
    told = asked.ask(f"/devices/{{}}/{change.path}", device, method="POST") if change.path else None
    return str((told or {}).get("key", ""))


def _say(text: str) -> None:
    click.echo(one_line(text))


def _told(**facts: str | None) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value is not None}


def _awaiting(asked: AskedGateway) -> tuple[str, ...]:
    return tuple(one["device_id"] for one in asked.ask("/devices")["waiting"])


@click.command("approve")
@click.argument("devices", nargs=-1, metavar="DEVICE...")
@click.option("--waiting", is_flag=True, help="All that await approval now.")
@click.pass_context
def approve(ctx: click.Context, devices: tuple[str, ...], *, waiting: bool) -> None:
    """Let devices in, also those that were denied or revoked. They need not have come yet."""
    if bool(devices) == waiting:
        raise click.UsageError("name devices, or --waiting for all that wait")
    tell_strangers(ctx.obj, devices)
    named = devices or _awaiting(ctx.obj)
    _do_each(ctx.obj, named, _Change("approved", RegistryFile.approve, "approve"), "may come in")


@click.command("deny")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@click.pass_context
def deny(ctx: click.Context, devices: tuple[str, ...]) -> None:
    """Refuse devices, whatever holds for those whom nobody knows; who is here is cut off."""
    tell_strangers(ctx.obj, devices)
    _do_each(ctx.obj, devices, _Change("denied", RegistryFile.deny, "deny"), "is refused from now on")


@click.command("revoke")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@click.pass_context
def revoke(ctx: click.Context, devices: tuple[str, ...]) -> None:
    """Cut devices off, now, and forget their keys; what is being said is dropped."""
    tell_strangers(ctx.obj, devices)
    _do_each(ctx.obj, devices, _Change("revoked", RegistryFile.revoke, "revoke"), "is revoked")


@click.command("add")
@click.argument("device", metavar="DEVICE")
@_facts
@click.option("--no-key", is_flag=True, help="It is believed to be who it says.")
@click.pass_context
def add(ctx: click.Context, /, device: str, *, no_key: bool, **facts: str | None) -> None:
    """Approve a device before it comes, and print the key it is to have: write it into the device."""
    told = _told(**facts)
    if no_key:
        _do(ctx.obj, device, _Change("approved", lambda file, one: file.approve(one, told), "approve", told))
        _say(f"{device} may come in")
        return
    _hand_over(ctx, device, told)


@click.command("key")
@click.argument("device", metavar="DEVICE")
@click.pass_context
def key(ctx: click.Context, device: str) -> None:
    """Make a new key for a device and print it, this once; without it no device of that id comes in any more."""
    _hand_over(ctx, device, {})


def _hand_over(ctx: click.Context, device: str, told: dict[str, str]) -> None:
    click.echo(new_key(ctx.obj, device, told))
    said = f"{device} comes in with this key and no other; it is not shown again"
    click.echo(one_line(said), err=True)


@click.command("describe")
@click.argument("device", metavar="DEVICE")
@_facts
@click.pass_context
def describe(ctx: click.Context, /, device: str, **facts: str | None) -> None:
    """Say what a device is called, where it is, whose, and how urgent; "" takes it back. config.yaml wins."""
    told = _told(**facts)
    if not told:
        raise click.UsageError("say --name, --room, --user or --priority")
    tell_strangers(ctx.obj, [device])
    _do(ctx.obj, device, _Change("described", lambda file, one: file.describe(one, told), facts=told))
    _say(f"{device}: {', '.join(f'{name} {value or chr(34) * 2}' for name, value in told.items())}")


@click.command("unregister")
@click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
@click.pass_context
def unregister(ctx: click.Context, devices: tuple[str, ...]) -> None:
    """Take back all that was said of devices here: they are unknown again (devices.unknown)."""
    change = _Change("unregistered", RegistryFile.remove, "unregister")
    _do_each(ctx.obj, devices, change, "is unknown again")


COMMANDS = (approve, deny, revoke, add, key, describe, unregister)
