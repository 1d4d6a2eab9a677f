"""Where a gateway keeps what must not be lost: its journal, and beside it tokens, keys and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.config import SYSTEM_CONFIG, GatewayConfig, locate
from gateway.journal.file import journal_path

SERVICE_FOLDER = Path("/var/lib/earshot")
"""The service's (`StateDirectory=` in its unit)."""


def state_folder(config: GatewayConfig, path: Path | None, environ: Mapping[str, str]) -> Path:
    """The folder of the gateway that runs with ``config``, which was read from ``path``, seen from a command.

    The service's configuration means the service's folder, whoever asks.
    """
    is_service = locate(path, environ) == SYSTEM_CONFIG and SERVICE_FOLDER.is_dir()
    if is_service:
        environ = {**environ, "STATE_DIRECTORY": str(SERVICE_FOLDER)}
    return journal_path(config.journal.path, environ).parent
