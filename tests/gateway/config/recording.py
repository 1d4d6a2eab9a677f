"""``python -m tests.gateway.config.recording``: the settings of today beside those that any version ever had.

For each, the values that stood in a config.yaml as it came, which somebody may have left standing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

RECORDED: Final = Path(__file__).with_name("recorded_settings.json")
CONFIG: Final = Path(__file__).resolve().parents[3] / "config.yaml"


def recorded() -> dict[str, list[Any]]:
    """By the setting's name: all that it was by default, oldest first."""
    settings: dict[str, list[Any]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return settings


def defaults(tree: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a config.yaml by their names."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from defaults(value, f"{within}{key}.")
        else:
            yield f"{within}{key}", value


def of_today() -> dict[str, Any]:
    """The config.yaml that comes with this version."""
    return dict(defaults(yaml.safe_load(CONFIG.read_text(encoding="utf-8"))))


def main() -> None:
    """Entry point."""
    settings = recorded()
    for name, value in of_today().items():
        values = settings.setdefault(name, [])
        if value not in values:
            values.append(value)
    lines = (f" {json.dumps(name)}: {json.dumps(values)}" for name, values in sorted(settings.items()))
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
