"""``earshot reload``: a running gateway reads its configuration again."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from gateway.commands.options import config_option, located_config
from gateway.config.loading import CONFIG_VARIABLE, LOCAL_CONFIG, SYSTEM_CONFIG
from gateway.contract.escaping import one_line


@click.command("reload")
@config_option
@click.option(
    "--pid", type=click.IntRange(1), help="The process of `earshot run`, whatever its configuration."
)
def command(config_path: Path | None, pid: int | None) -> None:
    """Let the gateway that runs with this configuration read it again, as `systemctl reload earshot` does.

    The speech model changes without dropping a device; what needs a restart is named in the gateway's log, and
    a wrong configuration changes nothing (docs/models.md).

    \b
    earshot reload
    earshot reload --config /etc/earshot/config.yaml
    earshot check-config && earshot reload --pid 4711
    """  # noqa: D301
    pid = pid or _gateway_of(_absolute(located_config(config_path)))
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError as error:
        raise click.ClickException(f"there is no process {pid}") from error
    except PermissionError as error:
        raise click.ClickException(f"process {pid} is another user's\nremedy: sudo earshot reload") from error
    click.echo(f"process {pid} reads its configuration again; its log and /readyz say what came of it")


class Running(NamedTuple):
    """A gateway of this machine. ``config``: "" without a file, None where nobody may look."""

    pid: int
    config: str | None

    def __str__(self) -> str:
        words = {None: "another user's configuration", "": "the defaults"}
        return one_line(f"process {self.pid} runs with {words.get(self.config, self.config)}")


def is_gateway(arguments: Sequence[str]) -> bool:
    """Whether a process with this command line is ``earshot run``."""
    for before, name, after in zip(arguments, arguments[1:], arguments[2:], strict=False):
        if after == "run" and (Path(name).name == "earshot" or (before, name) == ("-m", "gateway")):
            return True
    return False


def configuration(arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> str:
    """The file that ``earshot run`` with this command line, environment and folder read; "": none.

    As ``locate`` finds it, for another process.
    """
    named = environ.get(CONFIG_VARIABLE, "")
    for one, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if one == "--config":
            named = following
        elif one.startswith("--config="):
            named = one.removeprefix("--config=")
    candidates = [Path(named)] if named else [LOCAL_CONFIG, SYSTEM_CONFIG]
    files = ((folder / file).resolve() for file in candidates)
    return next((str(file) for file in files if named or file.exists()), "")


def _gateway_of(config: str) -> int:
    """The one process that runs with this file. Raises ClickException when in doubt."""
    running = [_running(path, arguments) for path, arguments in _gateways()]
    found = [one for one in running if one.config == config]
    if len(found) == 1:
        return found[0].pid
    if not running:
        raise click.ClickException("no gateway is running on this machine\nremedy: earshot run")
    others = "\n".join(map(str, running))
    if found:
        raise click.ClickException(f"several gateways run with it\n{others}\nremedy: earshot reload --pid N")
    remedy = (
        f"earshot reload --config {running[0].config or 'FILE'}"
        if len(running) == 1
        else "name it with --config"
    )
    if None in {one.config for one in running}:
        remedy = "sudo earshot reload --config FILE, or --pid N"
    with_it = f"with {config}" if config else "without a configuration file"
    raise click.ClickException(f"no gateway runs {with_it}\n{others}\nremedy: {remedy}")


def _gateways() -> list[tuple[Path, list[str]]]:
    lines = ((path, _strings(path / "cmdline")) for path in Path("/proc").glob("[0-9]*"))
    return sorted((path, line) for path, line in lines if line and is_gateway(line))


def _running(process: Path, arguments: list[str]) -> Running:
    environ = _strings(process / "environ")
    try:
        folder = (process / "cwd").readlink()
    except OSError:
        environ = None
    if environ is None:
        return Running(int(process.name), None)
    variables = dict(one.partition("=")[::2] for one in environ)
    return Running(int(process.name), configuration(arguments, variables, folder))


def _strings(file: Path) -> list[str] | None:
    """What the kernel shows of a process; None when it has just ended, or is another user's."""
    try:
        return file.read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:
        return None


def _absolute(file: Path | None) -> str:
    return "" if file is None else str(file.resolve())
