"""What lies in examples/containers, read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.plan.house import ROOT

CONTAINERS = ROOT / "examples" / "containers"
KUBERNETES = CONTAINERS / "kubernetes"
HOUSE = KUBERNETES / "clinic"
"""The kustomization that is a whole house."""
CRD_GROUPS = {"keda.sh"}
"""Of others' resources; the API server itself does not know them."""


def manifests() -> list[dict[str, Any]]:
    """Each that is written down."""
    return [
        one
        for file in sorted(KUBERNETES.rglob("*.yaml"))
        if file.name not in {"kustomization.yaml", "config.yaml"}
        for one in yaml.safe_load_all(file.read_text())
    ]


def rendered(kustomization: Path) -> list[dict[str, Any]]:
    """As kustomize makes them; without it, the test is not run."""
    command = [["kubectl", "kustomize"], ["kustomize", "build"]]
    found = next((one for one in command if shutil.which(one[0])), None)
    if found is None:
        pytest.skip("neither kubectl nor kustomize is here: nothing was put together")
    done = subprocess.run([*found, kustomization], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def containers(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that it runs."""
    template = manifest.get("spec", {}).get("template", {})
    yield from template.get("spec", {}).get("containers", ())
