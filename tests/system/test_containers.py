"""examples/containers: what it says to Earshot is what Earshot knows. Nothing of it is run here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from docs.plan.house import ROOT
from gateway.commands.cli import main
from tests.servers.nats import NATS
from tests.system.manifests import CONTAINERS, HOUSE, KUBERNETES, containers, manifests, rendered

COMPOSE = CONTAINERS / "compose.yaml"
CONFIGS = [CONTAINERS / "config.yaml", KUBERNETES / "base" / "config.yaml"]
PROBES = {"livenessProbe", "readinessProbe", "startupProbe"}


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(COMPOSE.read_text())["services"])


def of_earshot(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for part in parts for one in containers(part) if one["image"].startswith("earshot")]


COMMANDS = [
    *(one["args"] for one in of_earshot(manifests())),
    *(one["command"] for one in services().values() if one["image"] == "earshot" and "command" in one),
]


def test_compose_is_compose(tmp_path: Path) -> None:
    """By its own schema; YAML's anchors put together first, which the schema does not know."""
    whole = tmp_path / "compose.json"
    whole.write_text(json.dumps(yaml.safe_load(COMPOSE.read_text())))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", whole]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_four_recognizers_are_four() -> None:
    """Nothing in it is there once only: no name, no port, no volume of state."""
    recognizer = services()["recognizer"]
    assert not {"container_name", "ports", "hostname"} & set(recognizer)
    assert not any(volume.startswith("gateway:") for volume in recognizer["volumes"])


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_each_command_is_one(arguments: list[str]) -> None:
    context = click.Context(main)
    name, *rest = arguments
    command = main.get_command(context, name)
    assert command is not None, f"there is no `earshot {name}`"
    known = {option for parameter in command.params for option in parameter.opts}
    assert {one for one in rest if one.startswith("--")} <= known


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.parent.name)
def test_each_configuration_is_one(config: Path) -> None:
    command = [sys.executable, "-m", "gateway", "check-config", config]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_probe_asks_for_what_is_served() -> None:
    asked = {
        (one["name"], one[probe]["httpGet"]["path"])
        for one in of_earshot(manifests())
        for probe in PROBES & set(one)
    }
    assert {path for _, path in asked} == {"/livez", "/readyz", "/readyz?room"}
    assert ("gateway", "/readyz?room") in asked, "its readiness says whether it has room"


def test_each_has_limits_and_a_budget_for_disruptions() -> None:
    parts = manifests()
    running = {one["metadata"]["name"]: one for one in parts if one["kind"] in {"Deployment", "StatefulSet"}}
    budgets = [one["spec"] for one in parts if one["kind"] == "PodDisruptionBudget"]
    for name, part in running.items():
        labels = part["spec"]["template"]["metadata"]["labels"]
        assert any(budget["selector"]["matchLabels"].items() <= labels.items() for budget in budgets), name
        assert part["spec"]["selector"]["matchLabels"].items() <= labels.items()
        for one in containers(part):
            assert {"requests", "limits"} <= one["resources"].keys(), name
            assert one["securityContext"]["readOnlyRootFilesystem"], name


def test_it_drains_before_it_is_killed() -> None:
    config = yaml.safe_load((KUBERNETES / "base" / "config.yaml").read_text())
    for part in manifests():
        if any(one["image"] == "earshot" for one in containers(part)):
            assert (
                part["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
                > config["shutdown"]["drain_seconds"]
            )


def test_the_whole_house() -> None:
    """Put together, each that is named is there, and how many recognizers there are is one's to say."""
    house = rendered(HOUSE)
    there = {(one["kind"], one["metadata"]["name"]): one for one in house}
    for (_, name), part in there.items():
        for volume in part.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", ()):
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there, name
    scaled = there["ScaledObject", "recognizer"]["spec"]
    assert "replicas" not in there["Deployment", scaled["scaleTargetRef"]["name"]]["spec"]
    for trigger in scaled["triggers"]:
        service, namespace = re.findall(r"http://([\w-]+)\.([\w-]+)\.svc", trigger["metadata"]["url"])[0]
        assert there["Service", service]["metadata"]["namespace"] == namespace


def test_the_signals_are_those_that_a_recognizer_gives() -> None:
    [scaled] = [one for one in manifests() if one["kind"] == "ScaledObject"]
    given = (ROOT / "gateway" / "recognizers" / "worker" / "health.py").read_text()
    for trigger in scaled["spec"]["triggers"]:
        assert f'"{trigger["metadata"]["valueLocation"].removeprefix("earshot_recognizer_")}"' in given


def test_the_brokers_settings_are_ones(tmp_path: Path) -> None:
    settings = tmp_path / "nats.conf"
    settings.write_text(
        (KUBERNETES / "components" / "nats" / "nats.conf").read_text().replace("/data", str(tmp_path))
    )
    command = [NATS, "-t", "-c", settings]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"SERVER_NAME": "broker-0"}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_image_copies_is_there() -> None:
    kept = (CONTAINERS / "Containerfile.dockerignore").read_text()
    copied = re.findall(
        r"^COPY ((?!--from).+) \S+$", (CONTAINERS / "Containerfile").read_text(), re.MULTILINE
    )
    assert copied
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert f"!{name}" in kept, name
