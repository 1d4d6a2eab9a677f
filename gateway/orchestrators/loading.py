"""Which orchestrator runs inside the gateway: the built-in one, or one of the user's own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from gateway.access.belonging import foreign
from gateway.broker.opening import MEMORY
from gateway.orchestrators.builtin import NAME, builtin_orchestrator
from gateway.orchestrators.sdk import BadOrchestrator, Orchestrator

AUTO = "auto"


def inside(app: str, broker_url: str) -> str:
    """What is to run inside the gateway with these settings; empty: nothing, others answer through the broker."""
    if app != AUTO:
        return app
    return NAME if broker_url == MEMORY else ""


def load_orchestrator(spec: str) -> Orchestrator:
    """The orchestrator that a setting names: ``builtin`` or ``module:name``.

    Modules are found as Python finds them, and in the current folder after that, if it is our own. Raises
    BadOrchestrator.
    """
    if spec == NAME:
        return builtin_orchestrator()
    found = _named(spec, "neither 'builtin' nor 'module:name'")
    if not isinstance(found, Orchestrator):
        raise BadOrchestrator(f"{spec} is a {type(found).__name__}, not an Orchestrator")
    return found


def load_function(spec: str) -> Callable[..., Any]:
    """The function that a setting names as ``module:name``, found as an orchestrator is. Raises BadOrchestrator."""
    found = _named(spec, "not 'module:name'")
    if not callable(found):
        raise BadOrchestrator(f"{spec} is a {type(found).__name__}, which cannot be called")
    return found


def load_named(spec: str) -> object:
    """Whatever a setting names as ``module:name``, found as an orchestrator is. Raises BadOrchestrator."""
    return _named(spec, "not 'module:name'")


def _named(spec: str, complaint: str) -> object:
    """What ``module:name`` is. Raises BadOrchestrator."""
    module_name, separator, name = spec.partition(":")
    if not (separator and module_name and name):
        raise BadOrchestrator(f"{spec!r} is {complaint}")
    found = _look_up(_import(module_name), name)
    if found is None:
        raise BadOrchestrator(f"module {module_name} has no {name!r}")
    return found


def _look_up(module: ModuleType, name: str) -> object:
    try:
        return getattr(module, name, None)
    except Exception as error:  # the module's own __getattr__
        reason = f"{type(error).__name__}: {error}"
        raise BadOrchestrator(f"module {module.__name__} has no {name!r}: {reason}") from error


class _CurrentFolder:
    """Finds what no other place has. Not in ``sys.path``, which processes of ours inherit."""

    folder = ""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As Python's own finders do. Raises ImportError for what may be somebody else's."""
        if path is not None:
            return None
        spec = PathFinder.find_spec(name, [self.folder], target)
        for place in _places(spec):
            if reason := foreign(place):
                raise ImportError(f"{place} is not taken, for it {reason}")
        return spec


_HERE = _CurrentFolder()


def _places(spec: ModuleSpec | None) -> Iterator[Path]:
    """The files and folders that make up a module or package."""
    if spec is not None:
        yield from map(Path, spec.submodule_search_locations or ())
        if spec.has_location and spec.origin is not None:
            yield Path(spec.origin)


def _import(name: str) -> ModuleType:
    _HERE.folder = here = str(Path.cwd())
    if _HERE not in sys.meta_path:
        sys.meta_path.append(_HERE)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise BadOrchestrator(f"there is no module {name} (looked in {here}, too)") from error
        raise BadOrchestrator(f"module {name} needs {error.name}, which is not installed") from error
    except BadOrchestrator as error:
        raise BadOrchestrator(f"module {name}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # The border to somebody else's module: it may raise anything while it is imported, also to end the process.
        raise BadOrchestrator(f"module {name} cannot be imported: {type(error).__name__}: {error}") from error
