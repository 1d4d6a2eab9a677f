"""CONTRIBUTING.md: what it names is there, and its worked examples work as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"^   <!-- (?P<where>.*?) -->\n   ```python\n(?P<code>.*?)^   ```$", re.DOTALL | re.MULTILINE
)
PLACE = re.compile(r'in (?P<file>\S+), (?:(?P<side>below|above) "(?P<line>.*)"|at the end)')
NEW = "new "
PACKAGES = ("gateway", "transcription", "firmware_bridge")
MADE = {"gateway/broker/backends/pigeons.py"}
"""What a step makes that does not stand there in full."""

PROOFS = {
    "A setting": """
        import os, pathlib, subprocess, sys
        from gateway.config.loading import load_config
        os.makedirs("made/docs")
        subprocess.run([sys.executable, "-m", "gateway.config.docs"], cwd="made", check=True)
        assert "colours: true" in pathlib.Path("made/config.yaml").read_text()
        assert "Colours on a terminal." in pathlib.Path("made/docs/configuration.md").read_text()
        pathlib.Path("mine.yaml").write_text("log: {colours: false}")
        assert load_config(pathlib.Path("mine.yaml"), {}).log.colours is False
    """,
    "An API operation": """
        import asyncio
        from gateway.access.principals import Right
        from gateway.web.api.openapi import document
        from gateway.web.operations.table import OPERATIONS, PREFIX
        from gateway.web.rights import ROUTES
        assert ROUTES["GET", f"{PREFIX}/uptime"] is Right.LISTEN
        assert "/uptime" in document(OPERATIONS, "1", PREFIX)["paths"]
        [operation] = [one for one in OPERATIONS if one.name == "showUptime"]
        assert asyncio.run(operation.run(None)).seconds > 0
    """,
    "A broker": """
        import asyncio
        from gateway.broker.base import RoutingKey
        from gateway.broker.opening import check_broker_url, open_broker
        from gateway.settings.broker import BrokerSettings
        async def main():
            check_broker_url("pigeons://loft")
            broker = open_broker("pigeons://loft", BrokerSettings())
            key = RoutingKey("ann", "kitchen", "s_1")
            async with broker.subscribe("post", group="house") as post:
                await broker.publish("post", key, b"coo", message_id="m_1")
                delivery = await asyncio.wait_for(anext(aiter(post)), 10)
                assert delivery.message.payload == b"coo"
            await broker.close(0.0)
        asyncio.run(main())
    """,
    "An agent": """
        from gateway.orchestrators.loading import load_orchestrator
        assert load_orchestrator("echo").name == "echo"
    """,
    "A component of health, or a figure": """
        from pathlib import Path
        from gateway.observing import disk_health
        from gateway.observing.health import Health
        told = []
        health = Health(told.append)
        disk_health.look(health, Path("."), 1 << 80)
        [event] = told
        assert (event.component, event.state) == ("disk", "degraded")
        assert "disk" in health.report().components
    """,
}


def examples() -> dict[str, str]:
    """The sections that are worked examples, by their titles."""
    parts = re.split(r"^## (.*)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def carry_out(step: re.Match[str], root: Path) -> None:
    """Do what stands there."""
    code = re.sub(r"^   ", "", step["code"], flags=re.MULTILINE)
    if step["where"].startswith(NEW):
        (root / step["where"].removeprefix(NEW)).write_text(code, encoding="utf-8")
        return
    place = PLACE.fullmatch(step["where"])
    assert place, step["where"]
    path = root / place["file"]
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    at = len(lines)
    if place["side"]:
        [at] = [n for n, line in enumerate(lines) if line.rstrip("\n") == place["line"]]
        at += place["side"] == "below"
    path.write_text("".join([*lines[:at], code, *lines[at:]]), encoding="utf-8")


def test_every_file_that_is_named_is_there() -> None:
    steps = {step["where"].removeprefix(NEW) for step in STEP.finditer(TEXT) if step["where"].startswith(NEW)}
    named = set(re.findall(r"`([\w.]+/[\w./]*)`", TEXT)) | set(re.findall(r"\]\((\w[\w./]+)\)", TEXT))
    assert len(named) > 40
    assert sorted(name for name in named - steps - MADE if not (ROOT / name).exists()) == []
    assert sorted(name for name in steps | MADE if (ROOT / name).exists()) == []


def test_every_type_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", TEXT)) - {"README"}
    assert len(named) > 8
    sources = (path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*.py"))
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    there = set(re.findall(r"^(?:class )?([A-Z]\w+)\b(?=[(:\[]| = )", code, re.MULTILINE))
    assert named - there == set()


def test_every_command_that_is_named_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE)) | set(re.findall(r"`make (\w+)`", TEXT))
    assert targets >= {"test", "quick", "check", "plan", "lock"}
    assert {
        target for target in targets if not re.search(rf"^{target}\b.*:", makefile, re.MULTILINE)
    } == set()


def prove(title: str, tree: Path, here: Path) -> subprocess.CompletedProcess[str]:
    proof = (
        f"import gateway\nassert gateway.__file__.startswith({str(tree)!r})\n{textwrap.dedent(PROOFS[title])}"
    )
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    code = [sys.executable, "-c", proof]
    return subprocess.run(code, cwd=here, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tree, without what is large."""
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "*.wav", "*.bin")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("title", PROOFS)
def test_a_worked_example_works(title: str, copy: Path) -> None:
    for step in STEP.finditer(examples()[title]):
        carry_out(step, copy)
    if title == "A broker":  # its first step is to write one
        loft = (ROOT / "tests/gateway/broker/backends/pigeons.py").read_text(encoding="utf-8")
        (copy / "gateway/broker/backends/pigeons.py").write_text(f"{loft}\n\nconnect = Loft().connect\n")
    done = prove(title, copy, copy)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("title", PROOFS)
def test_no_example_works_before_it_is_carried_out(title: str, tmp_path: Path) -> None:
    assert prove(title, ROOT, tmp_path).returncode != 0
