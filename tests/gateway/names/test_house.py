"""What is known of all sources, and how they are."""

from __future__ import annotations

import asyncio

import pytest

from gateway.names.house import MOST_ROOMS
from gateway.names.tiers import MOST_NAMES, Named
from tests.gateway.names.found import Known, settings


def test_what_all_sources_know_is_told_and_stays_when_one_is_away() -> None:
    known = Known()
    assert known.told("kitchen") == ()
    known.found("file", [Named("Siobhan", "*")])
    known.found("mqtt", [Named("Vitamix", "kitchen"), Named("Nuki", "hall")])
    assert known.told("kitchen") == ("Siobhan", "Vitamix", "Nuki")
    known.lost("mqtt", "gone", "look for it")
    assert known.told("hall") == ("Siobhan", "Nuki", "Vitamix")
    how = known.how("mqtt")
    assert (how.state, how.reason, how.remedy) == ("degraded", "gone", "look for it")
    assert str(how.detail).startswith("2 names at ")
    known.found("mqtt", [])
    assert known.told("hall") == ("Siobhan",)


def test_it_is_the_same_list_until_something_changes() -> None:
    known = Known()
    known.found("file", [Named("Siobhan")])
    first = known.told("hall")
    known.found("file", [Named("Siobhan")])
    assert known.told("HALL") is first
    known.found("file", [Named("Aoife")])
    assert known.told("hall") == ("Aoife",)


def test_a_source_that_never_had_any_does_not_work() -> None:
    known = Known()
    known.lost("file", "not there", "write it")
    assert (known.how("file").works, known.how("file").detail) == (False, "none yet")


def test_who_asks_others_learns_that_somebody_speaks() -> None:
    known, spoken = Known(), asyncio.Event()
    known.wanted.append(spoken)
    known.told("")
    assert spoken.is_set()


def test_what_is_too_much_is_left_out_and_said() -> None:
    known = Known()
    known.found("file", (Named(f"name {n}") for n in range(MOST_NAMES + 10)))
    assert "more of them than are kept" in str(known.how("file").detail)
    for room in range(MOST_ROOMS + 10):
        assert known.told(f"room {room}")
    assert len(known._lists) == MOST_ROOMS


@pytest.mark.parametrize("model", ["bundled", "distil-small.en"])
def test_a_model_that_names_do_no_good_is_told_none_and_health_says_so(model: str) -> None:
    known = Known(model=model)
    known.found("file", [Named("Siobhan")])
    assert known.told("hall") == ()
    said = known.health.report().components["names"]
    assert said.works is False
    assert model in said.reason
    assert "base" in said.remedy
    known.model_changed(settings(model="base"))
    assert known.told("hall") == ("Siobhan",)
    assert known.health.report().components["names"].state == "healthy"
