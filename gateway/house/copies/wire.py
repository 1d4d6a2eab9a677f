"""What a gateway and the one that stands by for it tell each other of the journal, in msgpack.

A batch of commits travels in parts, none larger than any broker takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, get_args

import msgspec
from msgspec import Meta, Struct

from gateway.contract.house import Name
from gateway.contract.messages import UNREADABLE, BadMessage, Id, Line, decoded
from gateway.journal.effects import Effect

COPIES_TOPIC: Final = "house.copies"
"""Each under the key (``house``, the place, ``journal``)."""
COPIED_TOPIC: Final = "house.copied"
"""That a batch is on the disk, each under the key (``house``, the place, who tells)."""
PART_BYTES: Final = 512 * 1024
MOST_PARTS: Final = 1_024

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Commits = Sequence[tuple[Effect, ...]]


class CopyPart(Struct, frozen=True, kw_only=True):
    """A part of the batch ``number`` of a copy.

    The first batch is what there was; one without commits says that all goes on. ``void``: the copy holds no more.
    """

    gateway: Name
    copy: Id
    number: Count
    part: Annotated[int, Meta(ge=0, lt=MOST_PARTS)] = 0
    parts: Annotated[int, Meta(ge=1, le=MOST_PARTS)] = 1
    data: bytes = b""
    void: bool = False


class BatchCopied(Struct, frozen=True, kw_only=True):
    """``gateway`` has it on its disk; else ``reason`` says why not."""

    gateway: Name
    copy: Id
    number: Count
    reason: Line = ""


encode: Final = msgspec.msgpack.Encoder().encode
_part: Final = msgspec.msgpack.Decoder(CopyPart)
_copied: Final = msgspec.msgpack.Decoder(BatchCopied)
_named: Final = msgspec.msgpack.Decoder(list[list[tuple[str, msgspec.Raw]]])
_kinds: Final[dict[str, Any]] = {kind.__name__: msgspec.msgpack.Decoder(kind) for kind in get_args(Effect)}


def decode_part(payload: bytes) -> CopyPart:
    """Raises BadMessage."""
    return decoded(_part.decode, payload, "a part of a copy")


def decode_copied(payload: bytes) -> BatchCopied:
    """Raises BadMessage."""
    return decoded(_copied.decode, payload, "what is told of a copy")


def pack(commits: Commits) -> bytes:
    """Commits, each effect by its name."""
    return encode([[(type(effect).__name__, effect) for effect in effects] for effects in commits])


def unpack(data: bytes) -> list[tuple[Effect, ...]]:
    """Raises BadMessage, also for what only a later version knows."""
    try:
        return [tuple(_kinds[name].decode(raw) for name, raw in effects) for effects in _named.decode(data)]
    except KeyError as error:
        raise BadMessage(f"an effect that is not known here: {error}") from error
    except UNREADABLE as error:
        raise BadMessage(str(error)) from error


def pieces(data: bytes) -> Iterator[bytes]:
    """At least one."""
    for start in range(0, max(1, len(data)), PART_BYTES):
        yield data[start : start + PART_BYTES]
