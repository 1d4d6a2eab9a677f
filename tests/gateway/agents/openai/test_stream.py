"""A completion as it streams: what servers of all kinds send, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.agents.openai import stream
from gateway.agents.openai.pieces import MANY_CHARACTERS, SpokenPieces
from gateway.agents.openai.stream import BadCompletion, Completion
from gateway.agents.openai.token_budget import TokenBudget
from gateway.agents.openai.tool_calls import ToolCall
from tests.gateway.agents.openai.scripted import delta


def taken(*chunks: Any) -> Completion:
    completion = Completion()
    for chunk in chunks:
        completion.take(json.dumps(chunk))
    return completion


def calling(*pieces: dict[str, Any]) -> list[ToolCall]:
    return taken(*(delta(tool_calls=[piece]) for piece in pieces)).calls.all()


def test_the_calls_of_ollama_are_whole_and_may_all_have_the_index_0() -> None:
    arguments = {"name": "light", "arguments": '{"a":1}'}
    found = calling(
        {"index": 0, "id": "a", "function": arguments}, {"index": 0, "id": "b", "function": arguments}
    )
    assert [(call.id, call.parsed()) for call in found] == [("a", {"a": 1}), ("b", {"a": 1})]


def test_calls_without_an_index_or_an_id() -> None:
    arguments = {"name": "light", "arguments": {"a": 1}}
    found = calling({"id": "a", "function": arguments}, {"id": "b", "function": arguments})
    assert [call.id for call in found] == ["a", "b"]
    (found_one,) = calling(
        {"function": {"name": "light", "arguments": '{"a"'}}, {"function": {"arguments": ":1}"}}
    )
    assert found_one == ToolCall("call_0", "light", '{"a":1}')


def test_two_different_calls_of_one_id_are_two() -> None:
    one, two = ({"index": i, "id": "x", "function": {"name": f"t{i}", "arguments": ""}} for i in range(2))
    assert [(call.id, call.name, call.parsed()) for call in calling(one, two)] == [
        ("x", "t0", {}),
        ("x_1", "t1", {}),
    ]


def test_there_may_be_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadCompletion, match="calls more tools than it may"):
        calling(*({"index": number, "function": {"name": "t"}} for number in range(1_000)))
    with pytest.raises(BadCompletion, match="calls more tools than it may"):
        calling(*({"index": 0, "function": {"arguments": "x" * 100_000}} for _ in range(3)))
    monkeypatch.setattr(stream, "MOST_CHARACTERS", 10)
    with pytest.raises(BadCompletion, match="answers with more than 10 characters"):
        taken(delta("word " * 3))


def test_what_is_not_known_is_passed_over() -> None:
    completion = taken(
        {"object": "ping"},
        {"choices": None},
        {"choices": [{"index": 1, "delta": {"content": "another answer"}}]},
        delta("yes", audio={"id": "x"}, moderation=None) | {"system_fingerprint": 5},
        {"choices": [{"finish_reason": "stop"}], "usage": None},
        {"choices": [], "usage": {"total_tokens": 9, "prompt_tokens_details": {}}},
    )
    assert (completion.characters, completion.finish, completion.tokens) == (3, "stop", 9)


@pytest.mark.parametrize(
    "data", ["", "{", "5", '{"choices": [5]}', '{"choices": "x"}', "\ud800", "[" * 10_000]
)
def test_what_is_no_chunk(data: str) -> None:
    with pytest.raises(BadCompletion):
        Completion().take(data)


def test_a_thought_without_an_end_is_not_said() -> None:
    completion = taken(delta("<think>I am thinking"), delta(None, "stop"))
    assert completion.end() == ""
    assert completion.characters == 0


def test_the_first_word_travels_at_once_and_then_groups_and_sentences() -> None:
    pieces = SpokenPieces()
    assert pieces.take(" ", 0.0) == ""
    assert pieces.take("The", 0.0) == " The"
    assert pieces.take(" kitchen", 0.01) == ""
    assert pieces.take(" light is on.", 0.02) == " kitchen light is on."
    assert pieces.take(" And the oth", 0.2) == " And the "
    assert pieces.take("er", 0.21) == ""
    assert pieces.take(" x" * MANY_CHARACTERS, 0.22).startswith("other x")
    assert pieces.take("rest", 0.23) == ""
    assert pieces.end().endswith("rest")


def test_what_tokens_cost_is_forgotten_after_its_time() -> None:
    budget = TokenBudget(100, 150)
    budget.spend(90, 0.0)
    budget.spend(20, 30.0)
    assert budget.exhausted(31.0) == "has had its 100 tokens of this hour"
    assert budget.exhausted(3_601.0) == ""
    budget.spend(60, 4_000.0)
    assert budget.exhausted(8_000.0) == "has had its 150 tokens of this day"
    assert budget.exhausted(90_500.0) == ""
    none = TokenBudget(0, 0)
    none.spend(10**9, 0.0)
    assert (none.is_set, none.exhausted(0.0)) == (False, "")
