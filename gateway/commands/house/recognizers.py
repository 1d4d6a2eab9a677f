"""``earshot recognizers``: which recognizers there are for the gateways of a broker, and what they are at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from msgspec import structs

from gateway.broker.base import BrokerError
from gateway.broker.opening import MEMORY, check_broker_url
from gateway.commands.options import Misplaced, Trouble, config_option, read_config
from gateway.config.configuration import GatewayConfig
from gateway.contract.escaping import json_text, one_line
from gateway.contract.recognition import WorkerPresence
from gateway.recognizers.pool.jobs import START_ONE, need_of
from gateway.recognizers.pool.roll_call import ROLL_CALL_SECONDS, RollCall, roll_call_over, what_helps
from transcription.transcriber import NO_HINTS

HEADS = ("NAME", "STATE", "MODEL", "LANGUAGES", "BUSY", "OLDEST", "A JOB", "DONE", "FAILED", "HEARD", "WHERE")
SOME_LANGUAGES = 3


@click.command("recognizers")
@config_option
@click.option("--broker", metavar="URL", help="The gateways' broker. Without it: broker.url.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, for programs.")
def command(*, config_path: Path | None, broker: str | None, as_json: bool) -> None:
    """Listen for a moment, and show the recognizers that say to be there.

    OLDEST is how long the oldest job that one knows of has waited, A JOB what one takes, HEARD how long ago it last
    spoke. Exit status 1: none is there that has the model which this configuration wants.

    \b
    earshot recognizers
    earshot recognizers --broker redis://broker.home
    """  # noqa: D301
    config = read_config(config_path)
    if broker is not None:
        config = structs.replace(config, broker=structs.replace(config.broker, url=broker, password_file=""))
    if config.broker.url == MEMORY:
        raise Misplaced(
            "memory:// is inside the gateway's process: name the broker that the recognizers are at (--broker URL)"
        )
    try:
        check_broker_url(config.broker.url)
    except BrokerError as error:
        raise Misplaced(str(error)) from error
    try:
        called = asyncio.run(roll_call_over(config.broker))
    except BrokerError as error:
        remedy = what_helps(error)
        raise Trouble(f"{error}\nremedy: {remedy}" if remedy else str(error)) from error
    if as_json:
        click.echo(json_text(msgspec.json.encode(called.present)))
    else:
        for line in _lines(called):
            click.echo(line)
    _judge(config, called)


def _judge(config: GatewayConfig, called: RollCall) -> None:
    """Raises Trouble where none is there for this configuration."""
    need = need_of(config.recognizers.model or config.transcription.model, NO_HINTS, config.transcription)
    if called.workers.hands(need, called.at).workers:
        return
    if called.present:
        reason = called.workers.why_none(need, called.at)
    else:
        reason = f"no recognizer has answered on this broker within {ROLL_CALL_SECONDS:g} s"
    raise Trouble(f"{reason}\nremedy: {START_ONE.format(model=need.model)}")


def _lines(called: RollCall) -> Iterator[str]:
    rows = [_row(one, called.silent(one.worker)) for one in called.present]
    if rows:
        widths = [max(map(len, column)) for column in zip(HEADS, *rows, strict=True)]
        for row in (HEADS, *rows):
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if called.refused:
        yield f"{called.refused} messages among theirs were not what a recognizer says"


def _row(one: WorkerPresence, silent: float) -> tuple[str, ...]:
    more = len(one.languages) - SOME_LANGUAGES
    languages = " ".join(one.languages[:SOME_LANGUAGES]) + (f" +{more}" if more > 0 else "")
    where = ", ".join(filter(None, (one.where, one.version)))
    cells = (
        one.worker,
        one.state,
        one.model,
        languages,
        f"{one.busy}/{one.capacity}",
        f"{one.oldest_seconds:.1f} s",
        f"{one.seconds_per_job:.2f} s" if one.seconds_per_job else "-",
        str(one.done),
        str(one.failed),
        f"{silent:.1f} s",
        where,
    )
    return tuple(map(one_line, cells))
