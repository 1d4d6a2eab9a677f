"""Plain WAV files, which is what programs send that have speech to be understood, decoded without a process for it.

A process that knows every format takes a quarter of a second to come, on a small box a whole one: longer than a
sentence takes to be understood. What is plain has nothing that could go wrong in it, and is read here; whatever else
there is, and what follows a plain file, goes to the process.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Generator, Iterator
from typing import Final

import numpy as np

from transcription.audio import Samples
from transcription.sound_files import decoder_process
from transcription.sound_files.chain import parts
from transcription.sound_files.decoding import TAG_BYTES, LostSound
from transcription.sound_files.lookahead import PIECE_BYTES, BadSound, Lookahead, Source
from transcription.sound_files.parts import Part
from transcription.sound_files.pcm_stream import PcmFormat, PcmKind, PcmStream, UnknownPcm
from transcription.sound_files.wav import WavPart

HEAD_BYTES: Final = 4_096
"""A longer head is not plain."""
MOST_SECONDS: Final = 60
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of sound that has to be converted: more would keep the event loop from its turn too often."""
_EXTENSIBLE: Final = 0xFFFE
_FORM_AT: Final = 20
"""Of a head that was written anew: behind ``RIFF``, a size, ``WAVEfmt``, a blank, and another size."""
_KINDS: Final[dict[tuple[int, int], PcmKind]] = {
    (0x0001, 8): "u8", (0x0001, 16): "s16", (0x0001, 24): "s24", (0x0001, 32): "s32",
    (0x0003, 32): "f32", (0x0006, 8): "alaw", (0x0007, 8): "mulaw",
}  # fmt: skip
"""By the format's tag and the bits of a sample."""


def decoded(source: Source, seconds: int, check: Callable[[], None]) -> Generator[Samples | LostSound]:
    """As ``decoder_process.decoded``."""
    ahead = Lookahead(source)
    chain = parts(ahead)
    first = next(chain, None)
    given = _plain(ahead) if isinstance(first, WavPart) else None
    if first is None or given is None:
        yield from decoder_process.decoded(_Rest(ahead), seconds, check)
        return
    yield from _samples(first, PcmStream(given))
    if (second := next(chain, None)) is not None:
        yield from _following(ahead, second, seconds, check)


class _Rest:
    """All that was not taken yet, as a source."""

    def __init__(self, ahead: Lookahead) -> None:
        self._ahead = ahead

    def read(self, size: int) -> bytes:
        """As a source's."""
        self._ahead.seen(1)
        return self._ahead.take(size)


def _plain(ahead: Lookahead) -> PcmFormat | None:
    """What stands in the WAV file that begins there; None: it is not plain. Nothing of it is taken."""
    try:
        head = WavPart(Lookahead(io.BytesIO(ahead.hold(HEAD_BYTES)[:HEAD_BYTES])), "wav").head()
    except BadSound:
        return None
    form = head.written[_FORM_AT:]
    tag, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", form)
    if tag == _EXTENSIBLE and len(form) >= 40:
        tag = struct.unpack_from("<H", form, 24)[0]
    kind = _KINDS.get((tag, bits))
    if kind is None:
        return None
    try:
        given = PcmFormat(rate, kind, channels)
    except UnknownPcm:
        return None
    if align != given.frame_bytes:
        return None
    is_short = head.size <= min(MOST_BYTES, MOST_SECONDS * rate * given.frame_bytes)
    return given if is_short or given == PcmFormat() else None


def _samples(part: Part, stream: PcmStream) -> Iterator[Samples]:
    part.read(HEAD_BYTES)  # its head, which is known
    while piece := part.read(PIECE_BYTES):
        yield np.frombuffer(stream.feed(piece), np.int16)
    yield np.frombuffer(stream.finish(), np.int16)


def _following(
    ahead: Lookahead, part: Part, seconds: int, check: Callable[[], None]
) -> Iterator[Samples | LostSound]:
    """Other files, or what is none: then it is missing, unless it is too short for anybody to miss it."""
    if not part.name and len(ahead.hold(TAG_BYTES + 1)) <= TAG_BYTES:
        return
    before = ahead.taken
    try:
        yield from decoder_process.decoded(_Rest(ahead), seconds, check)
    except BadSound as error:
        size = ahead.taken - before
        reason = str(error) if part.name else f"{size} bytes of it are no sound that is known"
        yield LostSound(reason)
