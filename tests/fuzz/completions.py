"""A language model's stream: nothing raises but BadCompletion, it ends only with an end, and cuts change no word."""

from __future__ import annotations

from contextlib import suppress

from gateway.agents.openai.plain_words import PlainWords
from gateway.agents.openai.stream import BadCompletion, Completion
from gateway.agents.openai.tool_calls import MOST_CALLS

_PIECE = 3


def fuzz(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    _streamed(text.split("\n"))
    if len(text) < 300:  # what is held for longer is cut anyhow
        assert _plain(text, len(text) or 1) == _plain(text, _PIECE)


def _streamed(events: list[str]) -> None:
    completion = Completion()
    said = []
    with suppress(BadCompletion):
        said = [completion.take(event) for event in events]
    assert len("".join(said)) <= completion.characters
    try:
        completion.end()
    except BadCompletion as error:
        assert str(error)
        assert not completion.finish
    calls = completion.calls.all()
    assert len(calls) <= MOST_CALLS + 1
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        assert call.parsed() is None or isinstance(call.parsed(), dict)
        assert isinstance(call.said(), dict)


def _plain(text: str, size: int) -> str:
    words = PlainWords()
    said = "".join(words.take(text[at : at + size]) for at in range(0, len(text), size)) + words.end()
    assert "\n" not in said
    return said
