"""How long a job has waited where two clocks differ."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.contract.recognition import RecognitionJob, Urgency
from gateway.recognizers.worker.clocks import MOST_GATEWAYS, UNKNOWN_SECONDS, GatewayClocks

NOW = 1_800_000_000.0
JOB = RecognitionJob(
    job_id="j", gateway="a", urgency=Urgency.FINAL, model="m", samples=0, asked_at=NOW, seconds=5.0
)


def asked(ago: float, gateway: str = "a") -> RecognitionJob:
    return structs.replace(JOB, asked_at=NOW - ago, gateway=gateway)


@pytest.mark.parametrize("ahead", [-7_200.0, -3.0, 0.0, 3.0, 7_200.0])
def test_once_a_job_came_at_once_its_gateways_clock_is_known(ahead: float) -> None:
    clocks = GatewayClocks()
    clocks.just_published(asked(-ahead), NOW)
    assert clocks.waited(asked(1.0 - ahead), NOW) == pytest.approx(1.0)
    assert clocks.left(asked(1.0 - ahead), NOW) == pytest.approx(4.0)
    assert clocks.left(asked(6.0 - ahead), NOW) == pytest.approx(-1.0)


def test_a_clock_that_nobody_knows_may_be_wrong_by_a_minute() -> None:
    clocks = GatewayClocks()
    assert clocks.left(asked(UNKNOWN_SECONDS), NOW) == pytest.approx(5.0)
    assert clocks.left(asked(UNKNOWN_SECONDS + 4.0), NOW) == pytest.approx(1.0)
    assert clocks.left(asked(UNKNOWN_SECONDS + 6.0), NOW) < 0
    assert clocks.left(asked(-3_600.0), NOW) == 5.0, "one from the future waits no longer than it said"
    assert clocks.waited(asked(-3_600.0), NOW) == 0.0


def test_a_clock_that_is_set_is_known_again_with_the_next_that_comes_at_once() -> None:
    clocks = GatewayClocks()
    clocks.just_published(asked(3_600.0), NOW)
    assert clocks.waited(asked(3_600.0), NOW) == pytest.approx(0.0)
    clocks.just_published(asked(0.0), NOW)
    assert clocks.waited(asked(3_600.0), NOW) == pytest.approx(3_600.0)


def test_each_gateway_has_a_clock_of_its_own_and_they_are_bounded() -> None:
    clocks = GatewayClocks()
    for number in range(MOST_GATEWAYS + 1):
        clocks.just_published(asked(100.0, f"g{number}"), NOW)
    assert clocks.waited(asked(101.0, "g1"), NOW) == pytest.approx(1.0)
    assert clocks.waited(asked(101.0, "g0"), NOW) == pytest.approx(101.0), "the oldest is forgotten"
    assert clocks.waited(asked(101.0, "other"), NOW) == pytest.approx(101.0)
