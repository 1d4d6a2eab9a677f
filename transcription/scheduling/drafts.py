"""Looks at speech that goes on: whose turn it is, and whether there is time for one. No I/O and no clock.

A look (a *draft*) is worth little and must cost little: it waits until no finished utterance and no guess
does, takes no more than its share of the recognizer's time, and is not made at all where looks take so
long that a final text which arrives in the middle of one would notice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from transcription.errors import QueueFull
from transcription.priority import Priority
from transcription.scheduling.class_queues import ClassQueues
from transcription.settings import PartialsSettings
from transcription.transcriber import NO_HINTS, Hints, Transcript
from transcription.utterance.segmenter import Utterance

_PASSES_REMEMBERED = 5


@dataclass(slots=True)
class DraftCounters:
    """What became of the looks that were asked for, since the start: each is counted in one of the others.

    ``stale``: speech had moved on, or was over. ``gave_way``: finished utterances or guesses were
    before it, or there was no engine, or none that is fast enough. ``doubted``: what the model said could not be right.
    """

    asked: int = 0
    shown: int = 0
    stale: int = 0
    gave_way: int = 0
    doubted: int = 0
    failed: int = 0


class Budget:
    """How much of the recognizer's time looks may take: ``share`` of it, in looks of ``longest`` seconds."""

    def __init__(self, share: float, longest: float) -> None:
        self._share = share
        self._longest = longest
        self._passes: deque[float] = deque(maxlen=_PASSES_REMEMBERED)
        self.free_at = 0.0
        """The next look may begin then."""

    @property
    def affordable(self) -> bool:
        """Whether looks are short enough, by the median of the latest passes of any kind."""
        return not self._passes or median(self._passes) <= self._longest

    def measure(self, seconds: float) -> None:
        """A pass of any kind took so long."""
        self._passes.append(seconds)

    def spend(self, begun: float, seconds: float) -> None:
        """A look took so long: after it comes a pause in which its share is kept."""
        self.free_at = max(self.free_at, begun + seconds / self._share)


class Draft:
    """One utterance that is followed while it goes on; made by :meth:`Recognizer.follow`."""

    def __init__(
        self,
        owner: str,
        on_text: Callable[[Transcript], None],
        ask: Callable[[Draft, Utterance, Hints], None],
        drop: Callable[[Draft], None],
        priority: Priority = Priority.NORMAL,
    ) -> None:
        self.owner = owner
        self.priority = priority
        self.hints = NO_HINTS
        self.on_text = on_text
        self.so_far: Utterance | None = None
        """What waits to be looked at."""
        self.passed_over = False
        """Whether something more important was done since it waits."""
        self.dropped = False
        self._ask = ask
        self._drop = drop

    def ask(self, so_far: Utterance, hints: Hints = NO_HINTS) -> None:
        """Have a look at this when there is time; it takes the place of what still waits."""
        self._ask(self, so_far, hints)

    def drop(self) -> None:
        """The utterance is over: nothing more is told about it. Idempotent."""
        self._drop(self)


class Drafts:
    """The looks that wait, at most one for each utterance; urgent ones first, and in a class owners take turns."""

    def __init__(self, settings: PartialsSettings, capacity: int) -> None:
        self.budget = Budget(settings.share, settings.longest_ms / 1000)
        self.counters = DraftCounters()
        self._waiting: ClassQueues[Draft] = ClassQueues(capacity)
        self._behind = False  # while something more important is done

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def ask(self, draft: Draft, so_far: Utterance, hints: Hints = NO_HINTS) -> bool:
        """Wait with this; whether it may, because there is room and looks are short enough."""
        self.counters.asked += 1
        if draft.dropped:
            self.counters.stale += 1
            return False
        if not self.budget.affordable:
            self.counters.gave_way += 1
            return False
        if draft.so_far is not None:  # it keeps its turn
            self._count_unbegun(draft)
        else:
            try:
                self._waiting.of[draft.priority].put(draft.owner, draft)
            except QueueFull:
                self.counters.gave_way += 1
                return False
        draft.so_far, draft.passed_over = so_far, self._behind
        draft.hints = replace(hints, draft=True, word_timestamps=False)
        return True

    def refuse(self) -> None:
        """There is more important work to do than what was asked for."""
        self.counters.asked += 1
        self.counters.gave_way += 1

    def pass_over(self) -> None:
        """Something more important is done now, before all that wait and until ``take``."""
        self._behind = True
        for draft in self._waiting:
            draft.passed_over = True

    def drop(self, draft: Draft) -> None:
        """Its utterance is over. Idempotent."""
        draft.dropped = True
        if draft.so_far is not None:
            self._waiting.of[draft.priority].discard(draft.owner, draft)
            self._count_unbegun(draft)
            draft.so_far = None

    def take(self, now: float) -> tuple[Draft, Utterance] | None:
        """The next one, if it may begin now; ``budget.free_at`` says when one may."""
        self._behind = False
        if not self._waiting or now < self.budget.free_at or not self.budget.affordable:
            return None
        draft = self._waiting.get()
        so_far, draft.so_far = draft.so_far, None
        assert so_far is not None
        return draft, so_far

    def done(self, draft: Draft, transcript: Transcript | None) -> None:
        """What was begun has ended, None: with a failure, after which the utterance is not looked at again."""
        if transcript is None:
            self.counters.failed += 1
            self.drop(draft)
        elif draft.dropped:
            self.counters.stale += 1
        elif transcript.doubtful:
            self.counters.doubted += 1
        else:
            self.counters.shown += 1
            draft.on_text(transcript)

    def _count_unbegun(self, draft: Draft) -> None:
        if draft.passed_over:
            self.counters.gave_way += 1
        else:
            self.counters.stale += 1
