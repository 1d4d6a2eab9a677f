"""Tokens in writing, and the files of tokens, keys and pages: what is no good lets nobody in, and raises one error."""

from __future__ import annotations

import logging
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import structlog

from gateway.access.page_sessions import PageSessions
from gateway.access.principals import Role
from gateway.access.signing import BadToken, KeyFile, Keys, is_the_one
from gateway.access.tokens import Token, TokenError, TokenFile

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

_KEYS = Keys((b"k" * 32, b"old" * 11))
_TOKEN = Token(
    token_id="t_1", name="ann", role=Role.LISTENER, digest="", made_at=1.7e9, expires_at=2.7e9, users=("ann",)
)
_WRITTEN, *_ = _KEYS.sign(_TOKEN)
_FOLDER = Path(tempfile.mkdtemp(prefix="earshot-fuzz-tokens-"))


def fuzz(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    with suppress(BadToken):
        assert _KEYS.read(text) == _TOKEN.token_id, "a token that nobody signed"
    assert not is_the_one(text, _TOKEN)
    assert _KEYS.read(_WRITTEN) == _TOKEN.token_id
    with suppress(BadToken):  # the signature holds for these claims alone
        head, _, signature = _WRITTEN.split(".")
        assert _KEYS.read(f"{head}.{text}.{signature}") == _TOKEN.token_id
    _files(data)


def _files(data: bytes) -> None:
    for name in ("tokens.json", "pages.json", "token.key"):
        path = _FOLDER / name
        path.write_bytes(data)
        path.chmod(0o600)
    with suppress(TokenError):
        for token in TokenFile(_FOLDER).read().living(time.time()):
            token.principal.sees(user_id="ann", device_id=None)
    with suppress(TokenError):
        KeyFile(_FOLDER / "token.key").read().sign(_TOKEN)
    assert PageSessions(_FOLDER, time.time).find("secret") is None
