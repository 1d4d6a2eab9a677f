"""``earshot check-config``: whether the configuration is right."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from firmware_bridge.settings import WakeSettings
from gateway.commands.options import WrongConfig, config_option, read_config
from gateway.config import docs
from gateway.config.loading import ConfigError, ConfigProblem, locate
from gateway.contract.escaping import one_line
from gateway.settings.orchestrator import OrchestratorSettings


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
    config = read_config(path)
    file = locate(path, os.environ)
    wake = config.devices.wake
    if (wake.devices or wake.rooms) and (problems := [*_unheard(wake, str(file or ""))]):
        raise WrongConfig(ConfigError(problems))
    if problems := [*_wrong_commands(config.answering)]:
        raise WrongConfig(ConfigError(problems))
    click.echo(
        f"{one_line(str(file))}: all right"
        if file
        else "no config.yaml: the defaults apply, and are all right"
    )


def _unheard(wake: WakeSettings, origin: str) -> Iterator[ConfigProblem]:
    """Wake words that do not exist; a gateway that has one runs, and does not listen where it is waited for."""
    from transcription.wake.words import no_such_word  # noqa: PLC0415 - only where one is configured

    for section, places in (("devices", wake.devices), ("rooms", wake.rooms)):
        for place, words in places.items():
            for error in filter(None, map(no_such_word, words)):
                yield ConfigProblem(origin, f"devices.wake.{section}.{place}", f"{error}; {error.remedy}")


def _wrong_commands(settings: OrchestratorSettings) -> Iterator[ConfigProblem]:
    """What is wrong in the files of agents of kind commands."""
    for agent in settings.agents.values():
        if agent.kind == "commands":
            from gateway.agents.commands.reading import mistakes_in  # noqa: PLC0415 - only where there are any

            yield from mistakes_in(agent.commands)
