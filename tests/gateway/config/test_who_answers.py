"""Agents and teams in the settings: what cannot be is said with its place, at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.config.test_loading import load, problems

AGENTS = "orchestrator:\n  agents: {a: {}, b: {}, c: {}, judge: {}}\n"


@pytest.mark.parametrize(
    ("agent", "message"),
    [
        ("app: auto", "FILE:1: orchestrator.agents.a.app: expected builtin, module:name or nothing, got 'auto'"),
        ("app: my-house", "FILE:1: orchestrator.agents.a.app: expected builtin, module:name or nothing"),
        ("retries: 3", "FILE:1: orchestrator.agents.a.retries: it is not looked at without idempotent: true"),
        ("kind: openai", "FILE:1: orchestrator.agents.a.url: kind: openai asks a server; name its address"),
        ("kind: openai, url: 'http://u:p@h'", "FILE:1: orchestrator.agents.a.url: expected http[s]://host[:port]"),
        ("kind: openai, url: 'mqtt://h'", "FILE:1: orchestrator.agents.a.url: expected http[s]://host[:port]"),
        (
            "kind: openai, url: 'http://h', openai: {prompt: 'It is {weather} in {room}'}",
            "FILE:1: orchestrator.agents.a.openai.prompt: there is no {weather}; there are {language}, {room}, ",
        ),
        ("url: 'http://h'", "FILE:1: orchestrator.agents.a.url: it is not looked at with kind: ''"),
        (
            "kind: webhook, url: 'http://h', webhook: {replies_at: box:8080}",
            "FILE:1: orchestrator.agents.a.webhook.replies_at: expected http[s]://host[:port] of this gateway's page",
        ),
        (
            "kind: commands, commands: {file: demo}, app: builtin",
            "FILE:1: orchestrator.agents.a.app: it is not looked at with kind: commands",
        ),
        (
            "kind: commands, commands: {file: demo}, openai: {model: m}",
            "FILE:1: orchestrator.agents.a.openai: it is for kind: openai, and not",
        ),
        ("kind: commands", "FILE:1: orchestrator.agents.a.commands.file: expected the file with the commands, or demo"),
        (
            "kind: commands, commands: {file: demo, mqtt: {url: 'http://u:p@h'}}",
            "FILE:1: orchestrator.agents.a.commands.mqtt.url: expected mqtt[s]://[user:password@]host[:port] or",
        ),
        (
            "kind: commands, commands: {file: demo, shell: {run: ['{what}']}}",
            "FILE:1: orchestrator.agents.a.commands.shell.run: expected the program's whole path, without slots",
        ),
        (
            "compensates: true, cache: {seconds: 60}",
            "FILE:1: orchestrator.agents.a.cache: it does something (compensates): what is given again from a cache",
        ),
        ("pattern: '('", "FILE:1: orchestrator.agents.a.pattern: expected a regular expression (missing ), "),
        ("pattern: '(a+)+'", "FILE:1: orchestrator.agents.a.pattern: a repeat of what repeats or chooses itself can "),
    ],
)  # fmt: skip
def test_an_agent(file: Path, agent: str, message: str) -> None:
    (problem,) = problems(file, f"orchestrator: {{agents: {{a: {{{agent}}}}}}}")
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("team", "message"),
    [
        ("agents: []", "agents: a team of nobody; name its agents"),
        ("agents: [a, d]", "agents[1]: there is no agent 'd' in orchestrator.agents (a, b, c, judge)"),
        ("agents: [a, b, a]", "agents[2]: a is in it already"),
        ("agents: [a], pattern: '['", "pattern: expected a regular expression (unterminated character set"),
        ("agents: [a, b], combine: by", "combined_by: combine: by needs the agent that makes one answer of all"),
        ("agents: [a, b], combined_by: judge", "combined_by: it is not looked at with combine: in_order"),
        ("agents: [a, b], combine: by, combined_by: d", "combined_by: there is no agent 'd' in orchestrator.agents"),
        ("agents: [a, b], combine: by, combined_by: b", "combined_by: b would combine its own answer; take it out"),
        ("agents: [a, b], policy: quorum, quorum: 3", "quorum: of 2 agents whose answers count it cannot have 3"),
        (
            "agents: [a, b, c], policy: quorum, quorum: 2, after: {b: [a], c: [a, b]}",
            "quorum: of 1 agents whose answers count it cannot have 2",
        ),
        ("agents: [a, b], quorum: 2", "quorum: it is for policy: quorum, and not looked at with first"),
        ("agents: [a, b], policy: all, prefer_seconds: 1", "prefer_seconds: it is for policy: first, and not"),
        ("agents: [a, b], policy: in_turn, partial: false", "partial: it is for policy: all, and not looked at"),
        ("agents: [a, b], after: {b: [d]}", "after.b: 'd' is not in the team"),
        ("agents: [a, b], after: {c: [a]}", "after.c: 'c' is not in the team"),
        ("agents: [a, b], after: {a: [a]}", "after: nobody would begin: a after a"),
        ("agents: [a, b], after: {a: [b], b: [a]}", "after: nobody would begin: a after b after a"),
        ("agents: [a, b, c], after: {a: [b], b: [c], c: [a]}", "after: nobody would begin: a after b after c after a"),
        ("agents: [a, b], policy: in_turn, after: {b: [a]}", "after: with policy in_turn the order of the agents"),
    ],
)  # fmt: skip
def test_a_team(file: Path, team: str, message: str) -> None:
    (problem,) = problems(file, f"{AGENTS}  teams: {{t: {{{team}}}}}")
    assert problem.startswith(f"FILE:3: orchestrator.teams.t.{message}")


def test_an_app_beside_named_agents(file: Path) -> None:
    (problem,) = problems(file, "orchestrator: {app: 'my_house:house', agents: {a: {}}}")
    assert problem.startswith("FILE:1: orchestrator.app: it is not looked at where agents are named")


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("{}", "command: one of the two says where the server is"),
        ("{command: a, url: 'http://h'}", "command: one of the two says where the server is"),
        ("{url: 'ftp://h'}", "url: expected http"),
        ("{url: 'http://h', args: [x]}", "args: it is not looked at with url"),
        ("{command: a, token_file: x}", "token_file: it is not looked at with command"),
    ],
)
def test_a_server_of_tools(file: Path, server: str, message: str) -> None:
    chat = f"{{kind: openai, url: 'http://h/v1', openai: {{tools: {{servers: {{house: {server}}}}}}}}}"
    (problem,) = problems(file, f"orchestrator: {{agents: {{chat: {chat}}}}}")
    assert f"orchestrator.agents.chat.openai.tools.servers.house.{message}" in problem


def test_a_process_for_one_that_has_its_own(file: Path) -> None:
    (problem,) = problems(file, "orchestrator: {agents: {a: {process: true}}}")
    assert "orchestrator.agents.a.process: it is for an app or a kind" in problem


def test_a_team_of_too_many(file: Path) -> None:
    names = [f"a{number}" for number in range(129)]
    agents = ", ".join(f"{name}: {{}}" for name in names)
    text = f"orchestrator: {{agents: {{{agents}}}, teams: {{t: {{agents: [{', '.join(names)}]}}}}}}"
    (problem,) = problems(file, text)
    assert "a team has at most 128 agents, got 129" in problem
    load(file, text.replace(", a128]", "]"))


def test_each_mistake_is_told(file: Path) -> None:
    teams = "{t: {agents: [x, y]}, u: {agents: [], combine: by}}"
    assert len(problems(file, f"{AGENTS}  teams: {teams}")) == 4


@pytest.mark.parametrize(
    "text",
    [
        "orchestrator: {agents: {a: {app: builtin}, b: {app: 'my.house:app'}, c: {app: 'my.house:app'}, d: {app: ''}}}",
        f"{AGENTS}  teams: {{t: {{agents: [a, b, c], combine: by, combined_by: judge, policy: all}}}}",
        f"{AGENTS}  teams: {{t: {{agents: [a, b, c], after: {{b: [a], c: [a, b]}}, policy: all}}}}",
        f"{AGENTS}  teams: {{t: {{agents: [a, b], policy: quorum, quorum: 2}}}}",
        f"{AGENTS}  teams: {{t: {{agents: [a]}}, u: {{agents: [a, c], pattern: 'turn.*on'}}}}",
        "orchestrator: {agents: {a: {rooms: [Nowhere]}}}",
    ],
)
def test_what_is_right(file: Path, text: str) -> None:
    load(file, text)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("percent: 5", "x: it changes nothing: name a team, or agents in place of others"),
        ("team: t, agents: {a: b}", "x.agents: another team or other agents, not both"),
        ("team: v", "x.team: there is no team 'v' in orchestrator.teams (t, u)"),
        ("team: t, in_place_of: v", "x.in_place_of: there is no team 'v' in orchestrator.teams (t, u)"),
        ("team: t, in_place_of: t", "x.in_place_of: a team in place of itself changes nothing"),
        ("agents: {a: d}", "x.agents.a: there is no agent 'd' in orchestrator.agents (a, b, c, judge)"),
        ("agents: {d: a}", "x.agents.d: there is no agent 'd' in orchestrator.agents (a, b, c, judge)"),
        ("agents: {a: b}", "x.agents.a: b is in the team t already, with a"),
        ("agents: {a: c}, in_place_of: t", "x.in_place_of: it is not looked at without team"),
        ("team: t, percent: 101", "x.percent: expected a number from 0 to 100, got 101"),
    ],
)
def test_a_feature(file: Path, feature: str, message: str) -> None:
    teams = "  teams: {t: {agents: [a, b]}, u: {agents: [c]}}\n"
    (problem,) = problems(file, f"{AGENTS}{teams}features: {{x: {{{feature}}}}}")
    assert problem.startswith(f"FILE:4: features.{message}")


def test_a_feature_where_all_agents_are_asked(file: Path) -> None:
    (problem,) = problems(file, f"{AGENTS}features: {{x: {{agents: {{a: b}}}}}}")
    assert "without orchestrator.teams all agents are asked, b, too; name the teams" in problem


def test_a_feature_that_is_right(file: Path) -> None:
    teams = "  teams: {t: {agents: [a]}, u: {agents: [c]}}\n"
    config = load(file, f"{AGENTS}{teams}features: {{x: {{agents: {{a: b}}}}, y: {{team: u}}}}")
    assert [config.features[name].percent for name in "xy"] == [10.0, 10.0]


def test_servers_whose_tools_could_have_the_same_names(file: Path) -> None:
    servers = "{home: {command: a}, home_media: {command: b}, homely: {command: c}}"
    chat = f"{{kind: openai, url: 'http://h/v1', openai: {{tools: {{servers: {servers}}}}}}}"
    (problem,) = problems(file, f"orchestrator: {{agents: {{chat: {chat}}}}}")
    message = "servers.home_media: a tool of home could be called like one of home_media (home_media_...)"
    assert f"orchestrator.agents.chat.openai.tools.{message}" in problem


def test_two_agents_have_no_token_in_the_same_variable(file: Path) -> None:
    one = "{kind: openai, url: 'http://h/v1'}"
    (problem,) = problems(
        file, f"orchestrator: {{agents: {{my-llm: {one}, My_llm: {one}, m: {{}}, M: {{}}}}}}"
    )
    assert "orchestrator.agents.My_llm: its token would be my-llm's, in the same variable" in problem
