"""The command line: help, errors with remedies, exit status, and what each command loads."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from firmware_bridge.link.events import DeviceStatus
from firmware_bridge.link.frames import FaultCode, Hello
from firmware_bridge.link.framing import SerialDecoder
from firmware_bridge.simulator.user import (
    FaultShown,
    Linked,
    PartialShown,
    ReplyShown,
    SpeechEnded,
    StatusShown,
    StreamBegan,
    TranscriptShown,
    WireChanged,
    WireMissing,
)
from gateway.commands.cli import COMMANDS, main
from gateway.commands.simulate import words
from gateway.config import docs
from gateway.config import loading as config_module
from gateway.config.configuration import GatewayConfig
from gateway.config.loading import load_config
from gateway.contract.events import decode_event
from gateway.hub.hub import Hub
from gateway.observing.health import Health, HealthState
from gateway.settings.web import WebSettings
from tests.gateway.events import reply, transcription
from tests.gateway.web.house import web_server
from tests.servers.mosquitto import Mosquitto, password_options
from tests.servers.process import free_port

pytestmark = pytest.mark.slow

# A job in the background of a shell, as a test run may be, ignores SIGINT, and so do its children.
_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
EARSHOT = [
    sys.executable,
    "-c",
    f"{_CTRL_C}; from gateway.commands.cli import main; main(prog_name='earshot')",
]
HEAVY = {
    "aiohttp", "amqtt", "asyncio", "av", "ctranslate2", "faster_whisper", "gateway.app", "msgspec", "numpy",
    "onnxruntime", "paho", "pocketsphinx", "rich", "serial", "sounddevice", "structlog", "yaml",
}  # fmt: skip
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder without a configuration, on a machine without one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_module, "SYSTEM_CONFIG", tmp_path / "none" / "config.yaml")
    for name in [name for name in os.environ if name.startswith("EARSHOT_")]:
        monkeypatch.delenv(name)
    return tmp_path


def earshot(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


# -- help


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom gateway.commands.cli import main\n"
        f"main({arguments!r}, prog_name='earshot', standalone_mode=False)\n"
        "print('\\nLOADED', *sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert not loaded & HEAVY


def test_the_installed_command_is_this_one() -> None:
    command = Path(sys.executable).with_name("earshot")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"earshot, version {version('earshot-gateway')}\n"


def test_help_lists_every_command_and_the_exit_status() -> None:
    done = earshot("--help")
    assert done.exit_code == 0
    for name, summary in COMMANDS.items():
        assert f"{name} " in done.output
        assert summary in done.output
    assert "Exit status: 0 all went well, 1 it failed" in done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = earshot(name, "--help")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"Usage: main {name}")
    text = earshot(name, "install", "--help").output if name == "service" else done.output
    assert f"\n  earshot {name}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulat"], "Did you mean 'simulate'?"),
        (["check_config"], "Did you mean 'check-config'?"),
        (["zzz"], "No such command 'zzz'"),
        (["run", "--confg", "x"], "--config"),
    ],
)
def test_a_wrong_command_line_is_status_2_with_the_near_miss(arguments: list[str], words: str) -> None:
    done = earshot(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr


# -- check-config


def test_a_right_configuration(nowhere: Path) -> None:
    assert earshot("check-config").output == "no config.yaml: the defaults apply, and are all right\n"
    (nowhere / "config.yaml").write_text("web: {port: 8081}\n")
    assert earshot("check-config").output == "config.yaml: all right\n"
    (nowhere / "other.yaml").write_text("")
    assert earshot("check-config", "other.yaml").output == "other.yaml: all right\n"
    assert earshot("check-config", "--config", "other.yaml").output == "other.yaml: all right\n"
    twice = earshot("check-config", "--config", "other.yaml", "config.yaml")
    assert (twice.exit_code, "config.yaml" in twice.output) == (2, True)


def test_a_wrong_configuration_is_status_2_with_every_problem(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / "config.yaml").write_text("web:\n  prot: 1\n")
    monkeypatch.setenv("EARSHOT_WEB__PORT", "70000")
    done = earshot("check-config")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: the configuration has 2 problems\n")
    assert "config.yaml:2: web.prot: unknown key; did you mean web.port?\n" in done.stderr
    assert "$EARSHOT_WEB__PORT: web.port: expected a whole number from 0 to 65535, got 70000\n" in done.stderr


def test_a_wake_word_that_does_not_exist_is_a_wrong_configuration(nowhere: Path) -> None:
    wake = "devices: {wake: {devices: {kitchen: [okay_nabbu, alexa]}, rooms: {Hall: [okay_nabbu, own.json]}}}"
    (nowhere / "config.yaml").write_text(wake)
    done = earshot("check-config")
    assert (done.exit_code, done.stdout) == (2, "")
    for place in ("devices.kitchen", "rooms.Hall"):
        assert f"config.yaml: devices.wake.{place}: there is no wake word okay_nabbu; name" in done.stderr
    assert done.stderr.startswith("Error: the configuration has 2 problems\n")
    (nowhere / "config.yaml").write_text(wake.replace("okay_nabbu", "okay_nabu"))
    assert earshot("check-config").exit_code == 0


def test_what_is_wrong_with_the_commands_of_an_agent_is_told_with_its_line(nowhere: Path) -> None:
    agent = "orchestrator: {agents: {house: {kind: commands, commands: {file: house.yaml}}}}\n"
    (nowhere / "config.yaml").write_text(agent)
    (nowhere / "house.yaml").write_text(
        "commands:\n  light:\n    say: turn on [the {lihgt}\n    repyl: On.\n"
    )
    done = earshot("check-config")
    assert (done.exit_code, done.stdout) == (2, "")
    assert (
        "house.yaml:4: commands.light.repyl: unknown key; did you mean commands.light.reply?\n" in done.stderr
    )
    (nowhere / "house.yaml").write_text("commands:\n  light:\n    say: turn on [the {lihgt}\n")
    assert (
        "house.yaml:3: commands.light.say: '[' is not closed, at letter 9\n" in earshot("check-config").stderr
    )
    (nowhere / "house.yaml").write_text("commands: {light: {say: turn on the light, reply: On.}}\n")
    assert earshot("check-config").exit_code == 0


def test_a_missing_file_is_status_2_with_the_remedy() -> None:
    done = earshot("check-config", "nowhere.yaml")
    assert done.exit_code == 2
    assert "nowhere.yaml: No such file or directory; `earshot check-config --print-default`" in done.stderr


def test_the_printed_default_is_a_right_configuration(nowhere: Path) -> None:
    printed = earshot("check-config", "--print-default").output
    (nowhere / "config.yaml").write_text(printed)
    assert earshot("check-config").exit_code == 0
    assert load_config(nowhere / "config.yaml", {}) == GatewayConfig()


def test_the_printed_schema_is_the_committed_one() -> None:
    assert earshot("check-config", "--schema").output == docs.json_schema()


# -- run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["--orchestrator", "my-house"], "expected auto, builtin, module:name or nothing, got 'my-house'"),
    ],
)
def test_run_refuses_a_wrong_configuration(arguments: list[str], words: str) -> None:
    done = earshot("run", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without a home")
def test_without_a_home_it_says_what_to_name() -> None:
    code = """
