"""Families as text, read back by Prometheus' own client library."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from gateway.observing.metrics.exposition import OPEN_TYPE, PLAIN_TYPE, exposition
from gateway.observing.metrics.family import (
    Exemplar,
    Family,
    Histogram,
    Kind,
    by_label,
    counter,
    gauge,
)

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x85\u2028\u2029"), max_size=20
)


def plain(*families: Family) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by the names of samples and the values of their labels."""
    text, media_type = exposition(families)
    assert media_type == PLAIN_TYPE
    return values(plain_families(text.decode()))


def opened(*families: Family) -> dict[str, dict[tuple[str, ...], float]]:
    text, media_type = exposition(families, f"{OPEN_TYPE};q=0.8,text/plain")
    assert media_type == OPEN_TYPE
    return values(open_families(text.decode()))


def values(families: object) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families:  # type: ignore[attr-defined]
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_each_kind_reads_the_same_in_both_forms() -> None:
    build = Family(name="build", kind=Kind.INFO, says="The version.")
    build.add(1, version="0.1.0")
    families = (
        gauge("devices", "Devices that are here.", 3),
        counter("mishaps", "Mistakes.", 2),
        by_label(counter("losses", "Lost."), "what", {"answers": 1, "two words": 4}),
        build,
    )
    expected = {
        "earshot_devices": {(): 3.0},
        "earshot_mishaps_total": {(): 2.0},
        "earshot_losses_total": {("answers",): 1.0, ("two_words",): 4.0},
        "earshot_build_info": {("0.1.0",): 1.0},
    }
    assert plain(*families) == expected
    assert opened(*families) == expected


def test_a_histogram_adds_up() -> None:
    waits = Histogram("wait_seconds", "How long.", (0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        waits.note(seconds)
    read = plain(waits.family())
    assert read == opened(waits.family())
    assert read["earshot_wait_seconds_bucket"] == {("0.1",): 2.0, ("1.0",): 3.0, ("+Inf",): 4.0}
    assert read["earshot_wait_seconds_count"] == {(): 4.0}
    assert read["earshot_wait_seconds_sum"] == {(): pytest.approx(7.65)}


def test_exemplars_stand_in_the_open_form_alone() -> None:
    waits = Histogram("wait_seconds", "How long.", (0.1, 1.0))
    waits.note(0.5, Exemplar("abc", 0.5, 1_700_000_000.25))
    waits.note(0.7, Exemplar("def", 0.7, 1_700_000_001.0))
    text, _ = exposition([waits.family()], OPEN_TYPE)
    exemplars = [
        sample.exemplar
        for family in open_families(text.decode())
        for sample in family.samples
        if sample.exemplar
    ]
    assert [(one.labels, one.value) for one in exemplars] == [({"trace_id": "def"}, 0.7)]
    assert b"trace_id" not in exposition([waits.family()])[0]


@given(TEXTS, TEXTS, st.floats(allow_nan=False))
def test_whatever_stands_in_a_label_is_read_back(value: str, says: str, number: float) -> None:
    family = gauge("anything", says)
    family.add(number, label=value)
    for read in (plain(family), opened(family)):
        assert read == {"earshot_anything": {(value,): number}}


@pytest.mark.parametrize(("number", "written"), [(math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")])
def test_numbers_that_are_none(number: float, written: str) -> None:
    text, _ = exposition([gauge("odd", "Odd.", number)])
    assert text.decode().splitlines()[-1] == f"earshot_odd {written}"


def test_nothing_is_a_text_too() -> None:
    assert exposition([])[0] == b"\n"
    assert exposition([], OPEN_TYPE)[0] == b"# EOF\n"
    assert opened() == {}


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_a_bucket_holds_what_is_not_above_its_bound(seconds: list[float]) -> None:
    waits = Histogram("wait_seconds", "How long.", (0.1, 1.0, 10.0))
    for one in seconds:
        waits.note(one)
    buckets = plain(waits.family())["earshot_wait_seconds_bucket"]
    for (bound,), count in buckets.items():
        assert count == sum(one <= float(bound.replace("+Inf", "inf")) for one in seconds)
