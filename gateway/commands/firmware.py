"""``earshot firmware``: images for devices, signed, kept, offered, and how far each device has come.

Signing needs no gateway, only the key, which the gateway never sees. The rest is done in the gateway's folder, which a
running one looks at again within a second; with ``--url`` by its API.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from firmware_bridge.images.image_file import (
    MOST_BYTES,
    SUFFIX,
    BadImage,
    Manifest,
    read_image_file,
    signed_image,
)
from firmware_bridge.named_files import read_named
from gateway.access.audit import Audit, What
from gateway.access.private_files import as_owner_of, make_folder, write_private
from gateway.commands import near_names
from gateway.commands.asking import AskedGateway
from gateway.commands.options import Trouble, config_option, own_folder, read_config, token_option
from gateway.contract.escaping import one_line
from gateway.firmware.records import FirmwareError
from gateway.firmware.room import FirmwareRoom
from gateway.firmware.told import FirmwareTold, told_of
from gateway.process.clock import SET_SINCE

_NO_CRYPTOGRAPHY = (
    "keys and signatures need the package cryptography\n"
    f"remedy: {sys.executable} -m pip install 'earshot-gateway[firmware]'"
)
_Command = TypeVar("_Command", bound=Callable[..., Any])
_Result = TypeVar("_Result")


class Shelf:
    """Where images are kept: the folder of a gateway on this machine, or one that is asked."""

    def __init__(self, asked: AskedGateway) -> None:
        self._asked = asked

    @property
    def _folder(self) -> Path:
        config_path = self._asked.config_path
        return own_folder(read_config(config_path), config_path)

    def told(self) -> FirmwareTold:
        """All that there is."""
        if self._asked.url:
            return msgspec.convert(self._asked.ask("/firmware"), FirmwareTold)
        return self._done(told_of)

    def add(self, data: bytes) -> Manifest:
        """Keep it."""
        if self._asked.url:
            return msgspec.convert(self._asked.upload("/firmware", data), Manifest)
        manifest = self._done(lambda room: room.add(data))
        self._note(f"{manifest.version} for {manifest.kind} added")
        return manifest

    def change(self, verb: str, version: str, kind: str, circle: dict[str, Any] | None = None) -> None:
        """``verb``: offer, pause, resume or remove."""
        if self._asked.url:
            body = {"version": version, "kind": kind, **(circle or {})}
            self._asked.ask(f"/firmware/{verb}", method="POST", body=body)
            return
        self._done(lambda room: getattr(room, verb)(version, kind=kind, **(circle or {})))
        named = [f"{name} {value}" for name, value in (circle or {}).items() if value]
        self._note(f"{verb} {version}", *named)

    def tell_strangers(self, device: str, room: str) -> None:
        """If no device of the running gateway's is called so, or is there."""
        near_names.tell_strangers(self._asked, [device] if device else [], [room] if room else [])

    def _done(self, work: Callable[[FirmwareRoom], _Result]) -> _Result:
        """As the folder's owner, whatever lies in it: root writes nothing that they could not. Raises Trouble."""
        folder = self._folder
        try:
            make_folder(folder)
            with as_owner_of(folder):
                return _tried(lambda: work(FirmwareRoom(folder)))
        except OSError as error:
            raise Trouble(f"{folder}: {error.strerror or error}") from error

    def _note(self, *words: str) -> None:
        audit = Audit(self._folder)
        audit.note(What.FIRMWARE, change=", ".join(words), by=f"uid {os.getuid()}")
        if audit.lost:
            click.echo("warning: the audit log beside the journal cannot be written", err=True)


def _tried(work: Callable[[], _Result]) -> _Result:
    """Raises Trouble."""
    try:
        return work()
    except (FirmwareError, BadImage) as error:
        raise Trouble(str(error)) from error
    except ImportError as error:
        raise Trouble(_NO_CRYPTOGRAPHY) from error


@click.group("firmware")
@config_option
@click.option("--url", default="", help="A gateway elsewhere: its page. Without it: the one of this machine.")
@token_option
@click.option("--ca-file", default="", metavar="FILE", help="https: who signs the gateway's certificate.")
@click.pass_context
def command(ctx: click.Context, config_path: Path | None, url: str, token: str, ca_file: str) -> None:
    """Firmware over the air: images signed by you, offered to your devices, kept by those that work with them.

    \b
    earshot firmware keygen firmware.key                 # once; keep it well, and not on the gateway
    earshot firmware sign build/app.bin --kind s3-box-3 --version 1.4.0 --key firmware.key
    earshot firmware add build/app-1.4.0.earshot
    earshot firmware offer 1.4.0 --device kitchen        # first one, then a room, then all
    earshot firmware status
    earshot firmware offer 1.4.0 --all
    """  # noqa: D301
    ctx.obj = Shelf(AskedGateway(config_path, url, token, ca_file))


@command.command("keygen")
@click.argument("file", type=click.Path(path_type=Path))
def keygen(file: Path) -> None:
    """Make the key that images are signed with, and print its public half for the firmware."""
    if file.exists():
        raise Trouble(
            f"{file} is there already, and devices in the field may trust it\nremedy: name another file"
        )
    private, public, pem = _tried(_new_key)
    try:
        write_private(file.absolute(), private)
    except OSError as error:
        raise Trouble(f"{file} cannot be written: {error.strerror or error}") from error
    for line in (*_in_c(public), "", f"image key (hexadecimal): {public.hex()}", "", *pem.splitlines()):
        click.echo(line)
    click.echo(f"{file} is the private key: who has it can write your devices' firmware", err=True)


