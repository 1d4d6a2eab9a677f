"""Who is let in while what lies on the disk changes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from gateway.door.audit import Audit
from gateway.door.door import Door, NotAdmitted
from gateway.settings import WebSettings
from tests.gateway.door.keyring import Keyring

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
