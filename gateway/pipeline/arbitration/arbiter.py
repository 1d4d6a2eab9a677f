"""Of the devices of a group that hear one voice, which answers: the best one. No I/O and no clock.

What a device hears somebody say is a claim. Claims of other devices at that time that sound alike are of one voice: one
of them is answered, and the others are told by whom. ``now`` is the caller's, in seconds, and never goes back.

A claim is decided when it is complete. The best one is answered at once, by what is known of the others so far: nobody
waits for them. One that is not the best is held until the better one is complete, and is answered after all if that
goes on for longer than this voice can have, or comes to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from gateway.pipeline.arbitration.claims import Claim, Decision, Reception
from gateway.pipeline.arbitration.likeness import UNKNOWN, Likeness, likeness
from transcription.audio import SAMPLE_RATE

MOST_CLAIMS = 64
"""Claims of one group that are remembered; the oldest go first."""
REMEMBERED_SECONDS = 30.0
"""So long after it was complete a claim is still one that others may have heard: audio may come late."""
HOLD_SECONDS = 0.15
"""So much longer than the voice takes to them, those that hear it better are waited for without a question."""
STALLED_SECONDS = 0.5
"""A device from which nothing has come for so long is waited for no longer."""
HEARD_DB = 6.0
"""What is so far above a device's noise it cannot have missed."""
JUST_NOW = SAMPLE_RATE * 45 // 100
"""Samples that tell what is heard now."""
LEEWAY = SAMPLE_RATE // 10
"""Samples by which a lag that is known may be wrong."""
LOOK_SECONDS = 0.05
"""How often it is looked then whether they still hear this voice."""
LONGEST_HOLD_SECONDS = 30.0
"""Nothing is held for longer, nor is what was broken off for a device that hears the rest, too."""
PADDING = SAMPLE_RATE * 3 // 10
"""Samples around what is said that are compared with it."""
CLOSE_DB = 3.0
"""Where signal-to-noise ratios are no further apart, the louder one is better."""
SHARED = 0.5
"""So much of the shorter one has to be at the same time as the longer one."""
CONTIGUOUS = SAMPLE_RATE
"""Samples after a part of something longer in which the next one begins."""

ALONE = Decision(why="nobody else heard it")
PRESSED = Decision(why="its button is held")


