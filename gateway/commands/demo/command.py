"""``earshot demo``: the main job on a bare machine."""

from __future__ import annotations

import asyncio
import sys

import click

from gateway.commands.demo.demo import run_demo
from gateway.commands.demo.spoken import run_spoken_demo


@click.command("demo")
@click.option(
    "--once", is_flag=True, help="End after every recording was spoken once; status 0 only if all was right."
)
@click.option(
    "--microphone",
    metavar="NAME",
    default="",
    help="Speak yourself: a microphone of this machine (default, or as `earshot microphones` shows it).",
)
@click.option("--json", "json_lines", is_flag=True, help="One JSON line per utterance on standard output.")
def command(microphone: str, *, once: bool, json_lines: bool) -> None:
    """See it work: a gateway and two simulated ESP32s.

    One device speaks over a serial line, one over MQTT. Watch here, or at http://127.0.0.1:8080; Ctrl-C
    ends it.

    \b
    earshot demo
    earshot demo --once --json
    earshot demo --microphone default       # you speak, and not the simulated boards
    """  # noqa: D301
    run = (
        run_spoken_demo(microphone, once=once, json_lines=json_lines)
        if microphone
        else run_demo(once=once, json_lines=json_lines)
    )
    try:
        status = asyncio.run(run)
    except KeyboardInterrupt:  # how the demo that goes on for ever ends
        status = 1 if once else 0
    sys.exit(status)
