"""``earshot listen``: a live tail of a running gateway."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import click
from rich.console import Console

from gateway.client import lines
from gateway.client.credentials import CA_REMEDY, REFUSED_REMEDY, BadCertificates, Introduction
from gateway.client.listener import BadAddress, Listener, ListenerError, ListenerRefused
from gateway.commands.options import as_long_as_somebody_reads, config_option, own_page, token_option
from gateway.contract.escaping import json_text, one_line
from gateway.contract.events import EVENT_KINDS, Subscribe
from gateway.contract.messages import encode

_REMEDY = f"{REFUSED_REMEDY.format(role='listener')}; {CA_REMEDY}"


@click.command("listen")
@config_option
@click.option(
    "--url",
    "urls",
    multiple=True,
    help="The gateway's page, or its WebSocket. Without it: the page of the gateway with that configuration, here. "
    "Repeated: further gateways and hubs of the house, for when one is not there.",
)
@token_option
@click.option(
    "--ca-file",
    default="",
    metavar="FILE",
    help="https: who signs the gateway's certificate, or that certificate (web.crt beside its journal).",
)
@click.option(
    "--session", "sessions", multiple=True, metavar="ID", help="Only this session; may be repeated."
)
@click.option("--device", "devices", multiple=True, metavar="ID", help="Only this device; may be repeated.")
@click.option("--user", "users", multiple=True, metavar="ID", help="Only this user; may be repeated.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(EVENT_KINDS), help="Only such events.")
@click.option("--json", "as_json", is_flag=True, help="Each event as one JSON line (docs/events.md).")
def command(
    *,
    config_path: Path | None,
    urls: tuple[str, ...],
    token: str,
    ca_file: str,
    sessions: tuple[str, ...],
    devices: tuple[str, ...],
    users: tuple[str, ...],
    kinds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show live what a running gateway hears and answers.

    Survives restarts of the gateway and misses nothing that it still remembers. Ctrl-C ends it.

    \b
    earshot listen
    earshot listen --config /etc/earshot/config.yaml
    earshot listen --device kitchen --kind transcription --kind reply
    earshot listen --json | jq .text
    EARSHOT_TOKEN=... earshot listen --url https://gateway.local:8080/ --ca-file web.crt
    """  # noqa: D301
    if not urls:
        url, own_certificate = own_page(config_path)
        urls, ca_file = (url,), ca_file or own_certificate
    wanted = Subscribe(kinds=kinds, sessions=sessions, devices=devices, users=users)
    with contextlib.suppress(KeyboardInterrupt), as_long_as_somebody_reads():
        try:
            listener = Listener(urls[0], wanted, Introduction(token, ca_file), urls[1:])
            asyncio.run(_listen(listener, as_json=as_json))
        except BadCertificates as error:
            raise click.BadParameter(one_line(str(error)), param_hint="--ca-file") from error
        except BadAddress as error:
            raise click.BadParameter(one_line(str(error)), param_hint="--url") from error
        except ListenerRefused as error:
            raise click.ClickException(f"{one_line(str(error))}\n{_REMEDY}") from error
        except ListenerError as error:
            remedy = "is the gateway running? `earshot run`; or --config, or --url when it is elsewhere"
            raise click.ClickException(f"{one_line(str(error))}\n{remedy}") from error


async def _listen(opening: Listener, *, as_json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    async with opening as listener:
        async for event in listener:
            if as_json:
                click.echo(json_text(encode(event)))
            else:
                for line in lines.lines(event):
                    console.print(line)
