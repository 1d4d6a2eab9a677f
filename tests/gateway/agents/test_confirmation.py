"""A yes to what was asked: in many languages, by whoever was asked, in time, and to nothing else."""

# ruff: noqa: RUF001 - recognizers write this apostrophe

from __future__ import annotations

import pytest

from gateway.agents.confirmation import MOST_OPEN, PATIENCE_SECONDS, Confirmations, Consent, consent
from gateway.contract.messages import AudioFacts, TranscriptionMessage


def said(
    text: str, conversation: str = "v_1", user: str = "ann", language: str = "en"
) -> TranscriptionMessage:
    return TranscriptionMessage(
        session_id="s_1", user_id=user, device_id="kitchen", text=text, timestamp=1.0, success=True,
        message_id="m_1", correlation_id="c_1", utterance_id="u_1", audio=AudioFacts(seconds=1.0),
        conversation_id=conversation, language=language,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "language", "meant"),
    [
        ("Yes.", "en", Consent.YES),
        ("Yes, please!", "en", Consent.YES),
        ("don't", "en", Consent.NO),
        ("Don’t!", "en", Consent.NO),
        ("No, I said the yes-man's lamp", "en", Consent.OTHER),
        ("yes and turn off the light", "en", Consent.OTHER),
        ("", "en", Consent.OTHER),
        ("Ja, bitte.", "de", Consent.YES),
        ("Nö", "de", Consent.NO),
        ("Oui, s'il te plaît", "fr", Consent.YES),
        ("Sí.", "es", Consent.YES),
        ("Конечно!", "ru", Consent.YES),
        ("はい。", "ja", Consent.YES),
        ("不要。", "zh", Consent.NO),
        ("Okay", "xx", Consent.YES),
        ("ja", "en", Consent.OTHER),
        ("yes", "de", Consent.YES),
    ],
)
def test_what_counts_as_a_yes(text: str, language: str, meant: Consent) -> None:
    assert consent(text, language) is meant


def test_a_question_is_answered_once_where_it_was_asked_by_whom_it_was_asked() -> None:
    open_questions = Confirmations[str]()
    open_questions.ask(said("unlock the door"), "unlock")
    assert open_questions.answered(said("yes", conversation="v_2")) is None
    assert open_questions.answered(said("yes", user="ben")) is None
    assert open_questions.answered(said("Yes!")) == (Consent.YES, "unlock")
    assert open_questions.answered(said("yes")) is None


def test_something_else_ends_the_question() -> None:
    open_questions = Confirmations[str]()
    open_questions.ask(said("unlock the door"), "unlock")
    assert open_questions.answered(said("what time is it")) == (Consent.OTHER, "unlock")
    assert open_questions.answered(said("yes")) is None


def test_a_late_yes_is_to_something_else() -> None:
    now = [0.0]
    open_questions = Confirmations[str](lambda: now[0])
    open_questions.ask(said("unlock the door"), "unlock")
    now[0] = PATIENCE_SECONDS + 1
    assert open_questions.answered(said("yes")) is None


def test_questions_are_bounded() -> None:
    open_questions = Confirmations[int]()
    for number in range(MOST_OPEN + 10):
        open_questions.ask(said("unlock", conversation=f"v_{number}"), number)
    assert len(open_questions) == MOST_OPEN
    assert open_questions.answered(said("yes", conversation="v_0")) is None
    assert open_questions.answered(said("yes", conversation="v_500")) == (Consent.YES, 500)
