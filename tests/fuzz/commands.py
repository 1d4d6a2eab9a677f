"""A pattern, a text with holes, and what somebody says: patterns are what they say, and nothing leaves its place.

The three are lines of the input, the last one all the rest.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

import yarl

from gateway.agents.commands.deeds import BadDeed, Deed, read_deed
from gateway.agents.commands.filling import BadHole, Filler, NothingThere, Values
from gateway.agents.commands.form import DeedForm, HttpForm, MqttForm
from gateway.agents.commands.matching import (
    Entries,
    FreeText,
    NumberRange,
    SentencePattern,
    SlotKind,
    SlotValue,
)
from gateway.agents.commands.sentence import BadSentence, Literal, all_ways, read_sentence
from gateway.agents.commands.words import MOST_CHARACTERS, SaidWords, plain
from gateway.orchestrators.answer import CannotAnswer
from gateway.settings.agents.commands import CommandsMqtt, CommandsSettings

KINDS: dict[str, SlotKind] = {
    "light": Entries.of({"lamp": SlotValue("l.1", "lamp"), "lamp two": SlotValue("l/2", "lamp two")}),
    "n": NumberRange(-5, 50),
    "what": FreeText(),
}
SETTINGS = CommandsSettings(mqtt=CommandsMqtt(url="mqtt://h"))
_ONLY_WORDS = re.compile(r"[a-z ()|\[\]]*")


class _Kept:
    """Means that do nothing but remember."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def ask(self, origin: str, path: str, **_how: Any) -> None:
        self.told.append(origin + path)

    async def publish(self, topic: str, payload: bytes, **_how: Any) -> None:
        self.told.append((topic, payload))

    async def run(self, argv: tuple[str, ...], name: str) -> str:
        self.told.append(argv)
        return name


def fuzz(data: bytes) -> None:
    pattern, _, rest = data.decode(errors="replace").partition("\n")
    template, _, said = rest.partition("\n")
    for language in ("en", "de"):
        _patterns(pattern, said, language)
    _texts(template, said)
    _places(template, said)


def _patterns(text: str, said: str, language: str) -> None:
    try:
        sentence = read_sentence(text, {"part": (Literal("lamp "),)})
        pattern = SentencePattern(sentence, KINDS, language)
    except BadSentence:
        return
    assert pattern.size <= 2 * len(text) + 5
    spoken = SaidWords(said, language)
    found = pattern.fits(spoken)
    if found is not None:
        assert found.keys() <= pattern.slots
        assert all(len(str(one.value)) <= MOST_CHARACTERS for one in found.values())
    if _ONLY_WORDS.fullmatch(text) and language == "de":
        try:
            ways = {plain(way, language) for way in all_ways(sentence, 256)}
        except BadSentence:
            return
        assert (found is not None) == (spoken.text in ways)
        for way in ways:
            assert len(way) > MOST_CHARACTERS or pattern.fits(SaidWords(way, language)) is not None


def _texts(template: str, said: str) -> None:
    values = Values({"what": SlotValue(said, said)}, {"a": [said, 1, True, None]})
    try:
        filled = Filler.read(template).fill(values.words)
    except (BadHole, NothingThere):
        return
    assert filled.count("{") <= template.count("{{") + said.count("{") * template.count("}")


def _places(template: str, said: str) -> None:
    values = Values({"what": SlotValue(said, said)})
    for form in (HttpForm(url=f"http://h/{template}"), MqttForm(topic=f"t/{template}")):
        is_http = isinstance(form, HttpForm)
        try:
            deed = read_deed(DeedForm(http=form) if is_http else DeedForm(mqtt=form), SETTINGS)
        except BadDeed:
            continue
        plainly, filled = _done(deed, Values({"what": SlotValue("x", "x")})), _done(deed, values)
        if not (plainly and filled):
            continue
        if is_http:
            one, other = yarl.URL(plainly[0]), yarl.URL(filled[0])
            assert (other.host, other.scheme, other.fragment) == (one.host, one.scheme, "")
            assert len(other.raw_parts) == len(one.raw_parts)
            assert list(other.query) == list(one.query) or "{what}" in urlsplit(form.url).query
        else:
            assert filled[0][0].count("/") == plainly[0][0].count("/")
            assert not re.search(r"[+#\x00]", filled[0][0])


def _done(deed: Deed, values: Values) -> list[Any]:
    means = _Kept()
    doing: Coroutine[Any, Any, Any] = deed.do(values, means)
    try:
        doing.send(None)
    except StopIteration:
        return means.told
    except (CannotAnswer, NothingThere):
        return []
    raise AssertionError("it waits for something")
