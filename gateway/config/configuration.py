"""The gateway's configuration as one value: a section of config.yaml for each field."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, structs

from firmware_bridge.settings import DeviceSettings, KnownDevice
from gateway.settings.adapters import AdapterSettings
from gateway.settings.agents.commands import CommandsMqtt
from gateway.settings.broker import BrokerSettings
from gateway.settings.content import ContentSettings
from gateway.settings.features import FeatureSettings
from gateway.settings.history import HistorySettings
from gateway.settings.house import HouseSettings
from gateway.settings.journal import JournalSettings
from gateway.settings.log import LogSettings
from gateway.settings.names import NamesSettings
from gateway.settings.observing.alerts import AlertSettings
from gateway.settings.observing.tracing import TracingSettings
from gateway.settings.orchestrator import AgentName, OrchestratorSettings
from gateway.settings.privacy import PrivacySettings
from gateway.settings.recognizers import RecognizersSettings
from gateway.settings.sessions import SessionSettings
from gateway.settings.shutdown import ShutdownSettings
from gateway.settings.web import WebSettings
from transcription.settings import TranscriptionSettings


class GatewayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that config.yaml can say."""

    devices: DeviceSettings = DeviceSettings()
    transcription: TranscriptionSettings = TranscriptionSettings()
    names: NamesSettings = NamesSettings()
    recognizers: RecognizersSettings = RecognizersSettings()
    broker: BrokerSettings = BrokerSettings()
    orchestrator: OrchestratorSettings = OrchestratorSettings()
    features: Annotated[
        dict[AgentName, FeatureSettings],
        Meta(
            max_length=100,
            description="What some of the sessions try, by name: other agents or another team, compared with what the "
            "others have, and taken back by itself when it is worse (docs/agents.md).",
        ),
    ] = {}
    content: ContentSettings = ContentSettings()
    sessions: SessionSettings = SessionSettings()
    journal: JournalSettings = JournalSettings()
    history: HistorySettings = HistorySettings()
    privacy: PrivacySettings = PrivacySettings()
    house: HouseSettings = HouseSettings()
    web: WebSettings = WebSettings()
    adapters: AdapterSettings = AdapterSettings()
    tracing: TracingSettings = TracingSettings()
    alerts: AlertSettings = AlertSettings()
    log: LogSettings = LogSettings()
    shutdown: ShutdownSettings = ShutdownSettings()

    @property
    def named_devices(self) -> DeviceSettings:
        """The devices' settings; whoever is named in an adapter's stands in ``known``, too."""
        named = dict.fromkeys(self.adapters.wyoming.satellites, KnownDevice())
        return structs.replace(self.devices, known={**named, **self.devices.known})

    @property
    def answering(self) -> OrchestratorSettings:
        """Who answers; agents of kind commands that name no broker of their own have the devices', if it is one."""
        mqtt = self.devices.mqtt
        if mqtt.url in ("", "embedded"):
            return self.orchestrator
        theirs = CommandsMqtt(**{name: getattr(mqtt, name) for name in CommandsMqtt.__struct_fields__})
        agents = {
            name: structs.replace(agent, commands=structs.replace(agent.commands, mqtt=theirs))
            if agent.kind == "commands" and not agent.commands.mqtt.url
            else agent
            for name, agent in self.orchestrator.agents.items()
        }
        return structs.replace(self.orchestrator, agents=agents)
