"""The MQTT broker that Home Assistant is at: where it is, and what is said where it cannot be used."""

from __future__ import annotations

from firmware_bridge.carriers.mqtt_address import BrokerAddress, Credentials
from firmware_bridge.carriers.mqtt_words import Wording
from gateway.settings.home_assistant import HomeAssistantSettings

_START = "start the MQTT broker, or correct adapters.home_assistant.url"
_LOGIN = "correct the user and password in adapters.home_assistant.url or password_file"
_TLS = "correct ca_file, cert_file and key_file under adapters.home_assistant"
WORDS = Wording(
    start=_START,
    certificate=_TLS,
    tls=_TLS,
    login=_LOGIN,
    not_now=_LOGIN,
    rights="allow it in the broker's access list (docs/home-assistant.md has all topics)",
)


def address_of(settings: HomeAssistantSettings) -> BrokerAddress:
    """Where it is. Raises ValueError saying what is wrong with the URL."""
    files = settings.password_file, settings.ca_file, settings.cert_file, settings.key_file
    return BrokerAddress.parse(settings.url, Credentials(*files, "adapters.home_assistant"))