class Arbiter:
    """The claims of one group."""

    def __init__(self, window: float) -> None:
        """``window``: so far apart, in seconds, one voice may come from two devices."""
        self.window = window
        self._claims: deque[Claim] = deque()
        self._numbered = 0

    def __len__(self) -> int:
        """Claims that are remembered."""
        return len(self._claims)

    def enter(self, claim: Claim, now: float) -> None:
        """A device begins to hear somebody."""
        self._forget(now)
        self._numbered += 1
        claim.number = self._numbered
        before = next((one for one in reversed(self._claims) if one.track is claim.track), None)
        if before is not None and before.goes_on and before.end is not None:
            claim.leads = before.is_answered and claim.start - before.end < CONTIGUOUS
        self._claims.append(claim)

    def withdraw(self, claim: Claim, now: float) -> None:
        """It was nothing, or nobody may know what it was. Idempotent; of what is decided it changes nothing."""
        if claim.decision is None and claim in self._claims:
            self._claims.remove(claim)
            self.settle(now)

    def leave(self, claim: Claim, now: float) -> None:
        """Its device is away, and is not waited for as long as that is so."""
        claim.absent = True
        self.settle(now)

    def complete(
        self, claim: Claim, end: int, now: float, *, cut: bool = False, goes_on: bool = False
    ) -> None:
        """All of it was heard, up to position ``end``."""
        claim.end, claim.completed_at, claim.cut, claim.goes_on = end, now, cut, goes_on
        if claim not in self._claims:  # so many came after it
            claim.decide(ALONE)
        self.settle(now)

    def settle(self, now: float) -> None:
        """Decide what can be decided."""
        while any(self._decide(one, now) for one in list(self._claims) if one.end is not None):
            pass

    def trails(self, claim: Claim) -> bool:
        """Whether another device hears this better so far, and it will hardly be answered here."""
        family = dict(self._family(claim))
        if claim.pressed or not family:
            return False
        return any(one.is_sure for one in family) or _best(claim, family) is not claim

    def _decide(self, claim: Claim, now: float) -> bool:
        """Whether it has been decided now."""
        if claim.decision is not None:
            return False
        if claim.pressed:
            claim.decide(PRESSED)
            return True
        family = dict(self._family(claim))
        winner = next((one for one in family if one.is_sure), None)
        best = claim if winner is not None else _best(claim, family)
        if winner is not None:
            claim.decide(_lost(claim, winner, family))
        elif best is claim:
            claim.decide(Decision(why="it hears it best") if family else ALONE)
        elif self._has_waited(claim, best, family[best], now):
            claim.decide(Decision(why=f"{best.device_id} hears it better, and did not finish"))
        return claim.decision is not None

    def _has_waited(self, claim: Claim, best: Claim, alike: Likeness, now: float) -> bool:
        """Whether a better one that is not complete has had its time: it hears something else besides, or nothing."""
        if best.end is not None:
            return False  # it is decided itself, now
        lag = max(0.0, alike.lag)
        claim.held_until = claim.completed_at + (LONGEST_HOLD_SECONDS if claim.cut else lag + HOLD_SECONDS)
        if now < claim.held_until:
            return False
        claim.held_until = now + LOOK_SECONDS
        latest = max(
            one.track.heard_at for one in self._claims
        )  # of all of them nothing comes when we are slow
        has_stalled = latest - best.track.heard_at > STALLED_SECONDS
        is_long = now - claim.completed_at > LONGEST_HOLD_SECONDS
        return claim.cut or has_stalled or is_long or self._hears_else(claim, best, alike.lag)

    def _hears_else(self, claim: Claim, best: Claim, lag: float) -> bool:
        """Whether what a better one hears now is no part of the voice: else the device of ``claim`` had heard it, too.

        In a pause it is not known yet; and a quiet end of a sentence that device may have missed.
        """
        now = best.heard_to
        since = best.start + round((claim.ended_at + lag - best.began_at) * SAMPLE_RATE)
        fainter = best.reception().level - claim.reception().level
        if best.track.level(now - JUST_NOW, now) - fainter < claim.track.noise() + HEARD_DB:
            return False
        start, theirs = best.track.between(min(since, now - JUST_NOW), now)
        here = claim.start + round((best.track.when(start) - lag - claim.began_at) * SAMPLE_RATE)
        first, ours = claim.track.between(here - LEEWAY, claim.track.heard_to)
        offset = claim.track.when(first) - best.track.when(start)
        around = abs(lag) + LEEWAY / SAMPLE_RATE
        alike = likeness(theirs, ours, offset, around)
        return alike is not UNKNOWN and not alike.is_one_voice

    def _family(self, claim: Claim) -> Iterator[tuple[Claim, Likeness]]:
        """The claims of other devices that are of the same voice: those like it, and those like these."""
        found, new = {claim}, [(claim, 0.0)]
        while new:
            one, lag = new.pop()
            for other in self._claims:
                if other not in found and other.device_id != claim.device_id:
                    alike = self._compare(one, other)
                    if alike.is_one_voice:
                        found.add(other)
                        new.append((other, lag + alike.lag))
                        yield other, Likeness(alike.score, lag + alike.lag)

    def _compare(self, one: Claim, other: Claim) -> Likeness:
        """How alike they are, as far as they can be one voice at all."""
        known = one.likenesses.get(other.number)
        if known is not None:
            return known
        if not self._may_be_one(one, other):
            return UNKNOWN
        first, second = (one, other) if _length(one) <= _length(other) else (other, one)
        alike = self._measure(first, second)
        if _shared(first, second, alike.lag) < SHARED * _length(first):
            alike = UNKNOWN
        back = Likeness(alike.score, -alike.lag)
        alike, back = (alike, back) if first is one else (back, alike)
        if one.end is not None and other.end is not None:
            one.likenesses[other.number], other.likenesses[one.number] = alike, back
        return alike

    def _may_be_one(self, one: Claim, other: Claim) -> bool:
        apart = max(one.began_at, other.began_at) - min(one.ended_at, other.ended_at)
        woken_apart = (
            0.0 if one.woke_at is None or other.woke_at is None else abs(one.woke_at - other.woke_at)
        )
        return apart <= self.window and woken_apart <= self.window

    def _measure(self, first: Claim, second: Claim) -> Likeness:
        """The shorter one's sound, looked for in what the other device has heard at that time."""
        behind = 0 if first.cut else PADDING
        start, ours = first.track.between(first.start - PADDING, first.heard_to + behind)
        reach = round((first.heard_to - start) + (PADDING + self.window * SAMPLE_RATE))
        middle = second.start + round((first.track.when(start) - second.began_at) * SAMPLE_RATE)
        their_start, theirs = second.track.between(middle - round(self.window * SAMPLE_RATE), middle + reach)
        offset = second.track.when(their_start) - first.track.when(start)
        return likeness(ours, theirs, offset, self.window)

    def _forget(self, now: float) -> None:
        """What is so long over that nobody will hear it any more, and what is too much."""
        for one in list(self._claims):
            is_over = one.decision is not None and now - one.completed_at > REMEMBERED_SECONDS
            if is_over or len(self._claims) >= MOST_CLAIMS:
                self._claims.remove(one)
                if one.decision is None and one.end is not None:
                    one.decide(ALONE)


def _length(claim: Claim) -> float:
    return claim.ended_at - claim.began_at


def _shared(first: Claim, second: Claim, lag: float) -> float:
    """For how long they are at the same time, where the second is so much later."""
    began = max(first.began_at, second.began_at - lag)
    return min(first.ended_at, second.ended_at - lag) - began


def _best(claim: Claim, family: dict[Claim, Likeness]) -> Claim:
    """Which is nearest to the voice, as far as its own noise tells; what was broken off is the last resort."""
    claims = [claim, *(one for one in family if one.may_win)]
    leading = [one for one in claims if one.leads] or claims
    whole = [one for one in leading if not one.cut] or leading
    if len(whole) == 1:
        return whole[0]
    heard = {one: one.reception() for one in whole}
    clearest = max(reception.snr for reception in heard.values())
    clear = [one for one, reception in heard.items() if reception.snr >= clearest - CLOSE_DB]
    return max(clear, key=lambda one: (heard[one].level, -one.number))


def _lost(claim: Claim, winner: Claim, family: dict[Claim, Likeness]) -> Decision:
    others = [one for one in family if one is not winner]
    receptions = tuple(one.reception() for one in (winner, claim, *others))
    why = _why(winner, *receptions[:2])
    return Decision(winner.device_id, why, family[winner], receptions)


def _why(winner: Claim, there: Reception, here: Reception) -> str:
    if winner.pressed:
        return "its button is held"
    clearer, louder = there.snr - here.snr, there.level - here.level
    if clearer > CLOSE_DB:
        return f"{clearer:.0f} dB clearer there"
    if louder >= 1:
        return f"{louder:.0f} dB louder there"
    return "as good there" if louder > -1 else "answered there already"
