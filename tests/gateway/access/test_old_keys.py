"""Tokens of earlier versions, which were signed: good as long as they were said to be, and as their key is there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.access.door import NotAdmitted
from gateway.access.old_keys import OldKeys
from gateway.access.principals import Role
from gateway.access.tokens import Token, TokenError
from tests.gateway.access.keyring import OLD_KEY, Keyring, key_name, signed_as_before
from tests.gateway.access.test_door import door

FROM_PYJWT = (
    "eyJhbGciOiJIUzI1NiIsImtpZCI6ImE1YTM4ZGVhZmRjNzhiYWEiLCJ0eXAiOiJKV1QifQ.eyJhdWQiOiJlYXJzaG90IiwianRpIjoidF8wMTIzN"
    "DU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiIsInN1YiI6ImFubiIsInJvbGUiOiJsaXN0ZW5lciIsInVzZXJzIjpbXSwiZGV2aWNlcyI6WyJra"
    "XRjaGVuIl0sImlhdCI6MTgwMDAwMDAwMCwiZXhwIjoxODAwMDg2NDAwfQ.isPcegSEtTlWiW4CQrRbwNaD35ZJvFt--rPViDlFbg8"
)
NOTED = pytest.mark.parametrize("is_noted", [True, False], ids=["key noted", "key in the token only"])


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


def test_these_tests_have_the_tokens_that_were_made() -> None:
    token = Token(
        token_id="t_0123456789abcdef0123456789abcdef",
        name="ann",
        role=Role.LISTENER,
        digest="",
        made_at=1.8e9,
        expires_at=1.8e9 + 86_400,
        devices=("kitchen",),
    )
    assert signed_as_before(token, OLD_KEY) == FROM_PYJWT


@NOTED
async def test_it_is_good_beside_new_ones(keyring: Keyring, *, is_noted: bool) -> None:
    _, old = keyring.make_old("ann", is_noted=is_noted)
    new = keyring.token("bob")
    opened = door(keyring.folder)
    assert [(await opened.admit(text, "")).name for text in (old, new)] == ["ann", "bob"]


@NOTED
async def test_it_is_revoked_and_rotated_like_any_other(keyring: Keyring, *, is_noted: bool) -> None:
    token, text = keyring.make_old(is_noted=is_noted)
    opened = door(keyring.folder)
    new, in_its_place = keyring.file.rotate("ann", days=1, overlap=60)
    assert (new.devices, new.is_signed) == (token.devices, False)
    assert [(await opened.admit(one, "")).name for one in (text, in_its_place)] == ["ann", "ann"]
    keyring.file.revoke(token.token_id)
    with pytest.raises(NotAdmitted, match="revoked"):
        await opened.admit(text, "")
    assert (await opened.admit(in_its_place, "")).name == "ann"


@NOTED
@pytest.mark.parametrize("key", [secrets.token_bytes(32), OLD_KEY], ids=["another key", "the key"])
async def test_another_that_says_the_same_of_itself_is_none(
    keyring: Keyring, key: bytes, *, is_noted: bool
) -> None:
    """Whoever has the key can sign, but what they sign is not in the tokens' file."""
    token, _ = keyring.make_old(is_noted=is_noted)
    forged = signed_as_before(Token(**{**_fields(token), "role": Role.OPERATOR}), key)
    with pytest.raises(NotAdmitted, match="unknown"):
        await door(keyring.folder).admit(forged, "")


def _fields(token: Token) -> dict[str, object]:
    return {name: getattr(token, name) for name in token.__struct_fields__}


async def test_no_character_of_it_may_be_another(keyring: Keyring) -> None:
    _, text = keyring.make_old()
    opened = door(keyring.folder)
    for place in range(len(text)):
        for other in "A-.":
            if text[place] != other:
                with pytest.raises(NotAdmitted):
                    await opened.admit(text[:place] + other + text[place + 1 :], "")
    assert (await opened.admit(text, "")).name == "ann"


# -- its key


def replaced(key: Path) -> None:
    key.write_text(f"{'5a' * 32}\n")


def damaged(key: Path) -> None:
    key.write_text("no key\n")


GOES = pytest.mark.parametrize("goes", [replaced, Path.unlink, damaged])


@NOTED
@GOES
async def test_one_whose_key_went_before_stays_ended(
    keyring: Keyring, goes: Callable[[Path], None], *, is_noted: bool
) -> None:
    """Nothing comes to life again because a version came that looks at no signature."""
    _, text = keyring.make_old(is_noted=is_noted)
    goes(keyring.key)
    with pytest.raises(NotAdmitted, match="its key is gone"):
        await door(keyring.folder).admit(text, "")


