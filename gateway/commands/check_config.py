"""``earshot check-config``: whether the configuration is right."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gateway.commands.options import config_option, read_config
from gateway.config import docs
from gateway.config.loading import locate
from gateway.contract.escaping import one_line


@click.command("check-config")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@config_option
@click.option("--print-default", is_flag=True, help="Print a config.yaml with every setting, explained.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of config.yaml, for editors.")
def command(path: Path | None, config_path: Path | None, *, print_default: bool, schema: bool) -> None:
    """Check the configuration that `earshot run` would use, or PATH, which --config may name, too.

    Every mistake is listed with its line, what may stand there, and the near miss; the environment's
    EARSHOT_... variables are checked too. Exit status 2 when there are any.

    \b
    earshot check-config
    earshot check-config --print-default > config.yaml
    """  # noqa: D301
    if print_default or schema:
        text = docs.default_yaml() if print_default else docs.json_schema()
        click.echo(text, nl=False)
        return
    if path and config_path:
        raise click.UsageError(f"one at a time: --config {config_path}, or {path}")
    path = path or config_path
    read_config(path)
    file = locate(path, os.environ)
    click.echo(
        f"{one_line(str(file))}: all right"
        if file
        else "no config.yaml: the defaults apply, and are all right"
    )
