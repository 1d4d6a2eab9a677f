"""Tokens in writing: made, taken for what they may be, and everything that is none."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.access.door import NotAdmitted
from gateway.access.token_text import MAX_CHARACTERS, BadToken, digest, new_text, read
from tests.gateway.access.keyring import Keyring
from tests.gateway.access.test_door import door

TEXT = new_text()
AS_DOCUMENTED = re.compile(r"earshot_[A-Za-z0-9_-]{48}")
"""What docs/security.md tells to scanners for secrets."""
REASONS = {"not a token", "too long", "mistyped or cut short"}


def test_it_is_found_by_its_digest() -> None:
    assert read(TEXT) == digest(TEXT) == hashlib.sha256(TEXT.encode()).hexdigest()


def test_every_one_is_another_and_looks_as_documented() -> None:
    texts = {new_text() for _ in range(1_000)}
    assert len(texts) == 1_000
    assert all(AS_DOCUMENTED.fullmatch(text) for text in texts)


def test_one_made_elsewhere_today_is_taken_tomorrow() -> None:
    """The format, to the byte: 32 bytes and their CRC-32, the highest byte first."""
    text = "earshot_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-RJn6K"
    assert read(text) == digest(text)
    assert base64.urlsafe_b64decode(text.removeprefix("earshot_"))[:32] == bytes(range(32))


@given(st.text(max_size=300))
@example("\ud800")
@example("earshot_")
@example("earshot_" + "A" * 48)
@example(TEXT + "\n")
@example(" " + TEXT)
@example(TEXT + "=")
@example(TEXT.swapcase())
def test_no_text_is_worse_than_no_token(text: str) -> None:
    with pytest.raises(BadToken) as caught:
        read(text)
    assert str(caught.value) in REASONS


@given(st.data())
def test_a_slip_is_told_as_such(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TEXT) - 1))
    slip = data.draw(
        st.sampled_from(
            [
                *(TEXT[:place] + other + TEXT[place + 1 :] for other in "ABCxyz019-_é"),
                TEXT[:place] + TEXT[place + 1 :],
                TEXT[:place] + TEXT[place : place + 2][::-1] + TEXT[place + 2 :],
                TEXT[:place] + "x" + TEXT[place:],
                TEXT[:place],
            ]
        )
    )
    if slip == TEXT:
        return
    with pytest.raises(BadToken, match="mistyped" if slip.startswith("earshot_") else "not a token"):
        read(slip)


def forged(header: dict[str, object], claims: dict[str, object], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


CLAIMS: dict[str, object] = {"jti": "t_1", "aud": "earshot", "exp": 9_999_999_999}


@pytest.mark.parametrize(
    "text",
    [
        forged({"alg": "none"}, CLAIMS),
        forged({"alg": "None", "typ": "JWT"}, CLAIMS),
        forged({"alg": "HS256"}, CLAIMS),
        forged({"alg": "HS256", "kid": "../../dev/null"}, CLAIMS, b"x" * 32),
        forged({"alg": "HS256", "kid": ["a"]}, CLAIMS, b"x" * 32),
        forged({"alg": "RS256", "jku": "https://evil.example/"}, CLAIMS, b"x" * 32),
        forged({"alg": "HS256", "crit": ["exp"]}, CLAIMS, b"x" * 32),
        forged({"alg": "HS256", "kid": "é"}, CLAIMS, b"x" * 32),
        forged({"alg": "HS512", "kid": "x"}, CLAIMS, b"x" * 64),
        forged({"alg": "HS256"}, {**CLAIMS, "aud": "elsewhere"}, b"x" * 32),
        "." * 8_000,
        "a" * (MAX_CHARACTERS + 1),
        "earshot_" + "a" * MAX_CHARACTERS,
        new_text(),
        TEXT.upper(),
        "-",
        "",
    ],
    ids=range(17),
)
async def test_what_is_not_ours_lets_nobody_in(tmp_path: Path, text: str) -> None:
    """Neither where everybody has a new token nor where some have one of before, nor by what a row says."""
    keyring = Keyring(tmp_path)
    _, old = keyring.make_old("old")
    new = keyring.token("new")
    opened = door(tmp_path)
    with pytest.raises(NotAdmitted):
        await opened.admit(text, "")
    for row in keyring.file.read().tokens.values():
        for known in (row.token_id, row.digest, row.key):
            with pytest.raises(NotAdmitted):
                await opened.admit(known, "")
    assert [(await opened.admit(one, "")).name for one in (old, new)] == ["old", "new"]
