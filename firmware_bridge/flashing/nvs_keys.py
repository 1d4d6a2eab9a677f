"""What a board finds in its NVS partition: the one table of names, for us, for the firmware and for people.

``python -m firmware_bridge.flashing.nvs_keys`` writes the firmware's header and the table in docs/flashing.md anew; a
test compares.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

NAMESPACE: Final = "earshot"
NAME_LENGTH: Final = 15
"""Characters of a namespace's or a key's name, at most: NVS's own bound."""
HEADER_PATH: Final = "firmware_bridge/esp32/esp_idf/include/earshot_nvs_keys.h"
DOCUMENT_PATH: Final = "docs/flashing.md"

NvsType: TypeAlias = Literal["string", "u32", "blob"]


@dataclass(frozen=True, slots=True)
class NvsKey:
    """One entry.

    ``most``: bytes of a string as UTF-8 (without the zero at its end) or of a blob; the largest number.
    ``meaning``: what it is, and what holds where it is absent.
    """

    name: str
    type: NvsType
    most: int
    meaning: str
    secret: bool = False


NVS_KEYS: Final = (
    NvsKey("id", "string", 64, "device id, `A-Z a-z 0-9 _ -`; absent: the firmware makes one of its MAC address"),
    NvsKey("room", "string", 64, "the room it stands in, to be shown; the gateway goes by its own settings"),
    NvsKey("user", "string", 64, "whose it is, to be shown; the gateway goes by its own settings"),
    NvsKey("carrier", "string", 15, "`serial`, `mqtt` or `websocket`; absent: what the firmware was built for"),
    NvsKey("baud", "u32", 4_000_000, "rate of a UART; absent: 921600. USB has none"),
    NvsKey("wifi_ssid", "string", 32, "the Wi-Fi's name; absent: no Wi-Fi"),
    NvsKey("wifi_pass", "string", 64, "its password; absent: an open one", secret=True),
    NvsKey("mqtt_url", "string", 255, "`mqtt://` or `mqtts://`, host, and `:port` where it is another; no user in it"),
    NvsKey("mqtt_user", "string", 64, "absent: the device id"),
    NvsKey("mqtt_pass", "string", 255, "absent: none", secret=True),
    NvsKey("mqtt_prefix", "string", 64, "first levels of the topics; absent: `earshot/v1`"),
    NvsKey("ws_url", "string", 255, "the gateway's page, as `ws://` or `wss://`, host, `:port` and path"),
    NvsKey("ws_token", "string", 255, "a token of the gateway's; absent: it asks for none", secret=True),
    NvsKey("key", "string", 64, "64 hex digits: the 32 bytes that the device proves itself with", secret=True),
    NvsKey("ca_pem", "string", 3967, "who signs the broker's or the gateway's certificate (PEM); absent: the "
           "firmware's own bundle"),
    NvsKey("image_key", "blob", 64, "P-256 public key, X and Y, 32 bytes each, big-endian: whose signed images it "
           "takes over the air; absent: that which was compiled in, or nobody's"),
)  # fmt: skip
"""In the order in which people meet them."""

BY_NAME: Final = {key.name: key for key in NVS_KEYS}

_PLACE: Final = re.compile(r"(?<=<!-- NVS keys -->\n).*?(?=<!-- end -->)", re.DOTALL)


def header() -> str:
    """The C header of the names: earshot_nvs_keys.h."""
    lines = [
        "/* What a board finds in its NVS partition. Made by `python -m firmware_bridge.flashing.nvs_keys` from the",
        " * table there, which docs/flashing.md shows; do not edit. A *_MOST is without the zero at a string's end.",
        " */",
        "#ifndef EARSHOT_NVS_KEYS_H",
        "#define EARSHOT_NVS_KEYS_H",
        "",
        f'#define EARSHOT_NVS_NAMESPACE "{NAMESPACE}"',
    ]
    for key in NVS_KEYS:
        name = f"EARSHOT_NVS_{key.name.upper()}"
        comment = f"/* {key.type}: {key.meaning.replace('`', '')} */"
        lines += ["", *textwrap.wrap(comment, 110, subsequent_indent=" * ")]
        lines += [f'#define {name} "{key.name}"', f"#define {name}_MOST {key.most}"]
    return "\n".join([*lines, "", "#endif", ""])


def table() -> str:
    """The same for people, as Markdown."""
    rows = (
        f"| `{key.name}` | {key.type} | {key.most} | {key.meaning}{'; secret' * key.secret} |\n"
        for key in NVS_KEYS
    )
    return "| key | type | at most | what it is |\n|---|---|---|---|\n" + "".join(rows)


def filled(document: str) -> str:
    """docs/flashing.md with the table as it is."""
    return _PLACE.sub(lambda _: table(), document)


def main() -> None:
    """Write both, in the current folder."""
    Path(HEADER_PATH).write_text(header(), encoding="utf-8")
    document = Path(DOCUMENT_PATH)
    document.write_text(filled(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
