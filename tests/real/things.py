"""What is real and large: fetched by ``make real``, kept outside the checkout, and wanted by the tests beside.

A test names what it wants: ``@pytest.mark.real(HOME_ASSISTANT)``. Where that is not here it is not run, and says so.
"""

from __future__ import annotations

import functools
import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.instruments.cache import cache, cached
from benchmarks.peers.environments import REQUIREMENTS, install
from docs.plan.house import ROOT

KEPT = cache()
"""As it is when this is imported: each run of the tests has a cache of its own for all else."""


@dataclass(frozen=True)
class Thing:
    """One that is fetched. Its folder in the cache is there when it is whole."""

    name: str
    """For people, with its version."""

    megabytes: int
    """So much is fetched."""

    folder: str
    """Another one for each version, or whatever else it is pinned by."""

    make: Callable[[Path], None]
    """Fills a folder, or raises whatever its author thinks."""

    why_not: Callable[[], str] = str
    """Why it cannot be had on this machine, which is nobody's fault; nothing if it can."""

    @property
    def place(self) -> Path:
        """Its folder."""
        return KEPT / self.folder

    @property
    def here(self) -> bool:
        return self.place.is_dir()

    @property
    def absence(self) -> str:
        """What is said where it is wanted and not here."""
        why = self.why_not()
        return f"{self.name} cannot be had: {why}" if why else f"{self.name} is not here: make real"

    def fetch(self) -> Path:
        """Fetch it, unless it is here."""
        return cached(self.folder, self.make, KEPT)


def environment(name: str, megabytes: int, lock: str, python: str) -> Thing:
    """Somebody's program with all it needs: what ``requirements/<lock>.txt`` pins, on that Python (``python3.13``)."""
    pinned = REQUIREMENTS / f"{lock}.txt"
    digest = hashlib.sha256(python.encode() + pinned.read_bytes()).hexdigest()

    def why_not() -> str:
        return "" if found(python) else f"no {python} runs on this machine"

    def make(folder: Path) -> None:
        install(pinned, found(python), folder)

    return Thing(name, megabytes, f"{lock}-{digest[:12]}", make, why_not)


def interpreter(thing: Thing) -> Path:
    """That of an environment which is here."""
    return thing.place / "bin" / "python"


@functools.cache
def found(python: str) -> str:
    """The path of a Python that runs, or nothing."""
    done = subprocess.run([ROOT / ".ci" / "python", python], capture_output=True, text=True, check=False)
    return done.stdout.strip()


WYOMING_SATELLITE = environment("wyoming-satellite 1.0.0", 4, "real-wyoming-satellite", "python3.11")
WYOMING_OPENAI = environment("wyoming-openai 0.8.0", 20, "real-wyoming-openai", "python3.13")
WYOMING_OPENAI_GATEWAY = environment(
    "wyoming-openai-gateway 0.2.1", 15, "real-wyoming-openai-gateway", "python3.13"
)
LANGGRAPH = environment(
    "langgraph 1.2.24", 15, "real-langgraph", f"python{sys.version_info[0]}.{sys.version_info[1]}"
)
"""For the Python that runs the tests: what is in there is imported beside our own."""
LITELLM = environment("litellm 1.110.2", 90, "real-litellm", "python3.11")
HOME_ASSISTANT = environment("Home Assistant 2025.4.4", 600, "real-home-assistant", "python3.13")
LLMOCK = environment("llmock 0.2.2", 20, "real-llmock", "python3.11")
"""An OpenAI server that misbehaves on request, and grades who asks it."""
LLAMA = environment("llama.cpp in xllamacpp 2026.10.11549", 34, "real-llama", "python3.11")
