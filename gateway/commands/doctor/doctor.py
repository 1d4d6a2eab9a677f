"""What this machine has, what it lacks, and how to get it.

Each check looks at one area and returns findings; whatever is missing or broken, none raises.
"""

from __future__ import annotations

import http.client
import os
import platform
import re
import resource
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal

import structlog
from msgspec import Struct

from gateway.commands.doctor.brokers import brokers, devices_broker, home_assistants_broker
from gateway.commands.doctor.computing import computing
from gateway.commands.doctor.content import content
from gateway.commands.doctor.devices import serial_ports, sound
from gateway.commands.doctor.door import door
from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.commands.doctor.names import names as names_of_the_house
from gateway.commands.doctor.recognizers import recognizers
from gateway.commands.doctor.registry import registry
from gateway.commands.doctor.state import state
from gateway.commands.doctor.store import store
from gateway.commands.doctor.wake_words import wake_words
from gateway.commands.doctor.wyoming import is_free, wyoming
from gateway.config.configuration import GatewayConfig
from gateway.config.loading import ConfigError, load_config, locate
from gateway.config.places import journal_file, state_folder
from gateway.process.open_files import REMEDY, for_connections
from gateway.settings.web import WebSettings
from gateway.web.entrance.tls import wanted as tls_wanted
from transcription.errors import ModelUnavailable
from transcription.models.free_memory import has_room
from transcription.models.models import find_model
from transcription.models.suggestion import suggested_model
from transcription.settings import BUNDLED_MODEL

log = structlog.get_logger(__name__)

DISTRIBUTION = "earshot-gateway"
CONNECT_SECONDS = 2.0
LOW_MEMORY_MB = 400
LOW_DISK_MB = 1000
_MB = 1024 * 1024


class Report(Struct, frozen=True):
    """All findings. ``state`` is the worst of theirs."""

    state: Literal["ok", "warn", "fail"]
    findings: tuple[Finding, ...]


LOG_IN = "each device logs in there (earshot devices mqtt-password ID)"


def examine(path: Path | None, environ: Mapping[str, str] = os.environ) -> Report:
    """Look at everything, with the configuration that `earshot run` would use. Never raises."""
    config, findings = _configuration(path, environ)
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        machine,
        packages,
        lambda: serial_ports(config.devices.serial),
        lambda: sound(config.devices),
        lambda: model(config),
        lambda: computing(config.transcription),
        lambda: wake_words(config.devices.wake),
        lambda: mqtt(config),
        lambda: brokers(config),
        lambda: store(config.house),
        lambda: recognizers(config),
        lambda: content(config.content),
        lambda: names_of_the_house(config),
        lambda: web(config),
        lambda: wyoming(config.adapters.wyoming, lambda: config.web.enabled and _answers_livez(config.web)),
        lambda: open_files(config.web),
        lambda: door(config.web, state_folder(config, path, environ)),
        lambda: registry(config.devices, state_folder(config, path, environ)),
        lambda: state(journal_file(config, path, environ)),
        lambda: system(config),
    )
    names = (
        "machine",
        "packages",
        "serial",
        "sound",
        "model",
        "computing",
        "wake words",
        "mqtt",
        "broker",
        "shared store",
        "recognizers",
        "content",
        "names",
        "web",
        "wyoming",
        "open files",
        "door",
        "device registry",
        "state",
        "system",
    )
    for name, check in zip(names, checks, strict=True):
        findings += _findings(name, check)
    worst = max((finding.state for finding in findings), key=("ok", "warn", "fail").index)
    return Report(worst, tuple(findings))


