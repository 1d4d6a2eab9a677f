"""``earshot models``: which speech models there are, here and on the hub."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from gateway.commands.models import bench as bench_models
from gateway.commands.options import config_option, read_config
from gateway.contract.escaping import json_text, one_line
from transcription.errors import ModelUnavailable
from transcription.models import inventory
from transcription.models.inventory import CannotRemove, Model, Origin
from transcription.models.model_hub import Fetched, megabytes
from transcription.models.models import fetch_model, find_model, is_off_limits


@click.group("models")
def command() -> None:
    """Which speech models there are, here and on the hub, and which one keeps up on this machine.

    \b
    earshot models list
    earshot models fetch base
    earshot models bench
    earshot models remove small
    """  # noqa: D301


command.add_command(bench_models.command)


@command.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
def list_models(config_path: Path | None, *, as_json: bool) -> None:
    """What is on this disk, and what the hub has under a short name.

    CONTEXT is the least audio that the model is given at once, in seconds: the less, the faster (docs/models.md).
    """
    settings = read_config(config_path).transcription
    found = inventory.inventory(settings.model, settings.models_dir)
    if as_json:
        click.echo(json_text(msgspec.json.format(msgspec.json.encode(found))))
    else:
        Console(highlight=False).print(_table(found))


@command.command("fetch")
@click.argument("name")
@config_option
def fetch(name: str, config_path: Path | None) -> None:
    """Fetch the model NAME from the hub: a short name such as base, or organisation/repository.

    A download that broke off is taken up where it was; every file is checked against the hub's checksum.
    """
    settings = read_config(config_path).transcription
    try:
        is_here = find_model(name, settings.models_dir)
        if is_here is not None:
            click.echo(one_line(f"{name} is here already: {is_here}"))
            return
        if settings.offline:
            raise is_off_limits(name, settings.models_dir)
        folder = _fetch(name, settings.models_dir)
    except ModelUnavailable as error:
        raise click.ClickException(f"{one_line(str(error))}\nremedy: {one_line(error.remedy)}") from error
    click.echo(one_line(f"{name} is in {folder}; every file has the hub's checksum"))
    if name != settings.model:
        click.echo(one_line(f"to use it: transcription.model: {name} in config.yaml"))


@command.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Also the configured model, or one that was put there by hand.")
@config_option
def remove(name: str, config_path: Path | None, *, force: bool) -> None:
    """Delete the model NAME, or what of it was fetched, from this disk."""
    settings = read_config(config_path).transcription
    try:
        freed = inventory.remove(name, settings.model, settings.models_dir, force=force)
    except CannotRemove as error:
        raise click.ClickException(f"{one_line(str(error))}\nremedy: {one_line(error.remedy)}") from error
    click.echo(one_line(f"{name} is removed: {megabytes(freed)} are free again"))


def _fetch(name: str, models_dir: str) -> Path:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"fetching {name}", total=None)

        def show(fetched: Fetched) -> None:
            more = f" ({megabytes(fetched.kept)} were here)" if fetched.kept else ""
            progress.update(
                task,
                description=f"fetching {name}{more}",
                total=fetched.total,
                completed=fetched.done,
            )

        return fetch_model(name, models_dir, show)


def _table(models: list[Model]) -> Table:
    rows = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "model", "size", "languages", "context", "where"):
        rows.add_column(title, justify="right" if title in {"size", "context"} else "left", overflow="fold")
    for model in models:
        here = model.origin is not Origin.HUB
        rows.add_row(
            Text("*" if model.configured else "", style="bold green"),
            Text(one_line(model.name), style="" if here else "dim"),
            megabytes(model.size) if here else "",
            {True: "many", False: "English", None: ""}[model.multilingual],
            f"{model.shortest_context / 100:.1f} s" if model.shortest_context else "",
            Text(_where(model), style="" if here else "dim"),
        )
    rows.caption = "* transcription.model"
    rows.caption_justify = "left"
    return rows


def _where(model: Model) -> str:
    if model.origin is Origin.HUB:
        return f"on the hub: earshot models fetch {one_line(model.name)}"
    if model.origin is Origin.PARTIAL:
        return f"not whole yet: earshot models fetch {one_line(model.name)}"
    return f"{model.origin}, {one_line(model.path)}"
