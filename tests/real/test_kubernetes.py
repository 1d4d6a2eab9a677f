"""What examples/containers/kubernetes asks of Kubernetes, its API knows."""

from __future__ import annotations

import copy

import pytest

from tests.real.kubernetes import SCHEMAS, VERSIONS, mistakes
from tests.system.manifests import CRD_GROUPS, HOUSE, manifests, rendered

pytestmark = pytest.mark.real(SCHEMAS)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_one(version: str) -> None:
    known = [one for one in manifests() if one["apiVersion"].partition("/")[0] not in CRD_GROUPS]
    assert len(known) >= 13
    assert [wrong for one in known for wrong in mistakes(one, version)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_whole_house_is_one(version: str) -> None:
    """As kustomize puts it together."""
    known = [one for one in rendered(HOUSE) if one["apiVersion"].partition("/")[0] not in CRD_GROUPS]
    assert [wrong for one in known for wrong in mistakes(one, version)] == []


def test_a_wrong_one_is_told() -> None:
    [gateway] = [
        one for one in manifests() if one["kind"] == "StatefulSet" and one["metadata"]["name"] == "gateway"
    ]
    wrong = copy.deepcopy(gateway)
    wrong["spec"]["replicas"] = "two"
    wrong["spec"]["template"]["spec"]["containers"][0]["readyness"] = {}
    told = " ".join(mistakes(wrong, VERSIONS[-1]))
    assert "replicas" in told
    assert "readyness" in told
