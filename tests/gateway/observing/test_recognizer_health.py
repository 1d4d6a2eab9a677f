"""What the gateway's health says of the recognizer, and how often the log does."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gateway.contract.events import HealthEvent
from gateway.observing.health import Health, HealthState
from gateway.observing.recognizer_health import BUNDLED_NOTICE, COMPONENT, RecognizerHealth
from transcription.recognizing import Phase, RecognizerState
from transcription.transcriber import Where


def shown(*states: RecognizerState) -> list[HealthEvent]:
    events: list[HealthEvent] = []
    tell = RecognizerHealth(Health(events.append))
    for state in states:
        tell(state)
    return events


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_a_health(phase: Phase) -> None:
    (event,) = shown(RecognizerState(phase, reason="because", remedy="do this"))
    assert event.component == COMPONENT
    assert "because" in event.reason
    assert event.remedy == "do this"


def test_what_it_computes_on_is_told_and_why_that_is_not_the_gpu() -> None:
    on_gpu = RecognizerState(Phase.READY, "faster-whisper", "base", where=Where("cuda:0, float16"))
    (event,) = shown(on_gpu)
    assert (event.detail, event.notice) == ("base, faster-whisper, cuda:0, float16", "")
    without = RecognizerState(
        Phase.READY, "faster-whisper", "base", where=Where(notice="base computes on the CPU")
    )
    (event,) = shown(without)
    assert (event.state, event.detail) == (HealthState.HEALTHY, "base, faster-whisper")
    assert event.notice == "base computes on the CPU"
    (event,) = shown(
        RecognizerState(Phase.READY, "faster-whisper", "bundled", where=Where(notice="On the CPU."))
    )
    assert event.notice == f"{BUNDLED_NOTICE} On the CPU."


def test_loading_says_so() -> None:
    assert shown(RecognizerState(Phase.LOADING))[0].reason == "the model is being loaded"
    assert (
        shown(RecognizerState(Phase.LOADING, reason="it fell"))[0].reason
        == "it fell; the model is being loaded"
    )


def test_where_others_have_the_model_none_is_said_to_be_loaded() -> None:
    looking = RecognizerState(Phase.LOADING, "", "base", "recognizers are being looked for")
    assert shown(looking)[0].reason == "recognizers are being looked for"


def test_sleep_is_healthy_unless_something_is_to_be_done() -> None:
    for phase in (Phase.ASLEEP, Phase.WAKING):
        assert shown(RecognizerState(phase, reason="late"))[0].state is HealthState.HEALTHY
    lacking = RecognizerState(Phase.ASLEEP, reason="late; base is not here", remedy="bring it")
    assert shown(lacking)[0].state is HealthState.DEGRADED


def test_a_download_is_seen_step_by_step_and_logged_at_each_tenth() -> None:
    states = [
        RecognizerState(Phase.LOADING, reason=f"fetching base: {n} %", progress=n / 100)
        for n in range(0, 100, 2)
    ]
    with capture_logs() as logs:
        events = shown(RecognizerState(Phase.LOADING), *states, RecognizerState(Phase.READY))
    assert [event.reason for event in events[1:-1]] == [state.reason for state in states]
    assert {event.state for event in events[:-1]} == {HealthState.UNHEALTHY}
    logged = [entry.get("reason", "") for entry in logs]
    assert logged == [
        "the model is being loaded",
        *(f"fetching base: {n} %" for n in range(0, 100, 10)),
        "",
    ]


def test_the_bundled_model_is_pointed_out_until_another_is_chosen() -> None:
    events = shown(
        RecognizerState(Phase.READY, "faster-whisper", "bundled"),
        RecognizerState(Phase.ASLEEP, reason="nobody spoke"),
        RecognizerState(Phase.LOADING),
        RecognizerState(Phase.READY, "faster-whisper", "base.en"),
    )
    assert [bool(event.notice) for event in events] == [True, True, True, False]
    assert "178" in events[0].notice
    assert [event.detail for event in events] == [
        "bundled, faster-whisper",
        "",
        "",
        "base.en, faster-whisper",
    ]


def test_a_recognizer_that_is_switched_off_has_no_model_to_be_pointed_out() -> None:
    events = shown(RecognizerState(Phase.READY, "faster-whisper", "bundled"), RecognizerState(Phase.OFF))
    assert [bool(event.notice) for event in events] == [True, False]
