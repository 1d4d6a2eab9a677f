"""config.yaml and the environment as typed settings, and every way in which they can be wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import loading as config_module
from gateway.config.configuration import GatewayConfig
from gateway.config.loading import MAX_BYTES, ConfigError, load_config, locate, variable_name
from gateway.config.outline import settings

SETTINGS = settings(GatewayConfig)


def load(file: Path, text: str | bytes, environ: dict[str, str] | None = None) -> GatewayConfig:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_config(file, environ or {})


def problems(file: Path, text: str | bytes, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file, text, environ)
    return [str(problem).split("\n")[0].replace(f"{file}", "FILE") for problem in caught.value.problems]


# -- what is right


def test_without_a_file_the_defaults_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_module, "SYSTEM_CONFIG", tmp_path / "none.yaml")
    assert load_config(None, {"HOME": "/root", "PATH": "/bin"}) == GatewayConfig()


@pytest.mark.parametrize("text", ["", "# nothing\n", "web:\n  # port: 1\n", "\ufeffweb: {}\n", "---\n...\n"])
def test_an_empty_file_is_the_defaults(file: Path, text: str) -> None:
    assert load(file, text) == GatewayConfig()


def test_a_device_whose_hints_are_all_commented_out_has_none(file: Path) -> None:
    config = load(
        file, "transcription:\n  devices:\n    hall:\n      # language: de\n    attic: {language: en}\n"
    )
    assert config.transcription.devices["hall"].language is None
    assert config.transcription.devices["attic"].language == "en"


def test_a_file_changes_what_it_names(file: Path) -> None:
    config = load(
        file,
        "web: {port: 8081}\ntranscription:\n  engine: off\n  model: base\n  language: no\n"
        "devices:\n  users: {kitchen: ann, 12: bob}\n  serial: {ports: [/dev/ttyUSB0, '/dev/ttyACM*']}\n",
    )
    assert config.web.port == 8081
    assert (config.transcription.engine, config.transcription.language) == ("off", "no")
    assert config.devices.users == {"kitchen": "ann", "12": "bob"}
    assert config.devices.serial.ports == ("/dev/ttyUSB0", "/dev/ttyACM*")
    assert config.broker == GatewayConfig().broker


def test_the_environment_stands_above_the_file(file: Path) -> None:
    environ = {
        "EARSHOT_WEB__PORT": "9000",
        "EARSHOT_DEVICES__SERIAL__PORTS": '["/dev/ttyUSB0"]',
        "EARSHOT_DEVICES__USERS": "{kitchen: ann}",
        "EARSHOT_DEVICES__DEFAULT_USER": "123",
        "EARSHOT_DEVICES__MQTT__URL": "",
        "EARSHOT_ORCHESTRATOR__FALLBACK_TEXT": "Sorry: later # really",
        "EARSHOT_TRANSCRIPTION__OFFLINE": "true",
        "EARSHOT_TRANSCRIPTION__CONTEXT": "768",
        "EARSHOT_CONFIG": "/not/read/when/a/path/is/given",
    }
    config = load(file, "web: {port: 1, history_events: 5}\ndevices:\n", environ)
    assert (config.web.port, config.web.history_events) == (9000, 5)
    assert config.devices.serial.ports == ("/dev/ttyUSB0",)
    assert config.devices.users == {"kitchen": "ann"}
    assert config.devices.default_user == "123", "text is taken as it stands"
    assert config.devices.mqtt.url == ""
    assert config.orchestrator.fallback_text == "Sorry: later # really"
    assert config.transcription.offline is True
    assert config.transcription.context == 768


def test_other_programs_variables_are_left_alone(file: Path) -> None:
    kubernetes = {"EARSHOT_SERVICE_HOST": "10.0.0.1", "EARSHOT_PORT_8080_TCP": "tcp://10.0.0.1:8080"}
    assert load(file, "", kubernetes) == GatewayConfig()


@given(st.sampled_from(sorted(SETTINGS)))
def test_every_default_can_be_said_by_its_variable(path: tuple[str, ...]) -> None:
    default = SETTINGS[path].default
    text = default if isinstance(default, str) else json.dumps(default)
    assert load_config(Path(os.devnull), {variable_name(path): text}) == GatewayConfig()


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    system = tmp_path / "etc.yaml"
    monkeypatch.setattr(config_module, "SYSTEM_CONFIG", system)
    assert locate(None, {}) is None
    system.touch()
    assert locate(None, {}) == system
    Path("config.yaml").touch()
    assert locate(None, {}) == Path("config.yaml")
    assert locate(None, {"EARSHOT_CONFIG": "elsewhere.yaml"}) == Path("elsewhere.yaml")
    assert locate(Path("mine.yaml"), {"EARSHOT_CONFIG": "elsewhere.yaml"}) == Path("mine.yaml")


# -- what is wrong


def test_every_problem_is_reported_at_once_with_its_line(file: Path) -> None:
    text = "web:\n  prot: 80\n  port: 70000\nlog: {level: inof}\nbaudrate: 3\n"
    text += "devices:\n  serial:\n    ports: [ttyUSB0, 3]\n"
    assert problems(file, text, {"EARSHOT_LOG__FORMAT": "xml", "EARSHOT_WEB__PROT": "1"}) == [
        "$EARSHOT_WEB__PROT: unknown key; did you mean web.port?",
        "FILE:2: web.prot: unknown key; did you mean web.port?",
        "FILE:3: web.port: expected a whole number from 0 to 65535, got 70000",
        "FILE:4: log.level: expected one of debug, info, warning, error, got 'inof'; did you mean info?",
        "$EARSHOT_LOG__FORMAT: log.format: expected one of auto, text, json, got 'xml'",
        "FILE:5: baudrate: unknown key; did you mean devices.serial.baudrate?",
        "FILE:8: devices.serial.ports[1]: expected text, got 3; put it in quotes",
    ]


def test_a_problem_says_what_the_setting_is_for(file: Path) -> None:
    file.write_text("web: {port: x}")
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert str(caught.value).endswith("got 'x'\n    0 takes a free port (printed at start).")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("- a\n", "FILE:1: expected settings, got ['a']"),
        ("just words\n", "FILE:1: expected settings, got 'just words'"),
        ("web: 1\n", "FILE:1: web: expected settings (host, port, enabled, require_token,"),
        ("web:\n  port: 1\n  port: 2\n", "FILE:3: the key 'port' stands here twice (first on line 2)"),
        ("web:\n\tport: 1\n", "FILE:2: a tab; YAML is indented with spaces"),
        (b"web: {}\nlog: \xff\n", "FILE:2: not UTF-8: the byte 0xff"),
        ("web: {}\n".encode("utf-16"), "FILE:1: not UTF-8: the byte 0xff"),
        (b"\x00", "FILE:1: the character '\\x00' may not stand in YAML"),
        (b"#" * (MAX_BYTES + 1), f"FILE: larger than {MAX_BYTES} bytes"),
    ],
)
def test_hostile_files(file: Path, text: str | bytes, found: str) -> None:
    (problem,) = problems(file, text)
    assert problem.startswith(found)


def test_a_missing_file_names_the_remedy(file: Path) -> None:
    with pytest.raises(
        ConfigError, match="No such file or directory; `earshot check-config --print-default`"
    ):
        load_config(file, {})


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path, {})


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="no file"):
        load_config(Path("/dev/zero"), {})


@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_a_config_error(raw: bytes) -> None:
    reader, writer = os.pipe()
    os.write(writer, raw)
    os.close(writer)
    try:
        load_config(Path(f"/dev/fd/{reader}"), {})
    except ConfigError as error:
        found = [problem.message for problem in error.problems]
        assert found
        assert all(message.isprintable() for message in found)
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "EARSHOT_WEB__PORT",
            "x",
            "$EARSHOT_WEB__PORT: web.port: expected a whole number from 0 to 65535, got 'x'",
        ),
        (
            "EARSHOT_WEB__PORT",
            "",
            "$EARSHOT_WEB__PORT: web.port: expected a whole number from 0 to 65535, got nothing",
        ),
        ("EARSHOT_WEB__PORT", "[", "$EARSHOT_WEB__PORT: web.port: not YAML: "),
        ("EARSHOT_WEB__PORT__X", "1", "$EARSHOT_WEB__PORT__X: unknown key; did you mean web.port?"),
        ("EARSHOT_WEB_PORT", "1", "$EARSHOT_WEB_PORT: not a setting; did you mean EARSHOT_WEB__PORT?"),
        ("EARSHOT_FOO__BAR", "1", "$EARSHOT_FOO__BAR: unknown key"),
        ("EARSHOT___", "1", "$EARSHOT___: unknown key"),
        (
            "EARSHOT_DEVICES__SERIAL__PORTS",
            "/dev/ttyUSB0",
            "$EARSHOT_DEVICES__SERIAL__PORTS: devices.serial.ports: expected a list, each item text, got '/dev",
        ),
    ],
)
def test_wrong_variables(file: Path, name: str, value: str, message: str) -> None:
    (problem,) = problems(file, "", {name: value})
    assert problem.startswith(message)
