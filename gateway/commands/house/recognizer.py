"""``earshot recognizer``: a speech model on any machine, for all gateways of a broker."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click
from msgspec import structs

from gateway.broker.base import BrokerError
from gateway.broker.opening import check_broker_url
from gateway.commands.options import Misplaced, Trouble, config_option, read_config
from gateway.config.configuration import GatewayConfig
from gateway.contract.messages import is_token
from gateway.observing import log
from gateway.process.no_cores import keep_no_cores
from gateway.recognizers.worker.process import CannotWork, WorkerProcess, WorkerSettings, check, place
from transcription.process.allocator import keep_one_arena


@click.command("recognizer")
@config_option
@click.option("--broker", metavar="URL", help="The gateways' broker. Without it: broker.url.")
@click.option("--model", metavar="NAME", help="The speech model. Without it: transcription.model.")
@click.option("--name", metavar="NAME", default="", help="What it is called; each needs one of its own.")
@click.option(
    "--health",
    metavar="HOST:PORT",
    default="",
    help="Where it serves /livez, /readyz and /metrics; else nowhere.",
)
@click.option(
    "--ca-file",
    metavar="FILE",
    default="",
    help="Who signed the gateways' certificates (PEM), where the broker keeps no large audio (MQTT, RabbitMQ, Kafka).",
)
def command(
    *, config_path: Path | None, broker: str | None, model: str | None, name: str, health: str, ca_file: str
) -> None:
    """Recognize for the gateways of a broker, as many beside each other as there are.

    A gateway asks them with recognizers.use. Each takes a job when it has time; one that dies is done by another.
    SIGTERM and Ctrl-C let it finish what it has begun.

    \b
    earshot recognizer --broker redis://broker.home --model base
    earshot recognizer --config /etc/earshot/config.yaml --health 0.0.0.0:8090
    """  # noqa: D301
    keep_no_cores()
    keep_one_arena()
    config = read_config(config_path)
    log.configure(config.log)
    if name and not is_token(name):
        raise click.UsageError(f"--name {name!r} is not 1-64 of A-Z a-z 0-9 _ -")
    settings = structs.replace(_settings(config, broker, model), name=name, health=health, ca_file=ca_file)
    try:
        check_broker_url(settings.broker.url)
        check(settings)
        if health:
            place(health)
    except (CannotWork, BrokerError) as error:
        raise Misplaced(str(error)) from error
    try:
        status = asyncio.run(WorkerProcess(settings).run())
    except (CannotWork, BrokerError) as error:
        raise Trouble(str(error)) from error
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # it would wait for a thread in the middle of a long recognition


def _settings(config: GatewayConfig, broker: str | None, model: str | None) -> WorkerSettings:
    """The configuration's, with what the command line says instead."""
    told, transcription = config.broker, config.transcription
    if broker is not None:
        told = structs.replace(told, url=broker, password_file="")
    if model is not None:
        engine = "auto" if transcription.engine == "off" else transcription.engine
        transcription = structs.replace(transcription, model=model, engine=engine)
    return WorkerSettings(
        broker=told, transcription=transcription, drain_seconds=config.shutdown.drain_seconds
    )
