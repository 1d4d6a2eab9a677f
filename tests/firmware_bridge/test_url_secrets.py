"""Passwords in URLs are in none of our texts, however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.url_secrets import masked, without_logins


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mqtt://me:hunter2@broker:1883", "mqtt://me:***@broker:1883"),
        ("redis://:pw@host", "redis://:***@host"),
        ("amqp://u:p@ss@h/v", "amqp://u:***@h/v"),
        ("mqtts://our user:hunter2@h", "mqtts://our user:***@h"),
        ("mqtts://u:hun ter/2?#@h", "mqtts://u:***@h"),
        ("mqtt://u:a\nb@h", "mqtt://u:***@h"),
        ("nats://s3cr3t@h:4222", "nats://***@h:4222"),
        ("mqtt://me@h", "mqtt://me@h"),
        ("https://house.example/~me", "https://house.example/~me"),
        ("redis://u:p@one, then redis://v:q@two", "redis://u:***@one, then redis://v:***@two"),
        ("nothing: of@this", "nothing: of@this"),
    ],
)
def test_what_is_shown_of_a_url(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


def test_without_logins_not_even_the_user_is_shown() -> None:
    assert without_logins("cannot reach redis://ann b:hid@den@host now") == "cannot reach redis://host now"


@given(st.text(), st.text(st.characters(exclude_characters=":@"), max_size=8))
def test_nothing_of_any_password(password: str, user: str) -> None:
    text = masked(f"amqp://{user}:{password}@host")
    if "://" not in f"{user}{password}":
        assert text == f"amqp://{user}:***@host"
