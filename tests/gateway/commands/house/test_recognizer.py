"""`earshot recognizer`: what it needs to know, and what it says when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.commands.house.recognizer import command
from tests.servers.process import free_port


@pytest.mark.parametrize(
    ("config", "arguments", "said"),
    [
        ("{}", [], "memory:// lives inside the gateway"),
        ("{}", ["--broker", "http://h"], "http"),
        ("{}", ["--broker", "redis://h", "--name", "a b"], "--name 'a b' is not 1-64"),
        ("{}", ["--broker", "redis://h", "--health", "8090"], "'8090' is not HOST:PORT"),
        ("{}", ["--broker", "redis://h", "--health", "h:99999"], "'h:99999' is not HOST:PORT"),
        ("transcription: {engine: 'off'}", ["--broker", "redis://h"], "transcription.engine is off"),
    ],
)
def test_what_it_lacks(tmp_path: Path, config: str, arguments: list[str], said: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(config)
    done = CliRunner().invoke(command, ["--config", str(file), *arguments])
    assert done.exit_code == 2, done.output
    assert said in done.output


def test_a_file_of_certificates_that_is_not_there(tmp_path: Path) -> None:
    where = f"redis://127.0.0.1:{free_port()}"
    done = CliRunner().invoke(command, ["--broker", where, "--ca-file", str(tmp_path / "none.pem")])
    assert done.exit_code == 1
    assert "none.pem: No such file or directory" in done.output
