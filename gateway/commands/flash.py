"""``earshot flash``: a board on a cable gets its firmware, is told who it is, and says HELLO."""

from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from firmware_bridge.flashing.board_settings import CARRIERS, checked
from firmware_bridge.flashing.bootloader import UPLOAD_RATE, Board, Bootloader, check_installed
from firmware_bridge.flashing.greeting import greet
from firmware_bridge.flashing.images import read_firmware
from firmware_bridge.flashing.nvs_keys import BY_NAME
from firmware_bridge.flashing.nvs_pages import NvsValue
from firmware_bridge.flashing.ports import the_board
from firmware_bridge.flashing.trouble import FlashTrouble
from firmware_bridge.flashing.writing import FlashJob, flash_file, write
from firmware_bridge.link.events import DeviceConnected, DeviceLog, HelloRefused, LinkEvent
from firmware_bridge.named_files import read_named
from gateway.access.private_files import write_private
from gateway.commands.options import Trouble
from gateway.config.strict_yaml import YamlProblem, parse
from gateway.contract.escaping import one_line

LINK_RATE = 921_600
WAIT_SECONDS = 30.0
_GOES_WITH = {"wifi_ssid": ("wifi_pass",), "mqtt_url": ("mqtt_user", "mqtt_pass"), "ws_url": ("ws_token",)}
"""Where the first is told anew, the others are too: the old password belongs to another network."""
_ASKED = {
    "wifi_pass": "Wi-Fi password (empty: an open network)",
    "mqtt_pass": "Password at the MQTT broker (empty: none)",
    "ws_token": "Token of the gateway's (empty: none)",
}


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

    IMAGE: a firmware, as one merged file or as ESP-IDF's build folder. What is not said stays on the board as it is;
    passwords are asked for, or stand in the --settings file.

    \b
    earshot flash build/ --id kitchen --room Kitchen --carrier serial
    earshot flash firmware.bin --id attic --carrier mqtt --wifi Home --broker mqtt://box.local
    earshot flash --settings-only --room Attic
    earshot flash build/ --id emulated --carrier serial --out emulated.bin
    """  # noqa: D301
    _check_wanted(image, options)
    try:
        settings = _settings(options)
        if options["out"]:
            assert image
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
    job = FlashJob(read_firmware(image) if image else None, settings, options["erase"])
    if not job.firmware and not settings and not job.erase:
        raise click.UsageError("no setting was said that is to change")
    port = the_board(options["port"])
    progress = _Progress()
    now = write(
        Bootloader(port, options["upload_rate"], progress), job, lambda board: _show_board(port, board)
    )
    progress.end()
    click.echo("written, and compared with what the board has")
    if not options["no_wait"] and (job.firmware or settings):
        _wait(port, now, options["wait"])


def _write_file(path: Path, data: bytes) -> None:
    try:
        write_private(path.absolute(), data)
    except OSError as error:
        raise FlashTrouble(f"{path} cannot be written: {error.strerror}", "another place for it") from error
    click.echo(f"{path} holds all of it")


def _wait(port: str, settings: Mapping[str, NvsValue], seconds: float) -> None:
    carrier = settings.get("carrier", "serial")
    if carrier != "serial":
        click.echo(
            f"it says HELLO over {carrier!s}: `earshot devices list` shows it there; until then what it prints:"
        )
    baud = settings.get("baud", LINK_RATE)
    assert isinstance(baud, int)
    hello = asyncio.run(greet(port, baud, seconds, _show))
    if hello is None and carrier == "serial":
        raise FlashTrouble(
            f"it was flashed, and said no HELLO in {seconds:g} s",
            "press RESET; what it printed stands above. `earshot link-test PORT` finds another rate",
        )


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


def _settings(options: Mapping[str, Any]) -> dict[str, NvsValue | None]:
    """What was said and asked for. A name without a value is to be gone."""
    said: dict[str, Any] = _from_file(options["settings_file"]) if options["settings_file"] else {}
    said |= {name: options[name] for name in BY_NAME if options.get(name) is not None}
    if options["device_id"] is not None:
        said["id"] = options["device_id"]
    if options["ca_file"]:
        said["ca_pem"] = _text_of(options["ca_file"])
    gone = {name for name, value in said.items() if value is None}
    for name in (name for first in _GOES_WITH if said.get(first) for name in _GOES_WITH[first]):
        if name not in said:
            said[name] = _asked_for(name)
            gone |= {name} if not said[name] else set()
    return {**checked({name: said[name] for name in said.keys() - gone}), **dict.fromkeys(gone)}


def _asked_for(name: str) -> str:
    if name not in _ASKED or not sys.stdin.isatty():
        return ""
    said: str = click.prompt(_ASKED[name], default="", hide_input=True, show_default=False, err=True)
    return said


def _from_file(path: Path) -> dict[str, Any]:
    """Raises FlashTrouble; no line of it is quoted."""
    try:
        data = parse(_text_of(path)).data
    except YamlProblem as error:
        raise FlashTrouble(f"{path}:{error.line} cannot be read", "lines of `name: value`") from error
    if not isinstance(data, dict) or any(isinstance(value, dict | list) for value in data.values()):
        raise FlashTrouble(f"{path} holds no settings", "lines of `name: value`")
    secret = any(BY_NAME[name].secret for name in data.keys() & BY_NAME.keys())
    if secret and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise FlashTrouble(f"{path} holds secrets and others may look into it", f"chmod 600 {path}")
    return data


def _text_of(path: Path) -> str:
    try:
        return read_named(path).decode("utf-8")
    except OSError as error:
        raise FlashTrouble(
            f"{path} cannot be read: {error.strerror}", "look whose it is, and what"
        ) from error
    except UnicodeDecodeError as error:
        raise FlashTrouble(f"{path} is no text", "UTF-8") from error
