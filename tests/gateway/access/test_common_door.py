"""What a gateway's door and limits have in common with those of others, without any others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from msgspec import structs

from gateway.access.audit import Audit
from gateway.access.common_door import CommonDoor, done
from gateway.access.door import Door, NotAdmitted
from gateway.access.limits import Buckets, Rate
from gateway.access.page_sessions import MAX_SESSIONS, PageSessions, digest_of
from gateway.access.tokens import FORGET_DAYS, Token
from gateway.process.clock import DAY
from gateway.settings.web import WebSettings
from tests.gateway.access.keyring import Keyring

RATE = Rate(per_second=1.0, burst=5)


def door(folder: Path) -> Door:
    return Door(WebSettings(require_token=True), folder, Audit(folder))


# -- telling


async def test_who_is_alone_waits_for_nobody_to_be_told() -> None:
    common = CommonDoor()
    await common.tell()
    assert not common.news.is_set()


async def test_who_tells_waits_until_the_others_know() -> None:
    common = CommonDoor()
    common.is_shared = True
    telling = asyncio.create_task(common.tell())
    await common.news.wait()
    waiting = common.begin()
    assert not telling.done()
    done(waiting)
    await telling
    assert common.begin() == set()


async def test_what_is_changed_while_the_others_are_told_is_told_next() -> None:
    common = CommonDoor()
    common.is_shared = True
    first = common.begin()
    telling = asyncio.create_task(common.tell())
    await common.news.wait()
    done(first)
    await asyncio.sleep(0)
    assert not telling.done()
    done(common.begin())
    await telling


async def test_nobody_waits_long_for_others_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.access.common_door.PATIENCE_SECONDS", 0.01)
    common = CommonDoor()
    common.is_shared = True
    await common.tell()
    done(common.begin())


def test_a_page_that_is_served_is_news(tmp_path: Path) -> None:
    common, opened = CommonDoor(), door(tmp_path)
    common.serve(opened, {"requests": Buckets(RATE)})
    assert common.door is opened
    assert common.limits.keys() == {"requests"}
    assert common.news.is_set()


# -- doubt


async def test_a_token_that_is_doubted_lets_nobody_in(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    text, opened = keyring.token("ann"), door(tmp_path)
    other = keyring.token("bob")
    await opened.admit(text, "")
    opened.doubt = lambda token: "doubtful" if token.name == "ann" else ""
    with pytest.raises(NotAdmitted, match="doubtful"):
        await opened.admit(text, "")
    assert (await opened.admit(other, "")).name == "bob"


async def test_a_token_that_is_doubted_shows_out_whoever_is_there(tmp_path: Path) -> None:
    text = Keyring(tmp_path).token()
    async with door(tmp_path) as opened:
        principal = await opened.admit(text, "")
        with opened.stay(principal, lambda: None) as stay:
            opened.doubt = lambda _token: "doubtful"
            await opened.look_again()
            with pytest.raises(NotAdmitted, match="doubtful"):
                await stay.ended()


async def test_a_page_that_is_not_known_is_looked_for_and_one_that_signed_out_is_not(tmp_path: Path) -> None:
    token, _ = Keyring(tmp_path).make()
    opened, asked = door(tmp_path), []
    elsewhere = PageSessions(None, time.time)
    secret = elsewhere.begin(token.token_id)

    async def look_for(digest: str) -> None:
        asked.append(digest)
        if digest in elsewhere.all():
            opened.sessions.join({digest: elsewhere.all()[digest]})

    opened.look_for = look_for
    opened.sessions.are_shared = True
    assert (await opened.admit_session(secret, "")).name == "ann"
    with pytest.raises(NotAdmitted):
        await opened.admit_session("no secret", "")
    assert asked == [digest_of(secret), digest_of("no secret")]
    await opened.sign_out(secret)
    with pytest.raises(NotAdmitted):
        await opened.admit_session(secret, "")
    assert len(asked) == 2


# -- pages


def test_a_sign_out_that_others_are_to_know_is_remembered_over_a_restart(tmp_path: Path) -> None:
    pages = PageSessions(tmp_path, time.time)
    pages.are_shared = True
    secret = pages.begin("t_1")
    assert pages.end(secret)
    assert not pages.end(secret)
    again = PageSessions(tmp_path, time.time)
    assert again.find(secret) is None
    assert again.knows(secret)
    assert again.all()[digest_of(secret)][1] < 0


def test_a_sign_out_that_nobody_is_to_know_is_forgotten(tmp_path: Path) -> None:
    pages = PageSessions(tmp_path, time.time)
    secret = pages.begin("t_1")
    assert pages.end(secret)
    assert not pages.knows(secret)


def test_pages_joined_in_any_order_come_to_the_same() -> None:
    now = time.time()
    signed_in, signed_out = {"d1": ("t_1", now + 100)}, {"d1": ("t_1", -now - 100)}
    for first, second in ((signed_in, signed_out), (signed_out, signed_in)):
        pages = PageSessions(None, time.time)
        assert pages.join(first)
        pages.join(second)
        assert pages.all() == signed_out
        assert not pages.join(signed_in)


def test_what_others_say_of_pages_that_are_over_is_not_kept() -> None:
    pages = PageSessions(None, time.time)
    assert not pages.join({"d1": ("t_1", time.time() - 1), "d2": ("t_1", 1.0 - time.time())})
    assert len(pages) == 0


def test_the_pages_of_others_have_the_same_bound() -> None:
    pages = PageSessions(None, time.time)
    mine = pages.begin("t_mine")
    many = {f"d{number}": ("t_other", time.time() + 100 + number) for number in range(MAX_SESSIONS + 10)}
    assert pages.join(many)
    assert len(pages) == MAX_SESSIONS
    assert pages.find(mine) == "t_mine"


# -- limits


def test_what_was_taken_is_told_from_when_it_was_first_asked_for() -> None:
    buckets = Buckets(RATE)
    buckets.take("ann", 0.0)
    assert buckets.taken() == {}
    buckets.take("ann", 0.0)
    buckets.take("ann", 0.0)
    buckets.owe("bob", 0.0, 2.5)
    assert buckets.taken() == {"ann": 2.0, "bob": 2.5}
    assert buckets.taken() == {}


def test_what_was_refused_was_not_taken() -> None:
    buckets = Buckets(RATE)
    buckets.taken()
    for _ in range(20):
        buckets.take("ann", 0.0)
    assert buckets.taken() == {"ann": 5.0}


def test_what_others_took_is_not_told_as_taken_here() -> None:
    buckets = Buckets(RATE)
    buckets.taken()
    buckets.taken_elsewhere("ann", 0.0, 4.0)
    assert buckets.taken() == {}
    assert buckets.take("ann", 0.0) == 0
    assert buckets.take("ann", 0.0) > 0


def test_what_is_told_has_a_bound() -> None:
    buckets = Buckets(RATE, max_keys=10)
    buckets.taken()
    for number in range(50):
        buckets.take(str(number), 0.0)
    assert len(buckets.taken()) == 10


def test_without_a_limit_what_others_took_counts_nothing() -> None:
    buckets = Buckets(Rate(per_second=0.0, burst=0.0))
    buckets.taken_elsewhere("ann", 0.0, 1e9)
    assert buckets.take("ann", 0.0) == 0


# -- tokens


def made(folder: Path, name: str = "ann") -> Token:
    return Keyring(folder).make(name)[0]


def test_the_tokens_of_others_come_into_the_file_and_what_is_no_news_does_not_touch_it(
    tmp_path: Path,
) -> None:
    here, there = Keyring(tmp_path / "here"), Keyring(tmp_path / "there")
    mine, other = here.make("ann")[0], there.make("bob")[0]
    assert here.file.join([other])
    stamp = here.file.stamp()
    assert not here.file.join([other, mine])
    assert here.file.stamp() == stamp
    assert here.file.read().tokens == {mine.token_id: mine, other.token_id: other}


def test_what_ended_long_ago_does_not_come_back(tmp_path: Path) -> None:
    here = Keyring(tmp_path / "here")
    old = structs.replace(made(tmp_path / "there"), revoked_at=time.time() - (FORGET_DAYS + 1) * DAY)
    assert here.file.over([old]) == {old.token_id}
    assert not here.file.join([old])
    assert here.file.read().tokens == {}
