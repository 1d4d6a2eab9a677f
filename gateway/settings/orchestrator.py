"""The section `orchestrator:` of config.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from gateway.settings.agents.commands import CommandsSettings
from gateway.settings.agents.home_assistant import AssistSettings
from gateway.settings.agents.langgraph import GraphSettings
from gateway.settings.agents.openai import ChatSettings
from gateway.settings.agents.webhook import WebhookSettings
from gateway.settings.answer_cache import CacheSettings
from gateway.settings.durations import Seconds

AgentName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Names: TypeAlias = Annotated[tuple[AgentName, ...], Meta(max_length=1_000)]
_Rooms: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=1_000)
]
_Languages: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(pattern="^[a-z]{2,3}$")], ...], Meta(max_length=100)
]


AgentKind: TypeAlias = Literal["", "commands", "openai", "home-assistant", "webhook", "langgraph"]
IN_A_PROCESS = frozenset({"langgraph"})
"""Kinds that never run in the gateway's own process: they are too heavy for it."""
FallbackCause: TypeAlias = Literal[
    "nobody", "late", "failed", "puzzled", "not_transcribed", "switched_off", "not_heard", "filtered"
]
NOBODY_ANSWERED = "Sorry, nobody answered."


class WhoFor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For whom an agent or a team is there: what passes every part that is not empty."""

    users: Annotated[_Names, Meta(description="Only what these users say; empty: everybody.")] = ()
    devices: Annotated[_Names, Meta(description="Only what is said to these devices.")] = ()
    rooms: Annotated[_Rooms, Meta(description="Only what is said in these rooms (`devices.rooms`).")] = ()
    languages: Annotated[_Languages, Meta(description="Only what is said in these languages (codes).")] = ()
    pattern: Annotated[
        str,
        Meta(
            max_length=1_000,
            description="Only what this regular expression is found in, in capital or small letters, within its first "
            "300 characters. At most three repeats without a bound (* and +), and none within another.",
        ),
    ] = ""


class BreakerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an agent that fails is left alone."""

    failures: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000,
            description="After so many failures and time-outs in the window, of its last twice as many ends; 0: never.",
        ),
    ] = 5
    window_seconds: Annotated[Seconds, Meta(description="The window.")] = 60.0
    open_seconds: Annotated[
        Seconds, Meta(description="For so long; then it is asked once, and all goes on if that succeeds.")
    ] = 10.0


class AgentSettings(WhoFor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent: whoever answers under that name."""

    app: Annotated[
        str,
        Meta(
            description="'module:name' runs your Orchestrator inside the gateway as this agent, 'builtin' the demo's; "
            "empty: it connects through the broker under this name."
        ),
    ] = ""
    kind: Annotated[
        AgentKind,
        Meta(
            description="One that comes ready-made, which the section of its name here sets up. commands: what is said "
            "by patterns. openai: a language model behind any OpenAI-compatible chat endpoint (Ollama, llama.cpp, "
            "vLLM). home-assistant: its conversation. webhook: n8n and the like. langgraph: a graph of your own. "
            "Empty: your own (app), or one that connects through the broker."
        ),
    ] = ""
    url: Annotated[
        str,
        Meta(
            max_length=2_048,
            description="Where a ready-made one asks: http[s]://host[:port][/path]. What is said leaves this "
            "machine for it.",
        ),
    ] = ""
    token_file: Annotated[
        str,
        Meta(
            description="A file whose first line is its key or token there. A relative name is looked up among "
            "systemd's credentials (LoadCredential=), then in the folder that the gateway was started in. Without it: "
            "$EARSHOT_AGENT_<NAME>_TOKEN, or the credential agent-<name>-token."
        ),
    ] = ""
    ca_file: Annotated[
        str,
        Meta(
            description="https: who signed its certificate (PEM); a path or a systemd credential. Empty: whom this "
            "machine trusts."
        ),
    ] = ""
    process: Annotated[
        bool,
        Meta(
            description="true: its app or kind runs in a process of its own, which the gateway starts, watches and "
            "starts again: it may be slow, block or crash, and nothing else waits. langgraph always does."
        ),
    ] = False
    process_mb: Annotated[
        int,
        Meta(ge=64, le=1_048_576, description="Of memory that this process may take for itself."),
    ] = 1024
    commands: Annotated[CommandsSettings, Meta(description="Of kind commands.")] = CommandsSettings()
    openai: Annotated[ChatSettings, Meta(description="Of kind openai.")] = ChatSettings()
    home_assistant: Annotated[AssistSettings, Meta(description="Of kind home-assistant.")] = AssistSettings()
    webhook: Annotated[WebhookSettings, Meta(description="Of kind webhook.")] = WebhookSettings()
    langgraph: Annotated[GraphSettings, Meta(description="Of kind langgraph.")] = GraphSettings()
    role: Annotated[
        str, Meta(max_length=4_000, description="What it is for; it is told so with each request.")
    ] = ""
    timeout_seconds: Annotated[Seconds, Meta(description="An answer of it is waited for so long.")] = 20.0
    idempotent: Annotated[
        bool,
        Meta(description="true: it may be asked the same twice without harm, so that it can be asked again."),
    ] = False
    retries: Annotated[
        int,
        Meta(ge=0, le=5, description="How often it is asked again after a failure, where it is idempotent."),
    ] = 1
    compensates: Annotated[
        bool, Meta(description="true: it is told to undo what it did when its team fails.")
    ] = False
    breaker: BreakerSettings = BreakerSettings()
    cache: CacheSettings = CacheSettings()


class TeamSettings(WhoFor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agents that are asked about one utterance, and how their answers become one reply."""

    agents: Annotated[_Names, Meta(description="Who is asked; the order counts.")] = ()
    policy: Annotated[
        Literal["first", "in_turn", "all", "quorum", "deadline"],
        Meta(
            description="first: all at once, and the first good answer is the reply. in_turn: one after the other, "
            "until one answers. all: all at once, and all their answers. quorum: as many good answers as `quorum`. "
            "deadline: what is there after timeout_seconds."
        ),
    ] = "first"
    quorum: Annotated[int, Meta(ge=1, le=1_000, description="For the policy quorum: how many.")] = 1
    prefer_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3_600,
            description="For the policy first: the first of the agents is waited for so long when another was faster.",
        ),
    ] = 0.0
    partial: Annotated[
        bool,
        Meta(
            description="For the policy all: true: the answers of some are a reply, too. false: the team fails when "
            "one of them fails, and those that compensate undo what they did."
        ),
    ] = True
    show_first: Annotated[
        bool,
        Meta(
            description="true: the first good answer is shown and said at once, until the reply takes its place."
        ),
    ] = False
    combine: Annotated[
        Literal["in_order", "best", "last", "by"],
        Meta(
            description="How several answers become one: in_order: one after the other. best: that of the highest "
            "confidence. last: that of the last in the team's order. by: another agent makes it of them (combined_by)."
        ),
    ] = "in_order"
    combined_by: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{0,64}$", description="That agent.")] = ""
    after: Annotated[
        dict[AgentName, _Names],
        Meta(
            max_length=1_000,
            description="Chains: which of them are asked only when others have answered, and get their answers.",
        ),
    ] = {}
    timeout_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="A team without a reply by then has failed, or gives what there is; 0: orchestrator's own.",
        ),
    ] = 0.0


class OrchestratorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who answers, and how long is waited."""

    app: Annotated[
        str,
        Meta(
            description="'module:name' runs your Orchestrator inside the gateway; empty: orchestrators connect "
            "through the broker; 'auto': so, too, but with memory://, which nobody can connect to, the demo's answers. "
            "'builtin': the demo's answers in any case. It switches nothing, and each of its answers says whose it is. "
            "Where agents are named, these answer, and this is not looked at."
        ),
    ] = "auto"
    agents: Annotated[
        dict[AgentName, AgentSettings],
        Meta(
            max_length=1_000,
            description="Who answers, by name; empty: whoever reads transcription.results: the first answer counts.",
        ),
    ] = {}
    teams: Annotated[
        dict[AgentName, TeamSettings],
        Meta(
            max_length=1_000,
            description="Who is asked together; the first team that an utterance is for is asked. Empty: all agents, "
            "and the first good answer is the reply.",
        ),
    ] = {}
    timeout_seconds: Annotated[Seconds, Meta(description="A request without a final reply expires then.")] = (
        30.0
    )
    patience_seconds: Annotated[
        Seconds,
        Meta(
            description="After so long without a sign of life the device is told that it is waited for, and, where "
            "nobody is there who could answer, the fallback."
        ),
    ] = 3.0
    echo_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="The same words, which another device in the same room, of the same user, began to hear "
            "within so long, are the same voice: agents are asked once, and both devices are told. 0: each is asked.",
        ),
    ] = 1.0
    late_seconds: Annotated[
        Seconds, Meta(description="How long an answered or expired request is remembered, for late replies.")
    ] = 300.0
    max_pending: Annotated[int, Meta(ge=1, le=1_000_000, description="Requests remembered at once.")] = 10_000
    fallback_text: Annotated[
        str,
        Meta(
            max_length=500,
            description="What a device is told in place of an answer, in all languages; may be empty. As it stands "
            "here: in the language spoken, and by the cause.",
        ),
    ] = NOBODY_ANSWERED
    fallback_texts: Annotated[
        dict[
            Annotated[str, Meta(pattern="^[a-z]{2,3}$")],
            dict[FallbackCause, Annotated[str, Meta(max_length=500)]],
        ],
        Meta(
            max_length=100,
            description="The same by language and by cause (nobody: nobody is there; late: no answer in time; failed; "
            "puzzled: no agent understood it; not_transcribed; switched_off: transcription is; not_heard: not to its "
            "end; filtered). Example: {de: {late: 'Es kam keine Antwort.'}}.",
        ),
    ] = {}
