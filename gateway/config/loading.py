"""The gateway's configuration: config.yaml and the environment, as typed settings.

A wrong configuration is reported whole: every mistake with the key's path, its line or variable,
what was found, what may stand there, and the near miss.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from firmware_bridge.named_files import read_named
from firmware_bridge.settings import DeviceSettings
from gateway.access.belonging import foreign
from gateway.broker import BrokerError, check_broker_url
from gateway.config import outline, strict_yaml
from gateway.config.outline import Mistake, Setting, dotted, shown
from gateway.contract.escaping import one_line
from gateway.contract.surrogates import LoneSurrogate, joined
from gateway.settings import (
    BrokerSettings,
    HistorySettings,
    JournalSettings,
    LogSettings,
    OrchestratorSettings,
    PrivacySettings,
    SessionSettings,
    ShutdownSettings,
    WebSettings,
)
from transcription.settings import BUNDLED_MODEL, TranscriptionSettings

MAX_BYTES = 1024 * 1024
"""A configuration file is not larger."""

PREFIX = "EARSHOT_"
CONFIG_VARIABLE = "EARSHOT_CONFIG"
LOCAL_CONFIG = Path("config.yaml")
SYSTEM_CONFIG = Path("/etc/earshot/config.yaml")


class GatewayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that config.yaml can say."""

    devices: DeviceSettings = DeviceSettings()
    transcription: TranscriptionSettings = TranscriptionSettings()
    broker: BrokerSettings = BrokerSettings()
    orchestrator: OrchestratorSettings = OrchestratorSettings()
    sessions: SessionSettings = SessionSettings()
    journal: JournalSettings = JournalSettings()
    history: HistorySettings = HistorySettings()
    privacy: PrivacySettings = PrivacySettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()
    shutdown: ShutdownSettings = ShutdownSettings()


class Problem(Struct, frozen=True):
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

    def __init__(self, problems: list[Problem]) -> None:
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
        raise ConfigError([Problem(str(file), "", f"not taken, for it {reason}", f"remedy: {remedy}")])


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
    document = _parsed(file, _read(file)) if file is not None else strict_yaml.Document(None, {})
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        raise ConfigError([Problem(f"{file}:1", "", f"expected settings, got {shown(data)}")])
    overrides, problems = _overrides(environ)
    for override in overrides:
        _put(data, override.setting.path, override.value)
    config, mistakes = fit(data)
    variables: dict[outline.Path, str] = {one.setting.path: one.variable for one in overrides}
    problems += [_problem(mistake, file, document.lines, variables) for mistake in mistakes]
    if problems:
        raise ConfigError(problems)
    return config


def fit(data: Any) -> tuple[GatewayConfig, list[Mistake]]:
    """Settings as plain data as a configuration, and everything that is wrong with them (it is left out)."""
    fitting, mistakes = outline.check(GatewayConfig, data)
    config = msgspec.convert(fitting, GatewayConfig)
    wrong = {mistake.path for mistake in mistakes}
    contradictions = _contradictions(config)
    mistakes += [Mistake(paths[0], message) for paths, message in contradictions if wrong.isdisjoint(paths)]
    return config, mistakes


def read_file(file: Path) -> tuple[str, strict_yaml.Document]:
    """A configuration file as it stands, and what it says. Raises ConfigError."""
    raw = _read(file)
    return raw.decode("utf-8-sig"), _parsed(file, raw)


def variable_name(path: tuple[str, ...]) -> str:
    """The environment variable that overrides a setting."""
    return PREFIX + "__".join(path).upper()


class _Override(NamedTuple):
    variable: str
    setting: Setting
    value: Any


def _read(file: Path) -> bytes:
    try:
        return read_named(file, MAX_BYTES)
    except OSError as error:
        remedy = "; `earshot check-config --print-default` prints one" if not file.exists() else ""
        raise ConfigError([Problem(one_line(str(file)), "", f"{error.strerror}{remedy}")]) from error


