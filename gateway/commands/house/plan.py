"""``earshot plan``: how many gateways, recognizers, brokers and hubs so many devices need."""

from __future__ import annotations

from collections.abc import Collection

import click
import msgspec
from rich.console import Console
from rich.table import Table

from gateway.contract.escaping import json_text, one_line
from gateway.planning.costs import Check, Costs, ModelCost, measured
from gateway.planning.sizing import Box, Sizing, Workload, sizing

_CHECKED = "{devices} devices spoken to for {duty:.0%} of {seconds:.0f} s"


@click.command("plan")
@click.option("--devices", type=click.IntRange(1, 100_000_000), required=True, help="How many there are.")
@click.option(
    "--duty",
    type=click.FloatRange(0.0001, 1.0),
    default=0.02,
    show_default=True,
    help="In the busiest hour, the share of the time in which a device is spoken to.",
)
@click.option("--model", default="base", show_default=True, help="The speech model.")
@click.option(
    "--seconds", type=click.FloatRange(0.5, 60), default=4.0, show_default=True, help="Of an utterance."
)
@click.option(
    "--wait",
    type=click.FloatRange(0.01, 60),
    default=0.2,
    show_default=True,
    help="Seconds for which 95 % of them may wait for a recognizer.",
)
@click.option(
    "--listeners", type=click.IntRange(0, 10_000_000), default=0, help="Pages and programs that listen."
)
@click.option(
    "--follows", type=click.IntRange(1), default=10, show_default=True, help="Devices each of them follows."
)
@click.option("--broker", default="nats", show_default=True, help="redis, nats, rabbitmq or mqtt.")
@click.option("--cores", type=click.IntRange(1, 1024), default=4, show_default=True, help="Of one box.")
@click.option(
    "--memory", type=click.FloatRange(0.25), default=8.0, show_default=True, help="Of one box, in GB."
)
@click.option(
    "--speed",
    type=click.FloatRange(0.01, 100),
    default=1.0,
    show_default=True,
    help="Of its cores, beside that of the measured one. Compare `earshot models bench`.",
)
@click.option(
    "--price", type=click.FloatRange(0), default=40.0, show_default=True, help="Of a box, for a month."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(
    *,
    devices: int,
    duty: float,
    model: str,
    seconds: float,
    wait: float,
    listeners: int,
    follows: int,
    broker: str,
    cores: int,
    memory: float,
    speed: float,
    price: float,
    as_json: bool,
) -> None:
    """How many boxes so many devices need, what breaks first, and what that costs.

    From what each part has cost in a measurement that came with this version; a price is yours to say (--price).

    \b
    earshot plan --devices 40
    earshot plan --devices 100000 --duty 0.02 --model base --cores 16 --price 160
    """  # noqa: D301
    costs = measured()
    _check_measured(model, costs.models, "model")
    _check_measured(broker, costs.broker_messages, "broker")
    cost = costs.models[model]
    workload = Workload(
        devices=devices, duty=duty, seconds=seconds, wait_seconds=wait, listeners=listeners, follows=follows
    )
    box = Box(cores=cores, memory_gb=memory, speed=speed, price=price)
    plan = sizing(workload, costs, cost, box, broker)
    if as_json:
        click.echo(json_text(msgspec.json.format(msgspec.json.encode(plan))))
        return
    _show(workload, box, plan, costs, cost)


def _check_measured(name: str, measured_ones: Collection[str], what: str) -> None:
    if name not in measured_ones:
        raise click.UsageError(
            f"nobody has measured the {what} {one_line(name)[:40]!r}; measured: {', '.join(measured_ones)}"
        )


def _show(workload: Workload, box: Box, plan: Sizing, costs: Costs, cost: ModelCost) -> None:
    console = Console(highlight=False)
    console.print(
        f"{workload.devices:,} devices, each spoken to for {workload.duty:.1%} of the busiest hour: "
        f"{workload.utterances:,.1f} utterances of {workload.seconds:g} s a second."
    )
    table = Table("part", "how many", "cores busy", "boxes", "full", "because", box=None, header_style="bold")
    for column in table.columns[1:5]:
        column.justify = "right"
    for part in plan.parts:
        table.add_row(
            part.name,
            f"{part.count:,}",
            f"{part.cores:,.1f}",
            f"{part.boxes:,.1f}",
            f"{part.busy:.0%}",
            part.because,
        )
    console.print(table)
    boxes = "One box does all of it" if plan.boxes == 1 else f"{plan.boxes:,} boxes"
    console.print(
        f"{boxes}, with {box.cores} cores and {box.memory_gb:g} GB each: {plan.price:,.0f} a month at {box.price:g}. "
        f"95 % wait at most {plan.wait_seconds * 1000:.0f} ms for a recognizer, then "
        f"{cost.seconds(workload.seconds) / box.speed:.2f} s for their text. One more of each lets one die."
    )
    console.print("What breaks first: " + "; ".join(plan.first) + ".")
    console.print(
        f"Measured on {costs.machine}; --speed says how yours compares. People who speak at random are assumed: "
        "an alarm at which everybody speaks is not."
    )
    for check in costs.checks:
        console.print(
            f"  checked: {_CHECKED.format_map(msgspec.to_builtins(check))}: {_errors(check)}", style="dim"
        )


def _errors(check: Check) -> str:
    gateway = check.gateway_predicted / check.gateway_measured - 1
    recognizer = check.recognizer_predicted / check.recognizer_measured - 1
    return f"gateway predicted {gateway:+.0%}, recognizer {recognizer:+.0%} of what it took"
