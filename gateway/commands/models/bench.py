"""``earshot models bench``: which model keeps up on this machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import click
import msgspec
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gateway.commands.models.measuring import BUSY, SPEAKING, Candidate, Cost, candidates, measure
from gateway.commands.models.picture import grade, svg
from gateway.commands.options import config_option, read_config
from gateway.contract.escaping import json_text, one_line
from transcription.errors import ModelUnavailable
from transcription.models.model_hub import megabytes
from transcription.settings import TranscriptionSettings

RECORDINGS, QUICK = 12, 3
_STYLES = {"good": "green", "fair": "yellow", "poor": "bold red"}


@click.command("bench")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@config_option
@click.option(
    "--device",
    metavar="DEVICE",
    help="cpu, cuda, cuda:1, ...; else transcription.device.",
)
@click.option("--quick", is_flag=True, help=f"{QUICK} recordings for each model instead of {RECORDINGS}.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
@click.option("--svg", "picture", type=click.Path(path_type=Path, dir_okay=False), help="Also as a picture.")
def command(
    names: tuple[str, ...],
    config_path: Path | None,
    picture: Path | None,
    device: str | None,
    *,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure which model keeps up on this machine.

    Without NAME: every model on this disk, and the stock sizes that are not, estimated from the bundled model at
    their size (an estimate of what they cost, not of how well they understand).

    \b
    earshot models bench
    earshot models bench base.en small.en --svg models.svg
    earshot models bench base.en --device cuda
    """  # noqa: D301
    settings = _on(read_config(config_path).transcription, device)
    try:
        wanted = candidates(names, settings.models_dir)
    except ModelUnavailable as error:
        raise click.ClickException(f"{one_line(str(error))}\nremedy: {one_line(error.remedy)}") from error
    costs = _measure(wanted, settings, QUICK if quick else RECORDINGS)
    if picture is not None:
        picture.write_text(svg(costs, f"{_machine()}, on {_places(costs)}"), encoding="utf-8")
    if as_json:
        click.echo(json_text(msgspec.json.format(msgspec.json.encode(costs))))
        return
    console = Console(highlight=False)
    console.print(_table(costs))
    notices = [one_line(cost.notice) for cost in costs if cost.notice]
    console.print(f"computed on {_places(costs)}.", *notices[:1])
    console.print(
        f"devices: each spoken to for {SPEAKING:.0%} of the time, the recognizer busy for at most {BUSY:.0%}. "
        "Times are from the end of speech, nothing else running.\n"
        + (
            "estimate: what a model of that size costs, not how well it understands."
            if _any_estimate(costs)
            else ""
        )
    )


def _measure(wanted: list[Candidate], settings: TranscriptionSettings, count: int) -> list[Cost]:
    settings = structs.replace(settings, isolation="process")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(wanted))
        costs = []
        for candidate in wanted:

            def show(step: str, name: str = candidate.name) -> None:
                progress.update(task, description=f"{one_line(name)}: {step}")

            costs.append(measure(candidate, settings, count, show))
            progress.advance(task)
    return costs


def _table(costs: list[Cost]) -> Table:
    rows = Table(box=None, padding=(0, 2, 0, 0))
    rows.add_column("model")
    for title in ("text after", "worst", "work / 1 s speech", "devices", "memory", "load", "context"):
        rows.add_column(title, justify="right")
    for cost in costs:
        name = Text(one_line(cost.name))
        if cost.estimate:
            name.append(" (estimate)", style="dim")
        if cost.failure:
            rows.add_row(name, Text(one_line(cost.failure), style="red"))
            continue
        rows.add_row(
            name,
            Text(f"{cost.text_ms_median:.0f} ms", style=_STYLES[grade(cost)]),
            f"{cost.text_ms_worst:.0f} ms",
            f"{cost.real_time_factor:.2f} s",
            str(cost.devices),
            megabytes(cost.memory_bytes),
            f"{cost.load_seconds:.1f} s",
            f"{cost.context_seconds:.1f} s",
        )
    return rows


def _any_estimate(costs: list[Cost]) -> bool:
    return any(cost.estimate for cost in costs)


def _on(settings: TranscriptionSettings, device: str | None) -> TranscriptionSettings:
    """The settings with this device, where one was named."""
    if device is None:
        return settings
    try:
        return msgspec.convert(msgspec.to_builtins(settings) | {"device": device}, TranscriptionSettings)
    except msgspec.ValidationError as error:
        raise click.BadParameter("cpu, auto, cuda, or cuda: and its number", param_hint="--device") from error


def _places(costs: list[Cost]) -> str:
    """Where it was computed: all of them on the same, but for those that failed."""
    return " and ".join(sorted({cost.gpu or "the CPU" for cost in costs if not cost.failure})) or "nothing"


def _machine() -> str:
    return f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores"
