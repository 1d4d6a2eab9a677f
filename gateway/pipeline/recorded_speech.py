"""Recordings as speech: what is said in one is put to the orchestrators as if a device had heard it.

A recording is a session, and each utterance in it a turn, in their order: in the journal, published, answered and
remembered like any other. An answer goes to the device if it is there, as an announcement does, for the device has
said nothing itself; and to whoever sent the recording and waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from itertools import count

from gateway.contract.messages import WantedHints
from gateway.journal import AnyJournal, JournalError
from gateway.pipeline.asking.typed_text import Saying, Speaker
from gateway.pipeline.asking.utterance import Spoken, new_name
from gateway.pipeline.hearing.streams import Hearing
from gateway.pipeline.recordings.refusals import Stopped
from gateway.pipeline.recordings.transcribing import (
    FilePlace,
    Gap,
    OpenRecording,
    Passage,
    RecordingText,
    Transcribing,
)
from gateway.pipeline.sessions.hints import SessionHints
from gateway.pipeline.sessions.names import NO_STREAM, StreamName
from gateway.pipeline.sessions.session import Session
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.witnesses import Witness
from gateway.pipeline.understanding import Understanding
from transcription.audio import SAMPLE_RATE
from transcription.errors import ModelUnavailable
from transcription.priority import Priority
from transcription.settings import TranscriptionSettings
from transcription.transcriber import Transcript, Word
from transcription.utterance.segmenter import Utterance

MOST_OPEN = 16
"""Of one recording's utterances that are asked about and not answered; the next waits until there is room."""
AHEAD = 2
"""Of one recording's utterances that wait to be transcribed."""
_STEP = 0.05


@dataclass(slots=True, eq=False)
class SaidUtterance:
    """One utterance of a recording, and what becomes of it; times in seconds from the recording's beginning."""

    start: float
    end: float
    witness: Witness

    def passage(self) -> Passage:
        """Its text as it is published, or why there is none."""
        message = self.witness.message
        if message is None or message.error is not None:
            reason = self.witness.why_not or "something went wrong inside the gateway"
            return Passage(self.start, self.end, None, reason)
        transcript = Transcript(
            text=message.text,
            language=message.language,
            confidence=message.confidence,
            no_speech_probability=message.no_speech_probability,
            segments=(),
            engine=message.recognizer.engine,
            model=message.recognizer.model,
            seconds=message.timings.recognize_ms / 1000,
            words=tuple(Word(one.word, one.start, one.end, one.probability) for one in message.words),
        )
        return Passage(self.start, self.end, transcript)


@dataclass(slots=True, eq=False)
class SaidRecording:
    """What was said in one, as far as it was heard. ``failure``: why it was not heard to its end."""

    session_id: str
    user_id: str
    device_id: str
    utterances: list[SaidUtterance] = field(default_factory=list)
    seconds: float = 0.0
    missing: list[Gap] = field(default_factory=list)
    failure: BaseException | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more becomes of it."""
        return all(one.witness.over.is_set() for one in self.utterances)

    async def text(self) -> RecordingText:
        """All that was said, once it is known."""
        for one in self.utterances:
            await one.witness.understood.wait()
        passages = [one.passage() for one in self.utterances]
        return RecordingText(passages, self.seconds, list(self.missing), self.session_id)

    async def over(self, seconds: float) -> None:
        """Until nothing more becomes of it, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                for one in self.utterances:
                    await one.witness.over.wait()
        except TimeoutError:
            pass


