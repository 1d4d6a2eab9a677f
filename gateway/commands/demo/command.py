"""``earshot demo``: the main job on a bare machine."""

from __future__ import annotations

import asyncio
import sys

import click

from gateway.commands.demo.demo import run_demo


@click.command("demo")
@click.option(
    "--once", is_flag=True, help="End after every recording was spoken once; status 0 only if all was right."
)
@click.option("--json", "json_lines", is_flag=True, help="One JSON line per utterance on standard output.")
def command(*, once: bool, json_lines: bool) -> None:
    """See it work: a gateway and two simulated ESP32s.

    One device speaks over a serial line, one over MQTT. Watch here, or at http://127.0.0.1:8080; Ctrl-C
    ends it.

    \b
    earshot demo
    earshot demo --once --json
    """  # noqa: D301
    try:
        status = asyncio.run(run_demo(once=once, json_lines=json_lines))
    except KeyboardInterrupt:  # how the demo that goes on for ever ends
        status = 1 if once else 0
    sys.exit(status)
