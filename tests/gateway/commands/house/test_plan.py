"""`earshot plan`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from gateway.commands.cli import main


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["plan", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_clinic() -> None:
    told = run("--devices", "40")
    assert "0.2 utterances of 4 s" in told
    assert "recognizers" in told
    assert "What breaks first" in told
    assert "checked:" in told


def test_as_json() -> None:
    plan = json.loads(run("--devices", "100000", "--listeners", "1000", "--json"))
    assert {part["name"] for part in plan["parts"]} == {"gateways", "recognizers", "brokers (nats)", "hubs"}
    assert plan["price"] > 1_000


def test_what_nobody_has_measured_is_told() -> None:
    result = CliRunner().invoke(main, ["plan", "--devices", "4", "--model", "gigantic\x1b[2J"])
    assert result.exit_code == 2
    assert "measured: " in result.output
    assert "base" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--devices", "0"], "0 is not in the range"),
        (["--devices", "4", "--duty", "1.5"], "1.5 is not in the range"),
        (["--devices", "4", "--broker", "carrier-pigeon"], "measured: "),
        ([], "Missing option '--devices'"),
    ],
)
def test_what_makes_no_sense_is_told(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(main, ["plan", *arguments])
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_one_box_is_told_as_one() -> None:
    assert "One box does all of it" in run("--devices", "3")
    assert "One box does all of it" not in run("--devices", "3000")


@pytest.mark.parametrize("broker", ["redis", "nats", "rabbitmq", "mqtt"])
def test_each_broker_has_been_measured(broker: str) -> None:
    plan = json.loads(run("--devices", "2000", "--broker", broker, "--json"))
    [part] = [part for part in plan["parts"] if part["name"] == f"brokers ({broker})"]
    assert part["count"] >= 3, "one may die"
    assert 0 < part["busy"] <= 1


def test_what_a_month_costs_is_what_a_box_does() -> None:
    dear, cheap = (
        json.loads(run("--devices", "20000", "--price", price, "--json")) for price in ("100", "10")
    )
    assert dear["boxes"] == cheap["boxes"]
    assert dear["price"] == 10 * cheap["price"] == 100 * dear["boxes"]
