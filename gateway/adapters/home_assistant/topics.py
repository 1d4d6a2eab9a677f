"""Where at the broker Home Assistant is told what, and how devices are called there. No I/O."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

GATEWAY = "gateway"
"""The gateway, where devices have their parts of topics."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_ODD = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class HomeTopics:
    """Those of one gateway: ``prefix`` is Home Assistant's, ``name`` the gateway's.

    A device is an ``object``, which stands in its topics.
    """

    prefix: str
    name: str

    @property
    def base(self) -> str:
        """What all topics begin with that are not Home Assistant's own."""
        return f"earshot-ha/{self.name}"

    @property
    def births(self) -> tuple[str, ...]:
        """Where Home Assistant says that it has come: at its own prefix, unless somebody told it to go by another."""
        return tuple(dict.fromkeys(("homeassistant/status", f"{self.prefix}/status")))

    @property
    def configs(self) -> str:
        """All discovery messages of this gateway."""
        return self.config("+")

    @property
    def orders(self) -> str:
        """All that devices are to be told."""
        return self.announce("+")

    @property
    def gateway_available(self) -> str:
        """Whether the gateway is there, and with it all its devices."""
        return self.available(GATEWAY)

    @property
    def gateway_state(self) -> str:
        """How the gateway is."""
        return self.state(GATEWAY)

    def config(self, thing: str) -> str:
        """The discovery message of a device."""
        return f"{self.prefix}/device/{self.name}/{thing}/config"

    def available(self, thing: str) -> str:
        """Whether a device is there."""
        return f"{self.base}/{thing}/available"

    def state(self, thing: str) -> str:
        """How a device is, without a word of what was said. Kept by the broker."""
        return f"{self.base}/{thing}/state"

    def words(self, thing: str) -> str:
        """What was last said there, and answered. Never kept by the broker."""
        return f"{self.base}/{thing}/words"

    def event(self, thing: str) -> str:
        """What happens there."""
        return f"{self.base}/{thing}/event"

    def announce(self, thing: str) -> str:
        """What a device is to be told."""
        return f"{self.base}/{thing}/announce"

    def configured(self, topic: str) -> str:
        """Whose discovery message that is; empty: no device's of this gateway."""
        return self._between(topic, f"{self.prefix}/device/{self.name}/", "/config")

    def ordered(self, topic: str) -> str:
        """Who is to be told something; empty: nobody."""
        return self._between(topic, f"{self.base}/", "/announce")

    @staticmethod
    def _between(topic: str, first: str, last: str) -> str:
        if not topic.startswith(first) or not topic.endswith(last):
            return ""
        return topic[len(first) : -len(last)]


def thing(device_id: str) -> str:
    """A device's part of a topic: Home Assistant takes letters, digits, _ and - in it. No two devices have the same."""
    if _PLAIN.match(device_id):
        return f"device-{device_id}"
    digest = hashlib.sha256(device_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"odd-{_ODD.sub('_', device_id)[:40]}-{digest}"
