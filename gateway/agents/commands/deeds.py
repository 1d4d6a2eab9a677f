"""What a command does: a question to an HTTP server, a message to an MQTT broker, a program. No slot leaves its place.

In a URL a slot is percent-encoded, and no step to another folder; in JSON it is a value or within a text; of a topic it
is a part of a level; to a program it is within one argument, and never the beginning of an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from firmware_bridge.servers import split_url
from gateway.agents.commands.filling import (
    REPLY,
    BadHole,
    Filler,
    Hole,
    JsonFiller,
    Values,
    fill_json,
    json_holes,
    read_json,
)
from gateway.agents.commands.form import DeedForm, HttpForm, MqttForm
from gateway.orchestrators.answer import CannotAnswer
from gateway.settings.agents.commands import CommandsSettings

_URL = re.compile(r"(https?://[^/?#{}]+)([/?].*|)\Z", re.DOTALL)
_STEPS = re.compile(r"(?:^|/)\.{1,2}(?=/|\?|$)")
_NO_TOPIC = re.compile(r"[+#/\x00-\x1f\x7f]")
MOST_TOPIC_BYTES = 1_000


class BadDeed(ValueError):
    """It cannot be done, whatever is said; ``field``: which of its settings it is about."""

    def __init__(self, field: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.field = field


class Means(Protocol):
    """By what deeds are done. Each raises CannotAnswer."""

    async def ask(
        self,
        origin: str,
        path: str,
        *,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        token: bool,
    ) -> Any:
        """An HTTP server: its JSON, or text."""

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """To the MQTT broker."""

    async def run(self, argv: tuple[str, ...], name: str) -> str:
        """A program: what it writes."""


class Deed(Protocol):
    """One thing that is done."""

    @property
    def holes(self) -> frozenset[Hole]:
        """What it has to be told."""

    @property
    def answers(self) -> bool:
        """Whether something comes of it."""

    async def do(self, values: Values, means: Means) -> Any:
        """What came of it, as JSON. Raises CannotAnswer and NothingThere."""


class HttpDeed(NamedTuple):
    """Asks a server."""

    origin: str
    path: Filler
    method: str
    headers: Mapping[str, str]
    body: JsonFiller
    token: bool

    @property
    def holes(self) -> frozenset[Hole]:
        """Of its path and its body."""
        return self.path.holes | json_holes(self.body)

    @property
    def answers(self) -> bool:
        """It does."""
        return True

    async def do(self, values: Values, means: Means) -> Any:
        """What the server answers."""
        path = self.path.fill(lambda hole: quote(str(values.value(hole)), safe=""))
        if _STEPS.search(path.partition("?")[0]):
            raise CannotAnswer("what was said does not fit into an address")
        body = None if self.body is None else msgspec.json.encode(fill_json(self.body, values))
        return await means.ask(
            self.origin, path, method=self.method, headers=self.headers, body=body, token=self.token
        )


class MqttDeed(NamedTuple):
    """Publishes a message."""

    topic: Filler
    payload: JsonFiller
    qos: int
    retain: bool

    @property
    def holes(self) -> frozenset[Hole]:
        """Of its topic and its payload."""
        return self.topic.holes | json_holes(self.payload)

    @property
    def answers(self) -> bool:
        """Nobody does."""
        return False

    async def do(self, values: Values, means: Means) -> None:
        """Publishes it."""
        topic = self.topic.fill(lambda hole: _level(values, hole))
        if topic.startswith("$") or len(topic.encode()) > MOST_TOPIC_BYTES:
            raise CannotAnswer("what was said does not fit into a topic")
        payload = fill_json(self.payload, values)
        text = payload if isinstance(payload, str) else msgspec.json.encode(payload).decode()
        await means.publish(topic, text.encode(), qos=self.qos, retain=self.retain)


class ShellDeed(NamedTuple):
    """Runs a program."""

    name: str
    argv: tuple[Filler, ...]

    @property
    def holes(self) -> frozenset[Hole]:
        """Of its arguments."""
        return frozenset(hole for one in self.argv for hole in one.holes)

    @property
    def answers(self) -> bool:
        """What it writes."""
        return True

    async def do(self, values: Values, means: Means) -> str:
        """What it writes."""
        return await means.run(tuple(_argument(one, values) for one in self.argv), self.name)


def read_deed(form: DeedForm, settings: CommandsSettings) -> Deed:
    """Raises BadDeed, also for what these settings do not let commands do."""
    programs = settings.shell
    wanted = [name for name, is_there in _kinds(form) if is_there]
    if len(wanted) != 1:
        raise BadDeed(
            (), f"expected one of http (with its url), mqtt (with its topic) and shell, got {wanted}"
        )
    if form.http.url:
        return _http(form.http, settings.token_for)
    if form.mqtt.topic:
        return _mqtt(form.mqtt, has_mqtt=bool(settings.mqtt.url))
    if form.shell not in programs:
        known = ", ".join(programs) or "none"
        raise BadDeed(
            ("shell",), f"config.yaml has no {form.shell!r} in this agent's commands.shell ({known})"
        )
    return ShellDeed(form.shell, read_argv(programs[form.shell]))


def read_argv(argv: tuple[str, ...]) -> tuple[Filler, ...]:
    """A program's path and arguments. Raises BadDeed."""
    fillers = tuple(_read(Filler.read, one, "shell") for one in argv)
    if fillers[0].holes or not argv[0].startswith("/"):
        raise BadDeed(
            ("shell",), f"the program is named by its whole path, without slots, got {argv[0]!r:.100}"
        )
    return fillers