import importlib, os
from click.testing import CliRunner
import gateway.app
from gateway.commands.cli import main
for name in ("run", "dlq", "token"):
    importlib.import_module(f"gateway.commands.{name}")
for name in ("HOME", "XDG_STATE_HOME"):
    os.environ.pop(name, None)
os.environ["EARSHOT_WEB__ENABLED"] = "false"
CliRunner().invoke(main, ["dlq", "--journal", "/nowhere", "list"])
os.setuid(4242)
for arguments in (["dlq", "list"], ["token", "list"], ["run"]):
    main(arguments, prog_name="earshot", standalone_mode=False) if arguments == ["run"] else print(
        CliRunner().invoke(main, arguments).output)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        done.stdout.count("this user has no home folder ($HOME) to keep the journal in; say journal.path")
        == 2
    )
    assert "say journal.path" in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


async def test_run_on_a_terminal_says_where_to_look_and_a_line_for_an_utterance(tmp_path: Path) -> None:
    main_end, terminal = os.openpty()
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"web": {"port": free_port()}, "transcription": {"engine": "off"},
        "journal": {"enabled": False}, "devices": {"mqtt": {"url": ""}, "serial": {"ports": []}}}))  # fmt: skip
    process = await asyncio.create_subprocess_exec(*EARSHOT, "run", "--config", str(config), stderr=terminal)
    os.close(terminal)
    shown = b""
    async with asyncio.timeout(PATIENCE):
        while b"Ctrl-C ends it" not in shown:
            shown += await asyncio.to_thread(os.read, main_end, 4096)
        process.send_signal(signal.SIGINT)
        await process.wait()
    os.close(main_end)
    assert b"Earshot is listening: open http://127.0.0.1:" in shown


