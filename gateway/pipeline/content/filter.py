"""The word in between as it is configured: the user's own function first, then what is forbidden and personal.

So whatever the function makes of a text, what it is told to look for is looked for in what goes on. Texts are in no
log and in no count; the audit log learns that there was one, whose, and what became of it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from gateway.pipeline.content.data import DataDropped, DataTooDeep, sifted
from gateway.pipeline.content.forbidden_words import ForbiddenWords
from gateway.pipeline.content.found import Found, masked
from gateway.pipeline.content.hook import Hook, HookFailed
from gateway.pipeline.content.personal_data import find_personal_data
from gateway.pipeline.content.port import DataRuling, PassingText, Ruling, Way
from gateway.pipeline.sessions.names import UtteranceName
from gateway.settings.content import ContentSettings

PERSONAL, FORBIDDEN = "personal_data", "forbidden_words"
CHANGED, UNCHECKED = "changed", "unchecked"
"""Flags: what was found; that the function made another text of it, or could not be asked."""
LONG_CHARACTERS = 16_384
"""A text with more is searched beside the event loop."""


class Rule(NamedTuple):
    """What is looked for, what it is called when it is there, and what becomes of the text then."""

    flag: str
    find: Callable[[str], list[Found]]
    action: str


def rules(settings: ContentSettings) -> tuple[Rule, ...]:
    """Those that are configured."""
    every = []
    if settings.personal_data != "off":
        every.append(Rule(PERSONAL, find_personal_data, settings.personal_data))
    if settings.forbidden_words:
        every.append(Rule(FORBIDDEN, ForbiddenWords(settings.forbidden_words).find, settings.forbidden))
    return tuple(every)


def apply(every: tuple[Rule, ...], text: str) -> Ruling:
    """What goes on of a text."""
    flags = []
    for rule in every:
        found = rule.find(text)
        if not found:
            continue
        flags.append(rule.flag)
        if rule.action == "drop":
            return Ruling("", tuple(flags), dropped=True)
        if rule.action == "mask":
            text = masked(text, found)
    return Ruling(text, tuple(flags))


class TextFilter:
    """To be asked on the gateway's event loop."""

    def __init__(
        self,
        settings: ContentSettings,
        hook: Hook | None,
        *,
        note: Callable[[Way, str, Ruling, UtteranceName], None],
        hook_state: Callable[[str], None],
    ) -> None:
        """``note`` is told what became of a text; ``hook_state`` why the function failed, or "": it does not."""
        self.counts: Counter[str] = Counter(flagged=0, changed=0, dropped=0, failed=0)
        self._rules = rules(settings)
        self._hook = hook
        self._passes_unchecked = settings.hook_failed == "pass"
        self._note = note
        self._hook_state = hook_state
        self._ways = {
            "both": frozenset(Way),
            "transcripts": frozenset({Way.TRANSCRIPT}),
            "replies": frozenset({Way.REPLY, Way.ANNOUNCEMENT}),
        }[settings.applies_to]
        self._is_hard = hook is not None or any(rule.action != "flag" for rule in self._rules)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def holds(self, way: Way) -> bool:
        """Whether such a text may be changed or kept back."""
        return self._is_hard and way in self._ways

    async def look(self, way: Way, text: str, name: UtteranceName, language: str = "") -> Ruling:
        """What goes on of it."""
        if way not in self._ways or not text:
            return Ruling(text)
        async with self._turn(way, name):
            ruling = await self._judge(way, text, name, language)
        self._count(way, ruling, name, changed=ruling.text != text)
        return ruling

    async def look_into(self, way: Way, data: dict[str, Any], name: UtteranceName) -> DataRuling:
        """What goes on of it; where it lies too deep to be looked at, nothing does of the data."""
        if way not in self._ways or not self._rules or not data:
            return DataRuling(data)
        flags: dict[str, None] = {}
        left: dict[str, Any] | None = None
        dropped = False
        try:
            left = await asyncio.to_thread(sifted, data, partial(apply, self._rules), flags)
        except DataTooDeep:
            flags[UNCHECKED] = None
        except DataDropped:
            dropped = True
        ruling = Ruling("", tuple(flags), dropped)
        self._count(way, ruling, name, changed=left != data)
        return DataRuling(left, ruling.flags, dropped)

    def _count(self, way: Way, ruling: Ruling, name: UtteranceName, *, changed: bool) -> None:
        if ruling.dropped or ruling.flags:
            outcome = "dropped" if ruling.dropped else "changed" if changed else "flagged"
            self.counts[outcome] += 1
            self._note(way, outcome, ruling, name)

    def close(self) -> None:
        """The function is not asked any more."""
        if self._hook is not None:
            self._hook.close()

    def _turn(self, way: Way, name: UtteranceName) -> AbstractAsyncContextManager[object]:
        """What one session says goes on in its order, however long each of it takes."""
        if way is not Way.TRANSCRIPT:
            return nullcontext()
        return self._turns.setdefault(name.session_id, asyncio.Lock())

    async def _judge(self, way: Way, text: str, name: UtteranceName, language: str) -> Ruling:
        own = Ruling(text) if self._hook is None else await self._ask(self._hook, way, text, name, language)
        if own.dropped:
            return own
        if len(own.text) > LONG_CHARACTERS:
            ruling = await asyncio.to_thread(apply, self._rules, own.text)
        else:
            ruling = apply(self._rules, own.text)
        return Ruling(ruling.text, (*own.flags, *ruling.flags), ruling.dropped)

    async def _ask(self, hook: Hook, way: Way, text: str, name: UtteranceName, language: str) -> Ruling:
        passing = PassingText(
            way, text, name.user_id, name.device_id, name.session_id, name.correlation_id, language
        )
        try:
            answer = await hook.ask(passing)
        except HookFailed as error:
            self.counts["failed"] += 1
            self._hook_state(str(error))
            return (
                Ruling(text, (UNCHECKED,))
                if self._passes_unchecked
                else Ruling("", (UNCHECKED,), dropped=True)
            )
        self._hook_state("")
        if answer is None:
            return Ruling("", tuple(passing.flags), dropped=True)
        changed = () if answer == text else (CHANGED,)
        return Ruling(answer, (*changed, *passing.flags))
