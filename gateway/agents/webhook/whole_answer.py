"""What a webhook answers as a whole: an object or a list of one, or words. No I/O.

As n8n does it: what its last node has, the first of several or all of them; or that the workflow has begun, or has
ended without an answer, which is said in its own words and with status 200.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.contract.messages import WantedHints
from gateway.orchestrators.answer import CannotAnswer, ComesLater, NotUnderstood, Reply

KEYS: Final = ("reply", "text", "output", "answer")
"""Under the first of them that is there stands what is to be said."""
MOST_CHARACTERS: Final = 256 * 1024
_SHOWN: Final = 200
_DEEPEST: Final = 4
_REMEDY: Final = (
    "have it respond with an object that has the key reply (text, output and answer will do), or with words"
)
_STARTED: Final = ("workflow was started", "workflow got started", "webhook call received")
_ENDED: Final = "workflow executed successfully"
"""What n8n says of a workflow that has begun; and of one that has ended, where nobody has responded."""


def from_json(told: object, depth: int = 0) -> Reply:
    """From JSON. Raises ComesLater, NotUnderstood, and CannotAnswer for what is no answer."""
    if isinstance(told, list) and told:
        told = told[0]
    if isinstance(told, str):
        return from_words(told)
    if not isinstance(told, Mapping):
        raise CannotAnswer("it answers with no reply", _REMEDY)
    if error := told.get("error"):
        raise CannotAnswer(f"it failed: {_short(error)}", "see its log")
    found = next((told[key] for key in KEYS if told.get(key) is not None), None)
    if isinstance(found, (Mapping, list)) and depth < _DEEPEST:
        return from_json(found, depth + 1)
    if isinstance(found, int | float) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str):
        _not_yet(str(told.get("message", "")))
        raise CannotAnswer("it answers with no reply", _REMEDY)
    check_length(len(found))
    return _reply(found, told)


def from_words(text: str) -> Reply:
    """From a text. Raises ComesLater, and CannotAnswer for a web page."""
    text = text.strip()
    _not_yet(text)
    if text[:200].lower().startswith(("<!doctype", "<html", "<head", "<body", "<?xml")):
        raise CannotAnswer("it answers with a web page", "see that the agent's url is the one meant")
    if not text:
        raise CannotAnswer("it answers with nothing", f"{_REMEDY}; 204 says that there is nothing to say")
    check_length(len(text))
    return Reply(text)


def check_length(characters: int) -> None:
    """Raises CannotAnswer for more than anybody listens to."""
    if characters > MOST_CHARACTERS:
        raise CannotAnswer(f"it answers with more than {MOST_CHARACTERS} characters")


def _reply(text: str, told: Mapping[str, Any]) -> Reply:
    if told.get("understood") is False:
        raise NotUnderstood(text)
    data, confidence = told.get("data"), told.get("confidence")
    try:
        hints = msgspec.convert(told["hints"], WantedHints) if told.get("hints") else None
    except msgspec.ValidationError as error:
        raise CannotAnswer(f"its hints are none: {_short(error)}", "see hints in docs/messages.md") from error
    return Reply(
        text,
        hints=hints,
        data=data if isinstance(data, dict) else None,
        confidence=confidence if isinstance(confidence, int | float) and 0 <= confidence <= 1 else 0.0,
        acted=told.get("acted") is True,
    )


def _not_yet(message: str) -> None:
    said = message.strip().rstrip(".").lower()
    if said in _STARTED or said.startswith(_ENDED):
        raise ComesLater


def _short(what: object) -> str:
    found = what.get("message", "") if isinstance(what, Mapping) else what
    return " ".join(str(found).split())[:_SHOWN]
