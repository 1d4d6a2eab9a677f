"""What a scenario found, as figures that can be written down and added up."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from tests.chaos.checker import Findings

MOST_FAULTS = 20
"""So many are told in words; all are counted."""


class Outcome(Struct, kw_only=True):
    """One row of the table.

    ``times``: how often something was killed, cut or filled. ``spoken``: utterances, or messages.
    ``faults``: what went wrong, with the seed that shows it. ``figures``: what else was measured, the unit in the name.
    """

    scenario: str
    times: int = 0
    spoken: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    wrong: int = 0
    repeated: int = 0
    late: int = 0
    """What came after a later message of its session, and told so by its timestamp."""
    gone: int = 0
    """What died with its device before the gateway had accepted it."""
    seconds: float = 0.0
    note: str = ""
    faults: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether anything was spoken, and nothing went wrong."""
        return self.spoken > 0 and not self.faults

    def add(self, seed: int, places: Mapping[str, Findings]) -> None:
        """One run: what was spoken is the same at each place, what went wrong is added up."""
        self.spoken += max(found.spoken for found in places.values())
        for place, found in places.items():
            self.lost += len(found.lost)
            self.doubled += len(found.doubled)
            self.out_of_order += len(found.out_of_order)
            self.wrong += len(found.never_said)
            self.repeated += found.repeated
            self.late += len(found.late)
            if not found.clean:
                self.fault(f"seed {seed}, {place}: {found}")
        self.gone += max(found.gone for found in places.values())

    def fault(self, words: str) -> None:
        """Something went wrong."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(words)

    def __str__(self) -> str:
        figures = "".join(f", {name} {value:g}" for name, value in self.figures.items())
        counts = (
            f"{self.times} times, {self.spoken} spoken, {self.lost} lost, {self.doubled} doubled, "
            f"{self.out_of_order} out of order, {self.wrong} wrong, {self.repeated} repeated, {self.late} late{figures}"
        )
        return "\n  ".join([f"{self.scenario}: {counts} ({self.seconds:.0f} s)", *self.faults])
