"""The models on this disk: what they are, where they lie, how large they are, and how they go away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from transcription.errors import ModelUnavailable
from transcription.models.model_hub import PART
from transcription.models.models import (
    BUNDLED,
    FULL,
    HUB_MODELS,
    description,
    find_model,
    hub_cache,
    is_whole,
    repository_of,
    shortest_context,
)
from transcription.settings import BUNDLED_MODEL

_REPOSITORY_FOLDER = "models--"
_IS_WHISPER = "suppress_ids"
"""A key that the ``config.json`` of a converted Whisper has, and of other models in that cache has not."""


class Origin(StrEnum):
    """How a model came here, if it did."""

    BUNDLED = "bundled"
    FETCHED = "fetched"
    """Fetched from the hub, by Earshot or by another program that shares its cache."""
    BY_HAND = "by hand"
    PARTIAL = "partial"
    """A download that is not whole."""
    HUB = "hub"
    """Not here; the hub has it."""


class Model(Struct, frozen=True):
    """One model. ``size`` in bytes on this disk; ``shortest_context`` in frames of 10 ms, 0 when unknown."""

    name: str
    origin: Origin
    path: str = ""
    size: int = 0
    multilingual: bool | None = None
    shortest_context: int = 0
    configured: bool = False


class CannotRemove(Exception):
    """Why not, and what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def inventory(configured: str, models_dir: str = "") -> list[Model]:
    """Every model that could be meant: those here first, then those that the hub has under a short name."""
    here = list(_here(configured, models_dir))
    names = {model.name for model in here}
    away = (_away(name, configured) for name in HUB_MODELS if name not in names)
    found = [*here, *away]
    if configured not in names | HUB_MODELS.keys():
        found.append(_away(configured, configured))
    return found


def remove(name: str, configured: str, models_dir: str = "", *, force: bool = False) -> int:
    """Delete a model from this disk; the bytes that are free again. Raises CannotRemove.

    One that was put there by hand, and the one that is configured, go only by ``force``; the bundled one never.
    """
    found = next((model for model in inventory(configured, models_dir) if model.name == name), None)
    if found is None or found.origin is Origin.HUB:
        raise CannotRemove(f"{name} is not on this disk", "`earshot models list` shows what is")
    if found.origin is Origin.BUNDLED:
        raise CannotRemove("the bundled model is part of Earshot", "leave it: it has 3 MB")
    if found.configured and not force:
        raise CannotRemove(
            f"{name} is the configured model", "set transcription.model to another one first, or say --force"
        )
    if found.origin is Origin.BY_HAND and not force:
        raise CannotRemove(
            f"{found.path} was put there by hand; nothing brings it back",
            "delete that folder, or say --force",
        )
    place = Path(found.path)
    if found.origin is not Origin.BY_HAND:  # the whole repository: all its versions, links and parts
        place = next(one for one in (place, *place.parents) if one.name.startswith(_REPOSITORY_FOLDER))
    size = _size(place)
    try:
        shutil.rmtree(place)
    except OSError as error:
        raise CannotRemove(f"{place}: {error.strerror}", "run this as the user who owns it") from error
    return size


def _here(configured: str, models_dir: str) -> Iterator[Model]:
    yield _model(BUNDLED_MODEL, Origin.BUNDLED, BUNDLED, configured)
    cache = hub_cache(models_dir)
    for folder in sorted(cache.iterdir()) if cache.is_dir() else ():
        if folder.name.startswith(_REPOSITORY_FOLDER):
            yield from _of_repository(folder, configured, models_dir)
        elif models_dir and is_whole(folder):
            yield _model(folder.name, Origin.BY_HAND, folder, configured)
    path = Path(configured).expanduser()
    if configured.startswith(("/", ".", "~")) and is_whole(path):
        yield _model(configured, Origin.BY_HAND, path, configured)


def _of_repository(folder: Path, configured: str, models_dir: str) -> Iterator[Model]:
    """The model in a folder of the hub's cache, which holds other programs' models too."""
    repository = folder.name.removeprefix(_REPOSITORY_FOLDER).replace("--", "/", 1)
    name = next((short for short, full in HUB_MODELS.items() if full == repository), repository)
    try:
        whole = find_model(repository, models_dir)
    except ModelUnavailable:
        return
    if whole is not None and _IS_WHISPER in _config(whole):
        yield _model(name, Origin.FETCHED, whole, configured, size=_size(folder))
    elif whole is None and (name != repository or any(folder.glob(f"blobs/*{PART}"))):
        yield Model(name, Origin.PARTIAL, str(folder), _size(folder), configured=_means(configured, name))


def _model(name: str, origin: Origin, folder: Path, configured: str, size: int | None = None) -> Model:
    try:
        context = shortest_context(name, folder)
    except (OSError, ValueError, TypeError, AttributeError):  # its config.json is no good; loading it says so
        context = FULL
    size = _size(folder) if size is None else size
    return Model(name, origin, str(folder), size, _is_multilingual(folder), context, _means(configured, name))


def _away(name: str, configured: str) -> Model:
    return Model(name, Origin.HUB, multilingual=not name.endswith(".en"), configured=name == configured)


def _means(configured: str, name: str) -> bool:
    return name == configured or repository_of(name) == repository_of(configured) != ""


def _is_multilingual(folder: Path) -> bool | None:
    """Whether it knows more than one language; None when its ``config.json`` does not say."""
    languages = _config(folder).get("lang_ids")
    return len(languages) > 1 if isinstance(languages, list) else None


def _config(folder: Path) -> dict[str, object]:
    try:
        return description(folder)
    except (OSError, ValueError):
        return {}


def _size(folder: Path) -> int:
    """Bytes on the disk; a link counts as nothing beside what it leads to."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
