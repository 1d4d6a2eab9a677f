"""``tools`` of an agent that has a language model: what the model may do, and within which bounds."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

_Seconds: TypeAlias = Annotated[float, Meta(ge=0.1, le=3_600)]
_Agent: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,60}$")]
_Names: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\*?$")], ...], Meta(max_length=1_000)
]


class AskedAgent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another agent, which the model may ask."""

    description: Annotated[
        str, Meta(min_length=1, max_length=1_000, description="What it is for, told to the model.")
    ]
    confirm: Annotated[
        bool, Meta(description="true: whoever speaks is asked before anything is put to it.")
    ] = False


class ToolServer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An MCP server: a program of this machine, or one at an address."""

    command: Annotated[
        str,
        Meta(
            max_length=1_024,
            description="The program, which is started without a shell. Only the configuration file names it, never "
            "the API.",
        ),
    ] = ""
    args: Annotated[
        tuple[Annotated[str, Meta(max_length=4_096)], ...],
        Meta(max_length=256, description="What follows it."),
    ] = ()
    env: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")], ...],
        Meta(
            max_length=64,
            description="Which variables of the gateway's environment it gets, beside HOME, LOGNAME, PATH, SHELL, TERM "
            "and USER.",
        ),
    ] = ()
    url: Annotated[str, Meta(max_length=2_048, description="The address of one that speaks HTTP.")] = ""
    token_file: Annotated[
        str,
        Meta(description="url: a file whose first line is its token (a path, or a credential of systemd's)."),
    ] = ""
    ca_file: Annotated[str, Meta(description="https: who signed its certificate (PEM).")] = ""
    seconds: Annotated[_Seconds, Meta(description="It has so long for each answer.")] = 10.0


class ToolSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model may do, and within which bounds."""

    builtin: Annotated[
        tuple[Literal["time"], ...], Meta(max_length=16, description="Tools that come along: time.")
    ] = ()
    agents: Annotated[
        dict[_Agent, AskedAgent],
        Meta(
            max_length=64,
            description="Other agents that the model may ask, each as the tool ask_<name>. Example: {home: "
            "{description: 'Switches lights and heating; say what to do.', confirm: false}}.",
        ),
    ] = {}
    servers: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")], ToolServer],
        Meta(
            max_length=32,
            description="MCP servers, whose tools are called <server>_<tool>; `allow` says which of them the model "
            "gets (the extra mcp). Example: {weather: {command: uvx, args: [mcp-weather]}}.",
        ),
    ] = {}
    allow: Annotated[
        _Names,
        Meta(
            description="Of the tools that come from elsewhere, those that the model may see and call, by name; a * at "
            "the end stands for anything. What is not named here is not there for it."
        ),
    ] = ()
    confirm: Annotated[
        _Names,
        Meta(
            description="Tools that are confirmed by whoever speaks before they do anything, beside those that say "
            "themselves that they are destructive."
        ),
    ] = ()
    unconfirmed: Annotated[
        _Names, Meta(description="Tools that are not asked about, whatever they say of themselves.")
    ] = ()
    confirm_seconds: Annotated[
        _Seconds, Meta(description="For so long a yes counts; then nothing is done.")
    ] = 30.0
    rounds: Annotated[
        int,
        Meta(ge=1, le=32, description="So often the model may look at what came of its calls, per answer."),
    ] = 5
    calls: Annotated[
        int, Meta(ge=1, le=128, description="So many calls per answer; further ones are refused.")
    ] = 8
    call_seconds: Annotated[_Seconds, Meta(description="One call may take so long.")] = 10.0
    answer_seconds: Annotated[
        _Seconds, Meta(description="All calls of an answer may take so long together.")
    ] = 20.0
    result_bytes: Annotated[
        int, Meta(ge=256, le=1_048_576, description="Of what a call gives; the model sees no more of it.")
    ] = 16_384
