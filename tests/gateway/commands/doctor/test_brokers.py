"""The doctor logs in to brokers, asks who reads, imports the orchestrator and reads certificates."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.settings import MqttSettings
from gateway.commands.doctor.brokers import brokers, devices_broker
from gateway.commands.doctor.doctor import mqtt
from gateway.commands.doctor.door import door
from gateway.commands.doctor.finding import Finding
from gateway.config.configuration import GatewayConfig
from gateway.observing.orchestrator_health import BESIDE, NOBODY, NOWHERE
from gateway.settings.adapters import AdapterSettings
from gateway.settings.home_assistant import HomeAssistantSettings
from gateway.settings.web import WebSettings, WebTlsSettings
from tests.servers.certificates import Certificates
from tests.servers.kafka import Kafka
from tests.servers.mosquitto import Mosquitto, password_options, tls_options
from tests.servers.nats import Nats
from tests.servers.process import free_port
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

SECRET = "guessed-wrong"


def config(url: str = "memory://", app: str = "auto", **broker: Any) -> GatewayConfig:
    settings = {"broker": {"url": url, "connect_seconds": 2.0, **broker}, "orchestrator": {"app": app}}
    return msgspec.convert(settings, GatewayConfig)


def found(settings: GatewayConfig) -> dict[str, Finding]:
    findings = {finding.what: finding for finding in brokers(settings)}
    assert SECRET not in str(findings)
    return findings


# -- the devices' broker


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    server = Mosquitto(tmp_path, password_options(tmp_path, "gateway", "right")).start()
    yield server
    server.kill()


def devices_at(server: Mosquitto, who: str, **settings: Any) -> Finding:
    finding = devices_broker(MqttSettings(url=server.url.replace("://", f"://{who}@"), **settings))
    assert SECRET not in str(finding)
    return finding


@pytest.mark.slow
def test_the_devices_broker_is_logged_in_to(guarded: Mosquitto, tmp_path: Path) -> None:
    assert devices_at(guarded, "gateway:right") == Finding("ok", "mqtt", f"{guarded.url} lets us in")
    wrong = devices_at(guarded, f"gateway:{SECRET}")
    assert (wrong.state, "user and password" in wrong.remedy) == ("fail", True)
    missing = devices_at(guarded, "gateway", password_file=str(tmp_path / "none"))
    assert (missing.state, "devices.mqtt.password_file" in missing.remedy) == ("fail", True)


@pytest.mark.slow
def test_home_assistants_broker_is_logged_in_to(guarded: Mosquitto) -> None:
    def at(who: str) -> Finding:
        settings = HomeAssistantSettings(url=guarded.url.replace("://", f"://{who}@"))
        [found] = [one for one in mqtt(home(settings)) if one.what == "home assistant"]
        return found

    def home(settings: HomeAssistantSettings) -> GatewayConfig:
        return GatewayConfig(adapters=AdapterSettings(home_assistant=settings))

    assert at("gateway:right") == Finding("ok", "home assistant", f"{guarded.url} lets us in")
    wrong = at(f"gateway:{SECRET}")
    assert (wrong.state, "adapters.home_assistant.url" in wrong.remedy) == ("fail", True)
    assert SECRET not in str(wrong)


def test_a_devices_broker_that_is_away_and_one_that_is_none() -> None:
    away = devices_broker(MqttSettings(url=f"mqtt://ann:{SECRET}@127.0.0.1:{free_port()}"))
    assert (away.state, "start the MQTT broker" in away.remedy) == ("fail", True)
    assert SECRET not in str(away)


def test_a_devices_broker_whose_certificates_are_not_there(tmp_path: Path) -> None:
    finding = devices_broker(MqttSettings(url="mqtts://127.0.0.1", ca_file=str(tmp_path / "none.pem")))
    assert (finding.state, "devices.mqtt.ca_file" in finding.remedy) == ("fail", True)


@pytest.mark.slow
def test_a_devices_broker_over_tls(tmp_path: Path, certificates: Certificates) -> None:
    server = Mosquitto(tmp_path, tls_options(certificates)).start()
    try:
        known = devices_broker(MqttSettings(url=server.tls_url, ca_file=str(certificates.ca)))
        assert known.state == "ok"
        stranger = devices_broker(MqttSettings(url=server.tls_url))
        assert (stranger.state, "devices.mqtt.ca_file" in stranger.remedy) == ("fail", True)
    finally:
        server.kill()


# -- the messages' broker


@pytest.mark.slow
def test_a_broker_that_is_there_is_named_with_what_it_promises(redis: Redis) -> None:
    told = found(config(redis.url))["broker"]
    assert told.state == "ok"
    assert told.detail.startswith("Redis ")
    assert "fsync" in told.detail


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["redis", "nats"])
def test_a_wrong_password(kind: str, request: pytest.FixtureRequest) -> None:
    server: Redis | Nats = request.getfixturevalue(kind)
    told = found(config(server.url.replace("://", f"://gateway:{SECRET}@")))["broker"]
    assert (told.state, "broker.password_file" in told.remedy) == ("fail", True)


@pytest.mark.slow
@pytest.mark.xdist_group("rabbitmq")
def test_a_wrong_password_for_rabbitmq(rabbitmq: RabbitMQ) -> None:
    told = found(config(f"amqp://gateway:{SECRET}@127.0.0.1:{rabbitmq.port}"))["broker"]
    assert (told.state, "broker.password_file" in told.remedy) == ("fail", True)
    assert found(config(rabbitmq.url))["broker"].detail.startswith("RabbitMQ ")


@pytest.mark.slow
def test_a_wrong_password_for_mqtt(guarded: Mosquitto) -> None:
    told = found(config(guarded.url.replace("://", f"://gateway:{SECRET}@")))["broker"]
    assert (told.state, "broker.password_file" in told.remedy) == ("fail", True)
    right = found(config(guarded.url.replace("://", "://gateway:right@"), mqtt_durability="os"))
    assert (right["broker"].state, right["orchestrator"].state) == ("ok", "ok")


@pytest.mark.slow
@pytest.mark.xdist_group("kafka")
def test_kafka_is_named_with_what_it_promises_and_does_not_show_who_reads(kafka: Kafka) -> None:
    told = found(config(kafka.url, namespace=f"doctor-{free_port()}"))
    assert told["broker"].state == "ok"
    assert told["broker"].detail.startswith("Kafka ")
    assert told["orchestrator"].state == "ok"
    assert "does not show whether anybody is there" in told["orchestrator"].detail


def test_a_kafka_that_is_away() -> None:
    told = found(config(f"kafka://127.0.0.1:{free_port()}"))["broker"]
    assert told.state == "fail"
    assert "start Kafka" in told.remedy


def test_a_broker_that_is_away_and_certificates_that_are_not_there() -> None:
    away = found(config(f"redis://127.0.0.1:{free_port()}"))["broker"]
    assert (away.state, "broker.url" in away.remedy) == ("fail", True)
    unread = found(config("rediss://127.0.0.1", tls={"ca_file": "/none.pem"}))["broker"]
    assert (unread.state, "broker.tls" in unread.remedy) == ("fail", True)


# -- who answers


def test_the_demos_own_is_pointed_out() -> None:
    told = found(config())["orchestrator"]
    assert (told.state, "switches nothing" in told.detail) == ("warn", True)
    assert found(config(f"redis://127.0.0.1:{free_port()}", "builtin"))["orchestrator"].detail == BESIDE
    assert found(config(app=""))["orchestrator"].detail == NOWHERE


@pytest.mark.slow
def test_nobody_on_the_broker(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gateway.broker.backends.redis_streams.READING_SECONDS", 0.0
    )  # whoever was there in other tests
    told = found(config(redis.url))["orchestrator"]
    assert (told.state, told.detail) == ("warn", NOBODY)


LIGHTS = "from gateway.orchestrator import Orchestrator\nhouse = Orchestrator('lights')"


@pytest.mark.parametrize(
    ("text", "state", "detail"),
    [
        ("", "fail", "has no 'house'"),
        ("raise SystemExit(2)", "fail", "cannot be imported: SystemExit: 2"),
        ("import no_such_package", "fail", "needs no_such_package"),
        (LIGHTS, "fail", "nothing answers"),
        (f"{LIGHTS}\n@house.on_transcript\nasync def answer(heard): return ''", "ok", "as lights"),
    ],
)
def test_the_orchestrator_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, state: str, detail: str
) -> None:
    name = f"doctored_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    told = found(config(app=f"{name}:house"))["orchestrator"]
    assert (told.state, detail in told.detail) == (state, True), told


def test_an_orchestrator_that_is_not_there() -> None:
    told = found(config(app="no_such_house:house"))["orchestrator"]
    assert (told.state, "orchestrator.app" in told.remedy) == ("fail", True)


# -- the page's certificate


def test_the_pages_certificate_is_read_also_where_no_token_is_needed(
    tmp_path: Path, certificates: Certificates
) -> None:
    missing = WebSettings(tls=WebTlsSettings(cert_file=str(tmp_path / "none.pem")))
    told = {finding.what: finding for finding in door(missing, tmp_path)}
    assert (told["tls"].state, "web.tls.cert_file" in told["tls"].remedy) == ("fail", True)


@pytest.mark.parametrize(
    ("days", "state", "words"), [(400, "ok", "SHA-256"), (5, "warn", "only"), (-1, "fail", "was good until")]
)
def test_a_certificate_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, state: str, words: str
) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=page -days 450"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    later = time.time() + (450 - days) * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    settings = WebSettings(tls=WebTlsSettings(cert_file=str(cert), key_file=str(key)))
    told = {finding.what: finding for finding in door(settings, tmp_path)}["tls"]
    assert (told.state, words in told.detail) == (state, True), told
