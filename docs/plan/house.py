"""What there is: the modules, what each says of itself, which room it lies in, and whom it asks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("firmware_bridge", "transcription", "gateway")


def module_name(path: Path) -> str:
    """As it is imported; a package's ``__init__`` goes by the package's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(*packages: str) -> dict[str, Path]:
    """Every module of the packages and its file, by name."""
    return {
        module_name(path): path for package in packages for path in sorted((ROOT / package).rglob("*.py"))
    }


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Every module that a file imports, wherever in the file, also for types only."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"{path}: relative import")
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules else node.module


def sentence(path: Path) -> str:
    """What a module says of itself, in its docstring's first line, without the full stop."""
    return (ast.get_docstring(tree(path)) or "").split("\n", 1)[0].rstrip(".")


def room(path: Path) -> str:
    """The folder that a module lies in, as it is written: ``gateway/hub/``."""
    return f"{path.parent.relative_to(ROOT)}/"


def asked(*packages: str) -> dict[str, set[str]]:
    """For each room those that it asks: whose modules one of its modules imports."""
    modules = sources(*packages)
    rooms: dict[str, set[str]] = {}
    for path in modules.values():
        whom = {room(modules[name]) for name in imports(path, modules) if name in modules}
        rooms.setdefault(room(path), set()).update(whom - {room(path)})
    return rooms
