"""What is given again, to whom, for how long, and how much of it is kept."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import convert

from gateway.contract.agents import AgentAnswer
from gateway.pipeline.agents.answer_cache import AnswerCache, AnswerCaches, Inquired, normalised
from gateway.settings.answer_cache import CacheSettings
from gateway.settings.orchestrator import AgentSettings


def wording(text: str = "what time is it", **facts: Any) -> Inquired:
    said = {"language": "en", "user_id": "ann", "device_id": "radio", "room": "Kitchen", "begun": False}
    return Inquired(text=text, **(said | facts))


def answer(text: str = "noon", **facts: Any) -> AgentAnswer:
    return AgentAnswer(agent="clock", text=text, **facts)


def cache(**settings: Any) -> AnswerCache:
    return AnswerCache(convert({"seconds": 60.0, **settings}, CacheSettings))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What time is it?", "what  time is it"),
        ("\u00bfQu\u00e9 hora es?", "qu\u00e9 hora es"),
        ("It\u2019s Stra\u00dfe!", "it's STRASSE"),
        ("(Hello), \u201cworld\u201d...", "hello world"),
    ],
)
def test_how_it_is_written_makes_no_difference(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("turn it on", "turn it off"),
        ("what is 3.5", "what is 35"),
        ("set it to -5", "set it to 5"),
        ("what is C++", "what is C"),
        ("20%", "20"),
    ],
)
def test_what_is_said_does(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_an_answer_is_given_again_for_so_long() -> None:
    kept = cache()
    assert kept.find(wording(), (), 0.0) is None
    kept.keep(wording(), (), answer(data={"hour": 12}), 0.0)
    assert kept.find(wording("What time is it?"), (), 59.9) == answer(data={"hour": 12})
    assert kept.find(wording(), (), 60.0) is None
    figures = kept.figures()
    assert (figures.hits, figures.misses, figures.entries, figures.bytes) == (1, 2, 0, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"language": "de"},
        {"user_id": "ben"},
        {"room": "Bath"},
        {"room": ""},
        {"flags": ("email",)},
        {"text": "what day is it"},
        {"begun": True},
    ],
)
def test_whoever_is_somebody_else_or_elsewhere_is_answered_anew(other: dict[str, Any]) -> None:
    kept = cache()
    kept.keep(wording(), (), answer(), 0.0)
    assert kept.find(wording(**other), (), 1.0) is None
    assert kept.find(wording(device_id="lamp"), (), 1.0) == answer(), "in the same room"


def test_without_a_room_it_is_the_devices() -> None:
    kept = cache()
    kept.keep(wording(room=""), (), answer(), 0.0)
    assert kept.find(wording(room="", device_id="lamp"), (), 1.0) is None
    assert kept.find(wording(room=""), (), 1.0) == answer()


def test_it_is_for_everybody_where_the_settings_say_so() -> None:
    kept = cache(by=[], conversations=True)
    kept.keep(wording(begun=True), (), answer(), 0.0)
    assert kept.find(wording(user_id="ben", room="Bath"), (), 1.0) == answer()
    assert kept.find(wording(), (answer("what was found"),), 1.0) is None, (
        "others have answered something else"
    )


def test_within_a_conversation_nothing_is_kept() -> None:
    kept = cache()
    kept.keep(wording("and off again", begun=True), (), answer(), 0.0)
    kept.keep(wording("..."), (), answer(), 0.0)
    assert kept.figures().entries == 0


def test_it_is_bounded_in_answers_and_in_bytes() -> None:
    kept = cache(entries=2)
    for text in "abc":
        kept.keep(wording(text), (), answer(text), 0.0)
        kept.find(wording("a"), (), 0.0)  # it is wanted, so that b goes
    assert [kept.find(wording(text), (), 0.0) for text in "abc"] == [answer("a"), None, answer("c")]
    kept = cache(kb=4)
    for text in "abc":
        kept.keep(wording(text), (), answer(text * 1000), 0.0)
    assert 0 < kept.figures().bytes <= 4096
    assert kept.figures().entries == 2
    kept.keep(wording("a"), (), answer("x" * 5000), 0.0)
    assert kept.find(wording("a"), (), 0.0) is None, "nor is what was answered before"
    assert kept.find(wording("c"), (), 0.0) == answer("c" * 1000)


def test_what_is_not_true_any_more_is_forgotten() -> None:
    agents = {name: AgentSettings(cache=CacheSettings(seconds=60)) for name in ("clock", "radio")}
    caches = AnswerCaches({**agents, "lights": AgentSettings()})
    assert caches.of("lights") is None
    for name in agents:
        for room in ("Kitchen", "Bath"):
            for text in ("What time is it?", "Who plays?"):
                caches.of(name).keep(wording(text, room=room, about=text), (), answer(), 0.0)  # type: ignore[union-attr]
    assert caches.invalidate("clock", "what time is it") == 2
    assert caches.invalidate("nobody") == 0
    assert caches.invalidate("radio") == 4
    caches.forget(lambda about: about == "Who plays?")
    assert caches.invalidate() == 0
