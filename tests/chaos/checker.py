"""What was spoken against what came out: lost, doubled, out of order, or never said. No I/O.

Each device says every text once in a run, so that a text and its device name one line of the script.
What came out is held against the script at each place where it can come out: at a subscriber of the
broker, at the device that spoke, at a listener.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct


class Line(Struct, frozen=True, order=True):
    """One utterance of the script. ``session``: which stretch of speech of its device; ``number``: its place there."""

    device: str
    session: int
    number: int
    text: str


class Came(Struct, frozen=True):
    """One thing that came out, in the order of coming.

    ``message_id`` is what a receiver may tell repetitions by; empty: it has none, and every coming counts.
    ``failure``: it came as a failure, and why; what was to come out did not.
    ``published``: its message's timestamp, by which a receiver may tell what was published before what; 0: it has none.
    """

    device: str
    text: str
    message_id: str = ""
    failure: str = ""
    published: float = 0.0


class Findings(Struct, frozen=True):
    """What was wrong at one place, and what is not: ``repeated``, copies that their message id gives away, and
    ``late``, what came after a later line of its session, and its timestamp says so."""

    spoken: int
    lost: tuple[Line, ...] = ()
    doubled: tuple[Line, ...] = ()
    out_of_order: tuple[Line, ...] = ()
    never_said: tuple[Came, ...] = ()
    repeated: int = 0
    late: tuple[Line, ...] = ()
    gone: int = 0
    """Lines that did not come and did not have to."""

    @property
    def clean(self) -> bool:
        """Whether all that was spoken came out once and in order, and nothing else did."""
        return not (self.lost or self.doubled or self.out_of_order or self.never_said)

    def __str__(self) -> str:
        counts = (
            f"{self.spoken} spoken", f"{len(self.lost)} lost", f"{len(self.doubled)} doubled",
            f"{len(self.out_of_order)} out of order", f"{len(self.never_said)} never said",
        )  # fmt: skip
        wrong = [*self.lost, *self.doubled, *self.out_of_order, *self.never_said]
        return "; ".join([", ".join(counts), *map(str, wrong[:5])])


class BadScript(ValueError):
    """A script in which a device says the same text twice: it could hide a loss behind a double."""


def check(script: Iterable[Line], came: Sequence[Came], excused: Collection[Line] = ()) -> Findings:
    """Hold what came out at one place against the script. Raises BadScript.

    ``excused`` lines need not come (what died with their device), or each as whatever a model makes of the stump of a
    sentence (the bundled one hears words that it does not begin with in one of thirty); they may not be doubled either.

    A line is lost when it never came, doubled once for each coming after its first that is no mere
    repetition of a message, and out of order when it first came after a later line of its session and nothing
    tells so: one whose message is older than that later line's is late.
    """
    lines = _by_text(script)
    messages: set[str] = set()
    seen: set[Line] = set()
    stumps = Counter(line.device for line in excused)
    latest: dict[tuple[str, int], tuple[int, float]] = {}
    doubled, out_of_order, late, never_said, repeated = [], [], [], [], 0
    for one in came:
        if one.message_id and one.message_id in messages:
            repeated += 1
            continue
        messages.add(one.message_id)
        line = lines.get((one.device, one.text))
        if line is None and not one.failure and stumps[one.device] > 0:
            stumps[one.device] -= 1
            continue
        if line is None or one.failure:
            never_said.append(one)
        elif line in seen:
            doubled.append(line)
        else:
            seen.add(line)
            session = (line.device, line.session)
            number, published = latest.get(session, (line.number, one.published))
            if line.number < number:
                (late if 0 < one.published < published else out_of_order).append(line)
            latest[session] = max((line.number, one.published), (number, published))
    missing = set(lines.values()) - seen
    return Findings(
        spoken=len(lines),
        lost=tuple(sorted(missing - set(excused))),
        doubled=tuple(doubled),
        out_of_order=tuple(out_of_order),
        never_said=tuple(never_said),
        repeated=repeated,
        late=tuple(late),
        gone=len(missing & set(excused)),
    )


def _by_text(script: Iterable[Line]) -> dict[tuple[str, str], Line]:
    lines: dict[tuple[str, str], Line] = {}
    for line in script:
        if lines.setdefault((line.device, line.text), line) is not line:
            raise BadScript(f"{line.device} says {line.text!r} twice")
    return lines
