"""Which files the configuration may name over the network: those in the gateway's folders, and none of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.config import outline
from gateway.config.checks import fit
from gateway.config.configuration import GatewayConfig
from gateway.web.api.file_places import FILES, misplaced

_NAMES_A_FILE = re.compile(r"(_file|_dir|path|ports)$")
_SAYS_SO = re.compile(r"\(PEM\)|\bfolder\b|\ba file\b", re.IGNORECASE)


def test_every_setting_that_names_a_file_is_known() -> None:
    """A new one has to say where its file may lie."""
    found = {
        path
        for path, setting in outline.settings(GatewayConfig).items()
        if _NAMES_A_FILE.search(path[-1]) or _SAYS_SO.search(setting.description)
    }
    assert found - FILES.keys() == {("transcription", "devices")} & found


def test_no_file_that_the_gateway_makes_is_forgotten(folder: Path) -> None:
    """Whatever a module of ours calls FILE lies in the state folder, and is no password of a broker's."""
    sources = [file.read_text() for file in Path(gateway.__file__).parent.rglob("*.py")]
    names = {name for text in sources for name in re.findall(r'^(?:FILE|KEY) = "(.+)"$', text, re.MULTILINE)}
    assert {"token.key", "tokens.json", "audit.log", "mqtt.secret", "web.key"} <= names
    for name in names:
        assert changed(folder, password_file=f"{folder}/state/{name}") == ["broker.password_file"]


def changed(folder: Path, **broker: str) -> list[str]:
    wanted, mistakes = fit({"broker": {"url": "mqtt://me@h", **broker}})
    assert not mistakes
    state = folder / "state"
    return [
        ".".join(map(str, one.path)) for one in misplaced(GatewayConfig(), wanted, state, folder / "c.yaml")
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "name", ["{}/password", "{}/state/password", "{}/state/deep/../password", "/etc/earshot/p"]
)
def test_where_a_file_may_lie(folder: Path, name: str) -> None:
    assert changed(folder, password_file=name.format(folder)) == []


@pytest.mark.parametrize(
    "name",
    [
        "/etc/shadow",
        "{}/state/../../other",
        "{}/c.yaml",
        "{}/state/token.key",
        "{}/state/tokens.json",
        "{}/state/journal.db-wal",
        "/etc/earshot/environment",
        "password",
        "../password",
        "~nobody-of-that-name/x",
        "/proc/self/environ",
    ],
)
def test_where_none_may(folder: Path, name: str) -> None:
    assert changed(folder, password_file=name.format(folder)) == ["broker.password_file"]


def test_a_link_is_what_it_leads_to(folder: Path) -> None:
    (folder / "state" / "password").symlink_to("/etc/shadow")
    assert changed(folder, password_file=f"{folder}/state/password") == ["broker.password_file"]


def test_a_credential_is_named_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder / "credentials"))
    assert changed(folder, password_file="broker") == []
    assert changed(folder, password_file="token.key") == ["broker.password_file"], "that one is nobody else's"
    assert changed(folder, password_file="../../x/broker") == ["broker.password_file"]


def test_what_is_as_it_was_may_lie_anywhere(folder: Path) -> None:
    there, _ = fit({"broker": {"password_file": "/srv/password"}})
    assert list(misplaced(there, there, folder, None)) == []


def agents(**agents: Any) -> GatewayConfig:
    wanted, mistakes = fit(
        {
            "orchestrator": {
                "agents": {name: {"kind": "commands", "commands": one} for name, one in agents.items()}
            }
        }
    )
    assert not mistakes
    return wanted


def test_no_program_is_named_over_the_network(folder: Path) -> None:
    before = agents(a={"file": "demo", "shell": {"run": ["/bin/true"], "stop": ["/bin/false"]}})

    def refused(wanted: GatewayConfig) -> list[str]:
        return [".".join(map(str, one.path)) for one in misplaced(before, wanted, folder, None)]

    assert refused(before) == []
    assert refused(agents(a={"file": "demo", "shell": {"run": ["/bin/true"]}})) == []
    assert refused(agents(a={"file": "demo", "shell": {"run": ["/bin/sh"]}})) == [
        "orchestrator.agents.a.commands.shell.run"
    ]
    assert refused(agents(b={"file": "demo", "shell": {"stop": ["/bin/false"]}})) == [
        "orchestrator.agents.b.commands.shell.stop"
    ]


def test_no_code_is_named_over_the_network(folder: Path) -> None:
    """What a module does when it is imported, and a function that is called at the start, is a program, too."""

    def config(**agents: Any) -> GatewayConfig:
        of_one = {"content": {"hook": agents.pop("hook", "")}, "orchestrator": {"agents": agents}}
        wanted, mistakes = fit(of_one)
        assert not mistakes
        return wanted

    def graph(named: str) -> dict[str, Any]:
        return {"kind": "langgraph", "langgraph": {"graph": named}}

    before = config(hook="ours:hook", a={"app": "ours:app"}, b=graph("ours:graph"))

    def refused(wanted: GatewayConfig) -> list[str]:
        return [".".join(map(str, one.path)) for one in misplaced(before, wanted, folder, None)]

    assert refused(before) == []
    assert refused(config(a={"app": "builtin"})) == []
    assert refused(
        config(hook="os:system", a={"app": "os:abort"}, b=graph("os:abort"), c=graph("ours:app"))
    ) == [
        "content.hook",
        "orchestrator.agents.a.app",
        "orchestrator.agents.b.langgraph.graph",
        "orchestrator.agents.c.langgraph.graph",
    ]
    solo, mistakes = fit({"orchestrator": {"app": "os:abort"}})
    assert not mistakes
    assert refused(solo) == ["orchestrator.app"]


def test_the_files_of_commands_lie_in_the_gateways_folders(folder: Path) -> None:
    files = ["/tmp/x.yaml", "demo", f"{folder}/c.yaml", f"{folder}/token"]
    wanted = agents(**{f"a{number}": {"file": file} for number, file in enumerate(files)})
    found = [one.path[2] for one in misplaced(GatewayConfig(), wanted, folder, None)]
    assert found == ["a0", "a3"]


def model(**servers: Any) -> GatewayConfig:
    chat = {
        "kind": "openai",
        "url": "http://127.0.0.1:1/v1",
        "openai": {"model": "m", "tools": {"servers": servers}},
    }
    wanted, mistakes = fit({"orchestrator": {"agents": {"chat": chat}}})
    assert not mistakes
    return wanted


def test_no_program_of_a_server_of_tools_is_named_over_the_network(folder: Path) -> None:
    before = model(house={"command": "/bin/house", "args": ["a"], "env": ["KEY"]})

    def refused(wanted: GatewayConfig) -> list[str]:
        return [".".join(map(str, one.path[5:])) for one in misplaced(before, wanted, folder, None)]

    assert refused(before) == []
    assert refused(model()) == []
    assert refused(model(house={"url": "http://127.0.0.1:2/mcp"})) == []
    assert refused(model(house={"command": "/bin/sh", "args": ["a"], "env": ["KEY"]})) == [
        "servers.house.command"
    ]
    for other in ({"args": ["b"], "env": ["KEY"]}, {"args": ["a"], "env": ["KEY", "EARSHOT_PASSWORD"]}):
        assert refused(model(house={"command": "/bin/house", **other})) == ["servers.house.command"]
    assert refused(model(more={"command": "/bin/house"})) == ["servers.more.command"]
    secret = {"url": "http://127.0.0.1:2/mcp", "token_file": "/etc/shadow", "ca_file": "/etc/passwd"}
    assert refused(model(house=secret)) == ["servers.house.token_file", "servers.house.ca_file"]
