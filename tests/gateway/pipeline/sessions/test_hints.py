"""Whose word counts about how a session is heard."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.messages import BadMessage, WantedHints, decode_reply
from gateway.pipeline.sessions.hints import ENOUGH_SECONDS, SURE, ConversationHints, SessionHints
from gateway.settings.sessions import SessionSettings
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Hints, Transcript

SETTINGS = msgspec.convert(
    {
        "language": "auto",
        "prompt": "At home.",
        "devices": {
            "kitchen": {"language": "de", "hotwords": "Herd", "word_timestamps": True},
            "attic": {"prompt": ""},
        },
    },
    TranscriptionSettings,
)


def heard(language: str, probability: float, text: str = "ja") -> Transcript:
    return Transcript(text, language, 0.9, 0.0, (), "e", "m", 0.1, language_probability=probability)


@pytest.mark.parametrize(
    ("device", "hints"),
    [
        ("cellar", Hints("auto", "At home.")),
        ("kitchen", Hints("de", "At home.", "Herd", word_timestamps=True)),
        ("attic", Hints("auto", "")),
    ],
)
def test_a_device_changes_only_what_it_names(device: str, hints: Hints) -> None:
    assert SessionHints(SETTINGS, device).now == hints


def test_an_orchestrator_changes_only_what_it_names() -> None:
    hints = SessionHints(SETTINGS, "kitchen")
    hints.ask(WantedHints(hotwords="", prompt="Whom?"))
    assert hints.now == Hints("de", "Whom?", "", word_timestamps=True)
    hints.ask(WantedHints(word_timestamps=False, language="fr"))
    assert hints.now == Hints("fr", "Whom?", "", word_timestamps=False)


# The language


def test_the_first_sure_language_is_kept() -> None:
    hints = SessionHints(SETTINGS, "cellar")
    hints.learn(heard("de", 0.9), 2.0)
    assert hints.now.language == "de"
    hints.learn(heard("fr", 1.0), 2.0)
    assert hints.now.language == "de"


@pytest.mark.parametrize(
    ("probability", "seconds", "text"),
    [
        (SURE - 0.01, 9.0, "ja"),
        (0.99, ENOUGH_SECONDS - 0.01, "ja"),
        (0.99, 9.0, ""),
        (0.0, 9.0, "yes"),  # a model of one language detects nothing
    ],
)
def test_an_unsure_language_is_not_kept(probability: float, seconds: float, text: str) -> None:
    hints = SessionHints(SETTINGS, "cellar")
    hints.learn(heard("de", probability, text), seconds)
    assert hints.now.language == "auto"


def test_what_just_counts_as_sure() -> None:
    hints = SessionHints(SETTINGS, "cellar")
    hints.learn(heard("de", SURE), ENOUGH_SECONDS)
    assert hints.now.language == "de"


def test_an_orchestrator_may_have_it_detected_anew_or_pin_it() -> None:
    hints = SessionHints(SETTINGS, "cellar")
    hints.learn(heard("de", 0.9), 2.0)
    hints.ask(WantedHints(prompt="so"))
    assert hints.now.language == "de"
    hints.ask(WantedHints(language="auto"))
    hints.learn(heard("fr", 0.9), 2.0)
    assert hints.now.language == "fr"
    hints.ask(WantedHints(language="it"))
    hints.learn(heard("es", 0.9), 2.0)
    assert hints.now.language == "it"


@given(
    st.lists(
        st.builds(heard, st.sampled_from(["de", "fr"]), st.floats(0, 1))
        | st.builds(WantedHints, language=st.none() | st.sampled_from(["auto", "it"])),
        max_size=12,
    )
)
def test_a_language_once_known_changes_only_when_that_is_wanted(
    events: list[Transcript | WantedHints],
) -> None:
    hints = SessionHints(SETTINGS, "cellar")
    for event in events:
        before = hints.now.language
        if isinstance(event, WantedHints):
            hints.ask(event)
            assert hints.now.language == (event.language or before)
        else:
            hints.learn(event, 2.0)
            assert before in {"auto", hints.now.language}


# The conversation


def conversations(**settings: Any) -> ConversationHints:
    return ConversationHints(msgspec.convert(settings, SessionSettings))


def test_what_was_asked_for_and_found_out_holds_for_the_next_session() -> None:
    all_hints = conversations(hints_seconds=60)
    first = all_hints.begin("cellar", 1, SETTINGS, 100.0)
    first.ask(WantedHints(hotwords="Aoife"))
    first.learn(heard("de", 0.9), 2.0)
    all_hints.keep("cellar", 1, first, 110.0)
    assert all_hints.of("cellar") is first
    assert all_hints.begin("cellar", 1, SETTINGS, 170.0).now == Hints("de", "At home.", "Aoife")


@pytest.mark.parametrize(("boot", "now"), [(1, 170.1), (2, 111.0)])
def test_it_is_forgotten_with_time_and_when_the_device_is_switched_off(boot: int, now: float) -> None:
    all_hints = conversations(hints_seconds=60)
    first = all_hints.begin("cellar", 1, SETTINGS, 100.0)
    first.ask(WantedHints(hotwords="Aoife"))
    all_hints.keep("cellar", 1, first, 110.0)
    assert all_hints.begin("cellar", boot, SETTINGS, now).now == Hints("auto", "At home.")


def test_what_is_asked_for_before_anything_is_heard_holds_for_whichever_boot_begins() -> None:
    kept = ConversationHints(SessionSettings(hints_seconds=60))
    kept.ask("cellar", WantedHints(language="fr"), SETTINGS, 0.0)
    kept.ask("cellar", WantedHints(prompt="Whom?"), SETTINGS, 50.0)
    begun = kept.begin("cellar", 7, SETTINGS, 100.0)
    assert begun.now == Hints("fr", "Whom?")
    kept.ask("cellar", WantedHints(hotwords="Aoife"), SETTINGS, 101.0)
    assert begun.now == Hints("fr", "Whom?", "Aoife")
    assert kept.begin("cellar", 7, SETTINGS, 102.0) is begun
    assert kept.begin("cellar", 8, SETTINGS, 103.0).now == Hints("auto", "At home.")


def test_what_is_asked_for_is_not_added_to_what_is_forgotten() -> None:
    kept = ConversationHints(SessionSettings(hints_seconds=60))
    kept.ask("cellar", WantedHints(language="fr"), SETTINGS, 0.0)
    kept.ask("cellar", WantedHints(prompt="Whom?"), SETTINGS, 61.0)
    assert kept.begin("cellar", 1, SETTINGS, 62.0).now == Hints("auto", "Whom?")


def test_new_settings_count_beneath_what_was_asked_for() -> None:
    all_hints = conversations()
    first = all_hints.begin("cellar", 1, SETTINGS, 0.0)
    first.ask(WantedHints(hotwords="Aoife", language="auto"))
    first.ask(WantedHints(hotwords="Niamh"))
    first.learn(heard("de", 0.9), 2.0)
    changed = msgspec.structs.replace(SETTINGS, prompt="At sea.", hotwords="Boje")
    assert all_hints.begin("cellar", 1, changed, 1.0).now == Hints("de", "At sea.", "Niamh")
    pinned = msgspec.structs.replace(SETTINGS, language="fr")
    other = all_hints.begin("attic", 1, SETTINGS, 0.0)
    other.learn(heard("de", 0.9), 2.0)
    assert all_hints.begin("attic", 1, pinned, 1.0).now.language == "fr", "nothing is detected any more"


def test_no_more_devices_are_remembered_than_there_may_be_sessions() -> None:
    all_hints = conversations(max_sessions=2)
    for device in ("a", "b"):
        all_hints.begin(device, 1, SETTINGS, 0.0).ask(WantedHints(prompt=device))
    a = all_hints.of("a")
    assert a is not None
    all_hints.keep("a", 1, a, 1.0)
    all_hints.begin("c", 1, SETTINGS, 2.0)
    assert all_hints.of("b") is None
    assert all_hints.begin("a", 1, SETTINGS, 3.0).now.prompt == "a"


# On the wire


@pytest.mark.parametrize(
    "hints",
    ['{"language": "Deutsch"}', '{"prompt": 1}', '{"word_timestamps": "yes"}', '"de"']
    + [f'{{"{field}": "{"x" * 1001}"}}' for field in ("prompt", "hotwords")],
)
def test_hints_that_are_none_are_refused_with_their_place(hints: str) -> None:
    with pytest.raises(BadMessage, match=r"\$\.hints"):
        decode_reply(f'{{"correlation_id": "c", "session_id": "s", "hints": {hints}}}'.encode())


def test_hints_as_an_orchestrator_writes_them() -> None:
    reply = decode_reply(
        b'{"correlation_id": "c", "session_id": "s", "hints": {"hotwords": "Aoife", "new": 1}}'
    )
    assert reply.hints == WantedHints(hotwords="Aoife")
