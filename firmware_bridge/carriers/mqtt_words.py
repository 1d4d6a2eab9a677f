"""What goes wrong with an MQTT broker, in the words of whoever needs it: the devices' link, or the gateway."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct

from firmware_bridge.carriers.mqtt_address import MqttRefused, MqttUnavailable

_LOGIN_REFUSALS: Final = {0x85, 0x86, 0x87, 0x8A, 0x8C}


class Code(Protocol):
    """A reason that the broker gives (MQTT 5, 2.4); as text in words."""

    value: int


class Wording(Struct, frozen=True, kw_only=True):
    """In whose words a connection complains: the errors it raises, what they say, and what is to be done then."""

    unavailable: Callable[[str, str], Exception] = MqttUnavailable
    refused: Callable[[str, str], Exception] = MqttRefused
    """Raised for a login that the broker refuses."""
    barred: Callable[[str, str], Exception] = MqttUnavailable
    """Raised for certificates and rights, which somebody has to mend."""
    gone: str = "{reason}"
    lost: str = "connection lost"
    login_refused: str = "{address} refused the connection: {code}"
    forbidden: str = "the broker does not allow reading {topics}"
    start: str = "start the MQTT broker, or correct devices.mqtt.url"
    certificate: str = (
        "name in devices.mqtt.ca_file who signed the broker's certificate, "
        "and the broker as it is named there"
    )
    tls: str = "look whether the broker speaks TLS on this port, and whom it lets in"
    log: str = "look at the MQTT broker's log"
    log_at_end: str = "look at the MQTT broker's log"
    login: str = "correct the user and password in devices.mqtt.url"
    not_now: str = "correct the user and password in devices.mqtt.url"
    rights: str = "allow it in the broker's access list, or change devices.mqtt.prefix"

    def unreachable(self, address: object, error: OSError) -> Exception:
        """It cannot be connected to."""
        reason = f"{address}: {error.strerror or str(error) or type(error).__name__}"
        if isinstance(error, ssl.SSLCertVerificationError):
            return self.barred(reason, self.certificate)
        if isinstance(error, ssl.SSLError):
            return self.barred(reason, self.tls)
        return self.unavailable(reason, self.start)

    def not_let_in(self, address: object, code: Code) -> Exception:
        """It answers our login with this reason."""
        reason = self.login_refused.format(address=address, code=code)
        if code.value in _LOGIN_REFUSALS:
            return self.refused(reason, self.login)
        return self.unavailable(reason, self.not_now)

    def not_to_be_read(self, address: object, topics: Sequence[str], code: Code) -> Exception:
        """It answers a subscription with this reason."""
        reason = self.forbidden.format(address=address, topics=", ".join(topics), code=code)
        return self.barred(reason, self.rights)

    def silent(self, address: object, reason: str) -> Exception:
        """It does not answer our login or subscription."""
        return self.unavailable(self.gone.format(address=address, reason=reason), self.log)

    def ended(self, address: object, reason: str) -> Exception:
        """The connection has ended."""
        return self.unavailable(self.gone.format(address=address, reason=reason), self.log_at_end)


DEVICES = Wording()
