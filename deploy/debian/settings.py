"""FOLDER EXECUTABLE SYSTEMD: what `earshot service install` would write, as files of a package, below FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.config import docs
from gateway.config.loading import SYSTEM_CONFIG
from gateway.systemd.installing import ENVIRONMENT, ENVIRONMENT_TEXT, UNIT, Host, fitted_unit

SCHEMA = Path("/usr/share/earshot/config.schema.json")
UNITS = Path("/lib/systemd/system")


def main() -> None:
    """Write them."""
    folder, executable = Path(sys.argv[1]), Path(sys.argv[2])
    host = Host(executable=executable, systemd_version=int(sys.argv[3]))
    for path, text in {
        UNITS / UNIT.name: fitted_unit(host),
        SYSTEM_CONFIG: docs.default_yaml(str(SCHEMA)),
        SCHEMA: docs.json_schema(),
        ENVIRONMENT: ENVIRONMENT_TEXT,
    }.items():
        target = folder / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
