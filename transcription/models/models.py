"""Whisper models: which are on this disk, and how the others get there.

A model is a folder in CTranslate2's format. Its name in the settings is ``bundled``, a folder's
path, a short name of the hub (``tiny.en``), or ``organisation/repository`` there.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

from transcription.errors import ModelUnavailable
from transcription.models.cache_files import read_description
from transcription.models.model_hub import ENDPOINT, CannotFetch, ModelHub, OnFetched, cached_snapshot
from transcription.settings import BUNDLED_MODEL

BUNDLED = Path(__file__).parents[1] / "bundled" / "whisper-commands-en"

FULL = 3000
"""Frames of the context that Whisper was trained on: 30 s."""

STOCK_FLOOR = 1024
"""Frames that weights trained on 30 s only need: in less they begin to repeat themselves (ADR 48)."""

SHORTEST = 100
"""Frames that a model needs which was trained on short contexts: 1 s."""

HUB_MODELS = {
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "tiny": "Systran/faster-whisper-tiny",
    "base.en": "Systran/faster-whisper-base.en",
    "base": "Systran/faster-whisper-base",
    "small.en": "Systran/faster-whisper-small.en",
    "small": "Systran/faster-whisper-small",
    "medium.en": "Systran/faster-whisper-medium.en",
    "medium": "Systran/faster-whisper-medium",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
}
"""Short names, as faster-whisper has them; any other repository goes by its full name."""

# Without tokenizer.json faster-whisper would ask the hub for one, even for a folder on this disk.
_FILES = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")
_FETCHED = [*_FILES, "preprocessor_config.json"]
_REPOSITORY = re.compile(r"(?!.*(?:\.\.|--))[A-Za-z0-9][\w.-]*/[\w.-]+")


def find_model(name: str, models_dir: str = "") -> Path | None:
    """The model's folder on this disk; None for a model of the hub that is not here.

    ``models_dir`` empty means the hub's own cache, which other programs share. Raises
    ModelUnavailable for a folder that is not there or lacks files, and for an unknown name.
    """
    try:
        return _find(name, models_dir)
    except (OSError, RuntimeError, ValueError) as error:  # no permission, no home directory, no such name
        raise ModelUnavailable(
            f"cannot look for the model {name}: {error}",
            remedy=f"check the path, and that user {os.getuid()} may read it",
        ) from error


def fetch_model(name: str, models_dir: str = "", on_fetched: OnFetched = lambda _: None) -> Path:
    """Fetch a model from the hub, or what of it is not here yet; blocks. Raises ModelUnavailable."""
    repository = _repository(name)
    if _hub_is_off():
        raise ModelUnavailable(
            f"cannot fetch {repository}: HF_HUB_OFFLINE is set",
            remedy=f"unset it; or {_by_hand(name, models_dir)}",
        )
    try:
        folder = _hub().fetch(repository, _FETCHED, hub_cache(models_dir), on_fetched)
    except CannotFetch as error:
        raise ModelUnavailable(
            f"cannot fetch {repository}: {error}", remedy=error.remedy or _by_hand(name, models_dir)
        ) from error
    return _complete(folder)


def get_model(
    name: str, *, models_dir: str = "", offline: bool = False, on_fetched: OnFetched = lambda _: None
) -> Path:
    """The model's folder, fetched if need be; may block for long. Raises ModelUnavailable."""
    found = find_model(name, models_dir)
    if found is not None:
        return found
    if offline:
        raise is_off_limits(name, models_dir)
    return fetch_model(name, models_dir, on_fetched)


def is_to_be_fetched(name: str, *, models_dir: str = "", offline: bool = False) -> bool:
    """Whether ``get_model`` would ask the hub: the model is not here, and may come. Never raises."""
    try:
        return not offline and not _hub_is_off() and find_model(name, models_dir) is None
    except ModelUnavailable:
        return False


def is_off_limits(name: str, models_dir: str) -> ModelUnavailable:
    """What is told when a model is not here and must not be fetched."""
    return ModelUnavailable(
        f"the model {name} is not on this disk, and fetching is switched off",
        remedy=f"set transcription.offline: false; or {_by_hand(name, models_dir)}",
    )


def is_whole(folder: Path) -> bool:
    """Whether a folder holds all files of a model."""
    return folder.is_dir() and not _missing(folder)


