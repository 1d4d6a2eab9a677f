"""The gateway's configuration: config.yaml and the environment, as typed settings.

A wrong configuration is reported whole: every mistake with the key's path, its line or variable,
what was found, what may stand there, and the near miss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from firmware_bridge.named_files import read_named
from gateway.access.belonging import foreign
from gateway.config import outline, strict_yaml
from gateway.config.checks import fit
from gateway.config.configuration import GatewayConfig
from gateway.config.outline import Mistake, Setting, dotted, shown
from gateway.contract.escaping import one_line
from gateway.contract.surrogates import LoneSurrogate, joined

MAX_BYTES = 1024 * 1024
"""A configuration file is not larger."""

PREFIX = "EARSHOT_"
CONFIG_VARIABLE = "EARSHOT_CONFIG"
_NO_CONFIGURATION = "`earshot check-config --print-default` prints one"
LOCAL_CONFIG = Path("config.yaml")
SYSTEM_CONFIG = Path("/etc/earshot/config.yaml")


class ConfigProblem(Struct, frozen=True):
    """One mistake. ``origin`` is ``config.yaml:12`` or ``$EARSHOT_WEB__PORT``; ``path`` may be empty."""

    origin: str
    path: str
    message: str
    description: str = ""

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.origin, self.path) if part)
        return f"{place}: {self.message}" + (f"\n    {self.description}" if self.description else "")


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` has every reason."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def locate(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file that is used: ``path``, $EARSHOT_CONFIG, ./config.yaml, /etc/earshot/config.yaml, or none.

    Raises ConfigError for a ./config.yaml that may be somebody else's: it is neither taken nor passed over.
    """
    if path is not None:
        return path
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    if _is_there(LOCAL_CONFIG):
        _refuse_foreign(LOCAL_CONFIG)
        return LOCAL_CONFIG
    return SYSTEM_CONFIG if _is_there(SYSTEM_CONFIG) else None


def _refuse_foreign(file: Path) -> None:
    try:
        reason = foreign(file)
    except OSError as error:
        reason = f"cannot be looked at: {error.strerror}"
    if reason:
        remedy = f"if you trust it, name it: --config {file}; else call this from a folder of your own"
        raise ConfigError([ConfigProblem(str(file), "", f"not taken, for it {reason}", f"remedy: {remedy}")])


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except PermissionError:  # in a folder that this user may not even look into
        return False


def load_config(path: Path | None, environ: Mapping[str, str]) -> GatewayConfig:
    """The configuration from the located file, the environment above it, and the defaults below.

    Raises ConfigError.
    """
    file = locate(path, environ)
    document = (
        _parsed(file, _read(file, _NO_CONFIGURATION)) if file is not None else strict_yaml.Document(None, {})
    )
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        raise ConfigError([ConfigProblem(f"{file}:1", "", f"expected settings, got {shown(data)}")])
    overrides, problems = _overrides(environ)
    for override in overrides:
        _put(data, override.setting.path, override.value)
    config, mistakes = fit(data)
    variables: dict[outline.Path, str] = {one.setting.path: one.variable for one in overrides}
    problems += [as_problem(mistake, file, document.lines, variables) for mistake in mistakes]
    if problems:
        raise ConfigError(problems)
    return config


def read_file(file: Path, missing: str = "") -> tuple[str, strict_yaml.Document]:
    """A YAML file as it stands, and what it says; ``missing``: what helps without it. Raises ConfigError."""
    raw = _read(file, missing)
    document = _parsed(file, raw)
    return raw.decode("utf-8-sig"), document


def variable_name(path: tuple[str, ...]) -> str:
    """The environment variable that overrides a setting."""
    return PREFIX + "__".join(path).upper()


class _Override(NamedTuple):
    variable: str
    setting: Setting
    value: Any


def _read(file: Path, missing: str) -> bytes:
    try:
        return read_named(file, MAX_BYTES)
    except OSError as error:
        remedy = f"; {missing}" if missing and not file.exists() else ""
        raise ConfigError([ConfigProblem(one_line(str(file)), "", f"{error.strerror}{remedy}")]) from error


def _parsed(file: Path, raw: bytes) -> strict_yaml.Document:
    try:
        return strict_yaml.parse(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: the byte 0x{raw[error.start]:02x}"
        raise ConfigError([ConfigProblem(f"{file}:{line}", "", message)]) from error
    except strict_yaml.YamlProblem as error:
        raise ConfigError([ConfigProblem(f"{file}:{error.line}", "", str(error))]) from error


def _overrides(environ: Mapping[str, str]) -> tuple[list[_Override], list[ConfigProblem]]:
    """Settings from the environment. Text is taken as it stands, everything else is YAML."""
    known = {variable_name(path): one for path, one in outline.settings(GatewayConfig).items()}
    squeezed = {name.replace("__", "_"): name for name in known}
    overrides: list[_Override] = []
    problems: list[ConfigProblem] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        if name in known:
            try:
                overrides.append(_Override(name, known[name], _value(known[name], environ[name])))
            except (strict_yaml.YamlProblem, LoneSurrogate) as error:
                problems.append(ConfigProblem(f"${name}", dotted(known[name].path), str(error)))
        elif name in squeezed:
            problems.append(ConfigProblem(f"${name}", "", f"not a setting; did you mean {squeezed[name]}?"))
        elif "__" in name:  # others, such as those that Kubernetes sets for a service, are not ours
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            problems.append(ConfigProblem(f"${name}", "", outline.unknown_key(GatewayConfig, path)))
    return overrides, problems


def _value(setting: Setting, text: str) -> Any:
    return joined(text) if outline.is_text(setting.annotation) else strict_yaml.parse(text).data


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        if data.get(key) is None:
            data[key] = {}
        if not isinstance(data[key], dict):
            return  # the file has something else there, which is reported
        data = data[key]
    data[path[-1]] = value


def as_problem(
    mistake: Mistake,
    file: Path | None,
    lines: Mapping[outline.Path, int],
    variables: Mapping[outline.Path, str],
) -> ConfigProblem:
    """A mistake, with the line of the file or the variable in which it was made."""
    origin = str(file)
    for length in range(
        len(mistake.path), 0, -1
    ):  # an item of a list stands where the list stands, or nearer
        path = mistake.path[:length]
        if path in variables:
            origin = f"${variables[path]}"
            break
        if path in lines:
            origin = f"{file}:{lines[path]}"
            break
    return ConfigProblem(one_line(origin), dotted(mistake.path), mistake.message, mistake.description)
