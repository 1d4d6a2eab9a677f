"""Which files the configuration may name when it is told over the network: those in the gateway's own folders.

Whoever has the machine writes what they like into config.yaml. Over the API a setting that names a file would be a
way to have any file read, and its first line sent to a broker, or opened as a journal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from gateway.config.configuration import GatewayConfig
from gateway.config.loading import SYSTEM_CONFIG
from gateway.config.outline import Mistake, shown
from gateway.settings.orchestrator import AgentSettings

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"

_DEVICES = Path("/dev")
_MODEL = ("transcription", "model")
_PORTS = ("devices", "serial", "ports")

FILES: Mapping[tuple[str, ...], frozenset[str]] = {
    ("adapters", "home_assistant", "password_file"): frozenset(),
    ("adapters", "home_assistant", "ca_file"): frozenset({"web.crt"}),
    ("adapters", "home_assistant", "cert_file"): frozenset(),
    ("adapters", "home_assistant", "key_file"): frozenset(),
    ("alerts", "mqtt_ca_file"): frozenset({"web.crt"}),
    ("alerts", "mqtt_password_file"): frozenset(),
    ("alerts", "webhook_ca_file"): frozenset({"web.crt"}),
    ("alerts", "webhook_secret_file"): frozenset(),
    ("broker", "password_file"): frozenset(),
    ("broker", "tls", "ca_file"): frozenset({"web.crt"}),
    ("broker", "tls", "cert_file"): frozenset(),
    ("broker", "tls", "key_file"): frozenset(),
    ("devices", "mqtt", "password_file"): frozenset(),
    ("devices", "mqtt", "ca_file"): frozenset({"web.crt"}),
    ("devices", "mqtt", "cert_file"): frozenset(),
    ("devices", "mqtt", "key_file"): frozenset(),
    ("house", "store_password_file"): frozenset(),
    ("house", "store_ca_file"): frozenset({"web.crt"}),
    ("house", "store_cert_file"): frozenset(),
    ("house", "store_key_file"): frozenset(),
    ("journal", "path"): frozenset({"journal.db"}),
    ("tracing", "authorization_file"): frozenset(),
    ("tracing", "ca_file"): frozenset({"web.crt"}),
    _MODEL: frozenset(),
    ("transcription", "models_dir"): frozenset(),
    ("names", "home_assistant", "ca_file"): frozenset({"web.crt"}),
    ("names", "home_assistant", "token_file"): frozenset(),
    ("names", "mqtt", "ca_file"): frozenset({"web.crt"}),
    ("names", "mqtt", "cert_file"): frozenset(),
    ("names", "mqtt", "key_file"): frozenset(),
    ("names", "mqtt", "password_file"): frozenset(),
    _PORTS: frozenset(),
    ("web", "secret_file"): frozenset({"token.key"}),
    ("web", "tls", "cert_file"): frozenset({"web.crt"}),
    ("web", "tls", "key_file"): frozenset({"web.key"}),
}
"""The settings that name files or folders, and which of the gateway's own files each may name."""

AGENT_FILES = (
    ("token_file",),
    ("ca_file",),
    ("commands", "file"),
    ("commands", "mqtt", "password_file"),
    ("commands", "mqtt", "ca_file"),
    ("commands", "mqtt", "cert_file"),
    ("commands", "mqtt", "key_file"),
    ("webhook", "secret_file"),
)
"""The same of an agent, behind its name."""
COMMANDS_THAT_COME_ALONG = "demo"
_OF_COMMANDS = (".yaml", ".yml")
"""A password's file has another name, and what is wrong with commands is told with their words."""

_CODE = (("content", "hook"), ("orchestrator", "app"))
_AGENTS_CODE = (("app",), ("langgraph", "graph"))
_SERVERS = ("openai", "tools", "servers")
_NO_AGENT = AgentSettings()
_OWN = (
    "alerts.json",
    "audit.log",
    "clock.json",
    "devices.json",
    "environment",
    "features.json",
    "journal.db",
    "mqtt.secret",
    "pages.json",
    "store.json",
    "token.key",
    "tokens.json",
    "web.crt",
    "web.key",
)
"""What the names of files begin with that hold the gateway's own secrets, or words."""


def misplaced(
    running: GatewayConfig, wanted: GatewayConfig, state: Path | None, config_file: Path | None
) -> Iterator[Mistake]:
    """Each setting that is new in ``wanted`` and names a file that it may not. Reads links."""
    folders = list(_folders(state, config_file))
    models = running.transcription.models_dir
    for path, own in FILES.items():
        before, value = reduce(getattr, path, running), reduce(getattr, path, wanted)
        if value == before:
            continue
        here = [*folders, Path(models).expanduser()] if path == _MODEL and models else folders
        here = [_DEVICES] if path == _PORTS else here
        for name in _files(path, value, before):
            if not _may_name(name, here, own, config_file):
                yield Mistake(path, _told(name, here))
    yield from _programs(running, wanted)
    yield from _code(running, wanted)
    for path, name in _of_agents(running, wanted):
        if not _may_name(name, folders, frozenset(), config_file):
            yield Mistake(path, _told(name, folders))
        elif path[-2:] == ("commands", "file") and not name.endswith(_OF_COMMANDS):
            yield Mistake(path, f"over the network a file of commands ends with {' or '.join(_OF_COMMANDS)}")


