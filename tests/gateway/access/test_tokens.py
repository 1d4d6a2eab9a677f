"""The tokens' file: changed by several processes, damaged, full, and looked at again."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import msgspec
import pytest

from gateway.access.principals import Role
from gateway.access.tokens import (
    DAY,
    FORGET_DAYS,
    MAX_TOKENS,
    Token,
    TokenError,
    TokenFile,
    TokensUnreadable,
    Wish,
)
from tests.gateway.access.keyring import Keyring


class Clock:
    """Time as a test has it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(tmp_path: Path, clock: Clock) -> Keyring:
    return Keyring(tmp_path / "state", clock)


def test_no_file_is_no_token(keyring: Keyring) -> None:
    assert keyring.file.read().tokens == {}
    assert keyring.file.stamp() is None


def test_who_bears_it(keyring: Keyring) -> None:
    token, _ = keyring.make("panel", Role.LISTENER, days=2, devices=("hall",), users=("ann",))
    read = keyring.file.read().tokens[token.token_id]
    assert read == token
    who = read.principal
    assert (who.name, who.role, who.token_id) == ("panel", Role.LISTENER, token.token_id)
    assert (who.devices, who.users, who.expires_at) == ({"hall"}, {"ann"}, token.made_at + 2 * DAY)


def test_it_ends(keyring: Keyring, clock: Clock) -> None:
    token, _ = keyring.make(days=1)
    assert token.problem(clock.now + DAY - 1) == ""
    assert token.problem(clock.now + DAY) == "expired"
    (revoked,) = keyring.file.revoke(token.token_id)
    assert revoked.problem(clock.now) == "revoked"
    assert keyring.file.revoke(token.token_id) == []


def test_what_ended_long_ago_is_forgotten(keyring: Keyring, clock: Clock) -> None:
    keyring.make("ann", days=1)
    keyring.make("bob", days=1000)
    keyring.file.revoke("bob")
    clock.now += (FORGET_DAYS + 2) * DAY
    keyring.make("carol")
    assert [token.name for token in keyring.file.read().tokens.values()] == ["carol"]


def test_a_name_is_free_when_its_token_has_ended(keyring: Keyring, clock: Clock) -> None:
    keyring.make("ann", days=1)
    with pytest.raises(TokenError, match="earshot token rotate ann"):
        keyring.make("ann")
    clock.now += 2 * DAY
    keyring.make("ann")


def test_rotating_shortens_and_never_lengthens(keyring: Keyring, clock: Clock) -> None:
    old, _ = keyring.make("ann", days=1, devices=("hall",))
    new, _ = keyring.file.rotate("ann", days=90, overlap=10 * DAY)
    there = keyring.file.read().tokens
    assert there[old.token_id].expires_at == old.expires_at
    assert (new.role, new.devices, new.name) == (old.role, old.devices, old.name)
    keyring.file.rotate("ann", days=90, overlap=60)
    assert {token.problem(clock.now + 61) for token in keyring.file.read().tokens.values()} == {"expired", ""}
    clock.now += 100 * DAY
    with pytest.raises(TokenError, match="there is no token"):
        keyring.file.rotate("ann", days=90, overlap=60)
    with pytest.raises(TokenError, match="has ended already"):
        keyring.file.rotate(new.token_id, days=90, overlap=60)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[{}]", b"\xff", b"[" * 100_000, b'[{"token_id":1}]', b"[1]", b"x" * (4 * 1024 * 1024 + 1)],
    ids=range(8),
)
def test_a_file_that_is_none(keyring: Keyring, data: bytes) -> None:
    keyring.token()
    keyring.file.path.write_bytes(data)
    with pytest.raises(TokensUnreadable):
        keyring.file.read()
    with pytest.raises(TokensUnreadable):
        keyring.make("bob")
    assert keyring.file.path.read_bytes() == data, "what is damaged is somebody's to look at"


def test_a_role_nobody_has_is_damage(keyring: Keyring) -> None:
    keyring.token()
    keyring.file.path.write_text(keyring.file.path.read_text().replace("listener", "king"))
    with pytest.raises(TokensUnreadable, match="king"):
        keyring.file.read()


def test_a_folder_that_cannot_be_written(tmp_path: Path, keyring: Keyring) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenError, match="cannot be written"):
        TokenFile(tmp_path / "file").create(Wish(name="ann", role=Role.LISTENER, days=1))


def test_it_is_bounded(keyring: Keyring, clock: Clock) -> None:
    token, _ = keyring.make()
    many = [msgspec.structs.replace(token, token_id=f"t_{i}", name=f"n{i}") for i in range(MAX_TOKENS)]
    keyring.file.path.write_bytes(msgspec.json.encode(many))
    with pytest.raises(TokenError, match=f"{MAX_TOKENS} tokens"):
        keyring.make("one-too-many")
    assert len(keyring.file.read().tokens) == MAX_TOKENS


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 65, "a\n", "../x", "a.b", "$", "\x1b[31m"])
def test_names_that_could_be_something_else(keyring: Keyring, name: str) -> None:
    with pytest.raises(TokenError, match="is not a name") as caught:
        keyring.make(name)
    assert str(caught.value).isprintable()
    if name == "a.b":
        assert keyring.make("ann", devices=(name,))[0].devices == (name,)
    else:
        with pytest.raises(TokenError, match="is not a name"):
            keyring.make("ann", devices=(name,))
    with pytest.raises(TokenError, match="is not a name"):
        keyring.make("ann", users=(name,))


def test_a_scope_is_bounded(keyring: Keyring) -> None:
    with pytest.raises(TokenError, match="at most 64"):
        keyring.make("ann", devices=tuple(f"d{i}" for i in range(65)))


def test_a_devices_token_names_its_device(keyring: Keyring) -> None:
    with pytest.raises(TokenError, match="--device"):
        keyring.make("board", Role.DEVICE)


def test_every_change_has_another_stamp(keyring: Keyring) -> None:
    stamps = [keyring.file.stamp()]
    token, _ = keyring.make()
    stamps.append(keyring.file.stamp())
    keyring.file.revoke(token.token_id)
    stamps.append(keyring.file.stamp())
    assert len(set(stamps)) == 3


def _make_some(folder: Path, prefix: str) -> None:
    keyring = Keyring(folder)
    for number in range(10):
        keyring.make(f"{prefix}{number}")


@pytest.mark.slow
def test_several_processes_lose_nothing_of_each_others(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    makers = [context.Process(target=_make_some, args=(tmp_path, prefix)) for prefix in ("a", "b", "c")]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0, 0, 0]
    tokens = Keyring(tmp_path).file.read().tokens.values()
    assert len({token.name for token in tokens}) == 30
    assert [file.name for file in tmp_path.iterdir() if file.name.endswith(".new")] == []


def test_the_modes_are_nobody_elses(keyring: Keyring) -> None:
    keyring.token()
    assert keyring.folder.stat().st_mode & 0o777 == 0o700
    for file in keyring.folder.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_folders_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, 12_345)
    Keyring(tmp_path).token()
    for file in tmp_path.iterdir():
        assert (file.stat().st_uid, file.stat().st_gid) == (12_345, 12_345), file


def test_a_token_as_it_is_kept_has_nothing_that_opens(keyring: Keyring) -> None:
    token, text = keyring.make()
    kept = keyring.file.path.read_text()
    part = text.removeprefix("earshot_")
    assert not any(part[place : place + 6] in kept for place in range(len(part) - 5))
    assert isinstance(token, Token)
