"""The token by which we are let in somewhere: in a file, in the environment, or a credential of systemd's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from firmware_bridge.named_files import first_line
from firmware_bridge.servers import in_words

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"


class TokenUnread(Exception):
    """The file that should hold it cannot be read; the message says which and why, and nothing of what is in it."""


def own_token(file: str, variable: str, credential: str, environment: Mapping[str, str] = os.environ) -> str:
    """The first of: ``file`` (a path, or the name of a credential), ``variable``, and ``credential``; or "".

    Raises TokenUnread.
    """
    credentials = environment.get(CREDENTIALS_VARIABLE, "")
    if file:
        return _read(Path(credentials, file))
    if told := environment.get(variable, ""):
        return told.strip()
    usual = Path(credentials, credential)
    return _read(usual) if credentials and usual.exists() else ""


def _read(path: Path) -> str:
    try:
        return first_line(path).strip()
    except (OSError, UnicodeError) as error:
        raise TokenUnread(f"the token's file {path} cannot be read: {in_words(error)}") from error
