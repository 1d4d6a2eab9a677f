"""Speech of programs, over a running gateway's own recognizer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.pipeline.dictation import dictation
from gateway.pipeline.dictation.dictation import Began, Dictation, DictationWishes, Ended, SoFar, Understood
from gateway.pipeline.dictation.dictations import MOST, DictationClosed, Dictations, TooManyDictations
from tests.record import Record
from tests.system.house import open_house, pcm, silence, text
from transcription.utterance.segmenter import EndReason

pytestmark = pytest.mark.slow

SECOND = 32_000


@pytest.fixture
async def dictations(tmp_path: Path) -> AsyncIterator[Dictations]:
    async with open_house(tmp_path) as house:
        yield house.gateway.pipeline.dictations


class Program:
    """Whoever dictates, and what it is told."""

    def __init__(self, dictations: Dictations, **wanted: Any) -> None:
        self.told = Record()
        self.dictation: Dictation = dictations.begin(
            DictationWishes(**wanted), owner="program", tell=self.told
        )

    async def say(self, audio: bytes, size: int = 3_200) -> None:
        for at in range(0, len(audio), size):
            await self.dictation.hear(audio[at : at + size])

    async def text(self, number: int = 1) -> str:
        found: Understood = await self.told.first(Understood, number=number)
        return found.transcript.text


async def test_what_is_said_between_two_silences_is_told_in_order_before_anybody_says_that_it_is_over(
    dictations: Dictations,
) -> None:
    program = Program(dictations, partial_ms=400)
    with program.dictation:
        for number, name in enumerate(("u00", "u01"), 1):
            await program.say(pcm(name) + silence(1.2))
            assert await program.text(number) == text(name)
        facts = [item for item in program.told.items if not isinstance(item, SoFar)]
        assert [type(item) for item in facts] == [Began, Ended, Understood] * 2
        assert [item.number for item in facts] == [1, 1, 1, 2, 2, 2]
        first, second = program.told.of(Ended)
        assert first.reason is EndReason.SILENCE
        assert first.start < first.speech_end < first.end <= second.start
        assert abs(first.speech_end - len(pcm("u00")) // 2) < 8_000


async def test_a_commit_ends_what_is_being_said_and_what_follows_is_another_utterance(
    dictations: Dictations,
) -> None:
    program = Program(dictations)
    with program.dictation:
        await program.say(pcm("u00"))
        assert program.dictation.commit()
        assert await program.text() == text("u00")
        assert program.told.of(Ended)[0].reason is EndReason.STOP
        assert not program.dictation.commit()
        await program.say(silence(1))
        assert not program.dictation.commit()
        await program.say(pcm("u01"))
        program.dictation.commit()
        assert await program.text(2) == text("u01")


async def test_without_an_end_at_silence_all_between_two_commits_is_one_utterance(
    dictations: Dictations,
) -> None:
    program = Program(dictations, end_on_silence=False)
    with program.dictation:
        await program.say(silence(1.5) + pcm("u00") + silence(1.5))
        assert not program.told.of(Ended)
        program.dictation.commit()
        assert await program.text() == text("u00")
        assert program.told.of(Ended)[0].start == 0


async def test_a_voice_too_quiet_to_be_noticed_is_looked_at_where_that_is_wanted(
    dictations: Dictations,
) -> None:
    quiet = silence(2)
    for keeps_all in (False, True):
        program = Program(dictations, keeps_all=keeps_all)
        with program.dictation:
            await program.say(quiet)
            assert program.dictation.commit() is keeps_all
            await program.dictation.told()
            assert [item.transcript.text for item in program.told.of(Understood)] == [""] * keeps_all


async def test_who_has_stopped_sending_in_the_middle_is_not_speaking(
    dictations: Dictations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else recordings gave way to somebody who has left a connection behind."""
    program = Program(dictations)
    with program.dictation:
        await program.say(pcm("u00")[: 2 * SECOND])
        assert dictations.in_speech
        monkeypatch.setattr(dictation, "STALE_SECONDS", 0.0)
        assert not dictations.in_speech
        monkeypatch.undo()
        await program.say(pcm("u00")[2 * SECOND :] + silence(1.2))
        assert await program.text() == text("u00")
        assert not dictations.in_speech


async def test_what_is_cleared_is_never_told(dictations: Dictations) -> None:
    program = Program(dictations)
    with program.dictation:
        await program.say(pcm("u00"))
        program.dictation.clear()
        await program.say(silence(1) + pcm("u01") + silence(1.2))
        assert await program.text(2) == text("u01")
        assert {item.number for item in program.told.of(Understood)} == {2}


async def test_it_waits_for_the_recognizer_and_loses_nothing_however_fast_it_comes(
    dictations: Dictations,
) -> None:
    program = Program(dictations)
    with program.dictation:
        await program.say((pcm("u00") + silence(1)) * 6, size=60 * SECOND)
        program.dictation.commit()
        await program.dictation.told()
        assert [item.transcript.text for item in program.told.of(Understood)] == [text("u00")] * 6


async def test_what_is_wanted_otherwise_holds_from_the_next_utterance_on(dictations: Dictations) -> None:
    program = Program(dictations)
    between = DictationWishes(end_on_silence=False)
    with program.dictation:
        await program.say(silence(1))
        program.dictation.change(between)  # nobody speaks
        await program.say(pcm("u00") + silence(1.5))
        assert not program.told.of(Ended)
        program.dictation.change(DictationWishes())  # somebody has spoken, and it ends as it began
        await program.say(silence(1.5))
        assert not program.told.of(Ended)
        program.dictation.commit()
        assert await program.text() == text("u00")
        await program.say(pcm("u01"))
        program.dictation.change(between)
        await program.say(silence(1.2))
        assert await program.text(2) == text("u01")
        assert program.told.of(Ended)[1].reason is EndReason.SILENCE
        await program.say(pcm("u00") + silence(1.2))
        assert len(program.told.of(Ended)) == 2


async def test_nothing_is_told_to_who_has_gone(dictations: Dictations) -> None:
    program = Program(dictations)
    with program.dictation:
        await program.say(pcm("u00"))
        program.dictation.commit()
    told = len(program.told.items)
    await program.say(pcm("u01") + silence(1))
    assert not program.dictation.commit()
    await program.dictation.told()
    assert len(program.told.items) == told


async def test_half_a_sample_is_an_error_and_changes_nothing(dictations: Dictations) -> None:
    program = Program(dictations)
    with program.dictation:
        with pytest.raises(ValueError, match="two bytes"):
            await program.dictation.hear(b"\0")
        await program.say(pcm("u00") + silence(1))
        assert await program.text() == text("u00")


async def test_one_owner_leaves_room_for_others_and_nobody_begins_while_the_gateway_stops(
    dictations: Dictations,
) -> None:
    one = [Program(dictations) for _ in range(MOST // 2)]
    with pytest.raises(TooManyDictations, match="of program"):
        Program(dictations)
    with dictations.begin(DictationWishes(), owner="another", tell=Record()):
        pass
    for program in one:
        program.dictation.end()
    Program(dictations).dictation.end()
    dictations.close()
    with pytest.raises(DictationClosed, match="stopping"):
        Program(dictations)
