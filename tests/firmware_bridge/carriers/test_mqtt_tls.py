"""Who may come in, and to whom: TLS, certificates and passwords against a real Mosquitto."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials, MqttUnavailable
from firmware_bridge.carriers.mqtt_connection import MqttConnection, MqttSession
from firmware_bridge.carriers.mqtt_socket import READ_BURST
from firmware_bridge.link.events import DeviceConnected, LinkChanged
from firmware_bridge.settings import MqttSettings
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.wires import Mqtt
from tests.record import Record
from tests.servers import mosquitto as servers
from tests.servers.certificates import Certificates
from tests.servers.mosquitto import Mosquitto, password_options, tls_options
from tests.servers.process import needs


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Callable[[str], Mosquitto]]:
    """Starts Mosquittos with these lines of configuration."""
    needs(servers.MOSQUITTO)
    started: list[Mosquitto] = []

    def start(options: str) -> Mosquitto:
        started.append(Mosquitto(tmp_path, options))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.kill()


def client_of(certificates: Certificates) -> Credentials:
    ca, cert, key = map(str, (certificates.ca, certificates.client_cert, certificates.client_key))
    return Credentials(ca_file=ca, cert_file=cert, key_file=key)


async def open_to(
    url: str, credentials: Credentials, on_message: Any = lambda _t, _p: None
) -> MqttConnection:
    return await MqttConnection.open(
        BrokerAddress.parse(url, credentials),
        MqttSession(client_id=f"c{id(on_message)}"),
        lambda message: on_message(message.topic, message.payload),
    )


async def refused(url: str, credentials: Credentials) -> MqttUnavailable:
    with pytest.raises(MqttUnavailable) as caught:
        await (await open_to(url, credentials)).subscribe("a")
    return caught.value


async def test_more_messages_than_one_reading_takes_come_in_order(
    broker: Any, certificates: Certificates
) -> None:
    """TLS decrypts ahead of what is read: nobody is woken for that."""
    files = Credentials(ca_file=str(certificates.ca))
    url = broker(tls_options(certificates)).tls_url
    heard = Record()
    listener = await open_to(url, files, lambda _topic, payload: heard(payload))
    await listener.subscribe("a/#")
    speaker = await open_to(url, files)
    sent = [number.to_bytes(2, "big") for number in range(5 * READ_BURST)]
    for payload in sent:
        assert speaker.publish("a/b", payload)
    await heard.until(lambda: len(heard.items) == len(sent))
    assert heard.items == sent
    await speaker.close()
    await listener.close()


async def test_a_broker_that_nobody_vouches_for_is_not_spoken_to(
    broker: Any, certificates: Certificates
) -> None:
    url = broker(tls_options(certificates)).tls_url
    error = await refused(url, Credentials())
    assert "CERTIFICATE_VERIFY_FAILED" in error.reason
    assert "devices.mqtt.ca_file" in error.remedy


async def test_a_broker_under_another_name_is_not_spoken_to(broker: Any, certificates: Certificates) -> None:
    port = broker(tls_options(certificates)).port
    error = await refused(f"mqtts://127.0.0.2:{port}", Credentials(ca_file=str(certificates.ca)))
    assert "mismatch" in error.reason or "not valid" in error.reason or "refused" in error.reason


async def test_a_broker_without_tls_is_a_state_with_a_remedy(broker: Any, certificates: Certificates) -> None:
    plain = broker(servers.EVERYBODY)
    error = await refused(plain.tls_url, Credentials(ca_file=str(certificates.ca)))
    assert error.remedy


async def test_a_broker_that_asks_for_a_certificate_gets_it(broker: Any, certificates: Certificates) -> None:
    url = broker(tls_options(certificates, client_certificate=True)).tls_url
    await refused(url, Credentials(ca_file=str(certificates.ca)))
    connection = await open_to(url, client_of(certificates))
    await connection.subscribe("a")
    await connection.close()


@pytest.mark.parametrize("field", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_a_file_that_is_missing_or_wrong_is_named(
    tmp_path: Path, certificates: Certificates, free_tcp_port: int, field: str, content: str | None
) -> None:
    wrong = tmp_path / "wrong.pem"
    if content is not None:
        wrong.write_text(content)
    files = {name: getattr(client_of(certificates), name) for name in ("ca_file", "cert_file", "key_file")}
    error = await refused(f"mqtts://127.0.0.1:{free_tcp_port}", Credentials(**{**files, field: str(wrong)}))
    assert str(wrong) in error.reason
    assert field in error.remedy


async def test_a_password_comes_from_a_file_or_from_a_credential_of_systemd(
    broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = broker(password_options(tmp_path, "gateway", "s3cret")).url.replace("//", "//gateway@")
    secret = tmp_path / "mqtt.password"
    error = await refused(url, Credentials(password_file=str(secret)))
    assert "devices.mqtt.password_file" in error.remedy
    secret.write_text("wrong\n")
    assert "refused" in (await refused(url, Credentials(password_file=str(secret)))).reason
    secret.write_text("s3cret\n")
    await (await open_to(url, Credentials(password_file=str(secret)))).close()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    await (await open_to(url, Credentials(password_file="mqtt.password"))).close()


async def test_a_device_is_heard_through_tls_once_the_certificate_is_there(
    gateway: Any, broker: Any, certificates: Certificates, tmp_path: Path
) -> None:
    url = broker(tls_options(certificates, client_certificate=True)).tls_url
    files = client_of(certificates)
    late = tmp_path / "late.pem"
    settings = MqttSettings(url=url, ca_file=str(late), cert_file=files.cert_file, key_file=files.key_file)
    async with (
        gateway(mqtt=settings) as one,
        SimulatedDevice("sim", Mqtt(url, "sim", credentials=files)) as sim,
    ):
        down = await one.heard.first(LinkChanged, up=False)
        assert str(late) in down.reason
        late.write_bytes(certificates.ca.read_bytes())
        await one.heard.first(DeviceConnected)
        await sim.connected()
