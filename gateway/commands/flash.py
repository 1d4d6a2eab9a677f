"""``earshot flash``: a board on a cable gets its firmware, is told who it is, and says HELLO."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from firmware_bridge.flashing.board_settings import CARRIERS, checked
from firmware_bridge.flashing.bootloader import UPLOAD_RATE, Board, Bootloader, check_installed
from firmware_bridge.flashing.greeting import greet
from firmware_bridge.flashing.images import read_firmware
from firmware_bridge.flashing.nvs_pages import NvsValue
from firmware_bridge.flashing.ports import the_board
from firmware_bridge.flashing.trouble import FlashTrouble
from firmware_bridge.flashing.writing import FlashJob, flash_file, write
from firmware_bridge.link.events import DeviceConnected, DeviceLog, HelloRefused, LinkEvent
from gateway.access.private_files import write_private
from gateway.commands.arrival import Arrival
from gateway.commands.asking import AskedGateway
from gateway.commands.flash_settings import settings_said
from gateway.commands.options import Trouble, config_option, token_option
from gateway.commands.registering import new_key
from gateway.contract.escaping import one_line

LINK_RATE = 921_600
WAIT_SECONDS = 30.0
_NETWORK = "Is the Wi-Fi's name and password right, does the broker let it in, and is it approved (`earshot devices`)?"


@click.command("flash")
@click.argument("image", required=False, type=click.Path(path_type=Path), metavar="[IMAGE]")
@click.option("--port", default="", help="The board's port. Without it: the only one there is.")
@click.option("--id", "device_id", default=None, metavar="ID", help="The device's id.")
@click.option("--room", default=None, help="The room it stands in.")
@click.option("--user", default=None, help="Whose it is.")
@click.option("--carrier", type=click.Choice(CARRIERS), default=None, help="How it reaches the gateway.")
@click.option(
    "--baud", type=int, default=None, help=f"Rate of its UART; {LINK_RATE} where nobody says another."
)
@click.option("--wifi", "wifi_ssid", default=None, metavar="SSID", help="Its Wi-Fi.")
@click.option(
    "--broker", "mqtt_url", default=None, metavar="URL", help="Its MQTT broker: mqtt[s]://host[:port]."
)
@click.option("--broker-user", "mqtt_user", default=None, metavar="USER", help="Its user there; else its id.")
@click.option(
    "--gateway", "ws_url", default=None, metavar="URL", help="The gateway's page: ws[s]://host[:port]."
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Who signs the broker's or gateway's certificate (PEM).",
)
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="More settings as `name: value` lines, passwords among them (docs/flashing.md names them); mode 0600.",
)
@click.option(
    "--add",
    is_flag=True,
    help="Approve it at the gateway, with room and user, and give it a key of its own to prove itself with.",
)
@config_option
@click.option(
    "--url", default="", help="The page of the gateway that it belongs to. Without it: the one here."
)
@token_option
@click.option("--settings-only", is_flag=True, help="Leave the firmware as it is.")
@click.option("--erase", is_flag=True, help="Erase all of its flash before.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="No board: write what its flash would hold, settings and all, into a file that only you can read.",
)
@click.option("--no-wait", is_flag=True, help="Do not wait until it says HELLO.")
@click.option(
    "--wait",
    type=click.FloatRange(0, min_open=True),
    default=WAIT_SECONDS,
    show_default=True,
    help="Seconds.",
)
@click.option(
    "--upload-rate",
    type=click.IntRange(9600, 4_000_000),
    default=UPLOAD_RATE,
    show_default=True,
    help="In baud.",
)
def command(image: Path | None, **options: Any) -> None:
    """Flash a board on a cable, tell it who it is, and wait for its HELLO.

    IMAGE: a firmware, as one merged file, or ESP-IDF's or PlatformIO's build folder. What is not said
    stays on the board as it is; passwords are asked for, or stand in the --settings file.

    \b
    earshot flash build/ --id kitchen --room Kitchen --carrier serial
    earshot flash firmware.bin --id attic --carrier mqtt --wifi Home --broker mqtt://box.local
    earshot flash --settings-only --room Attic
    earshot flash build/ --id emulated --carrier serial --out emulated.bin
    """  # noqa: D301
    _check_wanted(image, options)
    try:
        settings = settings_said(options)
        if options["add"] and not settings.get("id"):
            raise click.UsageError("--add needs the --id that it is to have")
        if options["out"]:
            assert image
            if options["add"]:
                settings = _with_key(
                    AskedGateway(options["config_path"], options["url"], options["token"], ""), settings
                )
            _write_file(options["out"], flash_file(read_firmware(image), settings))
            return
        _flash(image, settings, options)
    except FlashTrouble as error:
        raise Trouble(f"{error.reason}\nremedy: {error.remedy}") from error


def _check_wanted(image: Path | None, options: Mapping[str, Any]) -> None:
    if options["settings_only"] and (image or options["erase"]):
        raise click.UsageError("--settings-only leaves everything else as it is: without IMAGE and --erase")
    if options["out"] and not image:
        raise click.UsageError("--out takes an IMAGE")
    if not (image or options["settings_only"] or options["erase"]):
        raise click.UsageError("what is to be flashed? Say IMAGE, or --settings-only")


def _flash(image: Path | None, settings: Mapping[str, NvsValue | None], options: Mapping[str, Any]) -> None:
    check_installed()
    firmware = read_firmware(image) if image else None
    if not (firmware or settings or options["erase"] or options["add"]):
        raise click.UsageError("no setting was said that is to change")
    asked = AskedGateway(options["config_path"], options["url"], options["token"], "")
    port, progress = the_board(options["port"]), _Progress()
    bootloader = Bootloader(port, options["upload_rate"], progress)
    board = bootloader.look()
    _show_board(port, board)
    if firmware:
        firmware.check(board.chip, board.flash_bytes)
    arrival = None if options["no_wait"] else _arrival(asked, settings)
    job = FlashJob(firmware, _with_key(asked, settings) if options["add"] else settings, options["erase"])
    now = write(bootloader, board, job)
    progress.end()
    click.echo("written, and compared with what the board has")
    if "://" in port:
        click.echo("it is on no port of this machine: nobody here waits for its HELLO")
    elif not options["no_wait"] and (job.firmware or job.settings):
        _wait(port, now, options["wait"], arrival)


def _with_key(asked: AskedGateway, settings: Mapping[str, NvsValue | None]) -> dict[str, NvsValue | None]:
    """The settings, and a key that the gateway's register has for this device from now on."""
    device = str(settings["id"])
    facts = {name: str(settings[name]) for name in ("room", "user") if settings.get(name)}
    key = new_key(asked, device, facts)
    click.echo(one_line(f"{device} is approved, and has a key of its own"))
    return {**settings, **checked({"key": key})}


