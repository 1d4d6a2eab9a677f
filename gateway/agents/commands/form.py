"""The commands' file as it is written: its sections and settings, each with the sentence about it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

MOST_COMMANDS = 1_000

Name: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Code: TypeAlias = Annotated[str, Meta(pattern="^[a-z]{2,3}$")]
Phrase: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2_000)]
Phrases: TypeAlias = Annotated[tuple[Phrase, ...], Meta(max_length=500)]
Wording: TypeAlias = Phrase | Phrases | Annotated[dict[Code, Phrase | Phrases], Meta(max_length=100)]
"""One text or several, in the file's language; or by language."""
Plain: TypeAlias = str | int | float
_Who: TypeAlias = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=1_000)
]


class ListedValue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of a list: what it is to programs, and how it is said; the first way is how replies name it."""

    value: Plain
    say: Wording = ()


class NumberForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number within bounds."""

    least: Annotated[float, Meta(description="The smallest.")] = -1e15
    most: Annotated[float, Meta(description="The largest.")] = 1e15


class HttpForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question to an HTTP server."""

    url: Annotated[
        str, Meta(max_length=2_048, description="http[s]://host[:port]/path?query; slots behind the host.")
    ] = ""
    method: Annotated[
        Literal["", "GET", "POST", "PUT", "PATCH", "DELETE"],
        Meta(description="Without one: POST where there is json, else GET."),
    ] = ""
    headers: Annotated[
        dict[
            Annotated[str, Meta(pattern="^[A-Za-z0-9-]{1,64}$")],
            Annotated[str, Meta(pattern=r"^[ -~]{0,1000}$")],
        ],
        Meta(max_length=50, description="As they stand: no slots."),
    ] = {}
    json: Annotated[Any, Meta(description="The body; slots in its texts.")] = None
    token: Annotated[bool, Meta(description="true: with the agent's token, as a bearer's.")] = False


class MqttForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message to an MQTT broker (`commands.mqtt` in config.yaml)."""

    topic: Annotated[str, Meta(max_length=1_000, description="The topic; slots may be parts of it.")] = ""
    payload: Annotated[Any, Meta(description="A text, or what becomes JSON.")] = ""
    qos: Annotated[Literal[0, 1], Meta(description="1: the broker's word is waited for.")] = 1
    retain: Annotated[bool, Meta(description="true: the broker keeps it.")] = False


class DeedForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is done: one of these."""

    http: HttpForm = HttpForm()
    mqtt: MqttForm = MqttForm()
    shell: Annotated[str, Meta(max_length=64, description="One of `commands.shell` in config.yaml.")] = ""


class CommandForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said, and what is done and answered then."""

    say: Annotated[Wording, Meta(description="Patterns, one of which fits all that was said.")] = ()
    reply: Annotated[
        Wording, Meta(description="What is answered; of several in turn, those whose slots are there.")
    ] = ()
    do: Annotated[tuple[DeedForm, ...], Meta(max_length=16, description="What is done, in order.")] = ()
    confirm: Annotated[
        bool | Wording,
        Meta(description="It is done after a yes only; the question, or true: what was said, as a question."),
    ] = False
    rooms: Annotated[_Who, Meta(description="Only in these rooms; empty: everywhere.")] = ()
    users: Annotated[_Who, Meta(description="Only of these users.")] = ()
    defaults: Annotated[
        dict[Name, Plain], Meta(max_length=100, description="Slots that were not said, wherever it is.")
    ] = {}
    hotwords: Annotated[
        Phrases, Meta(description="Words the recognizer is told of in conversations with this agent.")
    ] = ()


class CommandsFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    language: Annotated[
        Code, Meta(description="Of what stands here without a language, and of what is said in any other.")
    ] = "en"
    skip: Annotated[Wording, Meta(description="Words that are passed over wherever they are said.")] = ()
    parts: Annotated[
        dict[Name, Wording], Meta(max_length=500, description="What patterns share: <name> in them.")
    ] = {}
    lists: Annotated[
        dict[Name, Annotated[tuple[Phrase | ListedValue, ...], Meta(max_length=5_000)]],
        Meta(max_length=500, description="Slots that are one of a list."),
    ] = {}
    numbers: Annotated[
        dict[Name, NumberForm], Meta(max_length=500, description="Slots that are numbers.")
    ] = {}
    texts: Annotated[tuple[Name, ...], Meta(max_length=500, description="Slots that are any words.")] = ()
    rooms: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=64)], dict[Name, Plain]],
        Meta(max_length=1_000, description="Slots that were not said, by the room in which it is."),
    ] = {}
    not_understood: Annotated[
        Wording, Meta(description="What is answered to what fits nothing, where nobody else understands it.")
    ] = ()
    commands: Annotated[
        dict[Name, CommandForm],
        Meta(max_length=MOST_COMMANDS, description="By name; the first that fits is the one."),
    ] = {}
