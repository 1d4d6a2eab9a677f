"""Text that only grows: what is told of an item, whatever its utterances turn out to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.openai.realtime_items import SpokenText
from gateway.web.openai.realtime_messages import (
    ServerMessage,
    TranscriptCompleted,
    TranscriptDelta,
    TranscriptFailed,
)
from transcription.errors import EngineFailed, ModelUnavailable, QueueFull, TranscriptionError
from transcription.scheduling.partial_text import PartialText

WORDS = st.lists(st.sampled_from(["Turn", "on", "off,", "the", "light.", "\u6708"]), max_size=6).map(" ".join)


def deltas(told: list[ServerMessage]) -> str:
    return "".join(message.delta for message in told if isinstance(message, TranscriptDelta))


def completed(told: list[ServerMessage]) -> TranscriptCompleted:
    last = told[-1]
    assert isinstance(last, TranscriptCompleted)
    return last


@given(st.lists(st.tuples(st.lists(WORDS, max_size=4), WORDS), min_size=1, max_size=3))
def test_the_end_is_told_once_and_deltas_are_its_text_where_no_look_was_wrong(
    utterances: list[tuple[list[str], str]],
) -> None:
    item, told, is_right = SpokenText(), [], True
    for number, (looks, final) in enumerate(utterances, 1):
        partial = PartialText()
        for look in looks:
            if so_far := partial.hear(look):
                told += item.so_far(number, so_far.stable)
        is_right = is_right and final.startswith(partial.stable)
        item.ended(number, 16_000)
        told += item.understood(number, final)
    told += item.committed()
    assert [type(message) for message in told if not isinstance(message, TranscriptDelta)] == [
        TranscriptCompleted
    ]
    assert completed(told).transcript == " ".join(final for _, final in utterances if final)
    assert completed(told).usage.seconds == len(utterances)
    if is_right:
        assert deltas(told) == completed(told).transcript


def test_what_was_told_wrong_is_not_taken_back_and_what_follows_is_told() -> None:
    item = SpokenText()
    told = item.so_far(1, "Turn of") + item.so_far(1, "Turn of the")
    item.ended(1, 8_000)
    told += item.committed() + item.understood(1, "Turn off the light.")
    assert deltas(told) == "Turn of the light."
    assert completed(told).transcript == "Turn off the light."


def test_what_is_said_later_is_told_later() -> None:
    item = SpokenText()
    item.ended(1, 16_000)
    assert item.so_far(2, "the light") == []
    told = item.understood(1, "Turn on") + item.so_far(2, "the light")
    item.ended(2, 16_000)
    told += item.understood(2, "the lights") + item.committed()
    assert deltas(told) == completed(told).transcript == "Turn on the lights"


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (EngineFailed("it broke"), "server_error", "it broke"),
        (QueueFull("too many wait"), "rate_limit_error", "too many wait"),
        (ModelUnavailable("no model", remedy="fetch it"), "server_error", "no model; fetch it"),
    ],
)
def test_an_item_of_which_a_part_is_not_understood_has_failed(
    error: TranscriptionError, kind: str, words: str
) -> None:
    item = SpokenText()
    item.ended(1, 16_000)
    item.ended(2, 16_000)
    assert item.committed() == item.not_understood(1, error) == []
    told = item.understood(2, "the light")
    failed = told[-1]
    assert isinstance(failed, TranscriptFailed)
    assert (failed.error.type, failed.error.message) == (kind, words)
