"""``earshot doctor``: what this machine has and what it lacks."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.commands.doctor.doctor import Report, examine
from gateway.commands.options import config_option, located_config
from gateway.contract.escaping import json_text, one_line

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command("doctor")
@config_option
@click.option("--json", "as_json", is_flag=True, help="The findings as one JSON document.")
def command(config_path: Path | None, *, as_json: bool) -> None:
    """What is plugged in, installed, missing, and how to get it.

    Exit status 1 when something that is configured cannot work.

    \b
    earshot doctor
    earshot doctor --json | jq '.findings[] | select(.state != "ok")'
    """  # noqa: D301
    located_config(config_path)  # one that may be somebody else's is nothing to go by
    report = examine(config_path)
    if as_json:
        click.echo(json_text(msgspec.json.format(msgspec.json.encode(report))))
    else:
        Console(highlight=False).print(table(report))
    sys.exit(1 if report.state == "fail" else 0)


def table(report: Report) -> Table:
    """The findings for people; a remedy stands below its finding."""
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    rows.add_column()
    rows.add_column()
    rows.add_column(overflow="fold")
    for finding in report.findings:
        detail = Text("\n".join(map(one_line, finding.detail.split("\n"))))
        if finding.remedy:
            detail.append(f"\n-> {one_line(finding.remedy)}", style="cyan")
        rows.add_row(Text(finding.state, style=_STYLES[finding.state]), Text(one_line(finding.what)), detail)
    return rows
