"""How the gateway logs in at somebody's MQTT broker, as sections that name one have it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

PasswordFile: TypeAlias = Annotated[
    str,
    Meta(
        description="A file whose first line is the password of the URL's user. A relative name is looked up "
        "among systemd's credentials (LoadCredential=), then in the folder that the gateway was started in."
    ),
]
CaFile: TypeAlias = Annotated[
    str,
    Meta(
        description="mqtts: who signed the broker's certificate (PEM); a path or a systemd credential. "
        "Empty: whom this machine trusts."
    ),
]
CertFile: TypeAlias = Annotated[
    str, Meta(description="mqtts: the gateway's own certificate (PEM), where the broker asks for one.")
]
KeyFile: TypeAlias = Annotated[
    str, Meta(description="mqtts: its private key (PEM), unless that is in cert_file, too.")
]
