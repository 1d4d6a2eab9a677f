"""What is wrong with settings: each by itself, and what no single one can say (settings that contradict each other)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import msgspec

from firmware_bridge.settings import DeviceSettings
from gateway.access.loopback import is_guarded
from gateway.access.principals import WEB_DEVICE
from gateway.broker.base import BrokerError
from gateway.broker.opening import MEMORY, check_broker_url
from gateway.config import adapters, feature_switches, outline, who_answers
from gateway.config.configuration import GatewayConfig
from gateway.config.house import contradictions as in_house
from gateway.config.mqtt_brokers import credentials_for_nothing, is_mqtt_url
from gateway.config.names import contradictions as in_names
from gateway.config.networks import wrong_networks
from gateway.config.outline import Contradiction, Mistake, shown
from gateway.settings.broker import BrokerSettings
from gateway.settings.content import ContentSettings
from gateway.settings.observing.alerts import AlertSettings
from gateway.settings.web import WebSettings
from transcription.settings import BUNDLED_MODEL, TranscriptionSettings

_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")
_ORIGIN = re.compile(rf"https?://{_HOST.pattern}")
_APP = re.compile(r"(auto|builtin|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*|)")
NO_PROXY = "expected an address or a network, such as 127.0.0.1 or 10.0.0.0/24"
EVERYBODY = "expected proxies, not everybody, who could then claim any address"
LEAST_MICROPHONE_RATE = 8_000
_HOOK = re.compile(r"([A-Za-z_][\w.]*:[A-Za-z_]\w*|)")


def fit(data: Any) -> tuple[GatewayConfig, list[Mistake]]:
    """Settings as plain data as a configuration, and everything that is wrong with them (it is left out)."""
    fitting, mistakes = outline.check(GatewayConfig, data)
    config = msgspec.convert(fitting, GatewayConfig)
    wrong = {mistake.path for mistake in mistakes}
    contradictions = _contradictions(config)
    mistakes += [Mistake(paths[0], message) for paths, message in contradictions if wrong.isdisjoint(paths)]
    return config, mistakes


def _microphones(devices: DeviceSettings) -> Iterator[Contradiction]:
    for name, one in devices.microphones.items():
        if 0 < one.rate < LEAST_MICROPHONE_RATE:
            message = f"expected 0 or a whole number from {LEAST_MICROPHONE_RATE} to 192000, got {one.rate}"
            yield (("devices", "microphones", name, "rate"),), message


def _alerts(alerts: AlertSettings) -> Iterator[Contradiction]:
    here = "alerts"
    if alerts.mqtt and not is_mqtt_url(alerts.mqtt):
        message = f"expected mqtt[s]://[user@]host[:port] or nothing, got {shown(alerts.mqtt)}"
        yield ((here, "mqtt"),), message
    if alerts.mqtt_password_file and "@" not in alerts.mqtt:
        message = "whose password? name the user in the url: mqtts://user@host"
        yield ((here, "mqtt_password_file"), (here, "mqtt")), message
    if alerts.mqtt_ca_file and not alerts.mqtt.startswith("mqtts:"):
        yield ((here, "mqtt_ca_file"), (here, "mqtt")), "certificates need an mqtts:// url"
    if alerts.webhook_secret_file and not alerts.webhook:
        yield (
            ((here, "webhook_secret_file"), (here, "webhook")),
            "it signs what goes to alerts.webhook, which is none",
        )
    if alerts.webhook_ca_file and not alerts.webhook.startswith("https:"):
        yield ((here, "webhook_ca_file"), (here, "webhook")), "certificates need an https:// address"


def _contradictions(config: GatewayConfig) -> Iterator[Contradiction]:
    """What the types of single settings cannot say."""
    yield from _alerts(config.alerts)
    serial, mqtt = config.devices.serial, config.devices.mqtt
    for i, pattern in enumerate(serial.ports):
        if not pattern.startswith("/"):
            message = f"expected an absolute path or pattern such as /dev/ttyUSB*, got {shown(pattern)}"
            yield (("devices", "serial", "ports", i),), message
    if mqtt.url not in ("", "embedded") and not is_mqtt_url(mqtt.url):
        message = (
            f"expected mqtt[s]://[user:password@]host[:port], 'embedded' or nothing, got {shown(mqtt.url)}"
        )
        yield (("devices", "mqtt", "url"),), message
    yield from _known_devices(config.devices)
    yield from _microphones(config.devices)
    yield from _broker(config.broker)
    if not _APP.fullmatch(config.orchestrator.app):
        message = f"expected auto, builtin, module:name or nothing, got {shown(config.orchestrator.app)}"
        yield (("orchestrator", "app"),), message
    yield from who_answers.contradictions(config.orchestrator)
    yield from _kept_answers(config)
    yield from feature_switches.contradictions(config.features, config.orchestrator)
    yield from _content(config.content)
    yield from _places(config)
    yield from credentials_for_nothing(config.devices.mqtt, ("devices", "mqtt"))
    yield from _web(config.web)
    yield from adapters.contradictions(config.adapters, config.devices)
    yield from in_names(config.names)
    yield from in_house(config.house)
    yield from _row(config)
    if config.adapters.openai.enabled and not config.web.enabled:
        message = "it is part of the web server, which is off (web.enabled)"
        yield (("adapters", "openai", "enabled"), ("web", "enabled")), message
    yield from _recognizers(config)
    yield from _port_clash(config)
    if config.recognizers.use != "only" or not config.recognizers.model:
        yield from _model_language(config.transcription)
    yield from _number_format(config.transcription)


def _broker(broker: BrokerSettings) -> Iterator[Contradiction]:
    try:
        check_broker_url(broker.url)
    except BrokerError as error:
        yield (("broker", "url"),), f"{error}, got {shown(broker.url)}"
    if broker.amqp_sasl == "EXTERNAL" and not broker.url.startswith("amqps://"):
        message = f"EXTERNAL shows RabbitMQ our certificate, which takes amqps://, got {shown(broker.url)}"
        yield (("broker", "amqp_sasl"), ("broker", "url")), message
    elif broker.amqp_sasl == "EXTERNAL" and not broker.tls.cert_file:
        message = (
            "EXTERNAL shows RabbitMQ our certificate, and there is none: name it in broker.tls.cert_file"
        )
        yield (("broker", "amqp_sasl"), ("broker", "tls", "cert_file")), message


def _recognizers(config: GatewayConfig) -> Iterator[Contradiction]:
    if config.recognizers.use != "never" and config.broker.url == MEMORY:
        message = (
            "recognizers on other machines are reached over a broker, and memory:// is inside this process: "
            "name one that they reach, too (redis://, nats://, amqp://, mqtt://, kafka://), or set recognizers.use to "
            "never"
        )
        yield (("recognizers", "use"), ("broker", "url")), message
    if not config.recognizers.audio_at:
        return
    where = ("recognizers", "audio_at")
    if not config.web.enabled:
        yield (where, ("web", "enabled")), "the web server gives it away, which is off (web.enabled)"
    if not is_guarded(config.recognizers.audio_at):
        message = "expected https://host[:port] (http:// on this machine only), got "
        yield (where,), message + shown(config.recognizers.audio_at)


def _known_devices(devices: DeviceSettings) -> Iterator[Contradiction]:
    """A device that is named twice, with two rooms, users or classes, or as none of ours can be."""
    elsewhere: tuple[tuple[str, tuple[str, ...], Mapping[str, str]], ...] = (
        ("room", ("rooms",), devices.rooms),
        ("user", ("users",), devices.users),
        ("priority", ("priorities", "devices"), devices.priorities.devices),
    )
    for section, names in (("known", devices.known), ("microphones", devices.microphones)):
        for device_id in names:
            if device_id.startswith(WEB_DEVICE):
                yield (("devices", section, device_id),), adapters.ID_OF_A_PAGE
    for device_id, known in devices.known.items():
        for field, place, said in elsewhere:
            here, there = getattr(known, field), said.get(device_id, "")
            if here and there and here != there:
                paths = ("devices", "known", device_id, field), ("devices", *place, device_id)
                message = f"{'.'.join(paths[1])} is {shown(there)}, got {shown(here)}; say it in one place"
                yield paths, message


def _row(config: GatewayConfig) -> Iterator[Contradiction]:
    for name in ("share", "standby_for", "has_standby"):
        if getattr(config.house, name) and config.broker.url == MEMORY:
            message = (
                "the gateways of a house find each other over a broker that all of them have (broker.url)"
            )
            yield (("house", name), ("broker", "url")), message


def _kept_answers(config: GatewayConfig) -> Iterator[Contradiction]:
    for name, agent in config.orchestrator.agents.items():
        if agent.cache.seconds and config.privacy.redact:
            paths = ("orchestrator", "agents", name, "cache"), ("privacy", "redact")
            yield paths, "an answer that is given again is kept in words (privacy.redact keeps none)"


def _content(content: ContentSettings) -> Iterator[Contradiction]:
    if not _HOOK.fullmatch(content.hook):
        yield (("content", "hook"),), f"expected module:name or nothing, got {shown(content.hook)}"
    for i, phrase in enumerate(content.forbidden_words):
        if not any(character.isalnum() for character in phrase):
            yield (("content", "forbidden_words", i),), f"expected a word, got {shown(phrase)}"


def _places(config: GatewayConfig) -> Iterator[Contradiction]:
    journal, models = config.journal, config.transcription
    if PurePath(journal.path).name == ":memory:" or journal.path.startswith("file:"):
        message = "expected a file's path; `journal.enabled: false` keeps nothing"
        yield (("journal", "path"),), f"{message}, got {shown(journal.path)}"
    places = {
        ("journal", "path"): journal.path,
        ("transcription", "model"): models.model,
        ("transcription", "models_dir"): models.models_dir,
        ("web", "secret_file"): config.web.secret_file,
    }
    for path, place in places.items():
        if not _has_home(place):
            yield (path,), f"there is no such home folder ($HOME): name it in full, got {shown(place)}"


def _has_home(place: str) -> bool:
    try:
        Path(place).expanduser()
    except RuntimeError:  # nobody of that name, or nobody gave this user one
        return False
    return True


def _web(web: WebSettings) -> Iterator[Contradiction]:
    if not web.host:
        yield (("web", "host"),), "expected an address; 0.0.0.0 is every one of this machine"
    for i, host in enumerate(web.hosts):
        if not _HOST.fullmatch(host):
            yield (("web", "hosts", i),), f"expected name or name:port, got {shown(host)}"
    for i, origin in enumerate(web.origins):
        if not _ORIGIN.fullmatch(origin):
            message = (
                f"expected http[s]://name[:port] as browsers write it, in small letters, got {shown(origin)}"
            )
            yield (("web", "origins", i),), message
    proxies: dict[outline.Path, str] = {
        ("web", "trusted_proxies", i): proxy for i, proxy in enumerate(web.trusted_proxies)
    }
    yield from wrong_networks(proxies, NO_PROXY, EVERYBODY)
    if web.tls.key_file and not web.tls.cert_file:
        yield (("web", "tls", "key_file"),), "a key is of no use without web.tls.cert_file"
    if web.tls.self_signed and web.tls.cert_file:
        yield (
            (("web", "tls", "self_signed"), ("web", "tls", "cert_file")),
            "there is a certificate in web.tls.cert_file",
        )


def _port_clash(config: GatewayConfig) -> Iterator[Contradiction]:
    web, mqtt = config.web, config.devices.mqtt
    if web.enabled and mqtt.url == "embedded" and web.port and web.port == mqtt.embedded_port:
        paths = (("web", "port"), ("devices", "mqtt", "embedded_port"))
        yield paths, f"devices.mqtt.embedded_port is {web.port} too; each needs a port of its own"


def _model_language(settings: TranscriptionSettings) -> Iterator[Contradiction]:
    if settings.model != BUNDLED_MODEL and not settings.model.endswith(".en"):
        return
    spoken: dict[outline.Path, str | None] = {("transcription", "language"): settings.language}
    for device_id, hints in settings.devices.items():
        spoken["transcription", "devices", device_id, "language"] = hints.language
    for path, language in spoken.items():
        if language not in {"en", "auto", None}:
            message = (
                f"the model {shown(settings.model)} knows English only, got {shown(language)}; "
                "take a model without .en (base, small, ...)"
            )
            yield (path, ("transcription", "model")), message


def _number_format(settings: TranscriptionSettings) -> Iterator[Contradiction]:
    if settings.device == "cpu" and settings.compute_type.endswith("float16"):
        message = f"the CPU has no {settings.compute_type}; take auto, int8 or float32, or a GPU (device)"
        yield (("transcription", "compute_type"), ("transcription", "device")), message
