"""``earshot backup`` and ``earshot restore``, as somebody types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.commands.cli import main
from gateway.journal import Journal
from gateway.journal.effects import Heard
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import utterance


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "token.key").write_text("secret")
    file = tmp_path / "config.yaml"
    file.write_text(f"journal: {{path: {tmp_path}/state/journal.db}}\n")
    return file


def earshot(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


async def test_it_is_made_while_the_gateway_runs_and_put_back_when_it_does_not(config: Path) -> None:
    file = config.with_name("house.backup")
    async with Journal(JournalSettings(path=str(config.parent / "state" / "journal.db"))) as journal:
        await journal.commit(Heard(utterance("u_1")))
        made = earshot("backup", file, "--config", config, "--json")
        assert made.exit_code == 0, made.output
        assert json.loads(made.stdout)["files"] == 3
        assert file.stat().st_mode & 0o777 == 0o600, "it opens every door"
        while_it_runs = earshot("restore", file, "--config", config, "--force")
        assert while_it_runs.exit_code == 1
        assert "systemctl stop earshot" in while_it_runs.stderr
    assert "--force" in earshot("restore", file, "--config", config).stderr
    (config.parent / "state" / "token.key").write_text("another")
    done = earshot("restore", file, "--config", config, "--force")
    assert done.exit_code == 0, done.output
    assert "what was there:" in done.stdout
    assert (config.parent / "state" / "token.key").read_text() == "secret"


def test_a_file_that_is_there_is_not_replaced_unasked(config: Path) -> None:
    file = config.with_name("house.backup")
    file.write_text("another one")
    assert "--force" in earshot("backup", file, "--config", config).stderr
    assert file.read_text() == "another one"
    assert earshot("backup", file, "--config", config, "--force").exit_code == 0


def test_it_is_no_part_of_itself(config: Path) -> None:
    done = earshot("backup", config.parent / "state" / "house.backup", "--config", config)
    assert "outside of" in done.stderr
    assert [one.name for one in (config.parent / "state").iterdir()] == ["token.key"]


def test_sealed_with_a_passphrase(config: Path) -> None:
    file, words = config.with_name("house.backup"), config.with_name("words")
    words.write_text("correct horse\n")
    assert ", sealed" in earshot("backup", file, "--config", config, "--passphrase-file", words).stdout
    assert b"secret" not in file.read_bytes()
    assert "--passphrase-file" in earshot("restore", file, "--config", config, "--force").stderr
    assert earshot("restore", file, "--config", config, "--force", "--passphrase-file", words).exit_code == 0
    words.write_text("")
    assert (
        "is empty"
        in earshot("backup", file, "--config", config, "--force", "--passphrase-file", words).stderr
    )


def test_on_a_new_machine_the_configuration_comes_out_of_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, home = tmp_path / "house.backup", tmp_path / "new"
    assert earshot("backup", file, "--config", config).exit_code == 0
    monkeypatch.setenv("STATE_DIRECTORY", str(home))
    done = earshot("restore", file, "--config", tmp_path / "new.yaml")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "new.yaml").read_text() == config.read_text()
    assert (home / "token.key").read_text() == "secret"


@pytest.mark.parametrize("what", ["nothing.backup", "config.yaml"])
def test_what_is_no_backup_is_told_in_one_line(config: Path, what: str) -> None:
    done = earshot("restore", config.with_name(what), "--config", config, "--force")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.output
