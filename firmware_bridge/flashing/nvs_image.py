"""An NVS partition's bytes, made by Espressif's own generator, which is imported here alone."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping
from typing import Final

from firmware_bridge.flashing.nvs_keys import BY_NAME, NAMESPACE
from firmware_bridge.flashing.nvs_pages import PAGE, NvsEntry, NvsValue, read_entries
from firmware_bridge.flashing.trouble import FlashTrouble

_VERSION: Final = 0xFE
"""Version 2: blobs may span pages."""


def merged(image: bytes, settings: Mapping[str, NvsValue | None]) -> tuple[NvsEntry, ...]:
    """What stood in a partition, with these settings of ours instead of those of the same name; None: it is gone."""
    kept = [one for one in read_entries(image) if one.namespace != NAMESPACE or one.key not in settings]
    new = [
        NvsEntry(NAMESPACE, name, BY_NAME[name].type, value)
        for name, value in settings.items()
        if value is not None
    ]
    return (*kept, *new)


def nvs_image(entries: Iterable[NvsEntry], size: int) -> bytes:
    """A partition of this size. Raises FlashTrouble where it cannot be made, or has no room for all that."""
    try:
        from esp_idf_nvs_partition_gen import nvs_partition_gen  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise FlashTrouble(
            f"esp-idf-nvs-partition-gen cannot be used: {error}",
            f"{sys.executable} -m pip install 'earshot-gateway[flash]'",
        ) from error
    out = io.BytesIO()
    nvs = nvs_partition_gen.nvs_open(out, size - PAGE, _VERSION)  # a page is always left to be tidied into
    try:
        for one in entries:
            nvs.write_namespace(one.namespace)
            encoding, value = _as_it_is_taken(one)
            nvs.write_entry(one.key, value, encoding, nvs.get_namespace_idx())
        nvs_partition_gen.nvs_close(nvs)
    except (
        nvs_partition_gen.InsufficientSizeError,
        nvs_partition_gen.InputError,
        nvs_partition_gen.PageFullError,
    ) as error:
        raise FlashTrouble(
            f"the settings do not fit into the board's NVS partition of {size:#x} bytes",
            "give it more in partitions.csv, or leave out ca_pem",
        ) from error
    return out.getvalue()


def _as_it_is_taken(one: NvsEntry) -> tuple[str, str]:
    if isinstance(one.value, bytes):
        return "hex2bin", one.value.hex()
    return one.encoding, str(one.value)
