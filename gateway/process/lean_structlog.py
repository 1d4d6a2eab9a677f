"""structlog without rich, which it loads wherever that is installed: 3 MB for tracebacks that our log does not show.

They are plain (``gateway/observing/log.py``). Whoever wants rich itself has it.
"""

from __future__ import annotations

import importlib
import sys


def load_structlog() -> None:
    """To be called before anybody else imports it; later it does nothing."""
    if {"structlog", "rich"} & sys.modules.keys():
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # so an import says that it is not there
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]