def _of_agents(running: GatewayConfig, wanted: GatewayConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    known = running.orchestrator.agents
    for name, agent in wanted.orchestrator.agents.items():
        for path in AGENT_FILES:
            value = str(reduce(getattr, path, agent))
            if value in ("", COMMANDS_THAT_COME_ALONG) and path[0] == "commands":
                continue
            if value and (name not in known or str(reduce(getattr, path, known[name])) != value):
                yield ("orchestrator", "agents", name, *path), value
        before = known[name].openai.tools.servers if name in known else {}
        for server, one in agent.openai.tools.servers.items():
            for key in ("token_file", "ca_file"):
                value = getattr(one, key)
                if value and value != getattr(before.get(server), key, ""):
                    yield ("orchestrator", "agents", name, *_SERVERS, server, key), value


def _programs(running: GatewayConfig, wanted: GatewayConfig) -> Iterator[Mistake]:
    """Programs of this machine that an agent may run: nobody names another, or its words, over the network."""
    for name, agent in wanted.orchestrator.agents.items():
        known = running.orchestrator.agents.get(name, _NO_AGENT)
        for path in (*_commands_programs(known, agent), *_servers_programs(known, agent)):
            message = "over the network no program is named; write it into the configuration file"
            yield Mistake(("orchestrator", "agents", name, *path), message)


def _code(running: GatewayConfig, wanted: GatewayConfig) -> Iterator[Mistake]:
    """``module:name``: what it does when it is imported, or called, is a program as well."""
    for path in _CODE:
        yield from _new_code(path, reduce(getattr, path, running), reduce(getattr, path, wanted))
    for name, agent in wanted.orchestrator.agents.items():
        known = running.orchestrator.agents.get(name, _NO_AGENT)
        for inner in _AGENTS_CODE:
            here = ("orchestrator", "agents", name, *inner)
            yield from _new_code(here, reduce(getattr, inner, known), reduce(getattr, inner, agent))


def _new_code(path: tuple[str, ...], before: Any, value: Any) -> Iterator[Mistake]:
    if ":" in str(value) and value != before:
        yield Mistake(path, "over the network no code is named; write it into the configuration file")


def _commands_programs(known: AgentSettings, agent: AgentSettings) -> Iterator[tuple[str, ...]]:
    for program, argv in agent.commands.shell.items():
        if known.commands.shell.get(program) != argv:
            yield ("commands", "shell", program)


def _servers_programs(known: AgentSettings, agent: AgentSettings) -> Iterator[tuple[str, ...]]:
    started = {(name, one.command, one.args, one.env) for name, one in known.openai.tools.servers.items()}
    for name, one in agent.openai.tools.servers.items():
        if one.command and (name, one.command, one.args, one.env) not in started:
            yield (*_SERVERS, name, "command")


def _files(path: tuple[str, ...], value: Any, before: Any) -> Iterator[str]:
    if path == _PORTS:
        yield from (one for one in value if one not in before)
    elif path == _MODEL:
        if value.startswith(("/", ".", "~")) or Path(value).is_dir():
            yield value
    elif value:
        yield value


def _may_name(name: str, folders: list[Path], own: frozenset[str], config_file: Path | None) -> bool:
    try:
        file = _located(name).resolve()
        inside = any(folder.resolve() in (file, *file.parents) for folder in folders)
        is_config = config_file is not None and file == config_file.resolve()
    except (OSError, RuntimeError, ValueError):  # a ring of links, no such home, a null byte
        return False
    return inside and not is_config and (file.name in own or not file.name.startswith(_OWN))


def _located(name: str) -> Path:
    """Where it is looked for: a relative name among systemd's credentials first."""
    path = Path(name).expanduser()
    credentials = os.environ.get(CREDENTIALS_VARIABLE)
    if credentials and not path.is_absolute():
        path = Path(credentials, path)
    return Path(os.path.abspath(path))  # noqa: PTH100 - no link is followed yet


def _folders(state: Path | None, config_file: Path | None) -> Iterator[Path]:
    yield SYSTEM_CONFIG.parent
    if state is not None:
        yield state
    if config_file is not None:
        yield config_file.parent
    if os.environ.get(CREDENTIALS_VARIABLE):
        yield Path(os.environ[CREDENTIALS_VARIABLE])


def _told(name: str, folders: list[Path]) -> str:
    places = ", ".join(map(str, folders))
    return (
        f"over the network files are named in {places} only, and none of the gateway's own, got {shown(name)}; "
        "write it into the configuration file by hand"
    )
