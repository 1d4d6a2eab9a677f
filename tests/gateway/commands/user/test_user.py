"""``earshot user``, against a gateway's real API."""

from __future__ import annotations

import asyncio
import json
import zipfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.commands.cli import main
from gateway.commands.user.command import lines_of
from gateway.journal import effects as e
from tests.gateway.journal.rows import remembered
from tests.gateway.web.api.served import Served, open_served


async def run(served: Served, *arguments: str | Path, answer: str = "") -> Result:
    command = ["user", "--url", served.url, *map(str, arguments)]
    return await asyncio.to_thread(CliRunner().invoke, main, command, input=answer)


def told(done: Result) -> dict[str, Any]:
    """Its line among those that the gateway logs into the same terminal."""
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(line)
    return found


def left(folder: Path) -> list[str]:
    return [file.name for file in folder.glob("x*")]


async def test_somebody_is_given_all_and_then_forgotten(tmp_path: Path) -> None:
    file, report = tmp_path / "ann.zip", tmp_path / "erased.json"
    async with open_served(tmp_path) as served:
        await served.works.journal.commit(e.Remembered(remembered("u_1", "hello")))
        done = await run(served, "export", "ann", file)
        assert done.exit_code == 0, done.output
        assert "ann.zip: 0.0 MB" in done.output
        assert file.stat().st_mode & 0o777 == 0o600, "words of somebody's"
        assert b'"text":"hello"' in zipfile.ZipFile(file).read("utterances.jsonl")
        assert "--force" in (await run(served, "export", "ann", file)).stderr
        assert (await run(served, "export", "ann", file, "--force")).exit_code == 0
        refused = await run(served, "erase", "ann", answer="n\n")
        assert refused.exit_code == 1
        done = await run(served, "erase", "ann", "--report", report, answer="y\n")
        assert done.exit_code == 0, done.output
        assert "  1 utterances, with their audio and answers" in done.stdout
        assert "may still be kept:" in done.stdout
        assert json.loads(report.read_text())["erased"] == 1
        done = await run(served, "erase", "ann", "--yes", "--json")
        assert told(done)["erased"] == 0
        assert "nothing of this user" in (await run(served, "erase", "ann", "--yes")).stdout


async def test_a_report_that_cannot_be_written_is_told_and_shown(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        done = await run(served, "erase", "ann", "--yes", "--report", tmp_path / "none" / "x.json")
        assert done.exit_code == 1
        assert "it is erased" in done.stderr
        assert told(done)["user_id"] == "ann"


async def test_what_cannot_be_is_one_line_and_leaves_no_half_file(tmp_path: Path) -> None:
    async with open_served(tmp_path) as served:
        for arguments in (("export", "a b", tmp_path / "x"), ("export", "ann", tmp_path / "none" / "x")):
            done = await run(served, *arguments)
            assert done.exit_code == 1
            assert done.stderr.startswith("Error: ")
        assert left(tmp_path) == []
    gone = await run(served, "export", "ann", tmp_path / "x")
    assert "is the gateway running?" in gone.stderr
    assert left(tmp_path) == []


def test_the_report_is_for_people() -> None:
    report = {
        "user_id": "ann", "ended_at": 0.0, "utterances": 2, "unheard": 0, "dead_letters": 0, "requests": 0,
        "messages": 0, "copies": 1, "kept": [{"what": "ids", "where": "audit.log", "remedy": "it goes by its size"}],
    }  # fmt: skip
    first, *rest = lines_of(report)
    assert first.startswith("ann, erased by ")
    assert rest == [
        "  2 utterances, with their audio and answers",
        "  1 copies of the journal from before an upgrade, of everybody's words",
        "may still be kept:",
        "  ids: audit.log (it goes by its size)",
    ]
