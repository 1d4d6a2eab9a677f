"""What is said of the figures, and that nothing is said where all is well."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from gateway.observing.machine.host import HostUse
from gateway.observing.machine.loop_lag import NO_LAG, LagFigures
from gateway.observing.machine.processes import ProcessUse
from gateway.observing.machine.sampler import MachineSample
from gateway.planning.costs import ModelCost, measured
from gateway.web.metrics.advice import Advice, Findings, advice

HOST = HostUse(
    load=0.5, cores=4.0, memory_total=4_000_000_000, memory_available=2_000_000_000, disk_total=32_000_000_000,
    disk_free=16_000_000_000, temperature=50.0, throttled=False,
)  # fmt: skip
GATEWAY = ProcessUse(
    cpu_seconds=9.0, resident_bytes=70_000_000, pss_bytes=60_000_000, threads=9, descriptors=50
)
RECOGNIZER = ProcessUse(
    cpu_seconds=90.0, resident_bytes=300_000_000, pss_bytes=290_000_000, threads=5, descriptors=9
)
COSTS = {
    "tiny.en": ModelCost(utterance_seconds=0.3, second_seconds=0.0, memory_mb=150),
    "base": ModelCost(utterance_seconds=1.0, second_seconds=0.0, memory_mb=250),
}


def findings(model: str = "base.en", takes: float = 0.3, **facts: Any) -> Findings:
    host = structs.replace(HOST, **facts)
    sample = MachineSample(
        at=1.0,
        host=host,
        processes={"gateway": GATEWAY, "recognizer": RECOGNIZER},
        cpu={},
        tasks=9,
        lag=NO_LAG,
    )
    return Findings(
        sample=sample, model=model, recognizing=[takes] * 9, replies={"answered": 100, "unanswered": 1},
        costs=COSTS, most_files=1024,
    )  # fmt: skip


def told(found: Findings) -> Advice:
    (one,) = advice(found)
    return one


def test_nothing_is_said_where_all_is_well() -> None:
    assert advice(findings()) == []


def test_a_model_that_is_slow_here_and_one_that_would_not_be() -> None:
    one = told(findings(takes=1.4))
    assert one.text == "base.en takes 1.4 s here: tiny.en would take about 0.4 s."
    assert "earshot models bench" in one.remedy
    assert not one.urgent


def test_one_for_all_languages_is_compared_with_one_for_all() -> None:
    assert told(findings("base", 2.0)).text == "base takes 2.0 s here: tiny would take about 0.6 s."


def test_a_model_that_nobody_measured_is_compared_with_none() -> None:
    assert told(findings("/opt/models/ours", 2.0)).text == "/opt/models/ours takes 2.0 s here."
    assert told(findings("tiny.en", 2.0)).text == "tiny.en takes 2.0 s here."


def test_one_that_would_take_longer_is_not_named() -> None:
    found = structs.replace(findings("bundled", 1.4), costs=measured().models)
    assert told(found).text == "bundled takes 1.4 s here."


def test_a_machine_that_is_quick_may_hear_better() -> None:
    one = told(findings("tiny.en", 0.1))
    assert one.text == (
        "There is room for a better model: tiny.en takes 0.10 s here, base.en would take about 0.3 s."
    )


def test_few_utterances_say_nothing() -> None:
    assert advice(structs.replace(findings(takes=3.0), recognizing=[3.0] * 4)) == []


@pytest.mark.parametrize(
    ("facts", "about", "says"),
    [
        ({"memory_available": 200_000_000}, "memory", "200 of 4000 MB are free; the recognizer holds 300 MB"),
        ({"disk_free": 1_000_000_000}, "disk", "1.0 GB free"),
        ({"disk_total": 4_000_000_000, "disk_free": 400_000_000}, "disk", "0.4 GB free"),
        ({"load": 6.5}, "load", "a load of 6.5 on 4"),
        ({"throttled": True}, "heat", "slower than it could at 50 °C"),
        ({"throttled": True, "temperature": None}, "heat", "slower than it could."),
        ({"temperature": 84.6}, "heat", "hot: 85 °C"),
    ],
)
def test_what_is_short_is_said_with_its_figure(facts: dict[str, Any], about: str, says: str) -> None:
    one = told(findings(**facts))
    assert one.about == about
    assert says in one.text
    assert one.remedy


def test_a_loop_that_is_late() -> None:
    found = findings()
    late = structs.replace(found.sample, lag=LagFigures(p50=0.001, p99=0.123, most=0.4))
    assert "123 ms" in told(structs.replace(found, sample=late)).text


def test_files_that_are_nearly_all_in_use() -> None:
    assert told(structs.replace(findings(), most_files=60)).text.startswith("50 of 60 open files")
    assert advice(structs.replace(findings(), most_files=-1)) == []


def test_questions_that_nobody_answers() -> None:
    found = findings()
    assert "8 of 30" in told(structs.replace(found, replies={"answered": 22, "unanswered": 8})).text
    assert advice(structs.replace(found, replies={"unanswered": 8})) == []


def test_what_is_urgent_stands_first() -> None:
    found = advice(findings(takes=2.0, temperature=85.0, memory_available=1))
    assert [one.about for one in found] == ["memory", "heat", "model"]


def test_a_machine_that_tells_nothing_is_not_blamed() -> None:
    nothing = {"memory_total": 0, "memory_available": 0, "disk_total": 0, "disk_free": 0, "temperature": None}
    assert advice(findings(**nothing)) == []


def test_the_models_that_were_measured_are_known() -> None:
    assert {"tiny.en", "base"} <= measured().models.keys()
    found = structs.replace(findings("base.en", 1.4), costs=measured().models)
    assert "tiny.en would take about" in told(found).text