def _new_key() -> tuple[bytes, bytes, str]:
    from firmware_bridge.images.signing import new_key, public_of, public_pem  # noqa: PLC0415 - an extra

    private = new_key()
    return private, public_of(private), public_pem(private).decode("ascii")


def _in_c(public: bytes) -> Iterator[str]:
    """The public key for the firmware's source."""
    yield "static const uint8_t image_key[64] = {"
    for at in range(0, len(public), 16):
        yield "    " + " ".join(f"0x{byte:02x}," for byte in public[at : at + 16])
    yield "};"


@command.command("sign")
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--kind", required=True, help="For which boards it is: `kind` in their HELLO.")
@click.option("--version", required=True, help="What it calls itself: `fw` in its HELLO.")
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="The private key.")
@click.option(
    "--number",
    type=click.IntRange(1, 0xFFFFFFFF),
    help="No device takes a smaller one than it runs. Without it: the time, in seconds.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Without it: beside the image, with the version."
)
def sign(
    image: Path, *, kind: str, version: str, key_file: Path, number: int | None, output: Path | None
) -> None:
    """Sign an image that was built. To bring back an older one, sign it again."""
    number = _now() if number is None else number
    try:
        data, private = read_named(image, MOST_BYTES), read_named(key_file)
    except OSError as error:
        raise Trouble(f"{error.filename or image}: {error.strerror or error}") from error
    try:
        whole = _tried(lambda: signed_image(data, kind=kind, version=version, number=number, private=private))
    except ValueError as error:
        raise Trouble(f"{key_file}: {error}") from error
    made = output or image.with_name(f"{image.stem}-{version.replace('/', '_')}{SUFFIX}")
    try:
        made.write_bytes(whole)
    except OSError as error:
        raise Trouble(f"{made}: {error.strerror or error}") from error
    click.echo(str(made))


def _now() -> int:
    if (now := int(time.time())) < SET_SINCE:
        raise Trouble("this machine's clock is not set\nremedy: set it (timedatectl), or say --number")
    return now


@command.command("add")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.pass_obj
def add(shelf: Shelf, files: tuple[Path, ...]) -> None:
    """Give signed images to the gateway. Nobody is offered them yet."""
    for file in files:
        try:
            data = read_image_file(file)
        except OSError as error:
            raise Trouble(f"{file}: {error.strerror or error}") from error
        click.echo(_image_line(shelf.add(data)))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@click.pass_obj
def list_images(shelf: Shelf, *, as_json: bool) -> None:
    """The images that the gateway has."""
    images = shelf.told().images
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(images)))
        return
    for image in images:
        click.echo(one_line(_image_line(image)))
    if not images:
        click.echo("no images; `earshot firmware add` gives it one")


def _of_kind(command: _Command) -> _Command:
    return click.option("--kind", default="", help="Only that for these boards.")(command)


@command.command("offer")
@click.argument("version")
@_of_kind
@click.option("--device", default="", metavar="ID", help="This device; if it had it before, once more.")
@click.option("--room", default="", metavar="ROOM", help="The devices of this room.")
@click.option("--all", "everybody", is_flag=True, help="All devices of its kind.")
@click.pass_obj
def offer(shelf: Shelf, *, version: str, kind: str, device: str, room: str, everybody: bool) -> None:
    """Offer an image to one device, a room, or all: each time the circle grows.

    It stops by itself when devices roll back: at the first of a circle, at the second of all.
    """
    if [bool(device), bool(room), everybody].count(True) != 1:
        raise click.UsageError("say one of --device, --room and --all")
    shelf.tell_strangers(device, room)
    shelf.change("offer", version, kind, {"device": device, "room": room, "everybody": everybody})
    click.echo(one_line(f"{version} is offered to {device or room or 'all of its kind'}"))


def _changing(verb: str, said: str, help_text: str) -> None:
    """The command that does this to an image."""

    @command.command(verb, help=help_text)
    @click.argument("version")
    @_of_kind
    @click.pass_obj
    def change(shelf: Shelf, version: str, kind: str) -> None:
        shelf.change(verb, version, kind)
        click.echo(one_line(f"{version} {said}"))


_changing(
    "pause",
    "is offered to nobody",
    "Offer an image to nobody for now; devices that fetch it stop, and keep what they have.",
)
_changing("resume", "is offered again", "Go on with what was paused, or stopped by itself.")
_changing("remove", "is removed", "Take an image away; devices that run it go on with it.")


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
@click.pass_obj
def status(shelf: Shelf, *, as_json: bool) -> None:
    """To whom images are offered, and how far each device has come."""
    told = shelf.told()
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(told)))
        return
    for line in _status_lines(told):
        click.echo(one_line(line))


def _status_lines(told: FirmwareTold) -> Iterator[str]:
    if not told.rollouts:
        yield "nothing is offered"
    for rollout in told.rollouts:
        yield f"{rollout.version} for {rollout.kind}: offered to {rollout.circle or 'nobody'}"
        if rollout.paused:
            yield f"    PAUSED: {rollout.paused}"
        mine = [one for one in told.devices if (one.sha256, one.number) == (rollout.sha256, rollout.number)]
        for one in mine:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at))
            yield f"    {one.device_id:<16}  {one.words} since {when}"
        for device_id in sorted(set(rollout.devices) - {one.device_id for one in mine}):
            yield f"    {device_id:<16}  no word yet: it is away, of another kind, or takes no images"


def _image_line(image: Manifest) -> str:
    size = f"{image.size / 1024:.0f} KiB"
    return f"{image.version:<16}  for {image.kind}, number {image.number}, {size}, key {image.key[:16]}"
