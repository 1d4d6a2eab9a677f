"""Spans in OTLP's JSON, as its specification has them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gateway.settings.observing.tracing import TracingSettings
from gateway.tracing import otlp as module
from gateway.tracing.otlp import SpanExporter, otlp
from gateway.tracing.spans import CLIENT, Span
from tests.gateway.tracing.collector import known

SPAN = Span(
    "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "", "speech_to_text base", 1.7e9, 1.7e9 + 0.25, CLIENT,
    {"device.id": "kitchen", "earshot.confidence": 0.5, "earshot.reply.late": False},
)  # fmt: skip


def told(span: Span) -> dict[str, Any]:
    """As it stands on the wire."""
    request = json.loads(msgspec.json.encode(otlp([span], "hall", "1.0")))
    (resource,) = request["resourceSpans"]
    assert known(resource["resource"]) == {"service.name": "hall", "service.version": "1.0"}
    (scope,) = resource["scopeSpans"]
    assert scope["scope"] == {"name": "earshot", "version": "1.0"}
    (found,) = scope["spans"]
    return dict(found)


def test_ids_are_hexadecimal_and_times_are_nanoseconds_as_text() -> None:
    found = told(SPAN)
    assert (found["traceId"], found["spanId"]) == (SPAN.trace_id, SPAN.span_id)
    assert found["startTimeUnixNano"] == "1700000000000000000"
    assert abs(int(found["endTimeUnixNano"]) - 1_700_000_000_250_000_000) < 1_000, "to the microsecond"
    assert (found["kind"], found["status"]) == (3, {})


def test_each_value_has_its_kind() -> None:
    assert told(SPAN)["attributes"] == [
        {"key": "device.id", "value": {"stringValue": "kitchen"}},
        {"key": "earshot.confidence", "value": {"doubleValue": 0.5}},
        {"key": "earshot.reply.late", "value": {"boolValue": False}},
    ]


def test_an_error_has_its_kind_and_its_status() -> None:
    found = told(_with(error="timeout"))
    assert found["status"] == {"code": 2}
    assert known(found)["error.type"] == "timeout"


def _with(**changes: Any) -> Span:
    return replace(SPAN, **changes)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
        ("https://langfuse.house/api/public/otel", "https://langfuse.house/api/public/otel/v1/traces"),
    ],
)
def test_the_way_is_added_where_it_is_missing(endpoint: str, url: str) -> None:
    assert SpanExporter(TracingSettings(endpoint=endpoint))._url == url


def test_of_too_many_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SPANS", 3)
    exporter = SpanExporter(TracingSettings(endpoint="http://127.0.0.1:1"))
    for number in range(5):
        exporter.offer([_with(name=str(number))])
    assert [span.name for span in exporter._waiting] == ["2", "3", "4"]
    assert exporter.dropped == 2


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://jaeger:4317", "http://with space"])
def test_an_address_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"endpoint": endpoint}, TracingSettings)
