"""``earshot names``: which names of the house a recognizer is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.commands.options import Trouble, config_option, read_config
from gateway.config.configuration import GatewayConfig
from gateway.contract.escaping import one_line
from gateway.names.house import COMPONENT
from gateway.names.looking import look
from gateway.settings.names import NamesSettings
from transcription.errors import ModelUnavailable
from transcription.models.models import find_model
from transcription.whisper.token_budget import names_within


@click.command("names")
@config_option
@click.option(
    "--room", default="", metavar="ROOM", help="Where somebody speaks; without it: nobody knows where."
)
def command(config_path: Path | None, room: str) -> None:
    """Ask everybody who knows names of the house, and show what the recognizer would be told, in its order.

    \b
    earshot names
    earshot names --room kitchen
    """  # noqa: D301
    config = read_config(config_path)
    if config.names == NamesSettings():
        raise Trouble(
            "no source of names is configured\nremedy: the section names of config.yaml (docs/names.md)"
        )
    known, sources = asyncio.run(look(config.names, config.transcription))
    for name, how in sources.items():
        if how.reason:
            click.echo(f"{name}: {one_line(how.reason)}\n    remedy: {how.remedy}", err=True)
        elif name != COMPONENT:
            click.echo(f"{name}: {how.detail}", err=True)
    names = known.told(room)
    within = _within(config, names)
    for number, name in enumerate(names, 1):
        click.echo(name)
        if number == within < len(names):
            click.echo(f"--- {within} of {len(names)} are told: transcription.names_tokens", err=True)


def _within(config: GatewayConfig, names: tuple[str, ...]) -> int:
    """As many as the model is told; of one that is not here yet nobody knows."""
    settings = config.transcription
    try:
        folder = find_model(settings.model, settings.models_dir)
    except ModelUnavailable:
        folder = None
    return len(names) if folder is None else names_within(folder, names, settings.names_tokens)
