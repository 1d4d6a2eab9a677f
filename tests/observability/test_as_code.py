"""The dashboard and the alert rules: what they ask for is there, in a gateway that has everything."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gateway.app import Gateway
from tests.gateway.web.metrics.test_metrics_route import scrape, served

HERE = Path("observability")
RULES = HERE / "earshot.rules.yml"
DASHBOARD = HERE / "grafana-dashboard.json"
NAME = re.compile(r"\bearshot_[a-z_]+")
OF_SOME_MACHINES = {"earshot_host_temperature_celsius"}
"""Where nothing tells, there is none."""


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def targets() -> list[dict[str, Any]]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target for panel in panels for target in panel.get("targets", [])]


async def names_there(folder: Path) -> dict[str, set[str]]:
    """Names of a scrape's values, with the labels that they have."""
    async with Gateway(served(folder, agents={"cook": {}})) as gateway:
        await gateway.machine.look()
        await gateway.machine.look()  # a share is of the time between two
        gateway.health.mishaps.note("a test", ValueError("none"))
        await scrape(gateway)  # it is counted itself
        text, _ = await scrape(gateway)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        found.setdefault(family.name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
        if family.type == "counter":
            found.setdefault(f"{family.name}_total", set())
    found["earshot_broker_queue_messages"] = {
        "topic",
        "group",
    }  # a memory broker has no server; told elsewhere
    return found


async def test_everything_that_is_asked_for_is_measured(tmp_path: Path) -> None:
    there = await names_there(tmp_path)
    asked = [rule["expr"] for rule in rules()] + [target["expr"] for target in targets()]
    names = {name for expression in asked for name in NAME.findall(expression)}
    assert names - there.keys() - OF_SOME_MACHINES == set()
    for expression in asked:
        labels = {
            label
            for labels in re.findall(r"\{([^}]*)\}", expression)
            for label in re.findall(r"(\w+)=", labels)
        }
        known = set().union(*(there.get(name, set()) for name in NAME.findall(expression)))
        assert labels <= known | {"instance", "job"}, expression


async def test_legends_and_sums_name_labels_that_are_there(tmp_path: Path) -> None:
    there = await names_there(tmp_path)
    for target in targets():
        known = set().union(*(there.get(name, set()) for name in NAME.findall(target["expr"])))
        by = {
            label.strip()
            for found in re.findall(r"by \(([^)]*)\)", target["expr"])
            for label in found.split(",")
        }
        wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) | by
        assert wanted <= known | {"instance"}, target


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "remedy"}


def test_alerts_and_panels_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    dashboard = json.loads(DASHBOARD.read_text())
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "instance"}


def test_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_promtool_reads_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian: prometheus)")
    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
