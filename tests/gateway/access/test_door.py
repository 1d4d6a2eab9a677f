"""Who is let in while what lies on the disk changes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from gateway.access.audit import Audit
from gateway.access.door import Door, NotAdmitted
from gateway.settings.web import WebSettings
from tests.gateway.access.keyring import Keyring

ROUNDS = 30


def door(folder: Path) -> Door:
    return Door(WebSettings(require_token=True), folder, Audit(folder))


@pytest.fixture
def _threads_take_turns() -> object:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_take_turns")
async def test_who_comes_while_another_has_the_files_read_waits_for_them(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    for number in range(ROUNDS):
        text = keyring.token(f"n{number}")
        opened = door(tmp_path)

        async def come(after: int, opened: Door = opened, text: str = text) -> str:
            for _ in range(after):
                await asyncio.sleep(0)
            return (await opened.admit(text, "")).name

        assert set(await asyncio.gather(*map(come, range(60)))) == {f"n{number}"}


@pytest.mark.usefixtures("_threads_take_turns")
async def test_nobody_slips_in_while_it_is_read_that_their_token_has_ended(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    opened = door(tmp_path)
    for number in range(ROUNDS):
        token, text = keyring.make(f"n{number}")
        assert (await opened.admit(text, "")).name == f"n{number}"
        keyring.file.revoke(token.token_id)

        async def come(after: int, text: str = text) -> None:
            for _ in range(after):
                await asyncio.sleep(0)
            with pytest.raises(NotAdmitted):
                await opened.admit(text, "")

        await asyncio.gather(*map(come, range(60)))


def without_its_row(keyring: Keyring) -> None:
    keyring.put([])


def with_another_digest(keyring: Keyring) -> None:
    """As a row is that belongs to another token."""
    (token,) = keyring.file.read().tokens.values()
    keyring.put([structs.replace(token, token_id="t_other", digest="00" * 32)])


def without_the_file(keyring: Keyring) -> None:
    keyring.file.path.unlink()


def with_a_damaged_file(keyring: Keyring) -> None:
    keyring.file.path.write_text("[{")


def all_revoked(keyring: Keyring) -> None:
    keyring.file.revoke_all()


@pytest.mark.parametrize(
    "becomes", [without_its_row, with_another_digest, without_the_file, with_a_damaged_file, all_revoked]
)
@pytest.mark.parametrize("as_page", [False, True], ids=["token", "page"])
async def test_what_is_open_with_a_token_ends_when_its_row_is_gone_by_whatever_hand(
    tmp_path: Path, becomes: Callable[[Keyring], None], *, as_page: bool
) -> None:
    keyring = Keyring(tmp_path)
    token, text = keyring.make()
    secret = door(tmp_path).sessions.begin(token.token_id) if as_page else ""
    async with door(tmp_path) as opened:
        who = await (opened.admit_session(secret, "") if as_page else opened.admit(text, ""))
        with opened.stay(who, lambda: None, secret) as stay:
            becomes(keyring)
            with pytest.raises(NotAdmitted, match=r"unknown|revoked"):
                await asyncio.wait_for(stay.ended(), 5)
        with pytest.raises(NotAdmitted):
            await (opened.admit_session(secret, "") if as_page else opened.admit(text, ""))


async def test_tokens_that_could_not_be_read_are_read_when_they_can(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    text = keyring.token()
    aside = keyring.file.path.rename(tmp_path / "aside")
    keyring.file.path.symlink_to(aside)  # nobody follows it
    opened = door(tmp_path)
    with pytest.raises(NotAdmitted, match="cannot read its tokens"):
        await opened.admit(text, "")
    aside.rename(keyring.file.path)
    assert (await opened.admit(text, "")).name == "ann"
