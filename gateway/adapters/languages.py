"""How programs name the language that is spoken, and how Whisper does."""

from __future__ import annotations

import re
from typing import Final

_CODE: Final = re.compile(r"[A-Za-z]{2,3}(?=[-_]|\Z)")
_OTHER_NAMES: Final = {"nb": "no", "jv": "jw", "fil": "tl", "iw": "he", "in": "id", "cmn": "zh"}


def spoken_language(tag: str | None) -> str:
    """``de`` of ``de-AT``, ``no`` of ``nb``, ``auto`` as it is; empty where no language is named."""
    if tag == "auto":
        return tag
    found = _CODE.match(tag or "")
    code = found.group().lower() if found else ""
    return _OTHER_NAMES.get(code, code)
