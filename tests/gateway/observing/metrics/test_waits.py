"""How long people waited, and how it ended, as the events for listeners tell it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.contract.events import DeliveryEvent, DeviceEvent, HubEvent, ReplyEvent, TranscriptionEvent
from gateway.contract.messages import AudioFacts, Timings
from gateway.hub.hub import Hub
from gateway.observing.metrics.waits import MOST_ON_THEIR_WAY, RECENT, Waits
from gateway.settings.web import WebSettings

NAMES = {"session_id": "s_1", "user_id": "ann", "device_id": "kitchen", "utterance_id": "u_1"}


def heard(text: str = "hello", *, success: bool = True, correlation_id: str = "c_1") -> TranscriptionEvent:
    return TranscriptionEvent(
        **NAMES, text=text, success=success, error=None if success else "no", correlation_id=correlation_id,
        language="en", confidence=1.0, audio=AudioFacts(seconds=1.0),
        timings=Timings(endpoint_ms=300.0, queue_ms=40.0, recognize_ms=900.0, text_ms=1240.0),
    )  # fmt: skip


def reply(correlation_id: str = "c_1", **facts: Any) -> ReplyEvent:
    said = {**NAMES, "text": "hi", "final": True, "text_to_reply_ms": 2100.0, "publish_ms": 100.0, **facts}
    return ReplyEvent(correlation_id=correlation_id, **said)


def delivered(correlation_id: str = "c_1", **facts: Any) -> DeliveryEvent:
    said = {**NAMES, "speech_to_reply_ms": 3400.0, **facts}
    return DeliveryEvent(correlation_id=correlation_id, **said)


def noted(*events: HubEvent) -> Waits:
    waits = Waits()
    for event in events:
        waits.note(event)
    return waits


def test_one_utterance_from_speech_to_the_answer_in_the_device() -> None:
    waits = noted(heard(), reply(timestamp=100.0), delivered(timestamp=100.25))
    assert waits.endpoint.sum == pytest.approx(0.3)
    assert waits.queue.sum == pytest.approx(0.04)
    assert waits.recognize.sum == pytest.approx(0.9)
    assert waits.speech_to_text.sum == pytest.approx(1.24)
    assert waits.publish.sum == pytest.approx(0.1)
    assert waits.answer.sum == pytest.approx(2.0)
    assert waits.delivery.sum == pytest.approx(0.25)
    assert waits.reply.sum == pytest.approx(3.4)
    assert waits.texts == {"heard": 1, "nothing": 0, "failed": 0}
    assert waits.replies["answered"] == 1


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({}, "answered"),
        ({"cached": True}, "cached"),
        ({"late": True}, "late"),
        ({"error": "it broke"}, "failed"),
        ({"fallback": True}, "unanswered"),
        ({"fallback": True, "error": "nobody"}, "unanswered"),
    ],
)
def test_how_a_question_ends(facts: dict[str, Any], outcome: str) -> None:
    waits = noted(reply(**facts))
    assert +waits.replies == {outcome: 1}
    assert sum(waits.answer.counts) == (0 if outcome == "unanswered" else 1)


@pytest.mark.parametrize(
    "event",
    [
        reply(final=False),
        reply(echo_of="c_2"),
        reply(session_id=""),
        delivered(session_id=""),
        DeviceEvent(device_id="kitchen", user_id="ann", state="connected"),
    ],
)
def test_what_nobody_waited_for_is_not_counted(event: HubEvent) -> None:
    waits = noted(event)
    assert +waits.replies == {}
    assert waits.reply.sum == waits.delivery.sum == waits.answer.sum == 0


def test_what_was_not_understood_has_no_times() -> None:
    waits = noted(heard(success=False), heard(text=""))
    assert waits.texts == {"heard": 0, "nothing": 1, "failed": 1}
    assert list(waits.recognizing) == [0.9]


def test_it_is_bounded_whoever_never_takes_an_answer() -> None:
    waits = Waits()
    for number in range(3 * MOST_ON_THEIR_WAY):
        waits.note(reply(f"c_{number}"))
        waits.note(heard())
    assert len(waits._on_their_way) == MOST_ON_THEIR_WAY
    assert len(waits.recognizing) == RECENT
    waits.note(delivered("c_0", timestamp=1e12))
    assert sum(waits.delivery.counts) == 0


def test_a_delivery_that_comes_twice_waited_once() -> None:
    waits = noted(reply(timestamp=1.0), delivered(timestamp=2.0), delivered(timestamp=9.0))
    assert sum(waits.delivery.counts) == 1
    assert waits.delivery.sum == 1.0


def test_a_clock_that_was_set_back_makes_nobody_wait_less_than_nothing() -> None:
    assert noted(reply(timestamp=9.0), delivered(timestamp=1.0)).delivery.sum == 0.0


def test_a_trace_is_the_exemplar_of_its_bucket() -> None:
    waits = Waits()
    waits.trace_of = {"c_1": "4bf92f3577b34da6a3ce929d0e0e4736"}.get  # type: ignore[assignment]
    waits.note(heard())
    waits.note(heard(correlation_id="c_2"))
    exemplars = [sample.exemplar for sample in waits.speech_to_text.family().samples if sample.exemplar]
    assert [one.trace_id for one in exemplars] == ["4bf92f3577b34da6a3ce929d0e0e4736"]


def test_all_of_it_has_a_name() -> None:
    names = [family.name for family in noted(heard()).families()]
    assert len(set(names)) == len(names) == 10


@pytest.mark.parametrize("redact", [False, True])
async def test_a_hub_tells_it_what_it_publishes(*, redact: bool) -> None:
    hub = Hub(WebSettings(), redact=redact)
    hub.publish(heard())
    hub.publish(reply())
    assert hub.waits.texts["heard"] == 1
    assert hub.waits.replies["answered"] == 1
