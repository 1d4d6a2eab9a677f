"""The files that follow one another in a stream of bytes, without what stands before them and is no sound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from transcription.sound_files.lookahead import BadSound, Lookahead
from transcription.sound_files.parts import BEGINNING, SEEN_BYTES, MatroskaPart, Mp4Part, OggPart, Part
from transcription.sound_files.wav import WavPart

MOST_PARTS: Final = 10_000
_ID3: Final = re.compile(rb"ID3[\x02-\x04][\x00-\xfe](.)([\x00-\x7f]{4})", re.DOTALL)
_ID3_HEAD: Final = 10
_ID3_HAS_FOOT: Final = 0x10
_KINDS: Final[dict[str, type[Part]]] = {
    "ogg": OggPart,
    "matroska": MatroskaPart,
    "mov": Mp4Part,
    "wav": WavPart,
}


def parts(ahead: Lookahead) -> Iterator[Part]:
    """Each one, to be read or not before the next one is asked for. Raises BadSound, and what the source raises."""
    for _ in range(MOST_PARTS):
        _skip_to_sound(ahead)
        held = ahead.seen(SEEN_BYTES)
        if not held:
            return
        name = beginning(held)
        part = _KINDS.get(name, Part)(ahead, name)
        yield part
        part.skip_rest()
    raise BadSound(f"more than {MOST_PARTS} files follow one another")


def beginning(held: bytes) -> str:
    """FFmpeg's name of the format of which a file begins here; empty: of none that can be told so."""
    found = BEGINNING.match(held)
    return (found.lastgroup or "") if found else ""


def _skip_to_sound(ahead: Lookahead) -> None:
    """Take zeros and tags. Raises BadSound: a tag that does not end."""
    while True:
        _skip_zeros(ahead)
        size, before = _tag_bytes(ahead.seen(_ID3_HEAD)), ahead.taken
        if not size:
            return
        ahead.skip(size)
        if ahead.taken - before < size:
            raise BadSound("a tag in it says that it is longer than what there is")


def _skip_zeros(ahead: Lookahead) -> None:
    while held := ahead.hold(SEEN_BYTES):
        zeros = len(held) - len(held.lstrip(b"\0"))
        if zeros == len(held) or zeros > 3:  # an M4A begins with up to three
            ahead.skip(max(1, zeros - 3))
            continue
        ahead.skip(next((at for at in range(zeros + 1) if BEGINNING.match(held, at)), 0))
        return


def _tag_bytes(held: bytes) -> int:
    """How long the ID3 tag is that comes next; 0: there is none."""
    found = _ID3.match(held)
    if not found:
        return 0
    size = 0
    for seven_bits in found[2]:
        size = size << 7 | seven_bits
    return _ID3_HEAD + size + (_ID3_HEAD if found[1][0] & _ID3_HAS_FOOT else 0)
