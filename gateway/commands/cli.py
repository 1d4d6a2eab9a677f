"""The command ``earshot``. Each command is a module of ``gateway.commands``, imported when it is used.

Exit status: 0 all went well, 1 it failed, 2 the command line or the configuration is wrong.
"""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from gateway.contract.escaping import in_lines
from gateway.process.lean_structlog import load_structlog

COMMANDS = {
    "run": "Run the gateway.",
    "orchestrator": "Run an agent in a process of its own.",
    "recognizer": "Recognize speech for the gateways of a broker.",
    "hub": "Serve the page and the API of a house of several gateways.",
    "recognizers": "Which recognizers there are on a broker, and what they are at.",
    "demo": "See it work: a gateway and two simulated ESP32s.",
    "listen": "Show live what a running gateway hears and answers.",
    "simulate": "Be an ESP32 that speaks recordings to a gateway.",
    "flash": "Give a board on a cable its firmware and its settings.",
    "link-test": "Measure a serial line: rate, errors, latency, what it carries.",
    "check-config": "Check the configuration, or print the default one.",
    "reload": "Let a running gateway read its configuration again.",
    "doctor": "What is plugged in, installed, missing, and how to get it.",
    "models": "Speech models: list, fetch, remove, and which one keeps up here.",
    "names": "Names of the house, as the recognizer is told them.",
    "token": "Who may talk to the gateway: tokens, made and taken back.",
    "devices": "The devices: who is here, who may come in, what they print.",
    "firmware": "Firmware over the air: sign images, offer them, see how far.",
    "microphones": "The microphones of this machine, and whether they hear.",
    "user": "What is kept of somebody: given to them, and erased.",
    "trace": "One utterance's whole life, from the journal and the log.",
    "dlq": "What could not be done: look at it, try it again.",
    "backup": "Everything that makes this house, in one file.",
    "restore": "Put a backup back.",
    "service": "Run the gateway under systemd.",
    "plan": "How many boxes so many devices need, and what breaks first.",
}
"""The commands and what `earshot --help` says of each; the help itself loads none of them."""

ROOMS = frozenset({"demo", "doctor", "models", "orchestrator", "trace", "user"})
"""Those that have a folder."""

OF_A_HOUSE = frozenset({"hub", "plan", "recognizer", "recognizers"})
"""Those that lie in the folder for a house of more than one box."""


OF_BACKUPS = frozenset({"backup", "restore"})
"""Those that lie in the folder for backups."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The commands in the order in which one needs them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in {"run", "hub"}:
            load_structlog()
        module = importlib.import_module(_place(cmd_name))
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; what an error quotes, of whomever, steers no terminal."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            vars(error)["message"] = in_lines(error.message)  # click calls it final
            raise

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the near miss."""
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _place(name: str) -> str:
    """The module of a command."""
    if name in OF_A_HOUSE:
        return f"gateway.commands.house.{name}"
    if name in OF_BACKUPS:
        return f"gateway.commands.backups.{name}"
    place = f"gateway.commands.{name.replace('-', '_')}"
    return f"{place}.command" if name in ROOMS else place


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 all went well, 1 it failed, 2 the command line or the configuration is wrong.",
)
@click.version_option(version("earshot-gateway"), prog_name="earshot")
def main() -> None:
    """Earshot, the speech gateway for ESP32 fleets.

    \b
    earshot demo                  see it work on a bare machine
    earshot doctor                what this machine has and what it lacks
    earshot run                   the gateway, with ./config.yaml or the defaults
    earshot COMMAND --help        more on each command
    """  # noqa: D301 - \b tells click to keep the lines
    _leave_out_the_current_folder()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no UTF-8 sees what it can, escaped
            stream.reconfigure(errors="backslashreplace")


def _leave_out_the_current_folder() -> None:
    """`python -m gateway` looks for every module there first. What lies in it by chance is not ours, unless we do."""
    ours = Path(__file__).resolve().parents[2]
    with suppress(OSError):  # there is no such folder any more
        here = Path.cwd()
        if here != ours:
            sys.path[:] = [path for path in sys.path if path and os.path.realpath(path) != str(here)]