def machine() -> Iterator[Finding]:
    """Processor, memory and disk."""
    yield ok("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield ok("processor", f"{len(os.sched_getaffinity(0))} cores for this process")
    found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"))
    if found is not None:
        available = int(found[1]) // 1024
        remedy = "end other programs, or take a smaller transcription.model"
        yield (ok if available >= LOW_MEMORY_MB else warn)(
            "memory", f"{available} MB available", "" if available >= LOW_MEMORY_MB else remedy
        )
    free = shutil.disk_usage(_home()).free // _MB
    low = free < LOW_DISK_MB
    yield (warn if low else ok)("disk", f"{free} MB free", "models and recordings need room" if low else "")


def open_files(web: WebSettings) -> Iterator[Finding]:
    """How many connections there is room for, if the gateway is started like this command."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    room = for_connections(web.limits.connections, hard)
    text = f"{hard} at once, {room} of them for connections"
    yield (
        ok("open files", text)
        if room >= min(web.max_listeners, web.limits.connections)
        else warn("open files", f"{text}; web.max_listeners is {web.max_listeners}", REMEDY)
    )


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user that nobody gave one
        return Path("/")


def packages() -> Iterator[Finding]:
    """Each package that Earshot needs or can use, with its version or how to get it."""
    pip = f"{sys.executable} -m pip install "
    for name, extras in _required().items():
        try:
            yield ok(f"package {name}", metadata.version(name))
        except metadata.PackageNotFoundError:
            if all(extras):
                wanted = f"{pip}'{DISTRIBUTION}[{','.join(extras)}]'"
                yield ok(f"package {name}", "optional, not installed", wanted)
            else:
                yield fail(f"package {name}", "not installed", f"{pip}{DISTRIBUTION}")


def _required() -> dict[str, dict[str, None]]:
    """The packages, once each (some are required differently by Python), with the extras that want them; "": all do."""
    found: dict[str, dict[str, None]] = {}
    for requirement in metadata.requires(DISTRIBUTION) or ():
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"""extra == ["'](\w+)["']""", requirement)
        if name and name[0] != DISTRIBUTION and not (extra and extra[1] == "dev"):
            found.setdefault(name[0], {})[extra[1] if extra else ""] = None
    return found


def model(config: GatewayConfig) -> Iterator[Finding]:
    """Whether the speech model is on this disk and fits into memory."""
    settings = config.transcription
    if config.recognizers.use == "only":
        yield ok("model", "none needed here: recognizers.use is only")
        return
    if settings.engine in {"off", "pocketsphinx"}:
        yield ok("model", f"none needed: transcription.engine is {settings.engine}")
        return
    try:
        folder = find_model(settings.model, settings.models_dir)
    except ModelUnavailable as error:
        yield fail("model", str(error), error.remedy)
        return
    fetch = f"earshot models fetch {settings.model}"
    if folder is None:
        missing = f"{settings.model} is not on this disk"
        if settings.offline:
            yield fail("model", missing, f"set transcription.offline: false, then {fetch}")
        else:
            yield warn("model", missing, f"it is fetched when the gateway starts; or now: {fetch}")
    elif not has_room(settings):
        remedy = "end other programs, or take a smaller model: earshot models bench shows what each one needs"
        yield warn("model", f"{settings.model} in {folder} is larger than the memory that is free", remedy)
    elif settings.model == BUNDLED_MODEL:
        real = suggested_model(settings.language)
        yield warn(
            "model",
            f"{settings.model} in {folder}: 178 English command words, for trying out",
            f"earshot models fetch {real}, and transcription.model: {real}; earshot models bench measures it here",
        )
    else:
        yield ok("model", f"{settings.model} in {folder}")


def mqtt(config: GatewayConfig) -> Iterator[Finding]:
    """The broker that devices connect to, and the one that Home Assistant is at."""
    if config.adapters.home_assistant.url:
        yield home_assistants_broker(config.adapters.home_assistant)
    settings = config.devices.mqtt
    if not settings.url:
        yield ok("mqtt", "switched off")
    elif settings.url != "embedded":
        yield devices_broker(settings)
    elif not _installed("amqtt"):
        remedy = f"{sys.executable} -m pip install '{DISTRIBUTION}[embedded]', or install mosquitto"
        yield fail("mqtt", "the embedded broker (amqtt) is not installed", remedy)
    elif is_free("127.0.0.1", settings.embedded_port):
        yield ok("mqtt", f"embedded, for trying out; port {settings.embedded_port} is free; {LOG_IN}")
    elif config.web.enabled and _answers_livez(config.web):
        yield ok("mqtt", f"embedded, in the running gateway, on port {settings.embedded_port}; {LOG_IN}")
    else:
        remedy = (
            "if it is a broker, set devices.mqtt.url to mqtt://127.0.0.1; else set devices.mqtt.embedded_port"
        )
        yield warn("mqtt", f"port {settings.embedded_port} is in use", remedy)


def web(config: GatewayConfig) -> Iterator[Finding]:
    """The page's address."""
    host, port = config.web.host, config.web.port
    if not config.web.enabled:
        yield ok("web", "switched off")
    elif is_free(host, port):
        yield ok("web", f"{host}:{port} is free")
    elif _answers_livez(config.web):
        yield ok("web", f"a gateway is running at {host}:{port}")
    else:
        yield warn("web", f"{host}:{port} is in use by another program", "set web.port to a free one")


def system(config: GatewayConfig) -> Iterator[Finding]:
    """Whether the gateway can be, and is, a service."""
    if not Path("/run/systemd/system").is_dir():
        yield ok("systemd", "this machine does not run systemd; start `earshot run` from your own supervisor")
    else:
        state = _output("systemctl", "is-active", "earshot.service").strip() or "unknown"
        installed = Path("/etc/systemd/system/earshot.service").exists()
        remedy = "" if installed else "earshot service install --dry-run shows how"
        yield ok(
            "systemd",
            f"earshot.service is {state}" if installed else "earshot.service is not installed",
            remedy,
        )
    mosquitto = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if mosquitto:
        yield ok("mosquitto", mosquitto)
    elif config.devices.mqtt.url == "embedded":
        yield ok(
            "mosquitto", "not installed; recommended for more than trying out", "sudo apt install mosquitto"
        )


def _configuration(path: Path | None, environ: Mapping[str, str]) -> tuple[GatewayConfig, list[Finding]]:
    try:
        config = load_config(path, environ)
    except ConfigError as error:
        problems = [fail("configuration", str(problem), "earshot check-config") for problem in error.problems]
        return GatewayConfig(), problems
    return config, [ok("configuration", str(locate(path, environ) or "the defaults"))]


def _findings(name: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check())
    except Exception as error:  # the error boundary of a check: what breaks it is itself a finding
        log.debug("a check failed", check=name, exc_info=True)
        found.append(warn(name, f"could not be checked: {type(error).__name__}: {error}"))
    return found


def _installed(distribution: str) -> bool:
    try:
        return bool(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return False


def _answers_livez(web: WebSettings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(web.host, web.host)  # noqa: S104 - every address is this one, too
    if tls_wanted(web):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is told to whoever it is
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, web.port, timeout=CONNECT_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, web.port, timeout=CONNECT_SECONDS)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)  # noqa: S603
    return done.stdout
