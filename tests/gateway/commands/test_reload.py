"""``earshot reload``: which process it means, and what it says when there is none."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.commands.cli import main
from gateway.commands.reload import configuration, is_gateway

WAITS_FOR_A_SIGNAL = (
    "import signal\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])\n"
    "print('ready', flush=True)\n"
    "print(signal.sigwait([signal.SIGHUP]).name)"
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/usr/bin/python3 /opt/earshot/bin/earshot run --config /etc/earshot/config.yaml", True),
        ("python -m gateway run", True),
        ("/usr/bin/env earshot run", True),
        ("python /opt/earshot/bin/earshot demo", False),
        ("python /opt/earshot/bin/earshot listen run", False),
        ("python -m transcription.worker", False),
        ("vim /home/ann/earshot run", True),  # nobody can tell; hence --pid
        ("grep earshot", False),
        ("run", False),
        ("", False),
    ],
)
def test_which_process_is_a_gateway(line: str, expected: bool) -> None:  # noqa: FBT001
    assert is_gateway(line.split()) is expected


@pytest.mark.parametrize(
    ("line", "environ", "expected"),
    [
        ("earshot run --config /etc/earshot/config.yaml", {}, "/etc/earshot/config.yaml"),
        ("earshot run --config=mine.yaml --orchestrator a:b", {}, "{folder}/mine.yaml"),
        ("earshot run", {"EARSHOT_CONFIG": "/other.yaml"}, "/other.yaml"),
        ("earshot run --config mine.yaml", {"EARSHOT_CONFIG": "/other.yaml"}, "{folder}/mine.yaml"),
        ("earshot run", {}, "{folder}/config.yaml"),
        ("earshot run --config", {}, "{folder}/config.yaml"),
    ],
)
def test_which_configuration_a_process_reads(
    tmp_path: Path, line: str, environ: dict[str, str], expected: str
) -> None:
    (tmp_path / "config.yaml").touch()
    assert configuration(line.split(), environ, tmp_path) == expected.format(folder=tmp_path)


@contextmanager
def gateway(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """What looks like ``earshot run``, and says which signal it got."""
    program = folder / "earshot"
    program.write_text(WAITS_FOR_A_SIGNAL)
    command = [sys.executable, str(program), "run", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_the_gateway_of_that_configuration_is_reached_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    with gateway(tmp_path, "--config", "other.yaml") as process:
        for arguments in ([], ["--config", str(mine)]):
            refused = CliRunner().invoke(main, ["reload", *arguments])
            assert refused.exit_code == 1
            assert f"process {process.pid} runs with {other}" in refused.output
        with gateway(tmp_path, "--config", str(mine)) as meant:
            done = CliRunner().invoke(main, ["reload", "--config", "mine.yaml"])
            assert f"process {meant.pid} reads its configuration again" in done.output
            assert meant.stdout is not None
            assert meant.stdout.read() == f"{signal.SIGHUP.name}\n"
        assert process.poll() is None
        with gateway(tmp_path, "--config", str(other)):
            doubtful = CliRunner().invoke(main, ["reload", "--config", str(other)])
            assert (doubtful.exit_code, "several gateways run with it" in doubtful.output) == (1, True)


def test_the_process_that_is_named_gets_the_signal() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITS_FOR_A_SIGNAL], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        done = CliRunner().invoke(main, ["reload", "--pid", str(process.pid)])
        assert f"process {process.pid} reads its configuration again" in done.output
        assert process.stdout.read() == f"{signal.SIGHUP.name}\n"


def test_a_process_that_is_not_there() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    done = CliRunner().invoke(main, ["reload", "--pid", str(process.pid)])
    assert (done.exit_code, f"there is no process {process.pid}" in done.output) == (1, True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_another_users_process_needs_another_user() -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    # Twice: what the first call imports could not be read afterwards.
    code = f"""
import os, click
from gateway.commands.reload import command
for user, pid in ((0, 2**22 + 1), ({nobody}, 1)):
    os.setuid(user)
    try:
        command(["--pid", str(pid)], standalone_mode=False)
    except click.ClickException as error:
        print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "process 1 is another user's\nremedy: sudo earshot reload" in done.stdout, done.stderr
