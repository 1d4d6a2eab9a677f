"""``earshot reload``: a running gateway reads its configuration again."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import click


@click.command("reload")
@click.option("--pid", type=click.IntRange(1), help="The process of `earshot run`, when several run here.")
def command(pid: int | None) -> None:
    """Let a running gateway read its configuration again, as `systemctl reload earshot` does.

    The speech model changes without dropping a device; what needs a restart is named in the gateway's log, and
    a wrong configuration changes nothing (docs/models.md).

    \b
    earshot reload
    earshot check-config && earshot reload --pid 4711
    """  # noqa: D301
    pid = pid or _the_only_gateway()
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError as error:
        raise click.ClickException(f"there is no process {pid}") from error
    except PermissionError as error:
        raise click.ClickException(f"process {pid} is another user's\nremedy: sudo earshot reload") from error
    click.echo(f"process {pid} reads its configuration again; its log and /readyz say what came of it")


def is_gateway(arguments: Sequence[str]) -> bool:
    """Whether a process with this command line is ``earshot run``."""
    for before, name, after in zip(arguments, arguments[1:], arguments[2:], strict=False):
        if after == "run" and (Path(name).name == "earshot" or (before, name) == ("-m", "gateway")):
            return True
    return False


def _the_only_gateway() -> int:
    found = sorted(int(path.name) for path in Path("/proc").glob("[0-9]*") if is_gateway(_arguments(path)))
    if not found:
        raise click.ClickException("no gateway is running on this machine\nremedy: earshot run")
    if len(found) > 1:
        numbers = ", ".join(map(str, found))
        raise click.ClickException(
            f"several gateways are running here ({numbers})\nremedy: earshot reload --pid N"
        )
    return found[0]


def _arguments(process: Path) -> list[str]:
    """A process's command line; empty when it has just ended."""
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
