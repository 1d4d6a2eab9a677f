"""Which recognizers are there, by what they say of themselves each second. No I/O and no clock."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.contract.recognition import WORKER_GONE_SECONDS, WorkerPresence

MOST_WORKERS = 1_000
"""More are not kept: those that were heard last are."""
MOST_CAPACITY = 1_000
"""Of one worker; what it says beyond that is not believed."""
AUTO = "auto"
HERE = "here"


@dataclass(frozen=True, slots=True)
class Need:
    """What a worker must have for an utterance."""

    model: str
    language: str = ""
    """Empty, or ``auto``: any."""
    translate: bool = False

    def met_by(self, one: WorkerPresence) -> bool:
        """One that does not say its languages has them all."""
        if one.model != self.model:
            return False
        if not one.languages:
            return True
        if self.translate and len(one.languages) == 1:
            return False
        return self.language in ("", AUTO) or self.language in one.languages


@dataclass(frozen=True, slots=True)
class Hands:
    """Some workers, taken together. ``seconds_per_job``: 0 where none has done any."""

    workers: int = 0
    capacity: int = 0
    busy: int = 0
    oldest_seconds: float = 0.0
    seconds_per_job: float = 0.0

    @property
    def free(self) -> int:
        """Utterances that somebody could begin with at once."""
        return max(0, self.capacity - self.busy)


@dataclass(slots=True)
class _Seen:
    said: WorkerPresence
    at: float
    busy: int


class Workers:
    """All that were heard of late."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def hear(self, said: WorkerPresence, now: float) -> bool:
        """What one says of itself; whether that changes who is there, or which."""
        before = self._seen.pop(said.worker, None)
        was = before is not None and self._fresh(before, now)
        self._seen[said.worker] = _Seen(said, now, min(said.busy, said.capacity))
        if len(self._seen) > MOST_WORKERS:
            self._seen.popitem(last=False)
        if before is None or not was:
            return True
        told = before.said
        return (told.state, told.model, told.engine, told.languages, told.capacity) != (
            said.state, said.model, said.engine, said.languages, said.capacity,
        )  # fmt: skip

    def done(self, worker: str) -> None:
        """It has just given a result: it is at one less than it said."""
        if (seen := self._seen.get(worker)) is not None:
            seen.busy = max(0, seen.busy - 1)

    def knows(self, worker: str) -> bool:
        """Whether it was ever heard, be it gone since: its last results are on their way then."""
        return worker in self._seen

    def silent(self, worker: str, now: float) -> float:
        """Seconds since its last word; raises KeyError for one that was never heard."""
        return now - self._seen[worker].at

    def present(self, now: float) -> list[WorkerPresence]:
        """All that are not silent, whatever they have."""
        return [seen.said for seen in self._seen.values() if self._fresh(seen, now)]

    def hands(self, need: Need, now: float) -> Hands:
        """Those that could do it."""
        fit = [
            seen for seen in self._seen.values() if self._fresh(seen, now) and self._serves(seen.said, need)
        ]
        paces = [seen.said.seconds_per_job for seen in fit if 0 < seen.said.seconds_per_job < float("inf")]
        return Hands(
            len(fit),
            sum(min(seen.said.capacity, MOST_CAPACITY) for seen in fit),
            sum(seen.busy for seen in fit),
            max(
                (seen.said.oldest_seconds for seen in fit if seen.said.oldest_seconds < float("inf")),
                default=0.0,
            ),
            sum(paces) / len(paces) if paces else 0.0,
        )

    def serving(self, need: Need, now: float) -> frozenset[str]:
        """Who could do it."""
        return frozenset(one.worker for one in self.present(now) if self._serves(one, need))

    def here(self, now: float) -> frozenset[str]:
        """Who is not silent."""
        return frozenset(one.worker for one in self.present(now))

    def languages(self, model: str, now: float) -> tuple[str, ...]:
        """Those that workers with the model know; empty: nobody says."""
        known = [one.languages for one in self.present(now) if one.model == model and one.state == HERE]
        if not all(known):
            return ()
        return tuple(sorted({language for one in known for language in one}))

    def why_none(self, need: Need, now: float) -> str:
        """Why nobody could do it."""
        present = self.present(now)
        if not present:
            return "no recognizer is there"
        having = [one for one in present if one.model == need.model]
        if not having:
            return f"no recognizer has {need.model}; there is {_in_words(one.model for one in present)}"
        if all(one.state == "loading" for one in having):
            return f"the recognizers are loading {need.model}"
        if any(self._able(one) for one in having):
            return f"no recognizer with {need.model} knows the language {need.language}"
        return f"all recognizers with {need.model} are leaving"

    def _serves(self, one: WorkerPresence, need: Need) -> bool:
        return self._able(one) and need.met_by(one)

    @staticmethod
    def _able(one: WorkerPresence) -> bool:
        return one.state == HERE and one.capacity > 0

    @staticmethod
    def _fresh(seen: _Seen, now: float) -> bool:
        return now - seen.at <= WORKER_GONE_SECONDS


def _in_words(models: Iterable[str]) -> str:
    """What there is, and how often."""
    return ", ".join(f"{model} ({count})" for model, count in sorted(Counter(models).items()))
