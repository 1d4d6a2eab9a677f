"""JSON schemas of our types, with our own words: what a library makes of a docstring differs by its version."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import msgspec

DEFINITIONS = "#/$defs/{name}"


def schemas_of(
    types: Sequence[Any], reference: str = DEFINITIONS
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The schema of each type, and by name those that they refer to as ``reference``."""
    found, definitions = msgspec.json.schema_components(types, ref_template=reference)
    return [_worded(one) for one in found], {name: _worded(one) for name, one in definitions.items()}


def _worded(schema: Any) -> Any:
    """The same with every description as its docstring has it, less the indentation of the code around."""
    if isinstance(schema, dict):
        return {
            key: inspect.cleandoc(value)
            if key == "description" and isinstance(value, str)
            else _worded(value)
            for key, value in schema.items()
        }
    return [_worded(one) for one in schema] if isinstance(schema, list | tuple) else schema
