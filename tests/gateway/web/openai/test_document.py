"""What docs/openai.md says of files: its commands are run as they stand there, with real words; its table is true."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from gateway.pipeline.recordings.spool import MEMORY_BYTES
from gateway.settings.web import UploadSettings
from gateway.web.openai.names import DIARIZING, OPENAI
from gateway.web.openai.options import FORMATS, MOST_CHARACTERS
from tests.record import PATIENCE
from tests.system.house import RECORDINGS, open_house, text

SECTION = (
    (Path(__file__).parents[4] / "docs" / "openai.md")
    .read_text(encoding="utf-8")
    .split("## Files\n")[1]
    .split("\n## ")[0]
)


def program(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
    return str(found)


def test_its_table_says_what_there_is() -> None:
    table = "\n".join(line for line in SECTION.splitlines() if line.startswith("|"))
    told = set(re.findall(r"`([^`]+)`", table))
    undated = {name for name in OPENAI if not name[-1].isdigit() or name == "whisper-1"}
    assert undated | {DIARIZING} <= told
    assert set(FORMATS) <= told
    assert f"{MOST_CHARACTERS} characters" in SECTION
    assert f"{MEMORY_BYTES >> 20} MiB waits on the disk" in SECTION
    assert f"{UploadSettings().megabytes} MiB" in SECTION
    assert UploadSettings().at_once == 4


@pytest.mark.slow
async def test_its_examples_work_as_they_stand_there(tmp_path: Path) -> None:
    async def said(*command: str) -> str:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=tmp_path)
        async with asyncio.timeout(PATIENCE):
            told, _ = await process.communicate()
        return told.decode()

    (tmp_path / "speech.wav").write_bytes(RECORDINGS["u00"].path.read_bytes())
    async with open_house(tmp_path, adapters={"openai": {"enabled": True}}) as house:
        url = house.gateway.url.rstrip("/")
        curl = program("sh").replace("http://127.0.0.1:8080", url)
        python = (sys.executable, "-c", program("python"), url, "none", "speech.wav")
        assert await said("sh", "-c", curl) == f"{text('u00')}\n"
        assert await said(*python) == f"{text('u00')}\n{text('u00')}"
