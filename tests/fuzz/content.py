"""What people say: once what is personal or forbidden is masked, nothing of it is found, and nothing else is gone."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.pipeline.content.filter import apply, rules
from gateway.pipeline.content.forbidden_words import ForbiddenWords
from gateway.pipeline.content.found import Found, masked
from gateway.pipeline.content.personal_data import find_personal_data
from gateway.settings.content import ContentSettings

_WORDS = ("damn", "déjà vu", "straße", "0171", "card number")
_FORBIDDEN = ForbiddenWords(_WORDS)
_BOTH = rules(ContentSettings(personal_data="mask", forbidden_words=_WORDS))


def fuzz(data: bytes) -> None:
    text = data.decode(errors="replace")
    for find in (find_personal_data, _FORBIDDEN.find):
        found = find(text)
        once = masked(text, found)
        assert find(once) == []
        assert once == _by_hand(text, found)
    whole = apply(_BOTH, text)
    assert not whole.dropped
    assert apply(_BOTH, whole.text).flags == ()


def _by_hand(text: str, found: Sequence[Found]) -> str:
    """From the end on, so that no place moves."""
    for one in reversed(found):
        assert 0 <= one.start < one.end <= len(text)
        text = text[: one.start] + one.mask + text[one.end :]
    return text
