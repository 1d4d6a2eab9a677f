"""People who speak, and music: recordings that come with Debian's packages and a wheel, with what is said in them.

Debian's are under free licences (Creative Commons, in each package's copyright); nothing of them is kept in the
checkout. apt checks what it fetches; the wheel's recordings are checked here.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from firmware_bridge.speech_files import read_wav
from tests.real.things import Thing
from tests.real.weights import unpacked
from transcription.audio import SAMPLE_RATE, Samples, from_pcm16

LANGUAGES = ("en", "es", "fr", "it", "ru")
COMMANDERS = Path("/usr/share/pocketsphinx/test/data")
LONGEST = 12.0
"""Seconds; most commands are shorter, and each of them costs a while."""

FEWEST_WORDS = 3
_LINE = re.compile(r"([\w/-]+):\s*(.*\S)\s*$")
_QUICK = 3 * 4096  # a transform of any other length may take a hundred times as long
_NOT_SAID = re.compile(r"[\[\]()]")  # "[ascending tones]"


@dataclass(frozen=True)
class Prompt:
    """What a telephone exchange says, by its name: which voice, in which language."""

    name: str
    text: str
    language: str
    path: Path

    @property
    def is_for_choosing(self) -> bool:
        """Its name begins with a to m. On the others is judged what was chosen on these."""
        return self.path.name[0].lower() < "n"


class NotFetched(Exception):
    """apt had no package; the message says what to do."""


def prompts(language: str = "en") -> list[Prompt]:
    """All that have text, some words and a bearable length, by name; empty where they are not here."""
    if not PROMPTS.here:
        return []
    [listed] = PROMPTS.place.rglob(f"core-sounds-{language}.txt.gz")
    [voice] = (PROMPTS.place / "usr/share/asterisk/sounds").glob(f"{language}_*")
    texts = dict(_texts(listed))
    found = (Prompt(name, texts[name], language, voice / f"{name}.wav") for name in sorted(texts))
    return [one for one in found if one.path.is_file() and _seconds(one.path) <= LONGEST]


def readers() -> list[tuple[str, Path]]:
    """Others who speak English, and their words; empty where they are not here."""
    return [(text, MOONSHINE.place / name) for name, text in _READ.items()] if MOONSHINE.here else []


def music() -> list[Path]:
    """What is played to those who wait on the telephone; empty where it is not here."""
    return sorted(MUSIC.place.rglob("*.wav")) if MUSIC.here else []


def commanders() -> Iterator[tuple[str, Samples]]:
    """People who say commands, in Debian's pocketsphinx-testdata; nobody where that is not installed."""
    if not COMMANDERS.is_dir():
        print("without recordings of people: apt-get install pocketsphinx-testdata")
        return
    for line in (COMMANDERS / "cards" / "cards.transcription").read_text().splitlines():
        if match := re.fullmatch(r"<s>\s*(.*?)\s*</s>\s*\((\w+)\)\s*", line):
            yield match[1], from_pcm16(read_wav(COMMANDERS / "cards" / f"{match[2]}.wav"))
    yield "go forward ten meters", from_pcm16((COMMANDERS / "goforward.raw").read_bytes())
    yield "two nine three four zero", from_pcm16((COMMANDERS / "tidigits" / "dhd.2934z.raw").read_bytes())


def read(path: Path) -> Samples:
    """A recording as the recognizer hears it, whatever its rate. One of 8 kHz has nothing above 4 kHz."""
    with wave.open(str(path), "rb") as file:
        rate, count = file.getframerate(), file.getnframes()
        samples = np.frombuffer(file.readframes(count), np.int16)
    padded = -(-count // _QUICK) * _QUICK
    length = padded * SAMPLE_RATE // rate
    spectrum = np.zeros(length // 2 + 1, np.complex128)
    heard = np.fft.rfft(samples, padded)[: len(spectrum)]
    spectrum[: len(heard)] = heard
    whole = np.fft.irfft(spectrum, length)[: count * SAMPLE_RATE // rate] * length / padded
    return np.clip(whole, -32768, 32767).astype(np.int16)


def _texts(listed: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(listed, "rt", encoding="utf-8-sig") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match and not _NOT_SAID.search(match[2]) and len(match[2].split()) >= FEWEST_WORDS:
                yield match[1], match[2]


def _seconds(path: Path) -> float:
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def _unpacked_debs(packages: tuple[str, ...], folder: Path) -> None:
    """What those Debian packages hold; nothing is installed. Raises NotFetched."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as fetched:
        command = ["apt-get", "download", "--quiet", *packages]
        done = subprocess.run(command, cwd=fetched, capture_output=True, text=True, check=False)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if line.startswith("E:")] or [
                "it did not say why"
            ]
            raise NotFetched(
                f"apt-get cannot fetch {', '.join(packages)}: {told[0]} (apt-get update, as root?)"
            )
        for package in sorted(Path(fetched).glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)


def _debian(name: str, megabytes: int, packages: tuple[str, ...], folder: str) -> Thing:
    def why_not() -> str:
        here = Path("/usr/bin/apt-get").exists() and Path("/usr/bin/dpkg-deb").exists()
        return "" if here else "this is no Debian"

    return Thing(name, megabytes, folder, partial(_unpacked_debs, packages), why_not)


PROMPTS = _debian(
    "Prompts of telephone exchanges in five languages",
    98,
    tuple(f"asterisk-core-sounds-{language}{kind}" for language in LANGUAGES for kind in ("", "-wav")),
    "people-core-sounds",
)
"""English and Spanish by one woman, French by another, Italian and Russian by a man each; 8 kHz."""

MUSIC = _debian("Music on hold", 18, ("asterisk-moh-opsound-wav",), "music-on-hold")

_READ = {
    "beckett.wav": "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.",
    "two_cities.wav": "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age "
    "of foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of light, it was "
    "the season of darkness, it was the spring of hope, it was the winter of despair, we had everything before us, "
    "we had nothing before us, we were all going direct to heaven, we were all going direct the other way. In short, "
    "the period was so far like the present period that some of its noisiest authorities insisted on its being "
    "received, for good or for evil, in the superlative degree of comparison only.",
}

MOONSHINE = Thing(
    "Readers of moonshine-voice",
    20,
    "people-moonshine-0.1.5",
    partial(
        unpacked,
        ["moonshine-voice==0.1.5"],
        {
            name: (digest, [f"moonshine_voice/assets/{name}"])
            for name, digest in {
                "beckett.wav": "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
                "two_cities.wav": "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
            }.items()
        },
    ),
)
"""Two men who read (MIT, with the package)."""
