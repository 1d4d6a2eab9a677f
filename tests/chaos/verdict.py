"""What was spoken, compared with what came out of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from firmware_bridge.simulator.user import ReplyShown, SpokenUtterance, TranscriptShown
from tests.system.house import Board


@dataclass
class Verdict:
    """One scenario's account: every utterance once in, once out, in order."""

    scenario: str
    blows: int = 0
    """How often something was killed, cut or filled."""
    spoken: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Heard as something else, or answered out of order."""
    seconds: float = 0.0
    figures: str = ""
    """What else was measured."""

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing doubled, nothing wrong."""
        return self.spoken > 0 and not (self.lost or self.doubled or self.wrong)

    def __str__(self) -> str:
        counts = f"{self.spoken} spoken, {len(self.lost)} lost, {len(self.doubled)} doubled, {len(self.wrong)} wrong"
        counts += f" ({self.figures})" if self.figures else ""
        return f"{self.scenario}: {counts}" + "".join(
            f"\n  {what}: {one}" for what in ("lost", "doubled", "wrong") for one in getattr(self, what)
        )


def judge(verdict: Verdict, board: Board, said: SpokenUtterance, text: str) -> None:
    """One utterance of a device: its own text, one answer, under one id, also if frames came twice."""
    verdict.spoken += 1
    name = f"{board.device_id}, stream {said.stream}: {text!r}"
    transcripts = board.told.of(TranscriptShown, stream=said.stream)
    replies = board.told.of(ReplyShown, stream=said.stream, final=True)
    ids = {shown.correlation_id for shown in (*transcripts, *replies)}
    if not replies or said.reply is None:
        verdict.lost.append(f"{name}, heard {said.transcript!r}")
    elif len(ids) > 1 or len(replies) > 1:
        verdict.doubled.append(f"{name}, {len(ids)} ids, {len(replies)} answers")
    elif said.transcript not in (text, None):
        verdict.wrong.append(f"{name}, heard {said.transcript!r}")
    elif said.fallback or said.error:
        verdict.wrong.append(f"{name}, answered {said.reply!r}")


def judge_ids(verdict: Verdict, boards: list[Board]) -> None:
    """No answer went to two utterances, whichever device they are of."""
    streams = {
        (board.device_id, shown.stream, shown.correlation_id)
        for board in boards
        for shown in board.told.of(ReplyShown, final=True)
    }
    for correlation_id, count in Counter(one for _, _, one in streams).items():
        if count > 1:
            verdict.doubled.append(f"the answer {correlation_id} went to {count} utterances")
