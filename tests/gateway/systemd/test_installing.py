"""The unit, judged by systemd's own tools, and its installation into a folder that stands for a machine."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import structs

from gateway.commands.cli import main
from gateway.commands.house import recognizer
from gateway.config.configuration import GatewayConfig
from gateway.config.loading import load_config
from gateway.systemd import installing
from gateway.systemd.installing import (
    Host,
    Run,
    ServiceError,
    WriteFile,
    fitted_unit,
    objections,
    plan,
    unit_text,
)

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "systemd" / "earshot.service"
RECOGNIZER = SHIPPED.with_name("earshot-recognizer.service")
ANALYZE = shutil.which("systemd-analyze")
COMMAND = Path("/opt/earshot/bin/earshot")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine on which everything is as it should be, in a folder."""
    machine = Host(executable=COMMAND, root=tmp_path, is_root=True, runs_systemd=True, systemd_version=252)
    command = machine.at(COMMAND)
    command.parent.mkdir(parents=True)
    command.touch()
    return machine


# -- the unit


@pytest.fixture(params=["shipped", "fitted", "recognizer"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit as it stands in the repository, and as it is installed here; and a recognizer's."""
    if request.param == "recognizer":
        return RECOGNIZER
    if request.param == "shipped":
        return SHIPPED
    file = tmp_path / "earshot.service"
    file.write_text(fitted_unit(Host(executable=Path(sys.executable), systemd_version=252)))
    return file


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    done = subprocess.run([str(ANALYZE), "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_the_unit_is_exposed_at_most_2_of_10(unit: Path) -> None:
    command = [str(ANALYZE), "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"Overall exposure level for {unit.name}: " in done.stdout
    assert done.returncode == 0, done.stdout


@needs_systemd
def test_the_threshold_of_that_test_means_what_it_says() -> None:
    command = [str(ANALYZE), "security", "--offline=true", "--threshold=10", "--no-pager", str(SHIPPED)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@needs_systemd
def test_what_lets_it_to_a_gpu_is_as_sound_and_opens_no_more(tmp_path: Path) -> None:
    unit = Path(shutil.copy(SHIPPED, tmp_path))
    with_gpu = tmp_path / "earshot.service.d" / "gpu.conf"
    with_gpu.parent.mkdir()
    shutil.copy(SHIPPED.with_name("gpu.conf"), with_gpu)
    for command in (["verify"], ["security", "--offline=true", "--threshold=20", "--no-pager"]):
        done = subprocess.run(
            [str(ANALYZE), *command, str(unit)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    with_gpu.write_text("[Service]\nDeviceAllow=char-* rwx nonsense\n")
    broken = subprocess.run([str(ANALYZE), "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "gpu.conf:2" in broken.stderr, "the file beside the unit is read at all"


def directives(text: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (text or unit_text()).splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_keeps_its_promises() -> None:
    unit = directives()
    assert unit["Type"] == ["notify"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["Restart"] == ["always"]
    assert unit["OOMPolicy"] == ["continue"]
    assert unit["User"] == ["earshot"]
    assert {"char-ttyUSB rw", "char-ttyACM rw", "char-alsa rw"} <= set(unit["DeviceAllow"])
    assert int(unit["WatchdogSec"][0]) >= 10
    longest_drain = 60
    assert int(unit["TimeoutStopSec"][0]) > longest_drain >= GatewayConfig().shutdown.drain_seconds


def test_a_recognizers_unit_keeps_its_promises() -> None:
    unit = directives(RECOGNIZER.read_text(encoding="utf-8"))
    assert (unit["Type"], unit["Restart"], unit["StartLimitIntervalSec"]) == (["notify"], ["always"], ["0"])
    assert (unit["DynamicUser"], unit["RestartPreventExitStatus"]) == (["yes"], ["2"])
    assert "DeviceAllow" not in unit
    assert int(unit["TimeoutStopSec"][0]) > 60
    words = unit["ExecStart"][0].split()
    assert words[:3] == ["/usr/bin/env", "earshot", "recognizer"]
    options = {name for parameter in recognizer.command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_drivers_of_the_allowed_devices_are_loaded_before_the_service() -> None:
    unit = directives()
    for driver in ("usbserial", "cdc_acm", "snd"):
        assert f"modprobe@{driver}.service" in unit["Wants"][0].split()
        assert any(f"modprobe@{driver}.service" in after.split() for after in unit["After"])


def test_there_is_one_unit() -> None:
    assert unit_text() == SHIPPED.read_text(encoding="utf-8")


def test_the_unit_is_fitted_to_the_machine(host: Host) -> None:
    arch = structs.replace(host, groups=("uucp", "audio"), systemd_version=255)
    fitted = fitted_unit(arch).splitlines()
    assert "ExecStart=/opt/earshot/bin/earshot run --config /etc/earshot/config.yaml" in fitted
    assert "SupplementaryGroups=uucp audio" in fitted
    assert "RestartMaxDelaySec=60" in fitted
    assert "RestartMaxDelaySec=60" not in fitted_unit(host).splitlines(), "systemd 252 does not know it"


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/opt/my house/earshot", '"/opt/my house/earshot"'),
        ("/opt/100%/earshot", "/opt/100%%/earshot"),
        ("/opt/$HOME/earshot", "/opt/$$HOME/earshot"),
        ('/opt/a"b/earshot', '"/opt/a\\"b/earshot"'),
    ],
)
def test_an_unusual_path_stays_one_word(host: Host, path: str, written: str) -> None:
    fitted = fitted_unit(structs.replace(host, executable=Path(path)))
    assert f"ExecStart={written} run --config" in fitted


# -- what stands against it


def test_on_a_good_machine_nothing_stands_against_it(host: Host) -> None:
    assert list(objections(host)) == []


@pytest.mark.parametrize(
    ("change", "reason", "remedy"),
    [
        ({"is_root": False}, "only root", "sudo /opt/earshot/bin/earshot service install"),
        ({"runs_systemd": False}, "does not run systemd", "your own supervisor"),
        ({"executable": Path("/opt/nothing")}, "no command /opt/nothing", "pip"),
        ({"installed_in": (Path("/home/pi/earshot"),)}, "cannot see /home/pi/earshot", "venv /opt/earshot"),
        ({"installed_in": (Path("/root/.pyenv"),)}, "cannot see /root/.pyenv", "venv /opt/earshot"),
    ],
)
def test_what_stands_against_it_has_a_remedy(
    host: Host, change: dict[str, object], reason: str, remedy: str
) -> None:
    (objection,) = objections(structs.replace(host, **change))
    assert reason in objection.reason
    assert remedy in objection.remedy


def test_a_link_into_a_home_is_seen_through(host: Host, tmp_path: Path) -> None:
    link = tmp_path / "earshot-link"
    link.symlink_to("/home/pi/earshot")
    (objection,) = objections(structs.replace(host, installed_in=(link,)))
    assert "cannot see" in objection.reason


def test_a_wrong_configuration_is_found_before_the_service_is_started(host: Host) -> None:
    config = host.at(Path("/etc/earshot/config.yaml"))
    config.parent.mkdir(parents=True)
    config.write_text("web: {prot: 1}")
    (objection,) = objections(host)
    assert "did you mean web.port?" in objection.reason


# -- doing it


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """systemctl and useradd that write down what they are told."""
    log = tmp_path / "commands"
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("systemctl", "useradd"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho {name} "$@" >>{log}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return log


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_installing_puts_everything_in_place(host: Host, commands: Path) -> None:
    for step in plan(host):
        step.apply(host)
    unit = host.at(installing.UNIT)
    assert unit.read_text() == fitted_unit(host)
    assert mode(unit) == 0o644
    config = host.at(Path("/etc/earshot/config.yaml"))
    assert load_config(config, {}) == GatewayConfig()
    assert "$schema=config.schema.json\n" in config.read_text()
    assert config.with_name("config.schema.json").exists()
    assert mode(host.at(installing.ENVIRONMENT)) == 0o600, "secrets stand there"
    told = commands.read_text().splitlines()
    assert told[0].startswith("useradd --system")
    assert told[1:] == [
        f"systemctl {what}" for what in ("daemon-reload", "enable earshot.service", "restart earshot.service")
    ]
    assert not list(unit.parent.glob(".*")), "no half-written file is left"


def test_installing_again_keeps_what_the_administrator_wrote(host: Host, commands: Path) -> None:
    for step in plan(host):
        step.apply(host)
    config = host.at(Path("/etc/earshot/config.yaml"))
    config.write_text("web: {port: 9000}")
    host.at(installing.ENVIRONMENT).write_text("SECRET=1")
    host.at(installing.UNIT).write_text("an older unit")
    commands.unlink()
    for step in plan(structs.replace(host, has_user=True)):
        step.apply(host)
    assert config.read_text() == "web: {port: 9000}"
    assert host.at(installing.ENVIRONMENT).read_text() == "SECRET=1"
    assert host.at(installing.UNIT).read_text() == fitted_unit(host)
    assert "useradd" not in commands.read_text()


def test_a_command_that_fails_says_why(host: Host) -> None:
    with pytest.raises(ServiceError, match=r"^sh -c echo no >&2; exit 3: no$"):
        Run(("sh", "-c", "echo no >&2; exit 3")).apply(host)
    with pytest.raises(ServiceError, match="no-such-command: No such file"):
        Run(("no-such-command",)).apply(host)


def test_a_file_that_cannot_be_written_says_why(host: Host) -> None:
    host.at(Path("/etc")).touch()
    with pytest.raises(ServiceError, match=r"etc/x: (Not a directory|File exists)"):
        WriteFile(Path("/etc/x"), "", 0o644).apply(host)


# -- the commands


def test_a_dry_run_prints_everything_and_changes_nothing() -> None:
    before = Path("/etc/earshot").exists(), installing.UNIT.exists()
    done = CliRunner().invoke(main, ["service", "install", "--dry-run"])
    assert done.exit_code == 0
    for step in plan(Host.here()):
        assert f"would {step.describe()}" in done.stdout
    assert (Path("/etc/earshot").exists(), installing.UNIT.exists()) == before


def test_print_prints_the_unit_as_it_would_be_installed() -> None:
    done = CliRunner().invoke(main, ["service", "print"])
    assert done.stdout == fitted_unit(Host.here())
    assert str(Host.here().executable) in done.stdout


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="would really install it")
def test_installing_is_refused_with_the_remedy_and_nothing_changes() -> None:
    done = CliRunner().invoke(main, ["service", "install"])
    assert done.exit_code == 1
    assert "remedy: start `earshot run` from your own supervisor" in done.stderr
    assert "nothing was changed" in done.stderr
    assert not installing.UNIT.exists()
