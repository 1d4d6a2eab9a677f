"""``earshot link-test``: what a serial line carries, with the board on it or hearing itself."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click
import msgspec

from firmware_bridge.carriers.serial_link import PortUnavailable
from firmware_bridge.flashing.ports import the_board
from firmware_bridge.flashing.trouble import FlashTrouble
from firmware_bridge.line_test.line_report import NEEDED, LineReport, LineVerdict, judge
from firmware_bridge.line_test.link_test import LinkTestPlan, measure_line
from firmware_bridge.line_test.loopback import RateResult, hear_itself, judge_loopback
from firmware_bridge.link.events import SAMPLE_RATE
from gateway.commands.options import Trouble, config_option, read_config
from gateway.contract.escaping import one_line


@click.command("link-test")
@click.argument("port", required=False, default="")
@config_option
@click.option(
    "--rate",
    type=click.IntRange(9600, 4_000_000),
    help="The rate it should speak at. Without it: devices.serial.baudrate.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=10.0,
    show_default=True,
    help="How long to measure.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0, min_open=True),
    default=9.0,
    show_default=True,
    help="Seconds in which a silent board is waited for, at each rate.",
)
@click.option(
    "--loopback", is_flag=True, help="No board: RX and TX are bridged by a wire. Every rate is measured."
)
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def command(
    port: str,
    config_path: Path | None,
    rate: int | None,
    seconds: float,
    patience: float,
    *,
    loopback: bool,
    as_json: bool,
) -> None:
    """Measure the line at PORT, the only one there is if none is named: rate, errors, latency, what it carries.

    Finds the rate the board speaks at, welcomes it as a gateway does, asks it questions and listens. Speak meanwhile
    to have audio measured, too; it goes nowhere. Exit status 0: the line holds.

    \b
    earshot link-test /dev/ttyUSB0
    earshot link-test /dev/ttyUSB0 --loopback     # no board: RX and TX of the adapter bridged by a wire
    """  # noqa: D301
    expected = rate or read_config(config_path).devices.serial.baudrate
    tell = (lambda _step: None) if as_json else (lambda step: click.echo(f"... {step}", err=True))
    try:
        port = the_board(port)
        if loopback:
            results = asyncio.run(hear_itself(port, tell))
            _end(judge_loopback(results), results, _loopback_lines(results), as_json=as_json)
        plan = LinkTestPlan(expected, seconds=seconds, patience=patience)
        report = asyncio.run(measure_line(port, plan, tell))
    except (FlashTrouble, PortUnavailable) as error:
        remedy = error.remedy if isinstance(error, FlashTrouble) else error.problem.remedy
        raise Trouble(f"{error}\nremedy: {remedy}") from error
    _end(judge(report), report, _lines(report), as_json=as_json)


def _end(
    verdict: LineVerdict, measured: LineReport | list[RateResult], lines: list[str], *, as_json: bool
) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"verdict": verdict, "measured": measured}).decode())
    else:
        lines += [verdict.reason] + ([f"remedy: {verdict.remedy}"] if verdict.remedy else [])
        for line in lines:
            click.echo(one_line(line))
    sys.exit(0 if verdict.holds else 1)


def _lines(report: LineReport) -> list[str]:
    who = (
        f"{report.device}{f', firmware {report.firmware}' if report.firmware else ''}"
        if report.device
        else "nobody"
    )
    lines = [f"{report.port} at {report.rate} baud: {who}"]
    if report.frames or report.broken:
        share = f"{100 * report.broken_share:.2f} %"
        lines.append(
            f"frames      {report.frames} whole, {report.broken} broken ({share}), {report.resent} sent again"
        )
    if report.samples or report.lost_samples:
        heard, lost = report.samples / SAMPLE_RATE, report.lost_samples / SAMPLE_RATE
        lines.append(f"speech      {heard:.1f} s, {lost:.1f} s lost")
    if report.latency:
        trip = report.latency
        times = ", ".join(f"{1000 * one:.1f}" for one in (trip.least, trip.median, trip.late, trip.most))
        lines.append(
            f"round trip  {times} ms (least, median, 19 of 20, most), {report.pings - report.pongs} lost"
        )
    if report.bytes_per_second:
        lines.append(f"throughput  at least {report.bytes_per_second / 1000:.1f} kB/s each way")
    if report.device:
        shares = [f"{name} takes {100 * NEEDED[name] / report.capacity:.0f} %" for name in NEEDED]
        lines.append(f"speech live {', '.join(shares)}")
    return lines


def _loopback_lines(results: list[RateResult]) -> list[str]:
    return [
        f"{result.rate:>8} baud: {result.intact} of {result.sent} frames whole, {result.broken} broken, "
        f"{result.bytes_per_second / 1000:.1f} kB/s"
        + (f", {1000 * result.round_trip:.1f} ms" if result.round_trip is not None else "")
        for result in results
    ]
