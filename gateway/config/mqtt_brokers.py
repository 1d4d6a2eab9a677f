"""What is wrong with how an MQTT broker is named, wherever in the settings that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlsplit

from gateway.config.outline import Contradiction, Path


class MqttBroker(Protocol):
    """A section that names one."""

    @property
    def url(self) -> str:
        """Where it is."""

    @property
    def password_file(self) -> str:
        """The password of the URL's user."""

    @property
    def cert_file(self) -> str:
        """Our certificate."""

    @property
    def key_file(self) -> str:
        """Its key."""


def is_mqtt_url(url: str) -> bool:
    """Whether that is mqtt[s]://[user:password@]host[:port]."""
    try:
        parts = urlsplit(url)
        port = parts.port  # raises, too, when it is none
    except ValueError:
        return False
    rest = parts.path.strip("/") + parts.query + parts.fragment
    return parts.scheme in ("mqtt", "mqtts") and bool(parts.hostname) and port != 0 and not rest


def credentials_for_nothing(broker: MqttBroker, here: Path) -> Iterator[Contradiction]:
    """Files that are named, and would prove nothing to anybody."""
    for name in ("ca_file", "cert_file", "key_file"):
        if getattr(broker, name) and not broker.url.startswith("mqtts:"):
            yield ((*here, name), (*here, "url")), "certificates need an mqtts:// url"
    if broker.key_file and not broker.cert_file:
        yield ((*here, "key_file"),), f"a key is of no use without {'.'.join(map(str, here))}.cert_file"
    if broker.password_file and "@" not in broker.url:
        yield (
            ((*here, "password_file"), (*here, "url")),
            "whose password? name the user in the url: mqtts://user@host",
        )
