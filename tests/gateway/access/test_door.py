"""Who is let in while what lies on the disk changes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

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


async def test_a_key_that_could_not_be_read_is_read_when_it_can(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    text = keyring.token()
    opened = door(tmp_path)
    key = tmp_path / "token.key"
    aside = tmp_path / "aside"
    key.rename(aside)
    with pytest.raises(NotAdmitted, match="cannot read its key"):
        await opened.admit(text, "")
    aside.rename(key)
    assert (await opened.admit(text, "")).name == "ann"


OTHER_KEY = f"{'5a' * 32}\n"


@pytest.mark.parametrize("becomes", [OTHER_KEY, None, "no key\n"], ids=["another", "gone", "damaged"])
@pytest.mark.parametrize("as_page", [False, True], ids=["token", "page"])
async def test_what_is_open_with_a_key_ends_when_another_lies_in_its_place(
    tmp_path: Path, becomes: str | None, *, as_page: bool
) -> None:
    keyring = Keyring(tmp_path)
    token, text = keyring.make()
    secret = door(tmp_path).sessions.begin(token.token_id) if as_page else ""
    async with door(tmp_path) as opened:
        who = await (opened.admit_session(secret, "") if as_page else opened.admit(text, ""))
        with opened.stay(who, lambda: None, secret) as stay:
            key = tmp_path / "token.key"
            if becomes is None:
                key.unlink()
            else:
                key.write_text(becomes)
            with pytest.raises(NotAdmitted, match="its key is gone"):
                await asyncio.wait_for(stay.ended(), 5)
        with pytest.raises(NotAdmitted):
            await (opened.admit_session(secret, "") if as_page else opened.admit(text, ""))


async def test_a_new_key_before_the_old_one_ends_nothing(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    text = keyring.token()
    opened = door(tmp_path)
    assert (await opened.admit(text, "")).name == "ann"
    keyring.key.renew(keep=1)
    assert (await opened.admit(text, "")).name == "ann"
