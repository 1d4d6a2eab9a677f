"""The gateway put together from its configuration, started, drained, and taken apart in order.

Whatever can be missing (a broker, a model, a port, the page's address) is a state that shows in
/readyz with its remedy and is tried again; nothing here exits because of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar, cast

import structlog
from msgspec import structs

from firmware_bridge.bridge import Bridge
from firmware_bridge.embedded_broker.passwords import Passwords
from firmware_bridge.link.events import DeviceConnected, HelloRefused, LinkEvent
from firmware_bridge.link.wires import MQTT
from gateway.access.audit import Audit, What
from gateway.access.common_door import CommonDoor
from gateway.access.mqtt_secret import passwords_for
from gateway.alerting.relief import Relief
from gateway.alerting.watching import AlertWatch, tellers
from gateway.answering.announcing import Announcing
from gateway.answering.crew import Crew
from gateway.broker.address import gateway_name, replies_group
from gateway.broker.base import BrokerError, BrokerStatus, Leases, MessageBroker
from gateway.broker.opening import MEMORY, open_broker
from gateway.config.configuration import GatewayConfig
from gateway.config.loading import ConfigError
from gateway.config.places import OWN_CERTIFICATE
from gateway.config.reloading import Plan, plan
from gateway.contract.escaping import one_line
from gateway.firmware.standby import FirmwareStandby, OfImages
from gateway.hub.hub import Hub
from gateway.journal import AnyJournal, Journal, JournalInUse, JournalState, NoJournal
from gateway.journal.errors import NoHome
from gateway.journal.file import journal_path
from gateway.observing.broker_health import BrokerHealth
from gateway.observing.content_health import ContentHealth
from gateway.observing.health import Health, HealthState
from gateway.observing.log import configure as configure_log
from gateway.observing.machine.sampler import Sampler
from gateway.observing.recognizer_health import PoolHealth, RecognizerHealth
from gateway.observing.requests.counting import HttpRequests
from gateway.observing.standby_health import StandbyHealth
from gateway.observing.twin_health import TwinHealth
from gateway.orchestrators.loading import load_function
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.pipeline.content.opening import open_filter
from gateway.pipeline.content.port import ContentFilter, Ruling, Way
from gateway.pipeline.forgetting import Forgetting
from gateway.pipeline.pipeline import Pipeline
from gateway.pipeline.sessions.house_names import NO_NAMES, HouseNames
from gateway.pipeline.sessions.names import UtteranceName
from gateway.pipeline.telling.announcer import Announcer
from gateway.pipeline.telling.fallback_texts import FallbackTexts
from gateway.process.ending import until_done
from gateway.process.mishaps import Mishaps
from gateway.process.open_files import REMEDY, for_connections, limit
from gateway.registry.admission import Register
from gateway.settings.adapters import AdapterSettings
from gateway.settings.names import NamesSettings
from gateway.settings.web import WebSettings
from gateway.systemd.notifier import Notifier
from gateway.web.kept_open import KeptOpen
from gateway.web.parts import Others, Parts, RunningParts
from transcription.errors import ModelUnavailable
from transcription.recognizing import Recognizing
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.utterance.segmenter import VoiceActivity, Window
from transcription.utterance.vad import SileroModel

if TYPE_CHECKING:
    from gateway.contract.house import GatewayPresence
    from gateway.firmware.at_work import FirmwareAtWork
    from gateway.house.copies.copied_journal import JournalCopies
    from gateway.house.row.member import HouseMember
    from gateway.house.row.tenure import Tenure
    from gateway.house.sharing import Sharing
    from gateway.journal.of_house import HouseHistory
    from gateway.recognizers.claim_checks import HeldAudio
    from gateway.recognizers.pool.recognizer import PooledRecognizer
    from gateway.shared_store.at_work import StoreAtWork
    from gateway.shared_store.history import Shipping

log = structlog.get_logger(__name__)

GIVE_BACK_SECONDS = 5.0
"""A gateway that is back has its place back when it has stood by for so long: one that dies again at once has not."""
GIVE_BACK_LOOK_SECONDS = 0.5
FLUSH_SECONDS = 2.0
"""Who leaves its place waits so long for what the gateway that stands by has not yet."""
VOICE_RETRY_SECONDS = 10.0
"""How often a voice activity model that was not there is looked for again."""
BROKER_SECONDS = 1.0
"""Time for subscribers to settle what they have, once the drain is over."""
MISCONFIGURED = 2
"""Exit status when the configuration names what does not exist."""


class Gateway:
    """A running gateway: ``async with Gateway(config) as gateway``; leaving it drains.

    Entering raises BadOrchestrator and BrokerError when the configuration names what does not exist, and
    JournalInUse when another gateway has the same journal.
    """

    def __init__(self, config: GatewayConfig, config_file: Path | None = None, holder: str = "") -> None:
        """``config_file``: what it was read from, and is written to when somebody asks for that.

        ``holder``: who this one is, of those that may have its place in the house; empty: there are no others.
        """
        self.config = config
        self._holder = holder
        self.tenure: Tenure | None = None
        """Whether its place is its own, where another may take it."""
        self._copies: JournalCopies | None = None
        self._config_file = config_file
        self.mishaps = Mishaps()
        self.hub = Hub(config.web, redact=config.privacy.redact, mishaps=self.mishaps)
        self.sharing = self._share()
        self.health = Health(self.hub.publish, self.mishaps)
        self._broker_health = BrokerHealth(self.health)
        self._page = KeptOpen(config.web, self._parts, self.health, self._page_opened)
        self.url = ""
        """Where the page is; empty as long as it is not served."""
        self._stack = AsyncExitStack()
        self._workers: list[asyncio.Task[None]] = []
        self._tracing: list[asyncio.Task[None]] = []
        self._tellers: list[asyncio.Task[None]] = []
        self._silero: SileroModel | None = None
        self._is_up = False
        self._model_changed: Callable[[TranscriptionSettings], None] = lambda _settings: None
        self._folder = journal_path(config.journal.path, os.environ).parent
        self.audit = Audit(self._folder, of_gateway=True)
        self.machine = Sampler(self._folder, self._at_work)
        self._requests = HttpRequests()
        self.alerting = AlertWatch(
            config.alerts, folder=self._folder, hub=self.hub, health=self.health,
            sample=lambda: self.machine.latest, relieve=self._give_way, certificate=self._certificate,
        )  # fmt: skip
        self.audit.on_note, self.audit.on_used = self.alerting.audited, self.alerting.used
        self.common_door = CommonDoor()
        self._held_audio = _held_audio(config)
        self.store: StoreAtWork | None = None
        self.register = Register(self._folder, config.named_devices, self.health, self._readmit)
        self.firmware = FirmwareStandby(self._folder, self._firmware_at_work)

    async def __aenter__(self) -> Self:
        config = self.config
        self._crew = Crew(config.answering, config.broker.url)
        self.content = self._open_filter()
        self.broker = self._open_broker()
        with _by_itself():
            await self._enter()
        return self

    async def _enter(self) -> None:
        config = self.config
        async with AsyncExitStack() as stack:
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            await stack.enter_async_context(self._page)
            self._start(self._page.run, "page")
            stack.callback(self.content.close)
            stack.push_async_callback(self.broker.close, BROKER_SECONDS)
            stack.callback(self._cancel_workers)
            self.recognizer: Recognizing = await stack.enter_async_context(self._recognizer())
            self.journal: AnyJournal = await stack.enter_async_context(self._open_journal())
            self._journal_changed(self.journal.state)
            await self.register.look()
            self.member = self._join_house()
            self.bridge = Bridge(
                config.devices,
                self._hear,
                self._delivered,
                self.mishaps.note,
                await self._mqtt_passwords(),
                admission=self.register,
                elsewhere=self.member.moves if self.member else None,
                is_fenced=self._is_fenced,
            )
            self.pipeline = await stack.enter_async_context(await self._build_pipeline())
            self._start_answering()
            self._share_history()
            self._begin_in_house()
            self._start(self._publish, "publishing")
            if self.tenure is not None:
                self._start(self.tenure.keep, "the place in the house")
                if self._copies is not None:
                    self._start(self._copies.run, "copies of the journal")
                if not self.tenure.is_own:
                    self._start(self._give_back, "giving the place back")
            await stack.enter_async_context(self.bridge)
            self.pipeline.broker_changed(self._broker_health.status)
            self._is_up = True
            self._start(self.machine.run, "machine")
            self._trace()
            self._tell_alerts()
            self._start(self.alerting.run, "alerts")
            self._start(self.register.watch, "device registry")
            self._start(self.firmware.run, "firmware")
            self._start_adapters()
            await self._start_store()
            self._stack = stack.pop_all()

    def _open_broker(self) -> MessageBroker:
        config = self.config
        broker = open_broker(config.broker.url, config.broker, self._broker_changed)
        if not self._holder:
            return broker
        from gateway.house.row.fence import FencedBroker  # noqa: PLC0415 - where another stands by
        from gateway.house.row.tenure import Tenure  # noqa: PLC0415

        place = config.house.name
        self.tenure = Tenure(cast("Leases", broker), place, self._holder, self._is_replaced)
        return FencedBroker(broker, self.tenure)

    async def until_over(self, stop: asyncio.Event) -> None:
        """Until it is to stop, or another has its place."""
        ends = [asyncio.create_task(stop.wait())]
        if self.tenure is not None:
            ends.append(asyncio.create_task(self.tenure.over.wait()))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    def _is_replaced(self) -> bool:
        return self.member is not None and self.member.is_replaced()

    def _is_fenced(self) -> bool:
        """Whether another may speak to our devices on MQTT; those at our own MQTT broker hear nobody else."""
        if self.tenure is None or self.config.devices.mqtt.url == "embedded":
            return False
        return not self.tenure.holds

    async def _give_back(self) -> None:
        """The place of a gateway that was away, once that one has been back for a while."""
        assert self.tenure is not None
        assert self.member is not None
        waited = 0.0
        while waited < GIVE_BACK_SECONDS:
            await asyncio.sleep(GIVE_BACK_LOOK_SECONDS)
            is_due = self.member.owner_waits() and (self._copies is None or self._copies.is_together)
            waited = waited + GIVE_BACK_LOOK_SECONDS if is_due else 0.0
        log.info("the place is given back", place=self.tenure.place)
        self.tenure.over.set()

    async def __aexit__(self, *exc: object) -> None:
        """Also when it is cancelled while it drains, everything is closed and what is safe stays so."""
        try:
            with self.mishaps.contained("draining"):
                if self.tenure is None or not self.tenure.is_lost:  # else all of it is another's
                    await self.pipeline.drain(self.config.shutdown.drain_seconds)
                    await self._give_place_up()
        finally:
            self._is_up = False
            if self._copies is not None:
                self._copies.give_up()
            with self.mishaps.contained("closing the hub"):
                self.hub.close()
            if self.sharing is not None:
                await self.sharing.drain()
            await self._stack.aclose()

    async def _give_place_up(self) -> None:
        if self._copies is not None:
            await self._copies.flush(FLUSH_SECONDS)
        if self.tenure is not None:
            with suppress(BrokerError):
                await self.tenure.give_up()

    async def _mqtt_passwords(self) -> Passwords | None:
        """What devices log in with at our own MQTT broker."""
        if self.config.devices.mqtt.url != "embedded":
            return None
        return await asyncio.to_thread(passwords_for, self._folder)

    def reconfigure(self, wanted: GatewayConfig) -> Plan:
        """Change to these settings as far as that goes while it runs; devices notice nothing of it."""
        planned = plan(self.config, wanted)
        before, self.config = self.config, planned.config
        self.register.reconfigure(planned.config.named_devices)
        self._readmit()
        self.recognizer.change(planned.config.transcription)
        self.pipeline.reload(planned.config)
        self._model_changed(planned.config.transcription)
        self._change_what_surrounds(before, planned.config)
        if planned.applied or planned.need_restart:
            self.audit.note(
                What.CONFIGURATION,
                applied=", ".join(planned.applied),
                need_restart=", ".join(planned.need_restart),
            )
        return planned

    def _change_what_surrounds(self, before: GatewayConfig, config: GatewayConfig) -> None:
        """The page, the log and the traces."""
        if config.log != before.log:
            configure_log(config.log)
        if config.web != before.web:
            self.hub.reconfigure(config.web)
            self._page.change(config.web)
        if config.tracing != before.tracing:
            self._trace()
        if config.alerts != before.alerts:
            self.alerting.reconfigure(config.alerts)
            self._tell_alerts()

    def _readmit(self) -> None:
        """What devices are called, and which may come in, has changed."""
        if not self._is_up:
            return
        self.pipeline.reconfigure(self._in_effect)
        self.pipeline.roster.readmitted(self.register.why_not)
        for device_id in self.bridge.readmit():
            self.audit.note(What.CUT_OFF, device_id=device_id)
            self.pipeline.hush(device_id)

    @property
    def _in_effect(self) -> GatewayConfig:
        """The configuration with what was said of devices since."""
        return structs.replace(self.config, devices=self.register.settings)

    def _running(self) -> RunningParts | None:
        """What there is to be served, beside the page itself."""
        if not self._is_up:
            return None
        return RunningParts(
            config=self.config,
            broker=self.broker,
            recognizer=self.recognizer,
            journal=self.journal,
            bridge=self.bridge,
            pipeline=self.pipeline,
            register=self.register,
            reconfigure=self.reconfigure,
            config_file=self._config_file,
            forgetting=self.forgetting,
            house_history=self.house_history,
            broker_status=self._broker_health.status,
        )

    # -- the parts

    async def _build_pipeline(self) -> Pipeline:
        return Pipeline(
            self._in_effect,
            devices=self.bridge,
            recognizer=self.recognizer,
            listen=await self._voice_activity(),
            broker=self.broker,
            announcer=self._announcer(),
            journal=self.journal,
            health=self.health,
            content=self.content,
            names=self._open_names(),
            whose=self.member.moves.left_speech.whose if self.member else None,
        )

    def _share(self) -> Sharing | None:
        """What is shown here is shown at the other gateways, where there are any."""
        config = self.config
        if not config.house.share or config.broker.url == MEMORY:
            return None
        from gateway.house.sharing import Sharing  # noqa: PLC0415 - where there are others

        return Sharing(self._house_name, self.hub)

    def _join_house(self) -> HouseMember | None:
        """As one of several gateways, where there are any."""
        config = self.config
        if not (config.house.share or self._holder) or config.broker.url == MEMORY:
            return None
        from gateway.house.row.member import HouseMember  # noqa: PLC0415 - where there are others

        return HouseMember(self._house_name, self.broker, self._in_house, self.mishaps)

    def _in_house(self) -> GatewayPresence:
        from gateway.contract.house import GatewayPresence  # noqa: PLC0415

        devices = sum(one.connected for one in self.bridge.devices()) if self._is_up else 0
        told = GatewayPresence(gateway=self._house_name, url=self.url, devices=devices)
        return self.sharing.told(told) if self.sharing is not None else told

    def _begin_in_house(self) -> None:
        if self.member is None:
            return
        self.member.connect(self.bridge, self.pipeline.moving)
        for name, work in self.member.work():
            self._start(work, name)
        if self.sharing is not None:
            from gateway.web.elsewhere.doing import done_here  # noqa: PLC0415 - where there are others

            self.sharing.do = partial(done_here, self._parts(self.config.web))
            for name, work in self.sharing.work(self.broker, self.member.presence):
                self._start(work, name)

    def _recognizer(self) -> Recognizer | PooledRecognizer:
        """The own engine, or that and those on other machines."""
        state, use = RecognizerHealth(self.health), self.config.recognizers.use
        if use == "never":
            return Recognizer(self.config.transcription, state)
        from gateway.recognizers.pool.opening import pooled_recognizer  # noqa: PLC0415 - where they are wanted

        pool = PoolHealth(self.health, alone=use == "only")
        return pooled_recognizer(
            self.config, self.broker, Recognizer, self.mishaps,
            on_state=state, on_pool=pool, held=self._held_audio, status=lambda: self._broker_health.status,
        )  # fmt: skip

    def _trace(self) -> None:
        """What is said and answered, for OpenTelemetry, where somebody wants it; instead of what was wanted before."""
        for task in self._tracing:
            task.cancel()
        self._tracing.clear()
        if not self.config.tracing.endpoint:
            return
        from gateway.tracing.otlp import SpanExporter  # noqa: PLC0415 - where it is wanted
        from gateway.tracing.turns import Tracing  # noqa: PLC0415

        settings, model = self.config.tracing, lambda: self.config.transcription.model
        self._tracing.append(
            self._start(Tracing(self.hub, SpanExporter(settings), settings.sample, model).run, "tracing")
        )

    def _tell_alerts(self) -> None:
        """Wherever people want to be told; instead of where they wanted it before."""
        for task in self._tellers:
            task.cancel()
        told = tellers(self.config.alerts, self._house_name)
        self.alerting.tellers = [teller for _, teller, _ in told]
        self._tellers = [self._start(work, name) for name, _, work in told]

    def _give_way(self, wanted: Relief) -> None:
        """Before the kernel decides what ends."""
        if self._is_up:
            drafts, recordings = wanted >= Relief.DRAFTS, wanted >= Relief.RECORDINGS
            self.pipeline.give_way(drafts=drafts, recordings=recordings)
        self.hub.history.keep(0 if wanted >= Relief.HISTORY else self.config.web.history_events)

    def _certificate(self) -> tuple[float, float] | None:
        """From when until when the page's certificate is good, where it shows one."""
        tls = self.config.web.tls
        if not (tls.cert_file or tls.self_signed):
            return None
        from gateway.web.entrance.certificate import validity  # noqa: PLC0415 - an extra

        try:
            return validity(Path(tls.cert_file) if tls.cert_file else self._folder / OWN_CERTIFICATE)
        except (OSError, ValueError):
            return None  # health says so

    def _open_names(self) -> HouseNames:
        """Those of the house, where somebody is to be asked for them."""
        if self.config.names == NamesSettings():
            return NO_NAMES
        from gateway.names.house import KnownNames  # noqa: PLC0415 - where they are wanted
        from gateway.names.opening import sources  # noqa: PLC0415

        known = KnownNames(self.health, self.config.transcription)
        self._model_changed = known.model_changed
        for name, work in sources(self.config.names, known):
            self._start(work, name)
        return known

    def _firmware_at_work(self) -> FirmwareAtWork:
        from gateway.firmware.at_work import FirmwareAtWork  # noqa: PLC0415 - where there are images

        return FirmwareAtWork(
            self._folder,
            self.bridge,
            room_of=lambda device_id: self.register.settings.rooms.get(device_id, ""),
            user_of=self.pipeline.user,
            baudrate=self.config.devices.serial.baudrate,
            health=self.health,
            publish=self.hub.publish,
            audit=self.audit,
        )

    def _open_filter(self) -> ContentFilter:
        content = self.config.content
        state = ContentHealth(self.health, content.hook).asked
        return open_filter(content, load_function, note=self._note_content, hook_state=state)

    def _note_content(self, way: Way, outcome: str, ruling: Ruling, name: UtteranceName) -> None:
        """For the audit log, without the words."""
        self.audit.note(
            What.CONTENT,
            text=way.value,
            outcome=outcome,
            flags=", ".join(ruling.flags),
            user_id=name.user_id,
            device_id=name.device_id,
            correlation_id=name.correlation_id,
        )

    def _announcer(self) -> Announcer:
        texts = FallbackTexts(self.config.orchestrator, self.config.transcription)
        return Announcer(self.bridge, self.hub, self.register.settings, texts)

    def _open_journal(self) -> AnyJournal:
        if not self.config.journal.enabled:
            return NoJournal()
        if self.tenure is None:
            return journal_of(self.config, self._journal_changed)
        from gateway.house.copies.copied_journal import CopiedJournal, JournalCopies  # noqa: PLC0415

        journal = _journal(CopiedJournal, self.config, self._journal_changed)
        self._copies = JournalCopies(
            journal,
            self.broker,
            self.tenure,
            is_there=lambda: self.member is not None and self.member.has_standby(),
            is_only_here=self._is_only_here,
            on_standing=StandbyHealth(self.health, self.tenure.place).standing_changed,
        )
        return journal

    def _is_only_here(self, device_id: str) -> bool:
        """Whether no gateway that has our place hears that device: it is not on an MQTT broker that both have."""
        if self.config.devices.mqtt.url in ("", "embedded"):
            return True
        return all(one.link != MQTT for one in self.bridge.devices() if one.id == device_id)

    def _journal_changed(self, state: JournalState) -> None:
        fine = (state.durable and not state.reason) or not self.config.journal.enabled
        health = HealthState.HEALTHY if fine else HealthState.DEGRADED
        self.health.set("journal", health, state.reason, state.remedy)
        self._broker_health.journal_changed(state)

    async def _publish(self) -> None:
        """After the first step of the orchestrator, which listens by then."""
        self.pipeline.start()

    async def _voice_activity(self) -> Callable[[], VoiceActivity]:
        """What makes the voice activity of a stream. Without a recognizer nothing needs to be heard."""
        if self.config.transcription.engine == "off" and self.config.recognizers.use == "never":
            return lambda: _deaf
        if not await self._load_silero():
            self._start(self._retry_silero, "voice activity")
        return lambda: self._silero.stream() if self._silero else _all_speech

    async def _load_silero(self) -> bool:
        try:
            self._silero = await asyncio.to_thread(SileroModel)
        except ModelUnavailable as error:
            self.health.set("voice activity", HealthState.UNHEALTHY, str(error), error.remedy)
            return False
        return True

    async def _retry_silero(self) -> None:
        """Streams that began without it stay as they are; the next ones are listened to."""
        while not await self._load_silero():  # noqa: ASYNC110 - nothing announces an installation
            await asyncio.sleep(VOICE_RETRY_SECONDS)
        self.health.set("voice activity", HealthState.HEALTHY)

    def _start_answering(self) -> None:
        announcing = Announcing(self.broker, self.pipeline, replies_group(self.config.broker))
        self._start(announcing.run, "announcements")
        self._start_caches()
        self._start_features()
        for name, work in self._crew.work(
            self.broker, self.pipeline, self.journal, health=self.health, state=self._broker_health,
            acted=partial(self.audit.note, What.TOOL),
        ):  # fmt: skip
            self._start(work, name)
        if self.config.broker.url != MEMORY:
            self._start(TwinHealth(self.health, self.broker, self.config.broker).watch, "twins")

    def _start_caches(self) -> None:
        if self.pipeline.agents is None or not self.pipeline.agents.answers:
            return
        from gateway.answering.outdated import watch_outdated  # noqa: PLC0415 - where there are any

        self._start(partial(watch_outdated, self.broker, self.pipeline.agents.answers), "outdated answers")

    def _start_features(self) -> None:
        if self.pipeline.features is None:
            return
        from gateway.answering.feature_switches import FeatureSwitches  # noqa: PLC0415 - where agents are named

        switches = FeatureSwitches(self.pipeline.features, self.health, self._folder)
        self._start(switches.keep, "features")

    def _start_adapters(self) -> None:
        if self.config.adapters == AdapterSettings():
            return
        from gateway.adapters.opening import adapters  # noqa: PLC0415 - where there are any
        from gateway.adapters.parts import AdapterParts  # noqa: PLC0415

        parts = AdapterParts(
            config=self.config, pipeline=self.pipeline, recognizer=self.recognizer, bridge=self.bridge,
            hub=self.hub, register=self.register, health=self.health, folder=self._folder,
        )  # fmt: skip
        for name, work in adapters(parts):
            self._start(partial(self.mishaps.keep_up, name, work), name)

    def _share_history(self) -> None:
        """With other gateways, where they share a store; to be erased and looked up it is there in any case."""
        self.forgetting: Forgetting | None = None
        self.house_history: HouseHistory | None = None
        self._shipping: Shipping | None = None
        if not isinstance(self.journal, Journal):
            return
        config, erasing = self.config, self.pipeline.erasing
        shares = bool(config.house.store)
        self.forgetting = Forgetting(self.journal, erasing, self.hub, everywhere=shares)
        if not shares:
            return
        from gateway.shared_store.history import Shipping, StoredHistory  # noqa: PLC0415 - where there is one

        self._shipping = Shipping(
            self._house_name, self.journal, config.history.days, self.forgetting.as_asked
        )
        self.house_history = StoredHistory(
            lambda: self.store.store if self.store else None, self._shipping, self.journal
        )

    async def _start_store(self) -> None:
        if not self.config.house.store:
            return
        from gateway.shared_store.at_work import StoreAtWork  # noqa: PLC0415 - where there is one

        self.store = await asyncio.to_thread(
            StoreAtWork, self.config.house, self._house_name, self._folder,
            common_door=self.common_door, health=self.health, shipping=self._shipping,
        )  # fmt: skip
        self._start(self.store.run, "shared store")

    @property
    def _house_name(self) -> str:
        return gateway_name(self.config.house, self.config.broker)

    def _parts(self, web: WebSettings) -> Parts:
        return Parts(
            web,
            self.hub,
            self.health,
            self._running,
            self._folder,
            self.audit,
            self.config.adapters.openai,
            self.common_door,
            self._elsewhere(),
            None if self._held_audio is None else self._held_audio.give,
            requests=self._requests,
            house_figures=self._house_figures,
            machine=self.machine,
            alerting=self.alerting,
        )

    def _house_figures(self) -> dict[str, float]:
        """What it has told the others of its house, and heard of them; none: there are none."""
        found = {} if self.sharing is None else self.sharing.figures()
        if self.member is not None:
            moves = self.member.moves
            found |= {"devices moved in": moves.moved_in, "devices moved out": moves.moved_out}
        return found

    def _at_work(self) -> dict[str, float]:
        """What is kept over time beside what the machine uses."""
        running = self._running()
        return {} if running is None else running.at_work()

    def _elsewhere(self) -> Others | None:
        """What is asked here and done by others, where there are any."""
        if self.sharing is None:
            return None
        from gateway.web.elsewhere.carrying import HouseApi  # noqa: PLC0415 - where there are others

        return HouseApi(self.sharing, has_store=bool(self.config.house.store))

    def _page_opened(self, url: str) -> None:
        self.url = url
        self.config = structs.replace(
            self.config, web=self._page.settings
        )  # what was wanted may not be possible
        if url:
            self._count_files()

    def _count_files(self) -> None:
        """Fewer connections than listeners that are configured: somebody will find no room."""
        web, files = self._page.settings, limit()
        room = for_connections(web.limits.connections)
        if room < min(web.limits.connections, web.max_listeners):
            reason = f"{files} open files leave room for {room} connections (web.max_listeners: {web.max_listeners})"
            self.health.set("open files", HealthState.DEGRADED, reason, REMEDY)

    # -- what the parts report

    def _hear(self, event: LinkEvent) -> None:
        if isinstance(event, HelloRefused) and event.remedy:  # by the register, or for want of a proof
            self.audit.note(
                What.NOT_ADMITTED, address=event.link, device_id=event.device_id, reason=event.reason
            )
        if isinstance(event, DeviceConnected):
            self.alerting.booted(event.device_id, event.boot)
        if isinstance(event, OfImages):
            with self.mishaps.contained("firmware over the air"):
                self.firmware.hear(event)
        self.pipeline.hear(event)

    def _delivered(self, device_id: str, boot: int, correlation_id: str) -> None:
        self.pipeline.delivered(device_id, boot, correlation_id)

    def _broker_changed(self, status: BrokerStatus) -> None:
        was_connected = self._broker_health.status.connected
        self._broker_health.broker_changed(status)
        if self._is_up and status.connected != was_connected:  # or what it allows has changed
            with self.mishaps.contained("another connection to the broker"):
                self.pipeline.broker_changed(status)

    # -- work in the background

    def _start(self, work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        task = self._tasks.create_task(self.mishaps.keep_up(name, work), name=name)
        self._workers.append(task)
        return task

    def _cancel_workers(self) -> None:
        self._ending = asyncio.create_task(until_done(self._workers), name="the end of the workers")


_AJournal = TypeVar("_AJournal", bound=Journal)


def journal_of(config: GatewayConfig, on_state: Callable[[JournalState], None]) -> Journal:
    """The journal of a gateway with this configuration, not entered yet."""
    return _journal(Journal, config, on_state)


def _journal(
    kind: type[_AJournal], config: GatewayConfig, on_state: Callable[[JournalState], None]
) -> _AJournal:
    keep_audio = config.journal.keep_audio and not config.privacy.redact
    return kind(
        structs.replace(config.journal, keep_audio=keep_audio),
        history=config.history,
        privacy=config.privacy,
        on_state=on_state,
        remember_seconds=config.orchestrator.late_seconds,
        sessions=config.sessions,
        shared=bool(config.house.store),
    )


@contextmanager
def _by_itself() -> Iterator[None]:
    """The one error of a start as it was raised: the task group around it makes a group of it."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from group.exceptions[0].__cause__


async def run_gateway(
    config: GatewayConfig,
    reread: Callable[[], GatewayConfig],
    config_file: Path | None = None,
    on_ready: Callable[[str], None] = lambda _url: None,
) -> int:
    """Run until SIGTERM or SIGINT, then drain; a second signal ends the wait. Returns the exit status.

    SIGHUP changes to the configuration that ``reread`` gives (it raises ConfigError for one that is wrong).
    ``on_ready`` is told where the page is, or "" where there is none.
    """
    run = _Run(config, reread, config_file, on_ready)
    try:
        while not run.stop.is_set():
            await run.once()
    except (BadOrchestrator, BrokerError, JournalInUse, NoHome) as error:
        log.error("cannot start", reason=str(error))  # noqa: TRY400 - the reason says it all
        return MISCONFIGURED
    log.info("stopped")
    return 0


class _Run:
    """One process: a gateway; where another may have its place, it waits for that before, and after it has lost it."""

    def __init__(
        self,
        config: GatewayConfig,
        reread: Callable[[], GatewayConfig],
        config_file: Path | None,
        on_ready: Callable[[str], None],
    ) -> None:
        self.stop = asyncio.Event()
        self._config, self._reread = config, reread
        self._config_file = config_file
        self._on_ready = on_ready
        self._notifier = Notifier()
        self._reload = asyncio.Event()
        self._has_terminal = os.isatty(0)
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop.set)
        self._be_deaf()

    def _be_deaf(self) -> None:
        """What would be read is being read, or it is too late to change anything."""
        self._loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _hang_up(self) -> None:
        if self._has_terminal and not os.isatty(0):  # its window was closed
            self.stop.set()
        else:
            self._reload.set()

    async def once(self) -> None:
        """Until it is stopped, or has lost its place."""
        holder, config, reread = "", self._config, self._reread
        if config.house.is_in_row:
            from gateway.standby.standing_by import in_place, until_in_place  # noqa: PLC0415 - where there are others

            holder = await until_in_place(config, self.stop, self._notifier, journal_of)
            if self.stop.is_set():
                return
            config, reread = in_place(config), lambda: in_place(self._reread())
        async with Gateway(config, self._config_file, holder) as gateway:
            await self._serve(gateway, reread)

    async def _serve(self, gateway: Gateway, reread: Callable[[], GatewayConfig]) -> None:
        notifier = self._notifier
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        self._on_ready(gateway.url)
        notifier.ready(f"listening; page at {gateway.url}" if gateway.url else "listening")
        beside = [
            asyncio.create_task(notifier.watchdog(lambda: gateway.pipeline.well), name="watchdog"),
            asyncio.create_task(_reload_when(self._reload, gateway, reread, notifier), name="reload"),
        ]
        await gateway.until_over(self.stop)
        if self.stop.is_set():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.remove_signal_handler(number)  # the next one ends the process at once
        self._be_deaf()
        for task in beside:
            task.cancel()
        if self.stop.is_set():
            log.info("draining", at_most_seconds=gateway.config.shutdown.drain_seconds)
            notifier.stopping("draining")


async def _reload_when(
    asked: asyncio.Event, gateway: Gateway, reread: Callable[[], GatewayConfig], notifier: Notifier
) -> None:
    """Once for all that asked while it was being done, and with what they had written by then."""
    while True:
        await asked.wait()
        asked.clear()
        try:
            await _reload(gateway, reread, notifier)
        except Exception:  # the next one may be better
            log.exception("the configuration could not be changed")


async def _reload(gateway: Gateway, reread: Callable[[], GatewayConfig], notifier: Notifier) -> None:
    """A wrong configuration changes nothing, and says so until a right one comes."""
    notifier.reloading("reading the configuration again")
    try:
        planned = gateway.reconfigure(await asyncio.to_thread(reread))
    except ConfigError as error:
        for problem in error.problems:
            log.error("the configuration is wrong", problem=str(problem))  # noqa: TRY400 - it says all
        reason = f"not reloaded, the old settings go on: {error.problems[0]}"
        gateway.health.set(
            "configuration",
            HealthState.DEGRADED,
            one_line(reason),
            "earshot check-config lists every mistake",
        )
    else:
        log.info("configuration reloaded", applied=planned.applied, need_restart=planned.reasons)
        if planned.need_restart:
            reason = f"changed but not applied: {', '.join(planned.need_restart)}"
            gateway.health.set("configuration", HealthState.DEGRADED, reason, planned.remedy)
        else:
            gateway.health.set("configuration", HealthState.HEALTHY)
    notifier.ready("listening")


def _held_audio(config: GatewayConfig) -> HeldAudio | None:
    """Where this gateway keeps what its broker does not, if recognizers are to fetch it here."""
    if config.recognizers.use == "never" or not config.recognizers.audio_at:
        return None
    from gateway.recognizers.claim_checks import HeldAudio  # noqa: PLC0415 - where it is wanted

    return HeldAudio(config.recognizers.audio_at)


def _deaf(_window: Window) -> float:
    return 0.0


def _all_speech(_window: Window) -> float:
    """Better an utterance too many than speech that nobody hears."""
    return 1.0
