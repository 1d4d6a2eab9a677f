"""What a device is told without an answer: by cause and language, and what the configuration says of it first."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
import pytest

from gateway.pipeline.telling.fallback_texts import ELSE, OF_THE_ANSWER, TEXTS, Apology, FallbackTexts
from gateway.settings.orchestrator import FallbackCause, OrchestratorSettings
from transcription.settings import DeviceHints, TranscriptionSettings


def texts(transcription: TranscriptionSettings | None = None, **settings: Any) -> FallbackTexts:
    return FallbackTexts(
        msgspec.convert(settings, OrchestratorSettings), transcription or TranscriptionSettings()
    )


def test_every_cause_has_a_text_of_its_own_in_every_language() -> None:
    assert set(TEXTS) >= {"en", "de", "fr", "es", "it", "nl", "pl", "pt"}
    for language, by_cause in TEXTS.items():
        assert set(by_cause) == set(Apology), language
        assert len(set(by_cause.values())) == len(Apology), language
        assert all(0 < len(text) <= 100 for text in by_cause.values()), language
    everywhere = [text for by_cause in TEXTS.values() for text in by_cause.values()]
    assert len(set(everywhere)) == len(everywhere)


def test_the_configuration_knows_the_same_causes() -> None:
    assert set(get_args(FallbackCause)) == {cause.value for cause in Apology}


def test_none_of_them_says_that_anything_was_done() -> None:
    """As an answer does: 'The light is on.'"""
    deeds = re.compile(
        r"\b(light|lamp|done|licht|erledigt|fait|hecho|fatto|gedaan|zrobione|feito)", re.IGNORECASE
    )
    assert [text for by_cause in TEXTS.values() for text in by_cause.values() if deeds.search(text)] == []


@pytest.mark.parametrize(
    ("language", "device_id", "text"),
    [
        ("de", "", "Leider kam keine Antwort."),
        ("de", "salon", "Leider kam keine Antwort."),
        ("", "salon", "Désolé, personne n'a répondu."),
        ("", "attic", "Lo siento, nadie ha respondido."),
        ("", "hall", "Sorry, nobody answered."),
        ("sv", "salon", "Sorry, nobody answered."),
    ],
)
def test_it_is_the_language_that_was_spoken(language: str, device_id: str, text: str) -> None:
    heard = TranscriptionSettings(
        language="es", devices={"salon": DeviceHints(language="fr"), "hall": DeviceHints(language="auto")}
    )
    assert texts(heard).text(Apology.LATE, language, device_id) == text


def test_it_follows_the_language_that_devices_are_heard_in() -> None:
    one = texts()
    one.reconfigure(TranscriptionSettings(language="nl"))
    assert one.text(Apology.SWITCHED_OFF) == TEXTS["nl"][Apology.SWITCHED_OFF]


@pytest.mark.parametrize("own", ["Hm.", ""])
def test_one_text_of_the_configuration_is_for_all_that_an_answer_can_lack(own: str) -> None:
    one = texts(fallback_text=own)
    for cause in Apology:
        for language in ("en", "de", "sv"):
            builtin = TEXTS.get(language, TEXTS[ELSE])[cause]
            assert one.text(cause, language) == (own if cause in OF_THE_ANSWER else builtin)


def test_the_more_precise_text_wins() -> None:
    one = texts(
        fallback_text="Hm.",
        fallback_texts={
            "de": {"late": "Warte nicht.", "filtered": ""},
            "sv": {"nobody": "Ingen är här."},
            "en": {"puzzled": "What?"},
        },
    )
    assert one.text(Apology.LATE, "de") == "Warte nicht."
    assert one.text(Apology.FILTERED, "de") == ""
    assert one.text(Apology.NOBODY, "de") == "Hm."
    assert one.text(Apology.NOBODY, "sv") == "Ingen är här."
    assert one.text(Apology.PUZZLED, "en") == "What?"
    assert one.text(Apology.PUZZLED, "sv") == "What?"
    assert one.text(Apology.PUZZLED, "fr") == TEXTS["fr"][Apology.PUZZLED]
