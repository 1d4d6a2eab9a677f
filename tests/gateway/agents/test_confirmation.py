"""A yes to what was asked: in many languages, by whoever was asked, in time, and to nothing else."""

# ruff: noqa: RUF001 - recognizers write this apostrophe

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.agents.confirmation import MOST_OPEN, PATIENCE_SECONDS, Confirmations, Consent, consent
from gateway.contract.agents import ConversationTurn
from gateway.contract.messages import AudioFacts, Timings, TranscriptionMessage
from gateway.orchestrators.heard import Heard, heard

QUESTION = "Unlock the door?"


def said(
    text: str,
    conversation: str = "v_1",
    user: str = "ann",
    *,
    language: str = "en",
    before: str | None = None,
    path: str = "",
) -> Heard:
    """``before``: what was said to the turn before, as the gateway tells it; None: it tells of none."""
    message = TranscriptionMessage(
        session_id="s_1", user_id=user, device_id="kitchen", text=text, timestamp=1.0, success=True,
        message_id="m_1", correlation_id="c_1", utterance_id="u_1", audio=AudioFacts(seconds=1.0),
        conversation_id=conversation, language=language,
    )  # fmt: skip
    turn = ConversationTurn(text="unlock the door", reply=before or "", correlation_id="c_1")
    return heard(message, conversation=() if before is None else (turn,), path=(path,) if path else ())


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
    open_questions.ask(said("unlock the door"), QUESTION, "unlock")
    assert open_questions.answered(said("yes", conversation="v_2")) is None
    assert open_questions.answered(said("yes", user="ben")) is None
    assert open_questions.answered(said("Yes!")) == (Consent.YES, "unlock")
    assert open_questions.answered(said("yes")) is None


def test_something_else_ends_the_question() -> None:
    open_questions = Confirmations[str]()
    open_questions.ask(said("unlock the door"), QUESTION, "unlock")
    assert open_questions.answered(said("what time is it")) == (Consent.OTHER, "unlock")
    assert open_questions.answered(said("yes")) is None


def test_a_late_yes_is_to_something_else() -> None:
    now = [0.0]
    open_questions = Confirmations[str](lambda: now[0])
    open_questions.ask(said("unlock the door"), QUESTION, "unlock")
    now[0] = PATIENCE_SECONDS + 1
    assert open_questions.answered(said("yes")) is None


def test_a_yes_that_was_said_before_the_question_is_none_to_it() -> None:
    """It had its text only when the question was asked."""
    now = [10.0]
    open_questions = Confirmations[str](lambda: now[0])
    for passed, answer in ((0.5, None), (1.6, (Consent.YES, "unlock"))):
        open_questions.ask(said("unlock the door"), QUESTION, "unlock")
        now[0] += passed
        yes = replace(said("yes", before=QUESTION), timings=Timings(text_ms=1_500.0))
        assert open_questions.answered(yes) == answer


def test_questions_are_bounded() -> None:
    open_questions = Confirmations[int]()
    for number in range(MOST_OPEN + 10):
        open_questions.ask(said("unlock", conversation=f"v_{number}"), QUESTION, number)
    assert len(open_questions) == MOST_OPEN
    assert open_questions.answered(said("yes", conversation="v_0")) is None
    assert open_questions.answered(said("yes", conversation="v_500")) == (Consent.YES, 500)


def test_a_question_that_was_not_the_last_that_was_said_there_was_not_answered() -> None:
    """Another agent's answer was better, it was still on its way, or another copy was asked meanwhile."""
    open_questions = Confirmations[str]()
    for before in ("All the lamps?", ""):
        open_questions.ask(said("unlock the door"), QUESTION, "unlock")
        assert open_questions.answered(said("yes", before=before)) is None
        assert open_questions.answered(said("yes", before=QUESTION)) is None
    open_questions.ask(said("unlock the door"), QUESTION, "unlock")
    assert open_questions.answered(said("yes", before=f"One moment. {QUESTION}")) == (Consent.YES, "unlock")


def test_a_yes_of_another_agent_is_none_and_nobodys_answer() -> None:
    open_questions = Confirmations[str]()
    open_questions.ask(said("unlock the door"), QUESTION, "unlock")
    assert open_questions.answered(said("yes", path="brain")) is None
    assert open_questions.answered(said("yes", before=QUESTION)) == (Consent.YES, "unlock")


def test_what_nobody_answered_is_not_kept() -> None:
    now = [0.0]
    open_questions = Confirmations[int](lambda: now[0])
    for number in range(3):
        open_questions.ask(said("unlock", conversation=f"v_{number}"), QUESTION, number)
    now[0] = PATIENCE_SECONDS + 1
    open_questions.ask(said("unlock", conversation="v_9"), QUESTION, 9)
    assert len(open_questions) == 1
