"""The commands' file, read and checked: every mistake is told with its line, as those of config.yaml are."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from firmware_bridge.own_tokens import CREDENTIALS_VARIABLE
from gateway.agents.commands.book import AROUND, Command, CommandBook
from gateway.agents.commands.deeds import BadDeed, Deed, names_of, read_deed
from gateway.agents.commands.filling import REPLY, BadHole, Filler, Scalar
from gateway.agents.commands.form import CommandForm, CommandsFile, ListedValue, Wording
from gateway.agents.commands.matching import (
    Entries,
    FreeText,
    NumberRange,
    SentencePattern,
    SlotKind,
    SlotValue,
)
from gateway.agents.commands.sentence import (
    MOST_PIECES,
    Alternatives,
    BadSentence,
    Pieces,
    all_ways,
    is_too_much,
    parts_of,
    plainest_way,
    read_sentence,
    slots_of,
)
from gateway.agents.commands.words import decimal_mark, plain
from gateway.config import outline
from gateway.config.loading import ConfigError, ConfigProblem, as_problem, read_file
from gateway.config.outline import Mistake
from gateway.config.outline import Path as Place
from gateway.settings.agents.commands import CommandsSettings

DEMO = "demo"
_NO_COMMANDS = "name a file of commands; demo is one, to try"
MOST_WAYS = 256
"""To say one value of a list."""
MOST_STEPS = 50_000
"""Of all patterns together: what one utterance may cost is bounded by them."""

_Told: TypeAlias = tuple[Place, str]
"""A text of the file, and where it stands."""


def file_of(settings: CommandsSettings) -> Path:
    """Where the commands stand."""
    name = settings.file
    if name == DEMO:
        return Path(__file__).with_name("demo.yaml")
    path = Path(name)
    with suppress(RuntimeError):  # no such home folder: then there is no such file
        path = path.expanduser()
    return Path(os.environ.get(CREDENTIALS_VARIABLE, ""), path)


def read_book(settings: CommandsSettings) -> CommandBook:
    """Raises ConfigError."""
    file = file_of(settings)
    _, document = read_file(file, _NO_COMMANDS)
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):  # some other file, perhaps one with a password: nothing of it is told
        message = f"expected settings ({', '.join(CommandsFile.__struct_fields__)}), got something else"
        raise ConfigError([ConfigProblem(str(file), "", message)])
    good, mistakes = outline.check(CommandsFile, data)
    reading = _Reading(msgspec.convert(good, CommandsFile), settings)
    book = reading.book()
    problems = [as_problem(one, file, document.lines, {}) for one in [*mistakes, *reading.mistakes]]
    if problems:
        raise ConfigError(problems)
    return book


def mistakes_in(settings: CommandsSettings) -> list[ConfigProblem]:
    """What is wrong with commands."""
    try:
        read_book(settings)
    except ConfigError as error:
        return list(error.problems)
    return []


class _Reading:
    """One file on its way to a book. What is wrong is put down, and left out."""

    def __init__(self, form: CommandsFile, settings: CommandsSettings) -> None:
        self._form = form
        self._settings = settings
        self.mistakes: list[Mistake] = []
        self._parts: dict[str, dict[str, Pieces]] = {}
        self._kinds: dict[str, dict[str, SlotKind]] = {}
        self._skips: dict[str, frozenset[str]] = {}
        self._steps = 0

    def book(self) -> CommandBook:
        form = self._form
        for language in self._languages():
            self._parts[language] = self._read_parts(language)
            self._kinds[language] = self._read_kinds(language)
            self._skips[language] = frozenset(self._skipped(language))
        self._one_name_each()
        commands = tuple(self._command(name, one) for name, one in form.commands.items())
        self._not_too_much(commands)
        for room, slots in form.rooms.items():
            for name, value in slots.items():
                self._check_default(("rooms", room, name), name, value)
        return CommandBook(
            language=form.language,
            commands=commands,
            kinds=self._kinds,
            in_rooms=form.rooms,
            skipped=self._skips,
            not_understood=self._texts(form.not_understood, ("not_understood",), frozenset(AROUND)),
            hotwords=_joined(form.commands),
        )

    # -- languages

    def _languages(self) -> list[str]:
        said = {code for one in self._form.commands.values() for code, _ in self._by_language(one.say)}
        return sorted(said | {self._form.language})

    def _by_language(self, wording: Wording) -> Iterator[tuple[str, _Told]]:
        """Each text with its language, and where it stands below the setting."""
        if isinstance(wording, Mapping):
            for code, words in wording.items():
                for below, text in _each(words):
                    yield code, ((code, *below), text)
        else:
            for told in _each(wording):
                yield self._form.language, told

    def _in(self, language: str, wording: Wording, here: Place) -> Iterator[_Told]:
        for code, (below, text) in self._by_language(wording):
            if code == language:
                yield (*here, *below), text

    def _skipped(self, language: str) -> Iterator[str]:
        for here, text in self._in(language, self._form.skip, ("skip",)):
            word = plain(text, language)
            if " " in word or not word:
                self._wrong(here, f"expected one word, got {text!r:.60}")
            yield word

    # -- what patterns are made of

    def _read_parts(self, language: str) -> dict[str, Pieces]:
        texts = {
            name: list(self._in(language, wording, ("parts", name)))
            for name, wording in self._form.parts.items()
        }
        parts: dict[str, Pieces] = {}
        while ready := [name for name in texts.keys() - parts.keys() if self._is_ready(texts[name], parts)]:
            for name in sorted(ready):
                parts[name] = self._part(texts[name], parts)
        for name in texts.keys() - parts.keys():
            named = {one for _, text in texts[name] for one in parts_of(text)}
            unknown = sorted(named - texts.keys())
            what = (
                f"there is no part <{unknown[0]}>" if unknown else "it stands, by way of others, for itself"
            )
            self._wrong(("parts", name), what)
        return parts

    @staticmethod
    def _is_ready(texts: list[_Told], parts: Mapping[str, Pieces]) -> bool:
        return all(name in parts for _, text in texts for name in parts_of(text))

    def _part(self, texts: list[_Told], parts: Mapping[str, Pieces]) -> Pieces:
        options = tuple(self._sentence(here, text, parts) for here, text in texts)
        part: Pieces = options[0] if len(options) == 1 else (Alternatives(options),)
        if is_too_much(part):
            self._wrong(texts[0][0], f"with its parts it has more than {MOST_PIECES} pieces")
            return ()
        return part

    def _sentence(self, here: Place, text: str, parts: Mapping[str, Pieces]) -> Pieces:
        try:
            return read_sentence(text, parts)
        except BadSentence as error:
            self._wrong(here, str(error))
            return ()

    def _read_kinds(self, language: str) -> dict[str, SlotKind]:
        kinds: dict[str, SlotKind] = {name: FreeText() for name in self._form.texts}
        mark = decimal_mark(language)
        kinds |= {name: NumberRange(one.least, one.most, mark) for name, one in self._form.numbers.items()}
        return kinds | {name: self._entries(name, language) for name in self._form.lists}

    def _entries(self, name: str, language: str) -> Entries:
        said: dict[str, SlotValue] = {}
        for i, one in enumerate(self._form.lists[name]):
            here: Place = ("lists", name, i)
            told = self._ways_to_say(one, language, here)
            sentences = [(place, self._sentence(place, text, self._parts[language])) for place, text in told]
            words = plainest_way(sentences[0][1]) if sentences else ""
            value = one.value if isinstance(one, ListedValue) else words
            for place, sentence in sentences:
                for way in self._all(place, sentence, language):
                    if said.setdefault(way, SlotValue(value, words or str(value))).value != value:
                        self._wrong(place, f"{way!r:.60} is said of two values")
        return Entries.of(said)

    def _ways_to_say(self, one: str | ListedValue, language: str, here: Place) -> list[_Told]:
        if isinstance(one, str):
            return [(here, one)]
        told = list(self._in(language, one.say, (*here, "say")))
        return told if one.say else [(here, str(one.value))]

    def _all(self, here: Place, sentence: Pieces, language: str) -> list[str]:
        """As they are compared."""
        try:
            return [way for one in all_ways(sentence, MOST_WAYS) if (way := plain(one, language))]
        except BadSentence as error:
            self._wrong(here, str(error))
            return []

    def _one_name_each(self) -> None:
        form = self._form
        names = [*(("lists", one) for one in form.lists), *(("numbers", one) for one in form.numbers)]
        places: list[tuple[Place, str]] = [((section, one), one) for section, one in names]
        places += [(("texts", i), one) for i, one in enumerate(form.texts)]
        seen = set[str]()
        for here, name in places:
            if name in seen or name == REPLY:
                self._wrong(here, f"the name {name!r} is taken")
            seen.add(name)

    # -- commands

    def _command(self, name: str, form: CommandForm) -> Command:
        here: Place = ("commands", name)
        patterns, kinds = self._patterns(form, here)
        deeds = tuple(self._deeds(form, here))
        of_rooms = {slot for slots in self._form.rooms.values() for slot in slots}
        known = frozenset({*kinds, *form.defaults, *of_rooms, *AROUND})
        self._check_holes(form, deeds, here, known)
        for slot, value in form.defaults.items():
            self._check_default((*here, "defaults", slot), kinds.get(slot, slot), value)
        answered = known | {REPLY} if any(deed.answers for deed in deeds) else known
        confirm: Wording = () if isinstance(form.confirm, bool) else form.confirm
        self._check_languages(patterns, form.reply, (*here, "reply"))
        self._check_languages(patterns, confirm, (*here, "confirm"))
        return Command(
            name=name,
            patterns=patterns,
            replies=self._texts(form.reply, (*here, "reply"), answered),
            deeds=deeds,
            confirms=form.confirm is True or bool(confirm),
            questions=self._texts(confirm, (*here, "confirm"), known),
            rooms=form.rooms,
            users=form.users,
            defaults=form.defaults,
            kinds=kinds,
        )

    def _patterns(
        self, form: CommandForm, here: Place
    ) -> tuple[dict[str, tuple[SentencePattern, ...]], dict[str, str]]:
        patterns: dict[str, list[SentencePattern]] = {}
        kinds: dict[str, str] = {}
        if not form.say:
            self._wrong(here, "nothing is said for it: write patterns into say")
        for language, (below, text) in self._by_language(form.say):
            place = (*here, "say", *below)
            sentence = self._sentence(place, text, self._parts[language])
            for slot, kind in slots_of(sentence).items():
                if kinds.setdefault(slot, kind) != kind:
                    self._wrong(place, f"{{{slot}}} is of {kinds[slot]} elsewhere, and of {kind} here")
            if sentence and (pattern := self._pattern(place, sentence, language)):
                patterns.setdefault(language, []).append(pattern)
        return {code: tuple(some) for code, some in patterns.items()}, kinds

    def _pattern(self, here: Place, sentence: Pieces, language: str) -> SentencePattern | None:
        if self._steps > 2 * MOST_STEPS:
            return None  # it is a mistake already
        try:
            pattern = SentencePattern(sentence, self._kinds[language], language)
        except BadSentence as error:
            self._wrong(here, str(error))
            return None
        self._steps += pattern.size
        said = {word for words in pattern.always for word in words.split()}
        if skipped := sorted(said & self._skips[language]):
            self._wrong(here, f"it waits for {skipped[0]!r:.60}, which is passed over (skip)")
        return pattern

    def _deeds(self, form: CommandForm, here: Place) -> Iterator[Deed]:
        for i, one in enumerate(form.do):
            try:
                yield read_deed(one, self._settings)
            except BadDeed as error:
                self._wrong((*here, "do", i, *error.field), str(error))

    def _check_holes(
        self, form: CommandForm, deeds: tuple[Deed, ...], here: Place, known: frozenset[str]
    ) -> None:
        for i, deed in enumerate(deeds if len(deeds) == len(form.do) else ()):
            for name in sorted(names_of(deed) - known):
                self._wrong((*here, "do", i), _no_slot(name, known))
            if any(hole.name == REPLY for hole in deed.holes) and not any(one.answers for one in deeds[:i]):
                self._wrong((*here, "do", i), "nothing before it answers what could be {reply}")

    def _check_languages(self, said: Collection[str], wording: Wording, here: Place) -> None:
        """What is said in a language is answered in it, or in the file's."""
        there = {code for code, _ in self._by_language(wording)}
        if there and self._form.language not in there:
            for code in sorted(set(said) - there):
                self._wrong(here, f"there is none in {code}, nor in the file's language")

    def _check_default(self, here: Place, kind: str, value: Scalar) -> None:
        entries = self._kinds[self._form.language].get(kind)
        if isinstance(entries, Entries) and all(one.value != value for one in entries.said.values()):
            self._wrong(here, f"{value!r:.60} is none of the list {kind}")

    def _texts(self, wording: Wording, here: Place, known: frozenset[str]) -> dict[str, tuple[Filler, ...]]:
        texts: dict[str, list[Filler]] = {}
        for language, (below, text) in self._by_language(wording):
            try:
                filler = Filler.read(text)
            except BadHole as error:
                self._wrong((*here, *below), str(error))
                continue
            for name in sorted({hole.name for hole in filler.holes} - known):
                self._wrong((*here, *below), _no_slot(name, known))
            texts.setdefault(language, []).append(filler)
        return {code: tuple(some) for code, some in texts.items()}

    def _not_too_much(self, commands: tuple[Command, ...]) -> None:
        for language in self._kinds:
            steps = sum(one.size for command in commands for one in command.patterns.get(language, ()))
            if steps > MOST_STEPS:
                self._wrong(("commands",), f"patterns of more than {MOST_STEPS} steps, got {steps}")

    def _wrong(self, here: Place, message: str) -> None:
        self.mistakes.append(Mistake(here, message))


def _each(words: str | tuple[str, ...]) -> Iterator[_Told]:
    if isinstance(words, str):
        yield (), words
    else:
        for i, text in enumerate(words):
            yield (i,), text


def _no_slot(name: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"there is no slot {{{name}}}" + (f"; did you mean {{{near[0]}}}?" if near else "")


def _joined(commands: Mapping[str, Any]) -> str:
    """Every command's words for the recognizer, each once, as many as it takes."""
    words = list(dict.fromkeys(word for one in commands.values() for word in one.hotwords))
    while len(text := ", ".join(words)) > MOST_HOTWORD_CHARACTERS:
        words.pop()
    return text


MOST_HOTWORD_CHARACTERS = 1_000
