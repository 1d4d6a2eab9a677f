"""Sound files as anybody uploads them, decoded: a refusal, or the canonical audio and what is missing of it."""

from __future__ import annotations

import io
import logging

import av
import numpy as np

from transcription.sound_files.decoding import LostSound, NoRoom, decoded
from transcription.sound_files.lookahead import BadSound

av.logging.set_level(None)
logging.disable()
_MOST = 40_000_000
"""Samples, of which a file of some kilobytes may say that it has more; nobody waits for them here."""


def fuzz(data: bytes) -> None:
    samples = 0
    try:
        for piece in decoded(io.BytesIO(data)):
            if isinstance(piece, LostSound):
                piece.reason.encode()
                continue
            assert piece.dtype == np.int16
            assert piece.ndim == 1
            samples += len(piece)
            if samples > _MOST:
                return
    except (BadSound, NoRoom) as error:
        str(error).encode()
    except MemoryError:
        return  # what it says of itself would take too much, and the process that decodes it says so
