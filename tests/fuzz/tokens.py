"""Tokens in writing, and the files of tokens, keys and pages: what is no good lets nobody in, and raises one error."""

from __future__ import annotations

import logging
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import structlog

from gateway.access.old_keys import OldKeys, as_signed
from gateway.access.page_sessions import PageSessions
from gateway.access.principals import Role
from gateway.access.token_text import BadToken, digest, new_text, read
from gateway.access.tokens import UNSIGNED, Token, TokenError, TokenFile, Tokens

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

_WRITTEN = new_text()
_TOKEN = Token(
    token_id="t_1", name="ann", role=Role.LISTENER, digest=digest(_WRITTEN), made_at=1.7e9, expires_at=2.7e9,
    users=("ann",), key=UNSIGNED,
)  # fmt: skip
_OLD = Token(
    token_id="t_0", name="bob", role=Role.LISTENER, digest="00" * 32, made_at=1.7e9, expires_at=2.7e9
)
_TOKENS = Tokens.of([_OLD, _TOKEN])
_FOLDER = Path(tempfile.mkdtemp(prefix="earshot-fuzz-tokens-"))


def fuzz(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for one in (text, f"earshot_{text}", _WRITTEN[:-1] + text, _WRITTEN + text):
        with suppress(BadToken):
            assert one == _WRITTEN or read(one) not in _TOKENS.by_digest, "a token that nobody made"
    assert _TOKENS.by_digest[read(_WRITTEN)] == _TOKEN
    assert as_signed(_TOKEN, text) == _TOKEN, "what an unsigned one says of a key is nothing"
    assert as_signed(_OLD, text).key, "one that was signed has a key, though nobody knew which"
    _files(data)


def _files(data: bytes) -> None:
    for name in ("tokens.json", "pages.json", "token.key"):
        path = _FOLDER / name
        path.write_bytes(data)
        path.chmod(0o600)
    with suppress(TokenError):
        for token in TokenFile(_FOLDER).read().living(time.time()):
            token.principal.sees(user_id="ann", device_id=None)
    keys = OldKeys("", _FOLDER, {})
    keys.look()
    with suppress(TokenError):
        assert keys.read() == keys.names
    assert PageSessions(_FOLDER, time.time).find("secret") is None
