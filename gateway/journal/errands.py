"""What somebody asked for (`earshot dlq`, the API): dead letters brought back to life, or forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from gateway.journal import AnyJournal, JournalError
from gateway.journal.dead_letters import revived
from gateway.journal.effects import Effect, ErrandDone, Heard, LetterTaken, Queued
from gateway.journal.records import DeadLetterRow, Errand, LetterRow, UtteranceRow, Verb
from gateway.process.mishaps import Mishaps

log = structlog.get_logger(__name__)


async def run_errands(
    journal: AnyJournal,
    on_letter: Callable[[LetterRow], None] = lambda _letter: None,
    on_utterance: Callable[[UtteranceRow], None] = lambda _utterance: None,
    mishaps: Mishaps | None = None,
) -> int:
    """Do what was asked for until now; how many errands there were. Raises JournalError.

    ``on_letter`` and ``on_utterance`` are told what is back in the journal, to be published or transcribed.
    """
    count = 0
    mishaps = Mishaps() if mishaps is None else mishaps
    while errands := await journal.errands():
        for errand in errands:
            try:
                hand_on(await _run(journal, errand), on_letter, on_utterance)
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001 - the boundary: one errand must not stop the others
                mishaps.note("an errand", error, what=errand.verb.value, letter=str(errand.letter))
                await journal.commit(ErrandDone(errand.number))
        count += len(errands)
    if count:
        await journal.scrub()
    return count


async def take_letter(journal: AnyJournal, verb: Verb, number: int) -> tuple[Effect, ...] | None:
    """Do it at once, for somebody inside; the effects, or None: there is no such letter. Raises JournalError."""
    letter = await journal.dead_letter(number)
    if letter is None:
        return None
    effects = _effects(verb, letter, journal)
    await journal.commit(*effects)
    log.info("dead letter taken", what=verb.value, kind=letter.kind.value, subject=letter.subject)
    return effects


def hand_on(
    effects: Iterable[Effect],
    on_letter: Callable[[LetterRow], None],
    on_utterance: Callable[[UtteranceRow], None],
) -> None:
    """Tell what came back to life."""
    for effect in effects:
        if isinstance(effect, Queued):
            on_letter(effect.letter)
        elif isinstance(effect, Heard):
            on_utterance(effect.utterance)


async def _run(journal: AnyJournal, errand: Errand) -> tuple[Effect, ...]:
    letter = await journal.dead_letter(errand.letter)
    if letter is None:  # somebody was faster
        await journal.commit(ErrandDone(errand.number))
        return ()
    effects: tuple[Effect, ...] = ()
    try:
        effects = _effects(errand.verb, letter, journal)
    except JournalError as error:
        log.warning("dead letter cannot be replayed", subject=letter.subject, reason=str(error))
    else:
        log.info("dead letter taken", what=errand.verb.value, kind=letter.kind.value, subject=letter.subject)
    await journal.commit(*effects, ErrandDone(errand.number))
    return effects


def _effects(verb: Verb, letter: DeadLetterRow, journal: AnyJournal) -> tuple[Effect, ...]:
    match verb:
        case Verb.PURGE:
            return (LetterTaken(letter.number),)
        case Verb.REPLAY:
            return tuple(revived(letter, journal.next_number()))
