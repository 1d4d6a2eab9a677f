"""Tokens in writing: signed, read back, and everything that is none."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.principals import Role
from gateway.access.signing import MAX_KEYS, BadToken, KeyFile, Keys, is_the_one
from gateway.access.tokens import Token, TokenError
from tests.gateway.access.keyring import Keyring

KEYS = Keys((b"k" * 32,))
TOKEN = Token(
    token_id="t_1",
    name="ann",
    role=Role.LISTENER,
    digest="",
    made_at=1_800_000_000.0,
    expires_at=1_800_086_400.0,
)


def test_back_and_forth() -> None:
    text, *_ = KEYS.sign(TOKEN)
    assert KEYS.read(text) == "t_1"


def test_whether_it_has_ended_is_not_for_the_text_to_say() -> None:
    """A clock that was wrong when it was signed, and is right now, locks nobody out: the file knows when it ends."""
    old = Token(token_id="t_2", name="ann", role=Role.LISTENER, digest="", made_at=1.0, expires_at=2.0)
    assert KEYS.read(KEYS.sign(old)[0]) == "t_2"


def test_what_is_in_it_is_for_people() -> None:
    claims = jwt.decode(KEYS.sign(TOKEN)[0], options={"verify_signature": False})
    assert (claims["sub"], claims["role"], claims["jti"], claims["aud"]) == (
        "ann",
        "listener",
        "t_1",
        "earshot",
    )
    assert claims["exp"] - claims["iat"] == 86_400


@given(st.text(max_size=300))
def test_no_text_is_worse_than_no_token(text: str) -> None:
    with pytest.raises(BadToken) as caught:
        KEYS.read(text)
    assert str(caught.value) in {"not a token", "too long", "not signed by this gateway"}


@given(st.data())
def test_no_character_of_it_may_be_another(data: st.DataObject) -> None:
    text = KEYS.sign(TOKEN)[0]
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_."))
    changed = text[:place] + other + text[place + 1 :]
    if changed == text:
        return
    try:
        KEYS.read(changed)
    except BadToken:
        return
    # base64 leaves two bits of the signature's last character open; the digest does not.
    assert place == len(text) - 1
    assert not is_the_one(changed, Token(**{**_fields(TOKEN), "digest": KEYS.sign(TOKEN)[1]}))


def _fields(token: Token) -> dict[str, object]:
    return {name: getattr(token, name) for name in token.__struct_fields__}


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
        jwt.encode(CLAIMS, "k" * 64, algorithm="HS512", headers={"kid": "x"}),
        jwt.encode({**CLAIMS, "aud": "elsewhere"}, "k" * 32),
        jwt.encode({"aud": "earshot", "exp": 9_999_999_999}, "k" * 32),
        jwt.encode({"jti": "t_1", "aud": "earshot"}, "k" * 32),
        "." * 8_000,
        "a" * 8_193,
    ],
    ids=range(14),
)
def test_what_is_not_ours(text: str) -> None:
    with pytest.raises(BadToken):
        KEYS.read(text)


def test_a_key_alone_opens_nothing(tmp_path: Path) -> None:
    """Whoever has the key can sign, but what they sign is not in the tokens' file."""
    keyring = Keyring(tmp_path)
    token, text = keyring.make()
    claims = jwt.decode(text, options={"verify_signature": False})
    copied = jwt.encode({**claims, "role": "operator"}, keyring.key.read().keys[0])
    assert keyring.key.read().read(copied) == token.token_id
    assert is_the_one(text, token)
    assert not is_the_one(copied, token)


class TestKeyFile:
    @pytest.fixture
    def file(self, tmp_path: Path) -> KeyFile:
        return KeyFile.located("", tmp_path, {})

    def test_made_on_first_use_and_the_same_after_it(self, file: KeyFile) -> None:
        first = file.read_or_make()
        assert file.read_or_make() == first == file.read()
        assert file.path.stat().st_mode & 0o777 == 0o600
        assert len(first.keys[0]) == 32

    def test_a_new_one_is_in_front(self, file: KeyFile) -> None:
        old = file.read_or_make()
        text, *_ = old.sign(TOKEN)
        new = file.renew(keep=1)
        assert new.keys[1:] == old.keys
        assert new.read(text) == "t_1"
        assert new.sign(TOKEN)[0] != text
        with pytest.raises(BadToken, match="not signed by this gateway"):
            file.renew(keep=0).read(text)

    def test_old_ones_are_bounded(self, file: KeyFile) -> None:
        for _ in range(10):
            file.renew(keep=99)
        assert len(file.read().keys) == MAX_KEYS

    @pytest.mark.parametrize("text", ["", "short", "Z" * 64, "a" * 63, "a" * 65, "é" * 64])
    def test_what_is_no_key_is_said_and_not_replaced(self, file: KeyFile, text: str) -> None:
        file.path.write_text(text)
        with pytest.raises(TokenError):
            file.read_or_make()
        assert file.path.read_text() == text

    def test_none_is_there(self, file: KeyFile) -> None:
        with pytest.raises(TokenError, match="cannot be read"):
            file.read()

    def test_systemds_is_used_first(self, tmp_path: Path) -> None:
        credentials = tmp_path / "credentials"
        credentials.mkdir()
        configured = str(tmp_path / "etc" / "earshot.key")
        environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
        assert KeyFile.located(configured, tmp_path, environ).path == Path(configured)
        (credentials / "earshot.key").write_text("a" * 64)
        found = KeyFile.located(configured, tmp_path, environ)
        assert found.path == credentials / "earshot.key"
        assert found.read_or_make().keys == (b"\xaa" * 32,)
        assert KeyFile.located("", tmp_path, {}).path == tmp_path / "token.key"