def repository_of(name: str) -> str:
    """The hub's repository of that name; empty for the bundled model, a folder, and what is no name."""
    repository = HUB_MODELS.get(name, name)
    return "" if name == BUNDLED_MODEL or not _REPOSITORY.fullmatch(repository) else repository


def hub_cache(models_dir: str = "") -> Path:
    """Where fetched models are: the setting's folder, or the cache that all programs of the hub share."""
    if models_dir:
        return Path(models_dir).expanduser()
    from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415 - only for models of the hub

    return Path(HF_HUB_CACHE)


def description(folder: Path) -> dict[str, object]:
    """A model's ``config.json``. Raises OSError and ValueError."""
    try:
        told = json.loads(read_description(folder / "config.json"))
    except RecursionError as error:
        raise ValueError("config.json is nested too deeply") from error
    if not isinstance(told, dict):
        raise ValueError("config.json holds no object")  # noqa: TRY004 - it is the file that is wrong
    return told


def shortest_context(name: str, folder: Path) -> int:
    """Feature frames below which this model is not reliable.

    A model says so itself in its ``config.json``, as ``shortest_context``. Else those finetuned for short
    audio are known by ``acft`` in their name (as in FUTO's), and any other gets the stock floor.
    Raises OSError and ValueError for an unreadable ``config.json``.
    """
    told: Any = description(folder).get("shortest_context")
    if told is not None:
        try:
            return min(max(int(told), SHORTEST), FULL)
        except OverflowError as error:
            raise ValueError(f"a context of {told} is none") from error
    return SHORTEST if "acft" in name.lower() else STOCK_FLOOR


def takes_names(name: str, folder: Path | None = None) -> bool:
    """Whether a model hears better when it is told names, and not worse.

    Distilled ones (known by ``distil`` in their name) break off in the middle of what was said, and the bundled one
    has learned from no text before. A model may say so itself in its ``config.json``, as ``takes_names``.
    Raises OSError and ValueError for an unreadable ``config.json``.
    """
    told = description(folder).get("takes_names") if folder is not None else None
    if isinstance(told, bool):
        return told
    return name != BUNDLED_MODEL and "distil" not in name.lower()


def _find(name: str, models_dir: str) -> Path | None:
    if name == BUNDLED_MODEL:
        return _complete(BUNDLED)
    if _is_folder(name):
        return _complete(Path(name).expanduser())
    if models_dir:
        by_hand = Path(models_dir).expanduser() / name
        if by_hand.is_dir():
            return _complete(by_hand)
    return _cached(_repository(name), models_dir)


def _is_folder(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or ("/" in name and Path(name).is_dir())


def _repository(name: str) -> str:
    repository = HUB_MODELS.get(name, name)
    if _REPOSITORY.fullmatch(repository):
        return repository
    near = difflib.get_close_matches(name, [*HUB_MODELS, BUNDLED_MODEL], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ModelUnavailable(
        f"there is no model named {name!r}",
        remedy=f"{hint}set transcription.model to {BUNDLED_MODEL}, {', '.join(HUB_MODELS)}, or a model's folder",
    )


def _cached(repository: str, models_dir: str) -> Path | None:
    folder = cached_snapshot(hub_cache(models_dir), repository)
    return (
        folder if folder is not None and not _missing(folder) else None
    )  # half a download is fetched to its end


def _hub() -> ModelHub:
    from huggingface_hub import get_token  # noqa: PLC0415 - only when something is fetched

    return ModelHub(os.environ.get("HF_ENDPOINT") or ENDPOINT, get_token() or "")


def _hub_is_off() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _missing(folder: Path) -> list[str]:
    return [pattern for pattern in _FILES if not any(folder.glob(pattern))]


def _complete(folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelUnavailable(
            f"there is no folder {folder}",
            remedy="put the model there, or set transcription.model to where it is",
        )
    missing = _missing(folder)
    if missing:
        raise ModelUnavailable(
            f"{folder} is not a whole model: no {', '.join(missing)}",
            remedy="copy all files of the model there; a model converted by ct2-transformers-converter needs "
            "--copy_files tokenizer.json preprocessor_config.json",
        )
    return folder


def _by_hand(name: str, models_dir: str) -> str:
    place = f"{models_dir}/{name}" if models_dir else "any folder, and set transcription.model to its path"
    return f"check the network; or copy the files of https://huggingface.co/{_repository(name)} to {place}"
