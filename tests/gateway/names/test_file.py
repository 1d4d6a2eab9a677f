"""Names in a file: what may stand there, what is said where it is wrong, and that it is watched."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.names.file import MOST_BYTES, NamesFile
from tests.gateway.names.found import Known
from tests.record import PATIENCE


def written(folder: Path, text: str) -> Path:
    path = folder / "names.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "kitchen: [Vitamix, 'Le Creuset']\nhall: [Nuki]",
            ("kitchen", "Vitamix", "Le Creuset", "hall", "Nuki"),
        ),
        ("'*': [Siobhan]\nhall: [Nuki]\nkitchen: []", ("Siobhan", "kitchen", "hall", "Nuki")),
        ("- Siobhan\n- Aoife", ("Siobhan", "Aoife")),
        ("", ()),
    ],
)
async def test_names_stand_in_it_by_room(tmp_path: Path, text: str, told: tuple[str, ...]) -> None:
    known = Known()
    await NamesFile(written(tmp_path, text), known).look()
    assert known.told("kitchen") == told
    assert known.how("file").state == "healthy"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kitchen: Vitamix", "names.yaml:1: kitchen: expected a list of names"),
        ("hall: [Nuki]\nkitchen: [12]", "names.yaml:2: kitchen: expected a list of names"),
        ("Vitamix", "names.yaml:1: expected rooms"),
        ("hall: [Nuki", "names.yaml:"),
        ("hall: [a]\nhall: [b]", "names.yaml:2: "),
        ("a: " + "x" * MOST_BYTES, "larger than"),
    ],
)
async def test_what_is_wrong_in_it_is_said_and_what_it_had_stays(
    tmp_path: Path, text: str, reason: str
) -> None:
    known = Known()
    file = NamesFile(written(tmp_path, "hall: [Nuki]"), known)
    await file.look()
    written(tmp_path, text)
    await file.look()
    how = known.how("file")
    assert (how.state, reason in how.reason) == ("degraded", True), how.reason
    assert "docs/names.md" in how.remedy
    assert known.told("hall") == ("hall", "Nuki")


async def test_it_is_watched(tmp_path: Path) -> None:
    known = Known()
    path = tmp_path / "names.yaml"
    work = asyncio.create_task(NamesFile(path, known, look_seconds=0.01).run())

    async def until(told: tuple[str, ...]) -> None:
        async with asyncio.timeout(PATIENCE):
            while known.told("hall") != told:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.005)

    try:
        await until(())
        written(tmp_path, "hall: [Nuki]")
        await until(("hall", "Nuki"))
        other = tmp_path / "other.yaml"
        other.write_text("hall: [Yale]")
        os.replace(other, path)  # noqa: PTH105 - as editors do
        await until(("hall", "Yale"))
        path.unlink()
        async with asyncio.timeout(PATIENCE):
            while known.how("file").state != "degraded":  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert known.told("hall") == ("hall", "Yale")
        assert "No such file" in known.how("file").reason
    finally:
        work.cancel()
