"""Wake words: which there are, and what each is made of on this disk.

A model is two files: a manifest in JSON, as the trainer of microWakeWord writes it, and the network that it names.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from transcription.audio import SAMPLE_RATE
from transcription.errors import ModelUnavailable
from transcription.models.cache_files import read_description

PACKAGE = "pymicro_wakeword"
INSTALL = f"{sys.executable} -m pip install 'earshot-gateway[wake]'"
MANIFEST = ".json"
LAGS = {"okay_nabu": 40, "hey_jarvis": -110, "hey_mycroft": 110, "alexa": -120}
"""Milliseconds from the first step at which a word is likely to its end: where nothing was lost of what 5 voices said
behind it in one breath, and nothing of the word was left."""
MAGIC = b"TFL3"
"""Bytes 4 to 8 of every network."""


class NoSuchWakeWord(ModelUnavailable):
    """None of that name comes with the package."""


@dataclass(frozen=True, slots=True, eq=False)
class WakeWord:
    """One wake word. ``certainty``: the probability, on average over ``steps`` steps, from which it was said."""

    name: str
    phrase: str
    network: Path
    content: bytes
    """The network's: whatever becomes of its file, this is what is used."""
    certainty: float
    steps: int
    lag: int | None = None
    """Samples from the first step at which it is likely to its end (below 0: it had ended); None: nobody knows."""

    @property
    def is_own(self) -> bool:
        """Whether it is somebody's own, which nobody knows to work."""
        return self.name.endswith(MANIFEST)


class _Micro(Struct, frozen=True):
    probability_cutoff: Annotated[float, Meta(gt=0, lt=1)]
    sliding_window_size: Annotated[int, Meta(ge=1, le=100)]


class _Manifest(Struct, frozen=True):
    wake_word: Annotated[str, Meta(min_length=1, max_length=64)]
    model: Annotated[str, Meta(pattern=r"^[^\0]+$")]
    micro: _Micro


def find_wake_word(name: str, certainty: float | None = None) -> WakeWord:
    """The wake word of a name, or of a manifest's path (``*.json``). Raises ModelUnavailable, with what to do.

    ``certainty``: another than its model has.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise ModelUnavailable("pymicro-wakeword, which hears wake words, is not installed", remedy=INSTALL)
    own = name.endswith(MANIFEST)
    manifest = Path(name) if own else Path(package.origin).parent / "models" / f"{name}.json"
    if not own and not manifest.is_file():
        known = ", ".join(sorted(path.stem for path in manifest.parent.glob("*.json")))
        remedy = f"name one of {known}, or the manifest (.json) of a model of your own"
        raise NoSuchWakeWord(f"there is no wake word {name}", remedy=remedy)
    return _read(name, manifest, certainty)


def no_such_word(name: str) -> NoSuchWakeWord | None:
    """Why there is none of that name; what this machine lacks beside is no matter here."""
    try:
        find_wake_word(name)
    except NoSuchWakeWord as error:
        return error
    except ModelUnavailable:
        pass
    return None


def _network(path: Path) -> bytes:
    """What looks like a network. Raises ModelUnavailable: what is none would end this process."""
    content = _content(path)
    if content[4:8] != MAGIC:
        raise ModelUnavailable(f"{path} is no TensorFlow Lite model", remedy=_REMEDY)
    return content


def _content(file: Path) -> bytes:
    try:
        return read_description(file)
    except OSError as error:
        raise ModelUnavailable(f"{file} cannot be read: {error.strerror}", remedy=_REMEDY) from error


_REMEDY = (
    "put the manifest (.json) and the model (.tflite) that it names beside each other, readable for this user"
)


def _read(name: str, file: Path, certainty: float | None) -> WakeWord:
    try:
        manifest = msgspec.json.decode(_content(file), type=_Manifest)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = f"{file} is no manifest of a wake word: {error}"
        raise ModelUnavailable(reason, remedy="take the one that its trainer wrote") from error
    network = file.parent / manifest.model
    return WakeWord(
        name,
        manifest.wake_word,
        network,
        _network(network),
        manifest.micro.probability_cutoff if certainty is None else certainty,
        manifest.micro.sliding_window_size,
        LAGS[name] * SAMPLE_RATE // 1000 if name in LAGS else None,
    )
