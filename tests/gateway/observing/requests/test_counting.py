"""How requests are counted: bounded, whatever is asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families

from gateway.observing.metrics.exposition import OPEN_TYPE, exposition
from gateway.observing.requests.counting import METHODS, OTHER, SECONDS, HttpRequests

STATUS = st.integers(100, 599)


@given(st.lists(st.tuples(st.text(max_size=8), STATUS, st.floats(0, 100)), max_size=40))
def test_methods_of_nobodys_are_one_and_every_request_is_counted_once(
    asked: list[tuple[str, int, float]],
) -> None:
    counted = HttpRequests()
    for method, status, seconds in asked:
        counted.note(method, "/livez", status, seconds)
    assert sum(counted.counts.values()) == len(asked)
    assert {method for method, _, _ in counted.counts} <= METHODS | {OTHER}
    assert len(counted.counts) <= (len(METHODS) + 1) * 5


def test_they_stand_as_openmetrics_has_them() -> None:
    counted = HttpRequests()
    for seconds in (0.001, 0.2, 20.0):
        counted.note("GET", "/api/v1/devices/{device_id}", 200, seconds)
    counted.note("POST", "", 404, 0.001)
    text, _ = exposition(counted.families(), OPEN_TYPE)
    requests, durations = open_families(text.decode())
    assert {(one.labels["route"], one.labels["status"]): one.value for one in requests.samples} == {
        ("/api/v1/devices/{device_id}", "2xx"): 3.0,
        (OTHER, "4xx"): 1.0,
    }
    buckets = {
        one.labels["le"]: one.value
        for one in durations.samples
        if one.name.endswith("_bucket") and one.labels["method"] == "GET"
    }
    assert (buckets[str(SECONDS[0])], buckets["0.25"], buckets["10.0"], buckets["+Inf"]) == (1, 2, 2, 3)


def test_without_any_request_the_families_are_there() -> None:
    assert [family.name for family in HttpRequests().families()] == [
        "http_requests",
        "http_request_duration_seconds",
    ]
