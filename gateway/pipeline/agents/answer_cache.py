"""What agents have answered, kept to be given again without asking them. No I/O, no clock.

``now`` is the caller's, in seconds of whichever clock it uses throughout. What was asked is kept as digests only.
"""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from gateway.contract.agents import AgentAnswer
from gateway.settings.answer_cache import CacheSettings
from gateway.settings.orchestrator import AgentSettings

ENTRY_BYTES = 512
"""What an answer takes beside its words and its data."""
_PUNCTUATION = ".,;:!?\N{HORIZONTAL ELLIPSIS}\"'()\N{INVERTED EXCLAMATION MARK}\N{INVERTED QUESTION MARK}"
_QUOTES = {ord(one): "'" for one in "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"} | {
    ord(one): '"'
    for one in "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}\N{DOUBLE LOW-9 QUOTATION MARK}"
}

_encoder = msgspec.json.Encoder(order="sorted")


def normalised(text: str) -> str:
    """The words alone: without capital letters, and without punctuation around them."""
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_QUOTES)
    return " ".join(filter(None, (word.strip(_PUNCTUATION) for word in plain.split())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquired:
    """All of a request that an answer may depend on. ``begun``: something was said before it in its conversation.

    ``about``: whatever it is forgotten by.
    """

    text: str
    language: str
    user_id: str
    device_id: str
    room: str
    begun: bool
    flags: tuple[str, ...] = ()
    about: object = None


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """Since the start ``hits`` and ``misses``; ``entries`` and ``bytes`` are there now."""

    hits: int
    misses: int
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: AgentAnswer
    words: bytes
    until: float
    size: int
    about: object


class AnswerCache:
    """One agent's; the answer that nobody wanted for longest gives way."""

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        self._most_bytes = 1024 * settings.kb
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = self._hits = self._misses = 0
        self.doubts = 0
        """How often somebody has said that answers are not true any more."""

    def find(self, wording: Inquired, answers: tuple[AgentAnswer, ...], now: float) -> AgentAnswer | None:
        """What it has answered to the same; ``answers``: of the agents before it."""
        if not self._is_for(wording):
            return None
        key = self._key(wording, answers)
        kept = self._kept.get(key)
        if kept is not None and kept.until <= now:
            self._drop(key)
            kept = None
        if kept is None:
            self._misses += 1
            return None
        self._hits += 1
        self._kept.move_to_end(key)
        return kept.answer

    def keep(
        self, wording: Inquired, answers: tuple[AgentAnswer, ...], answer: AgentAnswer, now: float
    ) -> None:
        """A good answer; what was kept of the same before goes."""
        if not self._is_for(wording):
            return
        key, size = self._key(wording, answers), ENTRY_BYTES + len(_encoder.encode(answer))
        self._drop(key)
        if size > self._most_bytes:
            return
        until = now + self._settings.seconds
        self._kept[key] = _Kept(answer, _digest(normalised(wording.text)), until, size, wording.about)
        self._bytes += size
        while self._bytes > self._most_bytes or len(self._kept) > self._settings.entries:
            self._drop(next(iter(self._kept)))

    def forget(self, is_gone: Callable[[Any], bool]) -> int:
        """Those to what is gone; how many they were."""
        return self._drop_where(lambda kept: is_gone(kept.about))

    def invalidate(self, text: str = "") -> int:
        """Those to this text, whoever said it and wherever; empty: all. How many they were."""
        self.doubts += 1
        words = _digest(normalised(text))
        return self._drop_where(lambda kept: not text or kept.words == words)

    def figures(self) -> CacheFigures:
        """All of that now."""
        return CacheFigures(self._hits, self._misses, len(self._kept), self._bytes)

    def _is_for(self, wording: Inquired) -> bool:
        apart = not wording.begun or self._settings.conversations
        return self._settings.seconds > 0 and apart and bool(normalised(wording.text))

    def _key(self, wording: Inquired, answers: tuple[AgentAnswer, ...]) -> bytes:
        by = self._settings.by
        return _digest(
            normalised(wording.text),
            wording.language,
            wording.user_id if "user" in by else "",
            ["room", wording.room] if wording.room and "room" in by else [],
            ["device", wording.device_id] if not wording.room and "room" in by else [],
            wording.flags,
            answers,
        )

    def _drop_where(self, is_meant: Callable[[_Kept], bool]) -> int:
        dropped = [key for key, kept in self._kept.items() if is_meant(kept)]
        for key in dropped:
            self._drop(key)
        return len(dropped)

    def _drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size


class AnswerCaches:
    """Those of all agents that have one."""

    def __init__(self, agents: Mapping[str, AgentSettings]) -> None:
        self._caches = {name: AnswerCache(one.cache) for name, one in agents.items() if one.cache.seconds > 0}

    def __bool__(self) -> bool:
        """Whether any agent has one."""
        return bool(self._caches)

    def of(self, agent: str) -> AnswerCache | None:
        """The one of that agent; None: it has none."""
        return self._caches.get(agent)

    def forget(self, is_gone: Callable[[Any], bool]) -> None:
        """Nothing is given again that was answered to what is gone."""
        for cache in self._caches.values():
            cache.forget(is_gone)

    def invalidate(self, agent: str = "", text: str = "") -> int:
        """What is kept of that agent, to that text; empty: of all, to all. How many answers they were."""
        caches = self._caches.items()
        return sum(cache.invalidate(text) for name, cache in caches if agent in ("", name))


def _digest(*parts: object) -> bytes:
    return blake2b(_encoder.encode(parts), digest_size=16).digest()
