"""What a client shows a gateway, and whom it takes for one: a token, and who may have signed the certificate."""

from __future__ import annotations

import ssl

from msgspec import Struct

from firmware_bridge.named_files import check_named

REFUSED_REMEDY = (
    "a gateway that asks for a token: --token, or $EARSHOT_TOKEN "
    "(`earshot token create --role {role}` makes one there)"
)
CA_REMEDY = "a gateway with a certificate of its own: --ca-file"


class BadCertificates(ValueError):
    """The file of certificates cannot be used."""


class Introduction(Struct, frozen=True):
    """Empty: no token, and the authorities that this system knows. ``ca_file`` may be the gateway's own certificate."""

    token: str = ""
    ca_file: str = ""

    def __repr__(self) -> str:
        return f"Introduction(ca_file={self.ca_file!r})"

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def tls(self) -> ssl.SSLContext | bool:
        """As aiohttp takes it. Raises BadCertificates."""
        if not self.ca_file:
            return True
        try:
            check_named(self.ca_file)
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise BadCertificates(f"{self.ca_file}: {reason}") from error