def _arrival(asked: AskedGateway, settings: Mapping[str, NvsValue | None]) -> Arrival | None:
    """To see it come over the network; None: it comes over this cable, or nobody can tell."""
    if settings.get("carrier") not in ("mqtt", "websocket") or not settings.get("id"):
        return None
    try:
        return Arrival(asked, str(settings["id"]))
    except click.ClickException as error:
        click.echo(one_line(f"nobody can tell whether it reaches the gateway: {error.message}"), err=True)
        return None


def _write_file(path: Path, data: bytes) -> None:
    try:
        write_private(path.absolute(), data)
    except OSError as error:
        raise FlashTrouble(f"{path} cannot be written: {error.strerror}", "another place for it") from error
    click.echo(f"{path} holds all of it")


def _wait(port: str, settings: Mapping[str, NvsValue], seconds: float, arrival: Arrival | None) -> None:
    carrier = str(settings.get("carrier", "serial"))
    baud = settings.get("baud", LINK_RATE)
    assert isinstance(baud, int)
    if carrier == "serial":
        hello = asyncio.run(greet(port, baud, seconds, _show))
    else:
        click.echo(f"it says HELLO over {carrier}; what it prints until then:")
        hello = asyncio.run(_elsewhere(port, baud, seconds, arrival))
    if hello is None and (carrier == "serial" or arrival):
        raise FlashTrouble(
            f"it was flashed, and said no HELLO in {seconds:g} s",
            "press RESET; what it printed stands above. "
            + ("`earshot link-test PORT` finds another rate" if carrier == "serial" else _NETWORK),
        )
    told_id = str(settings.get("id", ""))
    if told_id and isinstance(hello, DeviceConnected) and hello.device_id != told_id:
        raise FlashTrouble(
            f"it was told to be {told_id}, and calls itself {hello.device_id}",
            "its firmware reads no settings, as Arduino's sketch: the id stands in its source",
        )
    if isinstance(hello, dict):
        click.echo(
            one_line(
                f"{hello['device_id']} has said HELLO over {hello['link']}, firmware {hello['firmware']}"
            )
        )


async def _elsewhere(port: str, baud: int, seconds: float, arrival: Arrival | None) -> Any:
    """Show what it prints, until it has arrived."""
    printing = asyncio.create_task(greet(port, baud, seconds, _show), name="what the board prints")
    try:
        return await arrival.comes(seconds) if arrival else await printing
    finally:
        printing.cancel()
        await asyncio.wait((printing,))


def _show_board(port: str, board: Board) -> None:
    size = f"{board.flash_bytes / 2**20:g} MiB of flash" if board.flash_bytes else "flash of unknown size"
    click.echo(one_line(f"{port}: {board.details or board.chip.name}, {board.mac}, {size}"))


def _show(event: LinkEvent) -> None:
    match event:
        case DeviceLog():
            for line in event.text.splitlines():
                click.echo(f"  {one_line(line)}")
        case DeviceConnected():
            firmware = f", firmware {event.firmware}" if event.firmware else ""
            click.echo(one_line(f"{event.device_id} says HELLO{firmware}; HELLO to you, {event.device_id}"))
        case HelloRefused():
            click.echo(one_line(f"its HELLO cannot be taken: {event.reason}"))
        case _:
            pass


class _Progress:
    """One line on a terminal; nothing where nobody watches."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, what: str, done: int) -> None:
        if sys.stdout.isatty():
            self._shown = f"{what}: {done} %"
            click.echo(f"\r{self._shown:<20}", nl=False)

    def end(self) -> None:
        """What comes next stands in a line of its own."""
        if self._shown:
            click.echo(f"\r{'':<20}\r", nl=False)
