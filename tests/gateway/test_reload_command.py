"""``earshot reload``: which process it means, and what it says when there is none."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.commands.reload import is_gateway


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


def test_the_process_that_is_named_gets_the_signal() -> None:
    code = (
        "import signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])\n"
        "print('ready', flush=True)\n"
        "print(signal.sigwait([signal.SIGHUP]).name)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
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
