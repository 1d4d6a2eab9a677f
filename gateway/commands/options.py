"""What several commands share: the option that names the configuration, and reading it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from gateway.config import ConfigError, GatewayConfig, load_config

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration. Without it: $EARSHOT_CONFIG, ./config.yaml, /etc/earshot/config.yaml, or the defaults.",
)


token_option = click.option(
    "--token",
    envvar="EARSHOT_TOKEN",
    default="",
    help="A token of the gateway's, where it asks for one; better in $EARSHOT_TOKEN, which no other user sees.",
)


class WrongConfig(click.ClickException):
    """The configuration cannot be used: exit status 2."""

    exit_code = 2

    def __init__(self, error: ConfigError) -> None:
        count = len(error.problems)
        super().__init__(f"the configuration has {count} problem{'s' * (count != 1)}\n{error}")


def read_config(path: Path | None, extra: Mapping[str, str] | None = None) -> GatewayConfig:
    """The configuration; ``extra`` stands above the environment. Raises WrongConfig."""
    try:
        return load_config(path, {**os.environ, **(extra or {})})
    except ConfigError as error:
        raise WrongConfig(error) from error