def _kinds(form: DeedForm) -> Iterator[tuple[str, bool]]:
    yield "http", form.http != HttpForm()
    yield "mqtt", form.mqtt != MqttForm()
    yield "shell", bool(form.shell)


def _http(form: HttpForm, token_for: tuple[str, ...]) -> HttpDeed:
    found = _URL.match(form.url)
    try:
        parts = split_url(found[1]) if found else None
    except ValueError:
        parts = None
    if found is None or parts is None or parts.username is not None or "#" in found[2]:
        raise BadDeed(
            ("http", "url"), "expected http[s]://host[:port]/path?query, slots behind the host only"
        )
    if form.token and found[1] not in [one.rstrip("/") for one in token_for]:
        message = (
            f"config.yaml does not let the token go to {found[1]}: name it in this agent's commands.token_for"
        )
        raise BadDeed(("http", "token"), message)
    path = _read(Filler.read, found[2], "http", "url")
    if _STEPS.search(
        "".join(part if isinstance(part, str) else "x" for part in path.parts).partition("?")[0]
    ):
        raise BadDeed(("http", "url"), "expected an address without . and .. as its folders")
    body = _read(read_json, form.json, "http", "json")
    method = form.method or ("GET" if form.json is None else "POST")
    return HttpDeed(found[1], path, method, form.headers, body, form.token)


def _mqtt(form: MqttForm, *, has_mqtt: bool) -> MqttDeed:
    if not has_mqtt:
        message = "there is no broker to publish to: name it in this agent's commands.mqtt.url (config.yaml)"
        raise BadDeed(("mqtt",), message)
    topic = _read(Filler.read, form.topic, "mqtt", "topic")
    if any(isinstance(part, str) and re.search(r"[+#\x00-\x1f\x7f]", part) for part in topic.parts):
        raise BadDeed(("mqtt", "topic"), "expected a topic without + and #")
    payload = _read(read_json, form.payload, "mqtt", "payload")
    if isinstance(payload, Filler) and _is_json(payload):
        message = (
            'it is JSON: write it as it is, and not as a text ({key: "{slot}"}); a slot could end its place'
        )
        raise BadDeed(("mqtt", "payload"), message)
    return MqttDeed(topic, payload, form.qos, form.retain)


def _is_json(text: Filler) -> bool:
    """Whether an object or a list is written as a text with holes."""
    try:
        found = msgspec.json.decode(text.fill(lambda _: "0"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return isinstance(found, dict | list)


def _read(how: Callable[[Any], Any], what: Any, *field: str) -> Any:
    try:
        return how(what)
    except BadHole as error:
        raise BadDeed(field, str(error)) from error


def _level(values: Values, hole: Hole) -> str:
    text = str(values.value(hole))
    if not text or _NO_TOPIC.search(text):
        raise CannotAnswer("what was said does not fit into a topic")
    return text


def _argument(filler: Filler, values: Values) -> str:
    text = filler.fill(values.value)
    is_option = text.startswith("-") and not (isinstance(filler.parts[0], str) if filler.parts else False)
    if "\x00" in text or is_option:
        raise CannotAnswer("what was said does not fit into an argument of a program")
    return text


def names_of(deed: Deed) -> frozenset[str]:
    """The slots that it needs."""
    return frozenset(hole.name for hole in deed.holes if hole.name != REPLY)
