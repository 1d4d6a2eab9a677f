"""Agents in one line each, on the command line."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.commands.options import read_config
from gateway.commands.orchestrator.agent_options import as_settings, named
from gateway.commands.orchestrator.command import command
from gateway.settings.orchestrator import AgentSettings


def test_what_a_first_try_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = named(
        (
            "openai:ollama=http://127.0.0.1:11434/v1#llama3.2",
            "home-assistant=http://homeassistant.local:8123",
            "commands:house=house.yaml",
        )
    )
    config = read_config(None, as_settings(read_config(None), told))
    agents = config.orchestrator.agents
    assert agents["ollama"].openai.model == "llama3.2"
    assert agents["home-assistant"].url == "http://homeassistant.local:8123"
    assert agents["house"].commands.file == "house.yaml"
    (team,) = config.orchestrator.teams.values()
    assert (team.policy, team.agents) == ("in_turn", ("house", "home-assistant", "ollama"))


def test_those_of_the_configuration_stay(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("orchestrator: {agents: {mine: {timeout_seconds: 3}}, teams: {t: {agents: [mine]}}}\n")
    config = read_config(file, as_settings(read_config(file), named(["webhook:flow=http://h/webhook/x"])))
    assert config.orchestrator.agents["mine"] == AgentSettings(timeout_seconds=3)
    assert config.orchestrator.agents["flow"].kind == "webhook"
    assert list(config.orchestrator.teams) == ["t"]


@pytest.mark.parametrize(
    "text",
    ["openai", "openai=", "=http://h", "letta=http://h", "openai:=http://h", "openai:a b=http://h"],
)
def test_what_cannot_be_meant(text: str) -> None:
    with pytest.raises(
        click.BadParameter, match=r"expected KIND\[:NAME\]=WHERE with one of commands, openai"
    ):
        named([text])


def test_two_of_one_name() -> None:
    with pytest.raises(click.BadParameter, match="two agents are called openai: give one another name"):
        named(["openai=http://a", "openai=http://b"])


@pytest.mark.parametrize(
    ("config", "arguments", "said"),
    [
        ("{}", ["--agent", "openai=http://h/v1"], "with memory:// nobody outside the gateway can answer"),
        ("broker: {url: 'redis://h'}", [], "which agent? none is set up in orchestrator.agents"),
        ("broker: {url: 'redis://h'}", ["x"], "orchestrator.agents.x is not there in this configuration"),
        (
            "broker: {url: 'redis://h'}\norchestrator: {agents: {a: {}}}",
            ["a"],
            "orchestrator.agents.a has no kind and no app",
        ),
        (
            "broker: {url: 'redis://h'}\norchestrator: {agents: {a: {app: builtin}, b: {app: builtin}}}",
            [],
            "which agent? one of a, b; or say --agent",
        ),
        (
            (
                "broker: {url: 'nats://h'}\n"
                "orchestrator: {agents: {a: {kind: webhook, url: 'http://h', token_file: /n}}}"
            ),
            ["a"],
            "orchestrator.agents.a: the token's file /n cannot be read: No such file or directory",
        ),
    ],
)
def test_what_an_agent_in_its_own_process_lacks(
    tmp_path: Path, config: str, arguments: list[str], said: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(config)
    done = CliRunner().invoke(command, ["--config", str(file), *arguments])
    assert done.exit_code != 0
    assert said in done.output