# -- simulate


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pty", "x", "--mqtt", "mqtt://127.0.0.1"], "exactly one of"),
        (["--mqtt", "http://127.0.0.1"], "is not mqtt[s]://"),
        (["--pty", "x", "--wav", "nowhere.wav"], "nowhere.wav"),
        (["--pty", "x", "--drop", "1.5"], "0<=x<=1"),
        (["--pty", "x", "--speed", "0"], "x>0"),
        (["--pty", "x", "--ring", "-1"], "0<=x<=65535"),
        (["--pty", "x", "--codec", "mp3"], "'pcm16', 'adpcm'"),
        (["--pty", "x", "--key", "secret"], "expected hexadecimal digits"),
    ],
)
def test_simulate_refuses_what_makes_no_sense(arguments: list[str], words: str) -> None:
    done = earshot("simulate", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (WireChanged("d", 0.0, up=True), "wire up, waits for a gateway"),
        (WireMissing("d", 0.0, "refused", ""), "no wire: refused"),
        (WireMissing("d", 0.0, "no such port", "plug it in"), "no wire: no such port (plug it in)"),
        (WireChanged("d", 0.0, up=False), "wire down"),
        (Linked("d", 0.0), "welcomed by the gateway"),
        (StreamBegan("d", 0.0, 3), "speaking (stream 3)"),
        (SpeechEnded("d", 0.0, 3, 1.25), "spoke for 1.2 s"),
        (StatusShown("d", 0.0, 3, DeviceStatus.LISTENING), "status: listening"),
        (PartialShown("d", 0.0, 3, "turn on", "turn"), "hears: turn [on] ..."),
        (TranscriptShown("d", 0.0, 3, "c_1", "turn on"), 'heard: "turn on"  c_1'),
        (ReplyShown("d", 0.0, 3, "c_1", "OK", final=True, fallback=False, error=False), 'reply: "OK"  c_1'),
        (
            ReplyShown("d", 0.0, 3, "c_1", "O", final=False, fallback=False, error=False),
            'reply: "O" ...  c_1',
        ),
        (
            ReplyShown("d", 0.0, 3, "c_1", "?", final=True, fallback=True, error=False),
            'fallback reply: "?"  c_1',
        ),
        (ReplyShown("d", 0.0, 3, "c_1", "no", final=True, fallback=False, error=True), 'error: "no"  c_1'),
    ],
)
def test_reports_in_words(report: object, said: str) -> None:
    assert words(report) == said  # type: ignore[arg-type]


def test_every_fault_has_words() -> None:
    for code in FaultCode:
        assert words(FaultShown("d", 0.0, code, "why")) == f"refused: {code.name.lower()} why"


