"""Text while somebody speaks, with the model that comes with Earshot, on both carriers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from firmware_bridge.simulator.user import PartialShown
from gateway.contract.events import PartialEvent, TranscriptionEvent
from tests.system.house import RECORDINGS, House, text

# At real time, and with time for every look: the machine may have others to serve.
GENEROUS = {"partials": {"every_ms": 200, "share": 1.0, "longest_ms": 10_000}}
NAME = "u26"


@pytest.mark.parametrize("carrier", ["serial", "mqtt"])
@pytest.mark.slow
async def test_the_text_grows_while_it_is_being_spoken(house: Any, mosquitto: Any, carrier: str) -> None:
    async with (
        house(mqtt=mosquitto.url, transcription=GENEROUS) as one,
        one.board("kitchen", carrier, wants_partials=True, speed=2.0) as kitchen,
    ):
        await kitchen.connected()
        said = await kitchen.say(RECORDINGS[NAME].path, end_on_silence=carrier == "mqtt")
        assert said.transcript == text(NAME)
        shown = kitchen.told.of(PartialShown)
        assert len(shown) >= 2
        assert all(one.text.startswith(one.stable) for one in shown)
        assert all(later.stable.startswith(earlier.stable) for earlier, later in pairwise(shown))
        first = next(at for at, item in enumerate(kitchen.told.items) if isinstance(item, PartialShown))
        story = [type(item).__name__ for item in kitchen.told.items]
        assert first < story.index("TranscriptShown"), "it was there before the end"
        await _listeners_saw_the_same(one, shown)
        await one.idle()
        counters = one.gateway.recognizer.drafts
        assert counters.asked == counters.shown + counters.stale + counters.gave_way + counters.doubted


async def _listeners_saw_the_same(house: House, shown: list[Any]) -> None:
    final = await house.events.first(TranscriptionEvent)
    events = house.events.of(PartialEvent)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert {event.utterance_id for event in events} == {final.utterance_id}
    assert all(event.seq < final.seq for event in events)
    told = [(event.stable, event.text) for event in events]
    assert [(one.stable, one.text) for one in shown] == [pair for pair in told if pair in _pairs(shown)]


def _pairs(shown: list[Any]) -> set[tuple[str, str]]:
    """What the device saw; on its wire a newer partial may have replaced an older one."""
    return {(one.stable, one.text) for one in shown}
