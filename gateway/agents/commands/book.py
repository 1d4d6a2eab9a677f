"""All commands of a file, ready to be looked up: which one was meant, with its slots."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from gateway.agents.commands.deeds import Deed, ShellDeed, names_of
from gateway.agents.commands.filling import REPLY, Filler, Scalar
from gateway.agents.commands.matching import Entries, SentencePattern, SlotKind, SlotValue
from gateway.agents.commands.words import SaidWords, plain
from gateway.contract.messages import TranscriptionMessage

AROUND = ("room", "user", "device", "text", "time")
"""Slots that are always there, unless they are said."""

Texts = Mapping[str, tuple[Filler, ...]]
"""By language."""


@dataclass(frozen=True, slots=True)
class Command:
    """One of the file. ``kinds``: of its slots. ``defaults``: of what was not said, by language."""

    name: str
    patterns: Mapping[str, tuple[SentencePattern, ...]]
    replies: Texts
    deeds: tuple[Deed, ...] = ()
    confirms: bool = False
    questions: Texts = field(default_factory=dict)
    rooms: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    defaults: Mapping[str, Scalar] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    turn: count[int] = field(default_factory=count)

    def is_for(self, heard: TranscriptionMessage) -> bool:
        """Whether it counts there, and for who speaks."""
        return (not self.rooms or heard.room in self.rooms) and (
            not self.users or heard.user_id in self.users
        )

    @property
    def audited(self) -> bool:
        """Whether it is written down when it is done: it runs a program, or somebody had to say yes."""
        return self.confirms or any(isinstance(deed, ShellDeed) for deed in self.deeds)

    @property
    def needed(self) -> frozenset[str]:
        """The slots without which nothing can be done."""
        return frozenset(name for deed in self.deeds for name in names_of(deed))


class Meant(NamedTuple):
    """What was meant. ``said``: what of the slots is the command's own, and no news of who speaks where."""

    command: Command
    language: str
    slots: Mapping[str, SlotValue]
    said: Mapping[str, SlotValue]


@dataclass(frozen=True, slots=True)
class CommandBook:
    """Everything of a file. ``kinds``: of slots, by language and name. ``in_rooms``: slots that rooms have."""

    language: str
    commands: tuple[Command, ...]
    kinds: Mapping[str, Mapping[str, SlotKind]]
    in_rooms: Mapping[str, Mapping[str, Scalar]]
    skipped: Mapping[str, frozenset[str]]
    not_understood: Texts
    hotwords: str = ""

    def spoken_in(self, heard: TranscriptionMessage) -> str:
        """The language in which it is looked up."""
        return heard.language if heard.language in self.kinds else self.language

    def understand(self, heard: TranscriptionMessage) -> Meant | None:
        """The first command that fits, and has all that it needs. Raises TooMuchToTry."""
        language = self.spoken_in(heard)
        spoken = SaidWords(heard.text, language, self.skipped.get(language, frozenset()))
        for command in self.commands if spoken.text else ():
            if not command.is_for(heard):
                continue
            for pattern in command.patterns.get(language, ()):
                said = pattern.fits(spoken)
                found = None if said is None else self._whole(command, language, heard, said)
                if found is not None:
                    return found
        return None

    def _whole(
        self, command: Command, language: str, heard: TranscriptionMessage, said: Mapping[str, SlotValue]
    ) -> Meant | None:
        own = {**self._defaults(command, language, heard), **said}
        slots = {**_around(heard), **own}
        replies = self.texts(command.replies, language)
        can_say = not replies or any(can_fill(one, slots) for one in replies)
        if not can_say or not command.needed <= slots.keys():
            return None
        return Meant(command, language, slots, own)

    def _defaults(self, command: Command, language: str, heard: TranscriptionMessage) -> dict[str, SlotValue]:
        found = dict[str, SlotValue]()
        room = self._entry(
            command, "room", language, lambda entries: _by_words(entries, heard.room, language)
        )
        if room is not None and heard.room:
            found["room"] = room
        for name, value in {**command.defaults, **self.in_rooms.get(heard.room, {})}.items():
            found[name] = self.slot(command.kinds.get(name, name), value, language)
        return found

    def _entry(
        self, command: Command, name: str, language: str, find: Callable[[Entries], SlotValue | None]
    ) -> SlotValue | None:
        kind = self.kinds[language].get(command.kinds.get(name, name))
        return find(kind) if isinstance(kind, Entries) else None

    def slot(self, kind: str, value: Scalar, language: str) -> SlotValue:
        """A value as it is called in that language."""
        entries = self.kinds[language].get(kind)
        if isinstance(entries, Entries):
            for one in entries.said.values():
                if one.value == value:
                    return one
        return SlotValue(value, str(value))

    def around(self, heard: TranscriptionMessage) -> dict[str, SlotValue]:
        """What is known of who speaks, where and when."""
        return _around(heard)

    def texts(self, texts: Texts, language: str) -> tuple[Filler, ...]:
        """In that language, or in the file's."""
        return texts.get(language) or texts.get(self.language, ())


def can_fill(filler: Filler, slots: Mapping[str, SlotValue]) -> bool:
    """Whether all is there that it names, but for what an action is still to answer."""
    return all(hole.name == REPLY or hole.name in slots for hole in filler.holes)


def _by_words(entries: Entries, room: str, language: str) -> SlotValue | None:
    return entries.said.get(plain(room, language))


def _around(heard: TranscriptionMessage) -> dict[str, SlotValue]:
    facts = {
        "room": heard.room,
        "user": heard.user_id,
        "device": heard.device_id,
        "text": heard.text.strip(),
        "time": time.strftime("%H:%M"),
    }
    return {name: SlotValue(text, text) for name, text in facts.items() if text}
