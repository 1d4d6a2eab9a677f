"""What several commands share: the option that names the configuration, reading it, and how one fails."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from gateway.config.configuration import GatewayConfig
from gateway.config.loading import ConfigError, load_config, locate
from gateway.config.places import OWN_CERTIFICATE, state_folder
from gateway.journal.errors import NoHome

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


@contextmanager
def as_long_as_somebody_reads() -> Iterator[None]:
    """Ends quietly what writes where nobody reads any more: `| head` has seen enough."""
    try:
        yield
    except* BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class Trouble(click.ClickException):
    """It cannot be done, and why: exit status 1."""


class WrongConfig(click.ClickException):
    """The configuration cannot be used: exit status 2."""

    exit_code = 2

    def __init__(self, error: ConfigError) -> None:
        count = len(error.problems)
        super().__init__(f"the configuration has {count} problem{'s' * (count != 1)}\n{error}")


class Misplaced(click.ClickException):
    """Nothing says where things are to lie: exit status 2."""

    exit_code = 2


def read_config(path: Path | None, extra: Mapping[str, str] | None = None) -> GatewayConfig:
    """The configuration; ``extra`` stands above the environment. Raises WrongConfig."""
    try:
        return load_config(path, {**os.environ, **(extra or {})})
    except ConfigError as error:
        raise WrongConfig(error) from error


def located_config(path: Path | None) -> Path | None:
    """The configuration's file, if there is one. Raises WrongConfig."""
    try:
        return locate(path, os.environ)
    except ConfigError as error:
        raise WrongConfig(error) from error


def own_folder(config: GatewayConfig, path: Path | None) -> Path:
    """Where the gateway of this configuration keeps what must not be lost. Raises Misplaced."""
    try:
        return state_folder(config, path, os.environ)
    except NoHome as error:
        raise Misplaced(str(error)) from error


class OwnPage(NamedTuple):
    """Where a gateway of this machine serves its page, and the certificate of its own that it shows (or "")."""

    url: str
    ca_file: str


def own_page(path: Path | None) -> OwnPage:
    """The page of the gateway that runs with this configuration, seen from its own machine.

    Raises WrongConfig, and ClickException where it serves none.
    """
    config = read_config(path)
    web = config.web
    if not web.enabled or not web.port:
        what = "web.enabled is false" if not web.enabled else "web.port is 0"
        raise click.ClickException(f"{what} in the configuration\nremedy: say --url, where the gateway is")
    tls = web.tls.self_signed or bool(web.tls.cert_file)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.host, web.host)  # noqa: S104 - compared
    own = str(own_folder(config, path) / OWN_CERTIFICATE) if web.tls.self_signed else ""
    url = f"http{'s' * tls}://{f'[{host}]' if ':' in host else host}:{web.port}/"
    return OwnPage(url, own if os.access(own, os.R_OK) else "")
