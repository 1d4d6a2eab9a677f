"""The whole way, from what a device says to the answer in its hands.

::

    hear -> segment -> transcribe -> publish -> (an orchestrator) -> answer -> deliver
    `--- hearing/ ---'   here      `------------- asking/ -------------'   `-- telling/

This file alone knows all stages. Each is given what it hands on to; what else it has to report it tells here
(``_hand_on``), and nobody calls back. Everything runs on one event loop; only the recognizer works beside it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self, TypeAlias, assert_never

import structlog

from firmware_bridge.link.events import (
    AudioReceived,
    DeviceConnected,
    DeviceDisconnected,
    DeviceLog,
    DeviceNotice,
    HelloRefused,
    LinkChanged,
    LinkEvent,
    NoticeKind,
    RecordingFaulty,
    StreamStarted,
    StreamStopped,
)
from gateway.access.principals import Principal
from gateway.broker.address import replies_group
from gateway.broker.base import BrokerStatus, MessageBroker, Subscription
from gateway.broker.opening import MEMORY
from gateway.contract.messages import REPLIES_TOPIC, TranscriptionMessage, WantedHints
from gateway.journal import AnyJournal
from gateway.journal.records import Verb
from gateway.observing.health import Health
from gateway.pipeline.arbitration.contests import Contests
from gateway.pipeline.asking.answers import Answers, HintsAsked
from gateway.pipeline.asking.by_name import ByName, NobodyByName
from gateway.pipeline.asking.conversing import Conversing
from gateway.pipeline.asking.endings import Endings
from gateway.pipeline.asking.late_answers import LateAnswers
from gateway.pipeline.asking.outbox import Delayed, Fate, Outbox, Posted, Refused
from gateway.pipeline.asking.patience import Patience
from gateway.pipeline.asking.pieces import Pieces
from gateway.pipeline.asking.publishing import Publishing
from gateway.pipeline.asking.questions import Questions
from gateway.pipeline.asking.somebody import Somebody
from gateway.pipeline.asking.typed_text import CannotSay, Said, Saying, done
from gateway.pipeline.asking.unanswered import Unanswered
from gateway.pipeline.asking.utterance import Spoken
from gateway.pipeline.content.port import ContentFilter, NoFilter, Way
from gateway.pipeline.dictation.dictations import Dictations
from gateway.pipeline.erasing import Erasing
from gateway.pipeline.hearing.heard_stream import Complete
from gateway.pipeline.hearing.settling import Settling
from gateway.pipeline.hearing.streams import Hearing
from gateway.pipeline.hearing.wake_words import WakeWords
from gateway.pipeline.moving import Moving
from gateway.pipeline.recorded_speech import RecordedSpeech
from gateway.pipeline.recordings.transcribing import Transcribing
from gateway.pipeline.recovery import Recovery, WhoseSpeech
from gateway.pipeline.sections import Sections
from gateway.pipeline.sessions.house_names import NO_NAMES, HouseNames
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.sessions.requests import CorrelationCounters
from gateway.pipeline.sessions.session import Session
from gateway.pipeline.telling.announcements import Announcements
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.askers import MOST_ASKERS, Asker
from gateway.pipeline.telling.device_logs import DeviceLogs
from gateway.pipeline.telling.devices import Devices
from gateway.pipeline.telling.due_answers import DueAnswers
from gateway.pipeline.telling.recording_health import RecordingHealth
from gateway.pipeline.telling.roster import Roster
from gateway.pipeline.turns import OnItsWay, Turns
from gateway.pipeline.understanding import Understanding
from gateway.process.ending import until_done
from transcription.priority import Priority
from transcription.recognizing import Phase, Recognizing
from transcription.utterance.segmenter import VoiceActivity

if TYPE_CHECKING:
    from gateway.pipeline.agents.features import Features
    from gateway.pipeline.agents.roster import AgentRoster

log = structlog.get_logger(__name__)

_Work: TypeAlias = Callable[[], Awaitable[None]]

CLOCK_SECONDS = 0.1
"""How often deadlines (replies, vanished devices) are looked at."""

ERRANDS_SECONDS = 1.0
"""How often it is looked whether somebody asked for something from outside."""

STUCK_SECONDS = 10.0
"""Deadlines that nobody looked at for so long: the gateway is not well."""


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """What is on its way right now."""

    sessions: int
    streams: int
    turns: int
    """Utterances that are transcribed and published."""
    asked: int
    undelivered: int
    """Answers that their device has not acknowledged."""
    unpublished: int = 0
    """Messages in memory that the broker does not have."""
    dropped_answers: int = 0
    """Since the start: answers that no device took before there were too many."""
    lost_messages: int = 0
    """Since the start: messages that neither the journal nor the broker took before there were too many."""


class Pipeline:
    """Leads every utterance through; owns the stages and borrows everything else."""

    def __init__(
        self,
        config: Sections,
        *,
        devices: Devices,
        recognizer: Recognizing,
        listen: Callable[[], VoiceActivity],
        broker: MessageBroker,
        announcer: Announcer,
        journal: AnyJournal,
        health: Health,
        content: ContentFilter | None = None,
        names: HouseNames = NO_NAMES,
        whose: WhoseSpeech | None = None,
    ) -> None:
        """``listen`` makes the voice activity of a new stream, ``whose`` is for ``Recovery``. On the event loop."""
        self.content = content = content or NoFilter()
        """The word in between."""
        mishaps = self._mishaps = health.mishaps
        self._now = asyncio.get_running_loop().time
        self._devices, self._broker, self._announce, self._journal = devices, broker, announcer, journal
        self._settling, self._recording_health = Settling(devices), RecordingHealth(health)
        self._wake_words = WakeWords(config.devices, health, announcer.place)
        self._contests = Contests(config.devices, announcer.place, self._now)
        self._hearing = Hearing(
            config.transcription, config.sessions, max_devices=config.devices.max_devices, devices=devices,
            settling=self._settling, recognizer=recognizer, listen=listen, announcer=announcer, journal=journal,
            tell=self._hand_on, mishaps=mishaps, wake_words=self._wake_words, names=names, contests=self._contests,
        )  # fmt: skip
        self._meet_agents(config)
        keeping = config.history, config.privacy
        self.announcements = Announcements(announcer, journal, mishaps, *keeping, content=content)
        """Text for devices outside any turn."""
        self._ask(config, is_off=lambda: recognizer.state.phase is Phase.OFF)
        self._turns = Turns(
            self._settling, self._questions, self._publishing, announcer=announcer, journal=journal, mishaps=mishaps
        )  # fmt: skip
        self._understanding = Understanding(
            config.transcription, self._turns, hearing=self._hearing, settling=self._settling, recognizer=recognizer,
            publishing=self._publishing, devices=devices, announcer=announcer, journal=journal,
        )  # fmt: skip
        self._saying = Saying(self._hearing, announcer)
        self.askers = 0
        """Programs that wait for an answer."""
        self.roster = Roster(health, announcer, self._now)
        """Which devices there are."""
        self.logs = DeviceLogs(keep=not config.privacy.redact)
        """What they print."""
        self._recovery = Recovery(
            journal, self._hearing, self._questions, self._due, self._by_name, announcements=self.announcements,
            understanding=self._understanding, outbox=self._outbox, mishaps=mishaps, whose=whose,
        )  # fmt: skip
        self.erasing = Erasing(
            devices=devices, broker=broker, answers=self._answers, outbox=self._outbox,
            announcements=self.announcements, announcer=announcer, logs=self.logs, turns=self._turns,
        )  # fmt: skip
        """What somebody said, let go of wherever it waits."""
        self._serve_programs(config, recognizer, listen, names)
        self._let_devices_move(config)
        self._errands_due, self._ticked_at, self._recovered = 0.0, self._now(), asyncio.Event()

    def _meet_agents(self, config: Sections) -> None:
        names_some = bool(config.orchestrator.agents)
        self.agents = _agents(config, self._now()) if names_some else None
        """Those that the configuration names; None: it names none."""
        self.features = _features(config) if names_some else None
        """What some of the sessions try."""

    def _let_devices_move(self, config: Sections) -> None:
        self.moving = Moving(
            self._hearing, self._questions, self._due, self.announcements, self._recovery, journal=self._journal,
            turns_kept=config.sessions.conversation_turns,
        )  # fmt: skip
        """What goes with a device from one gateway to another."""

    def _serve_programs(
        self,
        config: Sections,
        recognizer: Recognizing,
        listen: Callable[[], VoiceActivity],
        names: HouseNames,
    ) -> None:
        """Speech whose text goes back to who sent it; a recording's may go the whole way, too."""
        self.dictations = Dictations(recognizer, listen, config.transcription, names)
        """What programs dictate."""
        self.transcribing = Transcribing(
            config.web.uploads,
            recognizer,
            listen,
            lambda: self._hearing.in_speech or self.dictations.in_speech,
        )
        """Recordings that somebody has sent."""
        self.recorded = RecordedSpeech(
            self.transcribing, self._saying, self._hearing, self._understanding, announcer=self._announce,
            journal=self._journal, is_off=lambda: recognizer.state.phase is Phase.OFF,
        )  # fmt: skip
        """Those that are put to the orchestrators."""

    def _ask(self, config: Sections, is_off: Callable[[], bool]) -> None:
        """What a text goes through until it is answered, each part after those that it hands on to."""
        announcer, journal, mishaps = self._announce, self._journal, self._mishaps
        settings, history, privacy = config.orchestrator, config.history, config.privacy
        content = self.content
        announcer.holds_partials = content.holds(Way.TRANSCRIPT)
        unanswered = Unanswered()
        self._replies_group = replies_group(config.broker)
        self._somebody, self._is_shared = Somebody(self._broker), config.broker.url != MEMORY
        self._due = DueAnswers(
            announcer, journal, settings=settings, history=history, privacy=privacy, mishaps=mishaps
        )
        self._questions = Questions(
            unanswered,
            Conversing(config.sessions, privacy, history, announcer),
            announcer,
            journal,
            settings=settings,
            history=history,
            mishaps=mishaps,
        )
        pieces = Pieces(journal, config.broker.prefetch)
        endings = Endings(
            self._questions, self._due, pieces, announcer, journal, history=history, privacy=privacy,
            content=content, mishaps=mishaps,
        )  # fmt: skip
        self._outbox = Outbox(self._broker, journal, unanswered, self._hand_on, mishaps)
        ask_by_name = partial(self._ask_by_name, config, unanswered, endings)
        self._by_name: ByName = NobodyByName(ask_by_name) if self.agents is None else ask_by_name()
        late = LateAnswers(
            self._questions, endings, self._due, self.announcements, announcer=announcer, journal=journal,
            settings=settings, sessions=config.sessions,
        )  # fmt: skip
        self._answers = Answers(
            self._questions, self._due, announcer, journal, endings=endings, by_name=self._by_name,
            pieces=pieces, somebody=self._somebody, late=late, tell=self._hand_on, mishaps=mishaps,
        )  # fmt: skip
        self._patience = Patience(
            self._questions, endings, self._somebody, announcer, by_name=self._by_name, mishaps=mishaps
        )
        self._publishing = Publishing(
            self._questions, self._outbox, announcer, journal, by_name=self._by_name, history=history,
            privacy=privacy, content=content, is_off=is_off,
        )  # fmt: skip

    def _ask_by_name(self, config: Sections, unanswered: Unanswered, endings: Endings) -> ByName:
        from gateway.pipeline.by_name.team_answers import TeamAnswers  # noqa: PLC0415 - where agents are named
        from gateway.pipeline.by_name.teams import Teams  # noqa: PLC0415

        agents = _agents(config, self._now()) if self.agents is None else self.agents
        features = self.features or _features(config)
        return TeamAnswers(
            Teams(config.orchestrator, agents, self._journal, unanswered, features), self._questions, endings,
            self._outbox, self._journal, mishaps=self._mishaps,
        )  # fmt: skip

    def _hand_on(self, fact: Complete | Fate | HintsAsked) -> None:
        """What a stage has to report, to whom it concerns."""
        match fact:
            case Complete(heard=heard, utterance=utterance):
                if utterance.has_speech:
                    samples, clipped = len(utterance.samples), utterance.clipped
                    self._recording_health.heard(heard.session.device_id, samples, clipped)
                self._understanding.begin(fact)
            case Posted(letter, receipt):
                if letter.agent and not receipt.subscribers:
                    self._by_name.could_not_ask(letter, "nobody reads its requests", refused=False)
                self._questions.posted(fact)
                self._settling.release(letter.correlation_id)
            case Delayed(letter):
                self._questions.delayed(letter)
            case Refused(letter, reason):
                if letter.agent:
                    self._by_name.could_not_ask(letter, reason, refused=True)
                self._questions.refused(fact)
                self._settling.release(letter.correlation_id)
            case HintsAsked(session_id, hints):
                self._hearing.ask(session_id, hints)
            case _:
                assert_never(fact)

    def reconfigure(self, config: Sections) -> None:
        """From now on the settings of ``config``; open streams keep theirs while their device is the same user's."""
        self.roster.reconfigure(config.devices)
        self._understanding.reconfigure(config.transcription)
        self._hearing.reconfigure(config.transcription)
        self.dictations.reconfigure(config.transcription)
        self._wake_words.reconfigure(config.devices)
        self._contests.reconfigure(config.devices)
        self._announce.texts.reconfigure(config.transcription)
        self._hearing.change_hands()
        self._questions.conversing.change_hands()

    def reload(self, config: Sections) -> None:
        """The configuration was read again: what some sessions try, and what was answered by it until now."""
        self.answer_anew()
        if self.features is not None:
            self.features.reconfigure(config.features)

    def give_way(self, *, drafts: bool, recordings: bool) -> None:
        """Whether text that is being spoken is shown, and recordings are taken: what is said comes first."""
        self._announce.gives_way = drafts
        self.transcribing.gives_way = recordings

    def answer_anew(self) -> None:
        """Nothing that was answered until now is given again."""
        if self.agents is not None:
            self.agents.answers.invalidate()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            subscription = self._broker.subscribe(REPLIES_TOPIC, group=self._replies_group)
            replies = await stack.enter_async_context(subscription)
            await stack.enter_async_context(self._outbox)
            await stack.enter_async_context(self._turns)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            self._workers = [
                tasks.create_task(self._mishaps.keep_up(name, partial(self._once_recovered, work)), name=name)
                for name, work in self._work(replies)
            ]
            await self._wake_words.load()
            await self._recovery.recover()
            self._ticked_at = self._now()
            self._recovered.set()
            self._stack = stack.pop_all()
        return self

    async def _once_recovered(self, work: Callable[[], Awaitable[None]]) -> None:
        """A reply that has waited for this gateway is to find what the one before it asked."""
        await self._recovered.wait()
        await work()

    def start(self) -> None:
        """Publish; to be called when whoever answers inside this process is listening."""
        self._outbox.start()
        self._be_patient(self._now())

    async def __aexit__(self, *exc: object) -> None:
        """Whatever is not published by now stays in the journal, or with its device."""
        self._hearing.close()
        self._announce.witnesses.close()
        self.transcribing.close()
        ending = asyncio.create_task(until_done([*self._workers, *self._turns]), name="the end of the turns")
        await self._stack.aclose()
        await ending

    def sessions(self) -> list[Session]:
        """Those that are open, oldest first; to be looked at only."""
        return self._hearing.sessions.sessions()

    def user(self, device_id: str) -> str:
        """Whose device it is."""
        return self._announce.user(device_id)

    def room(self, device_id: str) -> str:
        """Where it is; empty where nobody said."""
        return self._announce.place(device_id)[1]

    def levels(self) -> dict[str, int]:
        """How loud each device is, in dBFS, that has been heard in the last seconds; who asks again knows more."""
        return self._announce.levels.now()

    def device_name(self, device_id: str) -> str:
        """What people call it; empty where nobody said."""
        return self._announce.name(device_id)

    def knows(self, device_id: str) -> bool:
        """Whether it can be told something, now or when it comes back."""
        return self._announce.is_named(device_id) or self.roster.knows(device_id)

    def priority(self, device_id: str, guest: str | None = None) -> Priority:
        """How urgent what it says is, or would be as this ``guest``'s."""
        return self._announce.priority(device_id, guest)

    def asked(self, correlation_id: str) -> UtteranceName | None:
        """Whose transcript is or was to be answered, as long as it is remembered."""
        request = self._questions.tracker.request(correlation_id)
        return None if request is None else request.name

    def awaited(self, correlation_id: str, request_id: str) -> str:
        """The agent that was asked under that id and may still answer; empty: none."""
        return self._by_name.awaited(correlation_id, request_id)

    def is_new(self, correlation_id: str) -> bool:
        """Whether an answer to it is awaited that no gateway before this one awaited."""
        question = self._questions.get(correlation_id)
        return question is not None and not question.again

    async def carry_out(self, verb: Verb, number: int) -> bool:
        """Bring a dead letter back to life, or forget it; whether there is one. Raises JournalError."""
        return await self._recovery.carry_out(verb, number)

    async def knows_somebody(self) -> bool:
        """Whether it is known that an orchestrator is there."""
        return await self._somebody.is_known()

    def stats(self) -> PipelineStats:
        """How much of everything there is."""
        return PipelineStats(
            sessions=len(self._hearing.sessions),
            streams=len(self._hearing.streams),
            turns=len(self._turns),
            asked=len(self._questions),
            undelivered=len(self._due),
            unpublished=self._outbox.waiting,
            dropped_answers=self._due.dropped,
            lost_messages=self._outbox.lost,
        )

    @property
    def publications(self) -> Mapping[str, int]:
        """Attempts to publish a message since the start, by how they ended."""
        return self._outbox.attempts

    def correlations(self) -> CorrelationCounters:
        """What became of questions, and of what was said in answer, since the start."""
        return self._questions.tracker.counters

    # -- hear, segment: what the links report, cut into utterances

    def hear(self, event: LinkEvent) -> None:
        """Take one event of a device, in order."""
        if isinstance(event, AudioReceived):  # fifty a second, of each
            self._hearing.segment(event)
            return
        with structlog.contextvars.bound_contextvars(**_in_log(event)):
            self._hear(event)

    def _hear(self, event: LinkEvent) -> None:
        match event:
            case StreamStarted():
                self._hearing.open(event)
            case StreamStopped():
                self._hearing.stop(event)
            case DeviceConnected():
                self._welcome(event)
            case DeviceDisconnected():
                with self._mishaps.contained("the absence of a device", device_id=event.device_id):
                    self._hearing.suspend(event)
                self.announcements.suspend(event.device_id)
                self.roster.disconnected(event)
            case DeviceNotice():
                self._announce.noticed(event)
                if event.kind is NoticeKind.WAKE_WORD:
                    self._hearing.woken(event)
            case DeviceLog() | LinkChanged() | HelloRefused() | RecordingFaulty():
                self._note(event)

    def _note(self, event: DeviceLog | LinkChanged | HelloRefused | RecordingFaulty) -> None:
        """What is no part of what anybody says."""
        match event:
            case DeviceLog():
                log.debug("device log", device_id=event.device_id, link=event.link, text=event.text)
                self.logs.add(event)
            case LinkChanged():
                self.roster.link_changed(event)
                if event.passing:
                    self.logs.forget(event.link)
            case HelloRefused():
                self.roster.refused(event)
            case RecordingFaulty():
                self._recording_health.found(event)

    def forget(self, device_id: str) -> bool:
        """Nobody misses a device that is away any more; False when it is here, or nobody knows it."""
        if not self.roster.forget(device_id):
            return False
        self._devices.forget(device_id)
        self._recording_health.forget(device_id)
        self.logs.forget(device_id)
        return True

    def _welcome(self, event: DeviceConnected) -> None:
        """What one part of the gateway makes of a device that is there does not depend on the others."""
        names = {"device_id": event.device_id}
        with self._mishaps.contained("the streams of a device", **names):
            self._hearing.welcome(event)
        if not event.resumed:
            self._questions.renew(event.device_id)
            self._due.renew(event.device_id, event.boot)
            self.announcements.renew(event.device_id)
        with self._mishaps.contained("the list of devices", **names):
            self._recording_health.welcome(event)
            self.roster.connected(event)
            self.logs.adopt(event.link, event.device_id)
        with self._mishaps.contained("the answers for a device", **names):
            self._questions.welcome(event.device_id, event.boot)
            self._due.welcome(event.device_id, event.boot)
        with self._mishaps.contained("the announcements for a device", **names):
            self.announcements.welcome(event.device_id, event.boot)

    def adopt(self, device_id: str, user_id: str) -> None:
        """What this device says, where the configuration does not know it, is this user's (empty: nobody's)."""
        self._announce.adopt(device_id, user_id)

    def watch_speech(self, device_id: str, began: Callable[[], None]) -> None:
        """``began`` is called each time when somebody begins to speak to that device."""
        self._announce.watch_speech(device_id, began)

    def hush(self, device_id: str) -> None:
        """Whoever spoke as this device may not any more: what was not said to its end never was."""
        if self._hearing.connected(device_id):  # on another connection, by right
            return
        self._hearing.hush(device_id)
        self._devices.forget(device_id)

    # -- said: text from the start, which needs no transcription

    async def say(self, text: str, principal: Principal, hints: WantedHints | None = None) -> Said:
        """Words of a listener, put to the orchestrators as if its device had heard them. Raises SayError."""
        spoken, message = self._saying.begin(text, principal, hints)
        await self._put(spoken, message)
        name = spoken.name
        return Said(session_id=name.session_id, device_id=name.device_id, correlation_id=name.correlation_id)

    @asynccontextmanager
    async def ask(
        self, text: str, principal: Principal, hints: WantedHints | None = None
    ) -> AsyncIterator[Asker]:
        """Words of a program, which is told what is answered until it leaves. Raises SayError."""
        if self.askers >= MOST_ASKERS:
            raise CannotSay(f"{MOST_ASKERS} questions of programs wait for their answers already")
        spoken, message = self._saying.begin(text, principal, hints)
        asker = Asker(spoken.name)
        self._announce.witnesses.add(asker)
        self.askers += 1
        try:
            await self._put(spoken, message)
            yield asker
        finally:
            self.askers -= 1

    async def _put(self, spoken: Spoken, message: TranscriptionMessage) -> None:
        work = partial(self._publishing.publish, spoken, message)
        await done(self._turns.start(OnItsWay(spoken.session, spoken.turn, spoken), work))

    # -- answer, deliver: what orchestrators say, into the device's hands

    def delivered(self, device_id: str, boot: int, correlation_id: str) -> None:  # noqa: ARG002 - the bridge's
        """Note that a device has acknowledged a final reply."""
        self._due.delivered(correlation_id)
        self.announcements.delivered(device_id, correlation_id)

    # -- beside the way: deadlines, and the end

    def broker_changed(self, status: BrokerStatus) -> None:
        """There is another connection to the broker, or none."""
        self._outbox.broker_changed(status)
        if status.connected:  # meanwhile somebody may have said what is not true any more
            self.answer_anew()
        self._be_patient(self._now() if status.connected else math.inf)

    def _be_patient(self, since: float) -> None:
        """Until then nobody could be heard of; over the memory broker everybody always can."""
        if self._is_shared:
            self._somebody.be_patient(since)
        if self._is_shared and self.agents is not None:
            self.agents.be_patient(since)

    @property
    def well(self) -> bool:
        """Whether replies are taken and deadlines watched, as the watchdog wants to know."""
        return self._now() - self._ticked_at < STUCK_SECONDS and not any(
            task.done() for task in self._workers
        )

    async def drain(self, seconds: float) -> None:
        """Take no new stream; finish speech in progress or hand it back; deliver what is answered in time.

        For half of the time, speech goes on. What is still being said then stays with a device that has
        a ring, for the next gateway; of a device without one, what was heard is transcribed.
        """
        self._hearing.close()
        self.dictations.close()
        end = self._now() + seconds
        await self._until(lambda: not self._hearing.in_speech, end - seconds / 2)
        self._hearing.hand_back()
        await self._until(lambda: not len(self._hearing.sessions) and not self._owed, end)
        await self._until(lambda: not self._outbox.waiting or self._journal.keeps, end)

    async def _watch_deadlines(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            now = self._ticked_at = self._now()
            await self._recovery.recover_late()
            if self._errands_due <= now:
                self._errands_due = now + ERRANDS_SECONDS
                with self._mishaps.contained("errands"):
                    await self._recovery.run_errands()
            with self._mishaps.contained("deadlines of requests"):
                await self._answers.expire(now)
                self._due.expire(now)
            with self._mishaps.contained("deadlines of announcements"):
                self.announcements.expire()
            with self._mishaps.contained("the end of conversations"):
                self._questions.conversing.lapse()
            with self._mishaps.contained("who is away"):
                self.roster.tick()
            with self._mishaps.contained("deadlines of devices"):
                self._hearing.watch_absent(now)
            self._mishaps.forgive()

    def _work(self, replies: Subscription) -> Iterator[tuple[str, _Work]]:
        """What goes on beside the turns, until the end: what ends earlier makes the gateway unwell."""
        yield "replies", partial(self._answers.run, replies)
        yield "pieces of replies", self._answers.keep_pieces
        yield "deadlines", self._watch_deadlines
        yield "patience", self._patience.run
        yield "wake words", self._wake_words.watch
        if self.agents is not None:
            yield "teams", self._by_name.run
        elif self._is_shared:  # over the memory broker it is known who reads
            yield "who reads", self._somebody.watch
        if self.agents is not None or self._is_shared:
            yield "presence of agents", self._watch_agents

    async def _watch_agents(self) -> None:
        from gateway.pipeline.asking.presences import watch_presences  # noqa: PLC0415 - where there may be any

        await watch_presences(self._broker, self._somebody if self.agents is None else self.agents)

    async def _until(self, done: Callable[[], bool], deadline: float) -> None:
        while not done() and self._now() < deadline:  # noqa: ASYNC110 - many things may make it true
            await asyncio.sleep(CLOCK_SECONDS / 2)

    @property
    def _owed(self) -> bool:
        """Whether a connected device has not taken its answer yet."""
        return any(map(self._hearing.connected, self._due.devices()))


def _in_log(event: LinkEvent) -> dict[str, str]:
    """Whose it is; before a device has said who it is, by its line."""
    if device_id := getattr(event, "device_id", None):
        return {"device_id": device_id}
    return {"link": event.link} if isinstance(event, DeviceLog | LinkChanged | HelloRefused) else {}


def _features(config: Sections) -> Features:
    from gateway.pipeline.agents.features import Features  # noqa: PLC0415 - where there are any agents

    return Features(config.features)


def _agents(config: Sections, now: float) -> AgentRoster:
    from gateway.pipeline.agents.roster import AgentRoster  # noqa: PLC0415 - where there are any

    return AgentRoster(config.orchestrator.agents, now)
