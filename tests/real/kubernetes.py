"""The schemas of Kubernetes' API, as a wheel brings them; nothing of it is imported."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.real.things import Thing
from tests.real.weights import check, downloaded

PACKAGE = "kubernetes-validate==1.37.0"
DIGEST = "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
VERSIONS = ("1.31.0", "1.37.0")
"""The oldest of Kubernetes that the manifests are for, and the newest that there is."""
_DEFINITIONS = "_definitions.json"


def _keep(package: str, digest: str, folder: Path) -> None:
    [wheel] = downloaded([package], folder)
    check(wheel, digest, [package])


SCHEMAS = Thing(
    "Kubernetes' schemas", 23, f"kubernetes-schemas-{DIGEST[:12]}", partial(_keep, PACKAGE, DIGEST)
)


def mistakes(manifest: dict[str, Any], version: str) -> Iterator[str]:
    """What that version of the API server would refuse of it, unknown fields, too."""
    [wheel] = SCHEMAS.place.glob("*.whl")
    place = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict"
    group, _, number = manifest["apiVersion"].rpartition("/")
    name = "-".join((manifest["kind"].lower(), *filter(None, [group.split(".")[0]]), number))
    with zipfile.ZipFile(wheel) as file:
        schema = json.loads(file.read(f"{place}/{name}.json"))
        definitions = json.loads(file.read(f"{place}/{_DEFINITIONS}"))
    registry = Registry().with_resource(
        f"https://kubernetes.io/api/{_DEFINITIONS}", Resource.from_contents(definitions)
    )
    schema["$id"] = f"https://kubernetes.io/api/{name}"
    for error in Draft202012Validator(schema, registry=registry).iter_errors(manifest):
        yield f"{manifest['kind']} {manifest['metadata']['name']}: {error.json_path}: {error.message[:200]}"