def test_what_the_page_tells_people_to_type_speaks_to_this_machines_gateway(nowhere: Path) -> None:
    port = free_port()
    (nowhere / "config.yaml").write_text(f"web: {{port: {port}, require_token: true}}")
    with subprocess.Popen([*EARSHOT, "simulate"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert f"no gateway answers at ws://127.0.0.1:{port}/device" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 1, "nothing was said"


async def simulated(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*EARSHOT, "simulate", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=PATIENCE
    )


async def test_who_is_not_let_in_by_the_broker_is_told_and_does_not_wait(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path, password_options(tmp_path, "kitchen", "s3cret"))
    broker.start()
    try:
        done = await simulated("--mqtt", broker.url, "--loop")
    finally:
        broker.stop()
    assert done.returncode == 1
    assert "refused the connection: Not authorized\nremedy: correct the user" in done.stderr


async def test_who_is_not_let_in_by_the_gateway_is_told_and_does_not_wait(tmp_path: Path) -> None:
    hub = Hub(WebSettings(port=0, require_token=True))
    async with web_server(hub, Health(hub.publish), folder=tmp_path) as server:
        done = await simulated("--ws", server.url)
    assert done.returncode == 1
    assert "/device answers 401" in done.stderr
    assert "earshot token create --role device" in done.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_simulate_plugs_in_a_board_that_greets_its_gateway(tmp_path: Path, end: signal.Signals) -> None:
    port = tmp_path / "esp32"
    process = await asyncio.create_subprocess_exec(
        *EARSHOT,
        "simulate",
        "--pty",
        str(port),
        "--id",
        "kitchen",
        "--loop",
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"kitchen          wire up, waits for a gateway\n"
        with port.open("rb", buffering=0) as wire:
            decoder = SerialDecoder()
            frames: list[object] = []
            while not any(isinstance(frame, Hello) for frame in frames):
                frames += decoder.feed(await asyncio.to_thread(wire.read, 512))
        process.send_signal(end)
        await process.communicate()
    assert process.returncode == 0
    assert not port.exists(), "unplugged"


async def test_simulate_ends_without_a_traceback_when_nobody_reads_on(tmp_path: Path) -> None:
    words = ("simulate", "--pty", str(tmp_path / "esp32"))
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(*EARSHOT, *words, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    async with asyncio.timeout(PATIENCE):
        _, stderr = await process.communicate()
    assert stderr == b""


# -- listen


def test_listen_without_a_gateway_is_status_1_with_the_remedy() -> None:
    done = earshot("listen", "--url", "ws://127.0.0.1:9/ws")
    assert done.exit_code == 1
    assert "no gateway answers at ws://127.0.0.1:9/ws: Connection refused\n" in done.stderr
    assert "`earshot run`" in done.stderr
    assert "Traceback" not in done.output


def test_listen_to_what_is_no_address_is_status_2() -> None:
    done = earshot("listen", "--url", "kitchen")
    assert done.exit_code == 2
    assert "--url: 'kitchen' is not an address like http://127.0.0.1:8080/" in done.stderr


@pytest.mark.parametrize(
    ("web", "url"),
    [
        ("{port: 9}", "ws://127.0.0.1:9/ws"),
        ("{port: 9, host: '::1'}", "ws://[::1]:9/ws"),
        ("{port: 9, host: 0.0.0.0}", "ws://127.0.0.1:9/ws"),
        ("{port: 9, tls: {self_signed: true}}", "wss://127.0.0.1:9/ws"),
    ],
)
def test_listen_hears_the_gateway_of_the_configuration_here(nowhere: Path, web: str, url: str) -> None:
    (nowhere / "config.yaml").write_text(f"web: {web}")
    done = earshot("listen")
    assert done.exit_code == 1
    assert f"no gateway answers at {url}: " in done.stderr
    elsewhere = nowhere / "elsewhere.yaml"
    elsewhere.write_text("web: {port: 7}")
    assert "ws://127.0.0.1:7/ws" in earshot("listen", "--config", str(elsewhere)).stderr


@pytest.mark.parametrize("web", ["{enabled: false}", "{port: 0}"])
def test_listen_to_a_gateway_without_a_known_page(nowhere: Path, web: str) -> None:
    (nowhere / "config.yaml").write_text(f"web: {web}")
    done = earshot("listen")
    assert (done.exit_code, "remedy: say --url" in done.stderr) == (1, True)


@pytest.mark.parametrize("command", ["listen", "simulate"])
async def test_a_terminal_that_knows_no_utf_8_is_no_traceback(command: str) -> None:
    hub = Hub(WebSettings(port=0))
    async with web_server(hub, Health(hub.publish)) as server:
        hub.publish(transcription("Grüße, 世界"))
        options = {"listen": ("--url", server.url), "simulate": ("--mqtt", "mqtt://世.invalid")}
        process = await asyncio.create_subprocess_exec(
            *EARSHOT, command, *options[command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": "iso-8859-1"},
        )  # fmt: skip
        assert process.stdout
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = await process.communicate()
    shown = {"listen": "Grüße, \\u4e16\\u754c", "simulate": "mqtt://\\u4e16.invalid"}[command]
    assert shown.encode("iso-8859-1") in line, errors
    assert b"Traceback" not in errors


async def _listening(*arguments: str, until: bytes) -> tuple[list[str], int]:
    """What `earshot listen` prints of two events, up to a line with ``until``; and its exit status after Ctrl-C."""
    settings = WebSettings(port=0)
    hub = Hub(settings)
    health = Health(hub.publish)
    health.set("recognizer", HealthState.HEALTHY)
    async with web_server(hub, health) as server:
        url = server.url.replace("http", "ws") + "ws"
        process = await asyncio.create_subprocess_exec(
            *EARSHOT, "listen", "--url", url, *arguments, stdout=subprocess.PIPE
        )
        assert process.stdout
        lines = []
        async with asyncio.timeout(PATIENCE):
            lines.append(await process.stdout.readline())  # the snapshot: it is connected
            hub.publish(transcription("turn on\x1b[2J the light"))
            hub.publish(reply("The light is on."))
            while until not in lines[-1]:
                lines.append(await process.stdout.readline())
            process.send_signal(signal.SIGINT)
            status = await process.wait()
        return [line.decode().rstrip("\n") for line in lines], status


async def test_listen_shows_what_is_heard_and_answered() -> None:
    lines, status = await _listening(until=b"The light is on.")
    assert status == 0
    assert len(lines) == 3
    assert "recognizer" in lines[0]
    assert r'"turn on\x1b[2J the light" 410 ms after the end of speech  c_correlation_1' in lines[1]
    assert '"The light is on." 50 ms after the text  c_correlation_1' in lines[2]


async def test_listen_as_json_prints_the_events_themselves() -> None:
    lines, status = await _listening("--json", until=b"The light is on.")
    assert status == 0
    assert [json.loads(line)["type"] for line in lines] == ["snapshot", "transcription", "reply"]
    assert [decode_event(line).seq for line in lines] == sorted(decode_event(line).seq for line in lines)


async def test_listen_to_one_kind_only() -> None:
    lines, _ = await _listening("--json", "--kind", "reply", until=b"The light is on.")
    assert [json.loads(line)["type"] for line in lines] == ["snapshot", "reply"]
