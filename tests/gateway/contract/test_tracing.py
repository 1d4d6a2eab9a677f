"""The W3C trace context: ours, derived and never kept, and what others send as theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.tracing import trace_context, traceparent

GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@given(st.text(min_size=1), st.text())
def test_what_is_derived_is_a_trace_context_and_always_the_same(correlation_id: str, part: str) -> None:
    made = traceparent(correlation_id, part)
    assert trace_context(made) == made == traceparent(correlation_id, part)


@pytest.mark.parametrize("good", [GOOD, GOOD[:-2] + "00", GOOD[:-2] + "ff"])
def test_one_that_is_sent_is_taken_as_it_is(good: str) -> None:
    assert trace_context(good) == good


def test_a_later_version_is_read_as_ours() -> None:
    """As W3C has it: what is behind, and the version, are not passed on by those who do not know them."""
    assert trace_context(f"cc{GOOD[2:]}-what-the-future-will-be-like") == GOOD
    assert trace_context(f"cc{GOOD[2:]}") == GOOD


@pytest.mark.parametrize(
    "bad",
    [
        "", "00", GOOD.upper(), GOOD[:-1], f"{GOOD}-more", f"cc{GOOD[2:]}.more", f"ff{GOOD[2:]}", f" {GOOD}",
        f"{GOOD}\n",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        GOOD.replace("-", "_"), GOOD.replace("4", "g", 1), "x" * 10_000,
    ],
)  # fmt: skip
def test_what_is_none_is_nobodys(bad: str) -> None:
    assert trace_context(bad) == ""


@given(st.text(max_size=120))
def test_whatever_is_sent_is_one_or_nothing(header: str) -> None:
    taken = trace_context(header)
    assert taken == "" or len(taken) == len(GOOD)