@GOES
@pytest.mark.parametrize("as_page", [False, True], ids=["token", "page"])
async def test_what_is_open_with_a_key_ends_when_another_lies_in_its_place(
    keyring: Keyring, goes: Callable[[Path], None], *, as_page: bool
) -> None:
    token, text = keyring.make_old()
    secret = door(keyring.folder).sessions.begin(token.token_id) if as_page else ""
    async with door(keyring.folder) as opened:
        who = await (opened.admit_session(secret, "") if as_page else opened.admit(text, ""))
        with opened.stay(who, lambda: None, secret) as stay:
            goes(keyring.key)
            with pytest.raises(NotAdmitted, match="its key is gone"):
                await asyncio.wait_for(stay.ended(), 5)
        with pytest.raises(NotAdmitted):
            await (opened.admit_session(secret, "") if as_page else opened.admit(text, ""))


async def test_a_new_key_before_the_old_one_ends_nothing(keyring: Keyring) -> None:
    _, text = keyring.make_old()
    opened = door(keyring.folder)
    assert (await opened.admit(text, "")).name == "ann"
    keyring.key.write_text(f"{'5a' * 32}\n{keyring.key.read_text()}")
    assert (await opened.admit(text, "")).name == "ann"


@NOTED
async def test_a_key_that_could_not_be_read_is_read_when_it_can(keyring: Keyring, *, is_noted: bool) -> None:
    _, text = keyring.make_old(is_noted=is_noted)
    aside = keyring.key.rename(keyring.folder / "aside")
    keyring.key.symlink_to(aside)  # nobody follows it
    opened = door(keyring.folder)
    with pytest.raises(NotAdmitted, match="its key is gone"):
        await opened.admit(text, "")
    aside.rename(keyring.key)
    assert (await opened.admit(text, "")).name == "ann"


async def test_new_tokens_have_nothing_to_do_with_it(keyring: Keyring) -> None:
    text = keyring.token()
    assert not keyring.key.exists()
    async with door(keyring.folder) as opened:
        for become in (damaged, replaced, Path.unlink):
            become(keyring.key)
            assert (await opened.admit(text, "")).name == "ann"


class TestTheFile:
    @pytest.fixture
    def keys(self, tmp_path: Path) -> OldKeys:
        return OldKeys("", tmp_path, {})

    def test_the_names_are_those_in_the_tokens(self, keyring: Keyring, keys: OldKeys) -> None:
        keyring.key.write_text(f"{OLD_KEY.hex()}\n{'5a' * 32}\n")
        assert keys.read() == {key_name(OLD_KEY), key_name(b"Z" * 32)} >= {"a5a38deafdc78baa"}

    def test_it_is_read_when_it_has_changed(self, keyring: Keyring, keys: OldKeys) -> None:
        assert keys.is_up_to_date
        keyring.key.write_text(f"{OLD_KEY.hex()}\n")
        assert not keys.is_up_to_date
        keys.look()
        assert (keys.is_up_to_date, keys.names) == (True, {key_name(OLD_KEY)})
        keyring.key.unlink()
        assert not keys.is_up_to_date
        keys.look()
        assert (keys.is_up_to_date, keys.names) == (True, frozenset())

    @pytest.mark.parametrize("text", ["", "short", "Z" * 64, "a" * 63, "a" * 65, "é" * 64])
    def test_what_is_no_key_is_said_and_not_replaced(
        self, keyring: Keyring, keys: OldKeys, text: str
    ) -> None:
        keyring.key.write_text(text)
        with pytest.raises(TokenError):
            keys.read()
        keys.look()
        assert (keys.is_up_to_date, keys.names) == (False, frozenset()), "it is tried again"
        assert keyring.key.read_text() == text

    def test_none_is_there(self, keys: OldKeys) -> None:
        with pytest.raises(TokenError, match="cannot be read"):
            keys.read()

    def test_systemds_is_used_first(self, tmp_path: Path) -> None:
        credentials = tmp_path / "credentials"
        credentials.mkdir()
        configured = str(tmp_path / "etc" / "earshot.key")
        environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
        assert OldKeys(configured, tmp_path, environ).path == Path(configured)
        (credentials / "earshot.key").write_text("a" * 64)
        found = OldKeys(configured, tmp_path, environ)
        assert found.path == credentials / "earshot.key"
        assert found.read() == {key_name(b"\xaa" * 32)}
        assert OldKeys("", tmp_path, {}).path == tmp_path / "token.key"
