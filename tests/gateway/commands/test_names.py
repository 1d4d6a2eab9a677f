"""``earshot names``: what is known, in its order, as far as the model has room for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from click.testing import CliRunner

from gateway.commands.names import command
from transcription.models.models import BUNDLED


def written(folder: Path, tokens: int, **names: object) -> list[str]:
    model = Path(shutil.copytree(BUNDLED, folder / "model"))
    transcription = {"model": str(model), "names_tokens": tokens}
    (folder / "config.yaml").write_text(json.dumps({"names": names, "transcription": transcription}))
    return ["--config", str(folder / "config.yaml")]


def test_the_rooms_own_come_first_and_where_the_budget_ends_is_shown(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("hall: [Nuki]\nkitchen: [kitchen light, garden door]")
    arguments = written(tmp_path, 5, file=str(tmp_path / "names.yaml"))
    done = CliRunner().invoke(command, [*arguments, "--room", "kitchen"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == ["kitchen", "kitchen light", "garden door", "hall", "Nuki"]
    assert "file: 5 names at" in done.stderr
    assert "--- 2 of 5 are told: transcription.names_tokens" in done.stderr


def test_what_cannot_be_had_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, written(tmp_path, 100, file=str(tmp_path / "none.yaml")))
    assert (done.exit_code, done.stdout) == (0, "")
    assert "none.yaml cannot be read: No such file or directory\n    remedy: " in done.stderr


def test_where_nothing_is_configured_it_says_what_to_do(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, written(tmp_path, 100))
    assert done.exit_code == 1
    assert "remedy: the section names of config.yaml" in done.stderr
