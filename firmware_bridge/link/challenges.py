"""Challenges at HELLO: what was asked on which line, and whether what came in answer proves anything. No I/O.

Each HELLO is asked with a nonce of its own, which is good for one answer on the same line, for some seconds. On a slow
wire HELLOs and challenges cross, so a few may be open at once; and on a broker others may say HELLO on the same line,
which is nothing that the device said. What answers a nonce that was used or has ended is no attack but a frame that
came late or twice: it is asked anew. What answers none is wrong.
"""

from __future__ import annotations

import enum
import hmac
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from firmware_bridge.link.frames import Challenge, Header, Hello, proof_of
from firmware_bridge.link.wires import Line

NONCE_SECONDS: Final = 10.0
"""An answer comes at once; a later one is of another time."""
CHALLENGES: Final = 3
"""A device that was asked so often and goes on without a proof is refused."""
QUIET_SECONDS: Final = 1.0
"""After that it hears nothing for so long: it waits ten seconds, if it is one of ours."""
CHALLENGED_LINES: Final = 1024
"""Lines on which a challenge is open; of more, the oldest is forgotten."""
_KEPT: Final = 2 * CHALLENGES
_NONCE_BYTES: Final = 16


class Judgement(enum.Enum):
    """What becomes of a HELLO."""

    PROVEN = enum.auto()
    ASKED = enum.auto()
    """It gets the challenge."""
    WRONG = enum.auto()
    MISSING = enum.auto()
    """It was asked often enough."""
    SILENT = enum.auto()
    """It gets no answer."""


@dataclass(slots=True)
class _Asked:
    device_id: str
    challenge: Challenge
    until: float
    is_used: bool = False


@dataclass(slots=True)
class _Talk:
    """On one line, with whoever says HELLO there: who changes names or boots is asked no oftener.

    ``times``: challenges since the last one that was answered.
    """

    asked: deque[_Asked] = field(default_factory=lambda: deque(maxlen=_KEPT))
    times: int = 0
    quiet_until: float = 0.0


class Challenges:
    """Those of all lines."""

    def __init__(self) -> None:
        self._talks: OrderedDict[Line, _Talk] = OrderedDict()

    def __len__(self) -> int:
        return len(self._talks)

    def judge(self, line: Line, hello: Hello, key: bytes, now: float) -> tuple[Judgement, Challenge | None]:
        """Whether ``hello`` proves that it has the key; the challenge it gets, when it is ASKED."""
        talk = self._talk(line, now)
        if hello.proof:
            answered = _answered(talk, hello, key)
            if answered is None:
                return Judgement.WRONG, None
            if not answered.is_used and now < answered.until:
                answered.is_used, talk.times = True, 0
                return Judgement.PROVEN, None
        return self._ask(talk, hello, now)

    def _talk(self, line: Line, now: float) -> _Talk:
        talk = self._talks.pop(line, None) or _Talk()
        while talk.asked and now >= talk.asked[0].until + NONCE_SECONDS:
            talk.asked.popleft()
        if not talk.asked:
            talk.times = 0
        self._talks[line] = talk
        if len(self._talks) > CHALLENGED_LINES:
            self._talks.popitem(last=False)
        return talk

    def _ask(self, talk: _Talk, hello: Hello, now: float) -> tuple[Judgement, Challenge | None]:
        if now < talk.quiet_until:
            return Judgement.SILENT, None
        if talk.times >= CHALLENGES:
            talk.times, talk.quiet_until = 0, now + QUIET_SECONDS
            return Judgement.MISSING, None
        talk.times += 1
        header = Header(timestamp=hello.header.timestamp)
        challenge = Challenge(header, hello.boot, secrets.token_bytes(_NONCE_BYTES))
        talk.asked.append(_Asked(hello.device_id, challenge, now + NONCE_SECONDS))
        return Judgement.ASKED, challenge


def _answered(talk: _Talk, hello: Hello, key: bytes) -> _Asked | None:
    """What it is the answer to, of what was asked; which of them, no time tells."""
    found = None
    for one in talk.asked:
        is_its_own = (one.device_id, one.challenge.boot) == (hello.device_id, hello.boot)
        if hmac.compare_digest(proof_of(key, one.challenge, hello.device_id), hello.proof) and is_its_own:
            found = one
    return found