class RecordedSpeech:
    """Puts recordings to the orchestrators."""

    def __init__(
        self,
        transcribing: Transcribing,
        saying: Saying,
        hearing: Hearing,
        understanding: Understanding,
        *,
        announcer: Announcer,
        journal: AnyJournal,
        is_off: Callable[[], bool],
    ) -> None:
        """``is_off``: whether transcription is switched off."""
        self._transcribing = transcribing
        self._saying = saying
        self._hearing = hearing
        self._understanding = understanding
        self._announce = announcer
        self._journal = journal
        self._is_off = is_off
        self._now = asyncio.get_running_loop().time
        self._numbers = count(NO_STREAM + 1)

    async def put(
        self,
        place: FilePlace,
        body: AsyncIterator[bytes],
        speaker: Speaker,
        settings: TranscriptionSettings,
        wanted: WantedHints,
    ) -> SaidRecording:
        """All that is said in it, which is as safe then as what a device has said. ``wanted``: how it is heard.

        Behind what devices say, unless what the device says is urgent. Raises CannotSay, ModelUnavailable.
        """
        if self._is_off():
            raise ModelUnavailable(
                "the recognizer is switched off", remedy="set transcription.engine to auto"
            )
        hints = SessionHints(settings, speaker.device_id)
        hints.ask(wanted)
        hints.know(self._hearing.names(speaker.device_id))
        priority = self._announce.priority(speaker.device_id, speaker.guest)
        async with self._transcribing.opened(place, body, settings.segmenter, priority) as recording:
            session = self._saying.open(speaker, next(self._numbers))
            course = _Course(speaker, session, hints)
            try:
                return await self._say_all(course, recording)
            finally:
                session.end_stream()

    async def _say_all(self, course: _Course, recording: OpenRecording) -> SaidRecording:
        said = course.said
        try:
            async for utterance in recording.utterances:
                await self._find_room(course)
                await self._say(course, utterance)
        except Stopped as error:
            said.failure = error
        else:
            said.failure = recording.failure
        said.seconds, said.missing = recording.seconds, recording.missing
        return said

    async def _find_room(self, course: _Course) -> None:
        """Wait until another one may be said. Raises Stopped."""
        session, speaker = course.session, course.speaker
        while (waiting := course.waiting()) and len(waiting) >= AHEAD:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        while len(session.turns) >= MOST_OPEN and not self._hearing.closed:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(_STEP)
        if self._hearing.closed:
            raise Stopped("the gateway is stopping")
        if self._announce.user(speaker.device_id, speaker.guest) != session.user_id:
            raise Stopped(f"{speaker.device_id} is another user's now")

    async def _say(self, course: _Course, utterance: Utterance) -> None:
        """One utterance, until it is safe."""
        session = course.session
        turn = session.begin_turn(utterance.start, utterance.end)
        stream = StreamName(session.device_id, self._hearing.boot(session.device_id), NO_STREAM)
        name = replace(new_name(session, turn), stream=stream)
        witness = self._announce.witnesses.of(name)
        start, end = utterance.start / SAMPLE_RATE, utterance.end / SAMPLE_RATE
        course.said.utterances.append(SaidUtterance(start, end, witness))
        spoken = Spoken(name, session, turn, utterance, self._now())
        lull = None if session.priority is Priority.URGENT else self._transcribing.lull
        task, kept = self._understanding.recorded(spoken, course.hints, course.turns[-1:], lull=lull)
        task.add_done_callback(lambda _done: witness.understood.set())
        course.turns.append(task)
        if await self._is_kept(kept):
            turn.durable = True
        else:
            await asyncio.wait({task})

    async def _is_kept(self, kept: asyncio.Future[bool]) -> bool:
        try:
            await kept
        except JournalError:
            return False
        return self._journal.keeps


@dataclass(slots=True, eq=False)
class _Course:
    """One recording while it is being said."""

    speaker: Speaker
    session: Session
    hints: SessionHints
    turns: list[asyncio.Task[bool]] = field(default_factory=list)
    said: SaidRecording = field(init=False)

    def __post_init__(self) -> None:
        session = self.session
        self.said = SaidRecording(session.session_id, session.user_id, session.device_id)

    def waiting(self) -> list[asyncio.Task[bool]]:
        """Those that are transcribed still; the others are let go of."""
        self.turns = [one for one in self.turns if not one.done()]
        return self.turns
