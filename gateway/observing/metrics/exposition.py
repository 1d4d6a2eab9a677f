"""Families as text: Prometheus' own form, version 0.0.4, and OpenMetrics 1.0 for those who ask for it. No I/O.

Written here and not by the client library, which takes 14 MB of memory; tests read it with that library.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.observing.metrics.family import PREFIX, Family, Kind, Sample

PLAIN_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def exposition(families: Iterable[Family], accept: str = "") -> tuple[bytes, str]:
    """The text, and its media type. ``accept``: what the one who asks would rather have (the header)."""
    is_open = OPEN_TYPE.partition(";")[0] in accept
    lines = [line for family in families for line in _lines(family, is_open=is_open)]
    if is_open:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode(), OPEN_TYPE if is_open else PLAIN_TYPE


def _lines(family: Family, *, is_open: bool) -> Iterator[str]:
    name, kind = PREFIX + family.name, family.kind.value
    if not is_open and family.kind is Kind.COUNTER:
        name += "_total"
    if not is_open and family.kind is Kind.INFO:
        name, kind = f"{name}_info", Kind.GAUGE.value
    yield f"# HELP {name} {_escaped(family.says, quotes=is_open)}"
    yield f"# TYPE {name} {kind}"
    for sample in family.samples:
        yield _line(PREFIX + family.name, sample, is_open=is_open)


def _line(name: str, sample: Sample, *, is_open: bool) -> str:
    labels = ",".join(f'{label}="{_escaped(value, quotes=True)}"' for label, value in sample.labels)
    line = f"{name}{sample.suffix}{{{labels}}}" if labels else f"{name}{sample.suffix}"
    line = f"{line} {_number(sample.value)}"
    if is_open and sample.exemplar is not None:
        exemplar = sample.exemplar
        trace = _escaped(exemplar.trace_id, quotes=True)
        line += f' # {{trace_id="{trace}"}} {_number(exemplar.value)} {exemplar.at:.3f}'
    return line


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _escaped(text: str, *, quotes: bool) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