def _parsed(file: Path, raw: bytes) -> strict_yaml.Document:
    try:
        return strict_yaml.parse(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: the byte 0x{raw[error.start]:02x}"
        raise ConfigError([Problem(f"{file}:{line}", "", message)]) from error
    except strict_yaml.YamlProblem as error:
        raise ConfigError([Problem(f"{file}:{error.line}", "", str(error))]) from error


def _overrides(environ: Mapping[str, str]) -> tuple[list[_Override], list[Problem]]:
    """Settings from the environment. Text is taken as it stands, everything else is YAML."""
    known = {variable_name(path): one for path, one in outline.settings(GatewayConfig).items()}
    squeezed = {name.replace("__", "_"): name for name in known}
    overrides: list[_Override] = []
    problems: list[Problem] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
            continue
        if name in known:
            try:
                overrides.append(_Override(name, known[name], _value(known[name], environ[name])))
            except (strict_yaml.YamlProblem, LoneSurrogate) as error:
                problems.append(Problem(f"${name}", dotted(known[name].path), str(error)))
        elif name in squeezed:
            problems.append(Problem(f"${name}", "", f"not a setting; did you mean {squeezed[name]}?"))
        elif "__" in name:  # others, such as those that Kubernetes sets for a service, are not ours
            path = tuple(name.removeprefix(PREFIX).lower().split("__"))
            problems.append(Problem(f"${name}", "", outline.unknown_key(GatewayConfig, path)))
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


def _problem(
    mistake: Mistake,
    file: Path | None,
    lines: Mapping[outline.Path, int],
    variables: Mapping[outline.Path, str],
) -> Problem:
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
    return Problem(one_line(origin), dotted(mistake.path), mistake.message, mistake.description)


_Contradiction: TypeAlias = tuple[tuple[outline.Path, ...], str]
"""The paths involved, the one to blame first, and the message."""

_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")
_ORIGIN = re.compile(rf"https?://{_HOST.pattern}")
_APP = re.compile(r"(auto|builtin|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*|)")


def _contradictions(config: GatewayConfig) -> Iterator[_Contradiction]:
    """What the types of single settings cannot say."""
    serial, mqtt = config.devices.serial, config.devices.mqtt
    for i, pattern in enumerate(serial.ports):
        if not pattern.startswith("/"):
            message = f"expected an absolute path or pattern such as /dev/ttyUSB*, got {shown(pattern)}"
            yield (("devices", "serial", "ports", i),), message
    if mqtt.url not in ("", "embedded") and not _is_mqtt_url(mqtt.url):
        message = (
            f"expected mqtt[s]://[user:password@]host[:port], 'embedded' or nothing, got {shown(mqtt.url)}"
        )
        yield (("devices", "mqtt", "url"),), message
    try:
        check_broker_url(config.broker.url)
    except BrokerError as error:
        yield (("broker", "url"),), f"{error}, got {shown(config.broker.url)}"
    if not _APP.fullmatch(config.orchestrator.app):
        message = f"expected auto, builtin, module:name or nothing, got {shown(config.orchestrator.app)}"
        yield (("orchestrator", "app"),), message
    yield from _places(config)
    yield from _credentials_for_nothing(config)
    yield from _web(config.web)
    yield from _port_clash(config)
    yield from _model_language(config.transcription)


def _places(config: GatewayConfig) -> Iterator[_Contradiction]:
    journal, models = config.journal, config.transcription
    if PurePath(journal.path).name == ":memory:" or journal.path.startswith("file:"):
        message = "expected a file's path; `journal.enabled: false` keeps nothing"
        yield (("journal", "path"),), f"{message}, got {shown(journal.path)}"
    places = {
        ("journal", "path"): journal.path,
        ("transcription", "model"): models.model,
        ("transcription", "models_dir"): models.models_dir,
        ("web", "secret_file"): config.web.secret_file,
    }
    for path, place in places.items():
        if not _has_home(place):
            yield (path,), f"there is no such home folder ($HOME): name it in full, got {shown(place)}"


def _has_home(place: str) -> bool:
    try:
        Path(place).expanduser()
    except RuntimeError:  # nobody of that name, or nobody gave this user one
        return False
    return True


def _credentials_for_nothing(config: GatewayConfig) -> Iterator[_Contradiction]:
    mqtt = config.devices.mqtt
    for name in ("ca_file", "cert_file", "key_file"):
        if getattr(mqtt, name) and not mqtt.url.startswith("mqtts:"):
            yield (("devices", "mqtt", name), ("devices", "mqtt", "url")), "certificates need an mqtts:// url"
    if mqtt.key_file and not mqtt.cert_file:
        yield (("devices", "mqtt", "key_file"),), "a key is of no use without devices.mqtt.cert_file"
    if mqtt.password_file and "@" not in mqtt.url:
        message = "whose password? name the user in the url: mqtts://user@host"
        yield (("devices", "mqtt", "password_file"), ("devices", "mqtt", "url")), message


def _web(web: WebSettings) -> Iterator[_Contradiction]:
    if not web.host:
        yield (("web", "host"),), "expected an address; 0.0.0.0 is every one of this machine"
    for i, host in enumerate(web.hosts):
        if not _HOST.fullmatch(host):
            yield (("web", "hosts", i),), f"expected name or name:port, got {shown(host)}"
    for i, origin in enumerate(web.origins):
        if not _ORIGIN.fullmatch(origin):
            message = (
                f"expected http[s]://name[:port] as browsers write it, in small letters, got {shown(origin)}"
            )
            yield (("web", "origins", i),), message
    for i, proxy in enumerate(web.trusted_proxies):
        if mistake := _no_proxy(proxy):
            yield (("web", "trusted_proxies", i),), f"{mistake}, got {shown(proxy)}"
    if web.tls.key_file and not web.tls.cert_file:
        yield (("web", "tls", "key_file"),), "a key is of no use without web.tls.cert_file"
    if web.tls.self_signed and web.tls.cert_file:
        yield (
            (("web", "tls", "self_signed"), ("web", "tls", "cert_file")),
            "there is a certificate in web.tls.cert_file",
        )


def _no_proxy(text: str) -> str:
    """Why no proxy can be trusted by that; empty: it can."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        return "expected an address or a network, such as 127.0.0.1 or 10.0.0.0/24"
    return "" if network.prefixlen else "expected proxies, not everybody, who could then claim any address"


def _port_clash(config: GatewayConfig) -> Iterator[_Contradiction]:
    web, mqtt = config.web, config.devices.mqtt
    if web.enabled and mqtt.url == "embedded" and web.port and web.port == mqtt.embedded_port:
        paths = (("web", "port"), ("devices", "mqtt", "embedded_port"))
        yield paths, f"devices.mqtt.embedded_port is {web.port} too; each needs a port of its own"


def _model_language(settings: TranscriptionSettings) -> Iterator[_Contradiction]:
    if settings.model != BUNDLED_MODEL and not settings.model.endswith(".en"):
        return
    spoken: dict[outline.Path, str | None] = {("transcription", "language"): settings.language}
    for device_id, hints in settings.devices.items():
        spoken["transcription", "devices", device_id, "language"] = hints.language
    for path, language in spoken.items():
        if language not in {"en", "auto", None}:
            message = (
                f"the model {shown(settings.model)} knows English only, got {shown(language)}; "
                "take a model without .en (base, small, ...)"
            )
            yield (path, ("transcription", "model")), message


def _is_mqtt_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port  # raises, too, when it is none
    except ValueError:
        return False
    rest = parts.path.strip("/") + parts.query + parts.fragment
    return parts.scheme in ("mqtt", "mqtts") and bool(parts.hostname) and port != 0 and not rest
