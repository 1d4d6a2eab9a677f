"""``earshot microphones``: which there are, whether they hear, and how they are named in config.yaml."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

import click
import msgspec
from msgspec import Struct, structs
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from firmware_bridge.microphones.names import fits, inputs, lasting, outputs
from firmware_bridge.microphones.records import GaveUp, Listen, Listening, Measured, SoundDevice, SoundRecord
from firmware_bridge.microphones.sound_process import SoundProcess, look, play_tone
from firmware_bridge.settings import DeviceSettings
from gateway.commands.options import config_option, read_config
from gateway.contract.escaping import json_text, one_line

ANY = "*"
BAR = 24
"""Characters of the level's bar."""
QUIETEST_DB = -72.0
"""Where the bar begins."""
DEAF_DB = -95.0
"""No microphone that is switched on is so quiet."""
TONE_SECONDS = 1.0


class TriedMicrophone(Struct, frozen=True, kw_only=True):
    """One microphone. ``write``: its name in config.yaml. ``rate`` and ``level_db`` are None where it does not open."""

    name: str
    write: str
    channels: int
    device_id: str = ""
    rate: int | None = None
    level_db: float | None = None
    overruns: int = 0
    drift_ppm: float | None = None
    reason: str = ""
    remedy: str = ""


@click.command("microphones")
@click.argument("wanted", required=False, default=ANY, metavar="[NAME|PATTERN]")
@config_option
@click.option(
    "--seconds",
    type=click.FloatRange(0.2, 3600),
    default=2.0,
    show_default=True,
    help="So long each is heard.",
)
@click.option("--list", "only_list", is_flag=True, help="Name them, and open none.")
@click.option("--tone", is_flag=True, help="Play a tone: to devices.loudspeaker, or to the default.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
def command(
    wanted: str, config_path: Path | None, seconds: float, *, only_list: bool, tone: bool, as_json: bool
) -> None:
    """The microphones of this machine: how each is named in config.yaml, its sample rate, and how loud it hears.

    \b
    earshot microphones
    earshot microphones 'USB*' --seconds 10    # say something, and watch the bar
    earshot microphones --tone                 # is the loudspeaker the right one?
    """  # noqa: D301
    settings = read_config(config_path).devices
    found = asyncio.run(look())
    if isinstance(found, GaveUp):
        raise _failed(found)
    if tone:
        _play(found, settings)
        return
    names = [one for one in found if one.inputs > 0 and fits(wanted, one.name)]
    if not names:
        raise _failed(_none_of(wanted, found))
    microphones = _named(names, found, settings)
    if as_json and not only_list:
        microphones = [asyncio.run(_hear(one, seconds)) for one in microphones]
    if as_json:
        click.echo(json_text(msgspec.json.format(msgspec.json.encode(microphones)).decode()))
    else:
        microphones = _shown(microphones, 0 if only_list else seconds)
    if not only_list and all(one.level_db is None for one in microphones):
        raise _failed(GaveUp("none of them opens", microphones[0].remedy))


def _failed(why: GaveUp) -> click.ClickException:
    return click.ClickException(f"{one_line(why.reason)}\nremedy: {one_line(why.remedy)}")


def _none_of(wanted: str, found: tuple[SoundDevice, ...]) -> GaveUp:
    there = ", ".join(one.name for one in found if one.inputs > 0)
    return GaveUp(
        f"no microphone {wanted} can be opened (there is: {there or 'none at all'})"
        if wanted != ANY
        else "there is no microphone here that can be opened",
        "plug it in; one that a running gateway or another program listens to is not to be seen here",
    )


def _named(
    names: Iterable[SoundDevice], found: tuple[SoundDevice, ...], settings: DeviceSettings
) -> list[TriedMicrophone]:
    """Each with its name in config.yaml, and the first device that means it there."""
    all_names = [one.name for one in found]
    meant = {
        name: device_id
        for device_id, one in reversed(settings.microphones.items())
        for name in inputs(one.name, found)
    }
    return [
        TriedMicrophone(
            name=one.name,
            write=lasting(one.name, all_names),
            channels=one.inputs,
            device_id=meant.get(one.name, ""),
        )
        for one in names
    ]


async def _hear(
    one: TriedMicrophone, seconds: float, show: Callable[[TriedMicrophone], None] = lambda _one: None
) -> TriedMicrophone:
    """Listen to it for so long, and tell the loudest; ``show``: is told how loud it is meanwhile."""
    told = one
    levels: list[float] = []

    def take(record: SoundRecord) -> None:
        nonlocal told
        told = _after(told, record)
        if told.level_db is not None:
            if not levels:
                limit.reschedule(asyncio.get_running_loop().time() + seconds)
            levels.append(told.level_db)
        show(told)

    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit:  # it starts with the first that is heard
            await SoundProcess(Listen(name=one.name, meter=True), take).run()
    return structs.replace(told, level_db=max(levels, default=None))


def _after(one: TriedMicrophone, record: SoundRecord) -> TriedMicrophone:
    match record:
        case Listening():
            return structs.replace(one, rate=record.rate)
        case Measured():
            return structs.replace(
                one, level_db=record.level_db, overruns=record.overruns, drift_ppm=record.drift_ppm
            )
        case GaveUp():
            return structs.replace(one, reason=record.reason, remedy=record.remedy)
    return one


def _shown(microphones: list[TriedMicrophone], seconds: float) -> list[TriedMicrophone]:
    """On the screen; the bars move where that is a terminal."""
    console = Console(highlight=False)
    tried: list[TriedMicrophone] = []
    with (
        Live(console=console, refresh_per_second=10, transient=True)
        if console.is_terminal
        else nullcontext() as live
    ):
        for one in microphones:
            show = partial(_show, live, tried)
            tried.append(asyncio.run(_hear(one, seconds, show)) if seconds else one)
    console.print(_table(tried))
    for one in tried:
        if one.reason:
            console.print(
                f"{one_line(one.reason)}\n    remedy: {one_line(one.remedy)}", soft_wrap=True, markup=False
            )
    return tried


def _show(live: Live | None, tried: list[TriedMicrophone], now: TriedMicrophone) -> None:
    if live is not None:
        live.update(_table([*tried, now]))


def _table(microphones: Iterable[TriedMicrophone]) -> Table:
    level = Column("level", no_wrap=True)
    table = Table(
        "name in config.yaml",
        "channels",
        "rate",
        level,
        "device",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for one in microphones:
        rate = f"{one.rate} Hz" if one.rate else ""
        table.add_row(
            Text(one_line(one.write), overflow="fold"),
            str(one.channels),
            rate,
            _level(one),
            one_line(one.device_id),
        )
    return table


def _level(one: TriedMicrophone) -> Text:
    if one.level_db is None:
        return Text("does not open" if one.reason else "", style="red")
    if one.level_db <= DEAF_DB:
        return Text("nothing at all: muted?", style="yellow")
    full = round(BAR * min(1.0, max(0.0, 1 - one.level_db / QUIETEST_DB)))
    lost = f", {one.overruns} overruns" if one.overruns else ""
    return Text(f"{'█' * full}{'·' * (BAR - full)} {one.level_db:.0f} dB{lost}")


def _play(found: tuple[SoundDevice, ...], settings: DeviceSettings) -> None:
    wanted = settings.loudspeaker or "default"
    meant = outputs(wanted, found)
    if not meant:
        there = ", ".join(one.name for one in found if one.outputs > 0) or "none at all"
        raise _failed(
            GaveUp(f"there is no loudspeaker {wanted} (there is: {there})", "correct devices.loudspeaker")
        )
    click.echo(f"a tone to {one_line(meant[0])} ...")
    failed = asyncio.run(play_tone(meant[0], TONE_SECONDS))
    if failed is not None:
        raise _failed(failed)
