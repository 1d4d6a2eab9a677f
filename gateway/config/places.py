"""Where a gateway keeps what must not be lost: its journal, and beside it tokens, keys and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.config.configuration import GatewayConfig
from gateway.config.loading import SYSTEM_CONFIG, locate
from gateway.journal.file import journal_path

SERVICE_FOLDER = Path("/var/lib/earshot")
"""The service's (`StateDirectory=` in its unit)."""
OWN_CERTIFICATE = "web.crt"
"""The certificate that a gateway makes for itself (`web.tls.self_signed`)."""


def state_folder(config: GatewayConfig, path: Path | None, environ: Mapping[str, str]) -> Path:
    """The folder of the gateway that runs with ``config``, which was read from ``path``, seen from a command.

    The service's configuration means the service's folder, whoever asks.
    """
    return _journal(config, path, environ).parent


def journal_file(config: GatewayConfig, path: Path | None, environ: Mapping[str, str]) -> Path:
    """The journal of that gateway; where none is named and it never ran, the service's, if there is one."""
    own = _journal(config, path, environ)
    services = SERVICE_FOLDER / own.name
    return services if not config.journal.path and not _is_there(own) and _is_there(services) else own


def _journal(config: GatewayConfig, path: Path | None, environ: Mapping[str, str]) -> Path:
    is_service = locate(path, environ) == SYSTEM_CONFIG and SERVICE_FOLDER.is_dir()
    if is_service:
        environ = {**environ, "STATE_DIRECTORY": str(SERVICE_FOLDER)}
    return journal_path(config.journal.path, environ)


def _is_there(file: Path) -> bool:
    """Whether it is, or may be: in a folder of somebody else's."""
    try:
        return file.exists()
    except PermissionError:
        return True
