"""A WAV file out of a stream of bytes, as FFmpeg reads it right.

Its head is read here and written anew: the sound's length is counted here, for another file may follow, and samples
with fewer bits than the place they stand in (24 in 32, 20 in 24, 12 in 16) come out as 32 bits.
"""

from __future__ import annotations

import math
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from transcription.sound_files.lookahead import PIECE_BYTES, BadSound, Lookahead
from transcription.sound_files.packed_samples import PackedSamples
from transcription.sound_files.parts import BEGINNING, SEEN_BYTES, Part, beginnings

_PCM, _ALAW, _MULAW, _EXTENSIBLE = 0x0001, 0x0006, 0x0007, 0xFFFE
_GUID: Final = bytes.fromhex("000000001000800000aa00389b71")
"""What follows the two bytes of the format."""
_FORMAT_BYTES: Final = 4_096
_ENDLESS: Final = b"\xff\xff\xff\xff"
_NAME: Final = re.compile(rb"[ -~]{4}")
_MOST_OF_A_CHUNK: Final = 64 * 1024 * 1024
"""What follows the sound and says that it is longer is no chunk."""


@dataclass(frozen=True, slots=True)
class WavHead:
    """``written`` anew: nothing stands in it but the format, and the sound goes on to the end.

    ``size``: bytes of sound that the file says it has; infinite: it does not say.
    """

    written: bytes
    size: float


class WavPart(Part):
    """RIFF, RF64, BW64, and RIFX, whose numbers stand the other way round."""

    def __init__(self, ahead: Lookahead, name: str) -> None:
        super().__init__(ahead, name)
        self._order = "<"
        self._left: float = 0
        self._packed: PackedSamples | None = None
        self._out: bytearray | None = None

    def read(self, size: int) -> bytes:
        """As its base's. Raises BadSound for a head that is none."""
        if self._out is None:
            self._out = bytearray(self.head().written)
        while not self._out and (data := self._data()):
            self._out += self._packed.unpacked(data) if self._packed else data
        piece = bytes(self._out[:size])
        del self._out[:size]
        return piece

    def skip_rest(self) -> None:
        """Go on behind the chunks that follow the sound."""
        if self._out is None:  # nothing of it was read
            with suppress(BadSound):
                self._out = bytearray(self.head().written)
        while self._data():
            pass
        while self._skip_chunk():
            pass

    def _data(self) -> bytes:
        held = self._ahead.hold(SEEN_BYTES + 1)
        found = beginnings(held)
        end = next((one.start() for one in found if self._left == math.inf or one["wav"]), None)
        if end is None:
            end = len(held) if len(held) <= SEEN_BYTES else len(held) - SEEN_BYTES
        data = self._ahead.take(int(min(end, self._left, PIECE_BYTES)))
        self._left -= len(data)
        return data

    def _skip_chunk(self) -> bool:
        if self._ahead.seen(1) == b"\0":  # what makes an odd size even
            self._ahead.skip(1)
        held = self._ahead.seen(SEEN_BYTES)
        if not _NAME.match(held) or BEGINNING.match(held) or len(held) < 8:
            return False
        size: int = struct.unpack_from(f"{self._order}I", held, 4)[0]
        if size > _MOST_OF_A_CHUNK:
            return False
        self._ahead.skip(8 + size)
        return True

    # -- the head

    def head(self) -> WavHead:
        """The head, which is taken. Raises BadSound."""
        magic = self._ahead.exactly(12)[:4]
        self._order = ">" if magic == b"RIFX" else "<"
        form, size = self._chunks()
        if len(form) < 16:
            raise BadSound("it is a WAV file that does not say what its sound is")
        self._left = size or math.inf  # who streams does not know it
        form = self._plain(form)
        head = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data"
        return WavHead(b"RIFF" + _ENDLESS + head + _ENDLESS, self._left)

    def _chunks(self) -> tuple[bytes, int]:
        """The format, and how many bytes of sound follow."""
        form, long = b"", 0
        while not BEGINNING.match(self._ahead.seen(SEEN_BYTES)) and len(chunk := self._ahead.exactly(8)) == 8:
            kind, size = struct.unpack(f"{self._order}4sI", chunk)
            if kind == b"data":
                return form, long if chunk[4:] == _ENDLESS else size
            body = self._ahead.exactly(min(size, _FORMAT_BYTES))
            self._ahead.skip(size + size % 2 - len(body))
            if kind == b"fmt ":
                form = body
            elif kind == b"ds64" and len(body) >= 16:
                long = struct.unpack_from("<Q", body, 8)[0]
        raise BadSound("it is a WAV file without sound")

    def _plain(self, form: bytes) -> bytes:
        """The format as FFmpeg takes it for what it is."""
        order = self._order
        tag, channels, rate, byte_rate, align, bits = struct.unpack_from(f"{order}HHIIHH", form)
        valid, is_extensible = bits, tag == _EXTENSIBLE and len(form) >= 40
        if is_extensible:
            valid = struct.unpack_from(f"{order}H", form, 18)[0] or bits
            form = form[:18] + form[14:16] + form[20:]  # FFmpeg would take the valid bits for the place
            tag = struct.unpack_from(f"{order}H", form, 24)[0] if form[26:40] == _GUID else 0
        place = (bits + 7) // 8
        if channels and align % channels == 0 and byte_rate != rate * channels * place:
            place = align // channels
        is_packed = 8 < valid < 8 * place or (order == ">" and valid == 8 * place)
        if tag == _PCM and 2 <= place <= 4 and is_packed:
            is_left = is_extensible or 8 * place - valid < 8
            self._packed = PackedSamples(valid, place, order, is_left=is_left)
            place, bits = 4, 32
        elif order == "<" and (tag != _PCM or align == channels * place):
            return form
        elif tag not in (_PCM, _ALAW, _MULAW) or (order == ">" and place > 1):
            raise BadSound("it is a RIFX file whose sound is not plain")
        align = min(channels * place, 0xFFFF)
        return struct.pack("<HHIIHH", tag, channels, rate, min(rate * align, 0xFFFFFFFF), align, bits)
