"""Recordings in the usual formats, decoded as they come: a file's bytes in, the canonical audio out, bounded memory.

The container is told by its first bytes, never by a name, and only those below are tried: FFmpeg knows playlists and
devices too, which read what the sender wants. The only file that knows PyAV.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from transcription.audio import SAMPLE_RATE, Samples

HEAD_BYTES = 16
MAX_CHANNELS = 16
RATES = range(1_000, 384_001)
"""Hertz. Files that claim other rates, or more channels, lie."""
BAD_PACKETS = 100
"""So many pieces of a file may be broken; it is no recording when more are."""
PROBE_BYTES = 256 * 1024
"""How much is read ahead to find out what is in a file."""

_CODECS = ("pcm_", "flac", "opus", "vorbis", "mp3", "adpcm_")
_MAGIC = ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1a\x45\xdf\xa3", "matroska"), (b"ID3", "mp3"))


class BadSound(Exception):
    """It is no recording that can be decoded."""


class Source(Protocol):
    """What is decoded, read once from its beginning."""

    def read(self, size: int) -> bytes:
        """At most so many bytes, as soon as there are some; none: the end. May block."""


def container(head: bytes) -> str | None:
    """The format that a file's first bytes tell, by FFmpeg's name; None: none of ours."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    # Eleven bits of an MPEG frame's head; its layer is never 0.
    is_mpeg = len(head) >= 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06
    return "mp3" if is_mpeg else None


def decoded(source: Source) -> Iterator[Samples]:
    """The first sound in it, piece by piece. Raises BadSound; what ``source`` raises goes through."""
    import av  # noqa: PLC0415 - 40 MB that a gateway without uploads does not need

    head = _head(source)
    name = container(head)
    if name is None:
        raise BadSound("it is neither WAV, FLAC, Ogg, WebM nor MP3")
    options = {"probesize": str(PROBE_BYTES), "analyzeduration": "2000000"}
    rewound = _Rewound(head, source)
    try:
        with av.open(rewound, format=name, options=options, **_metadata(av)) as file:
            for samples in _samples(av, file):
                rewound.check()
                yield samples
    except av.error.FFmpegError as error:
        rewound.check()
        raise BadSound(f"it cannot be decoded as {name}: {_reason(error)}") from error
    except Exception:
        rewound.check()
        raise
    rewound.check()


def _metadata(av: Any) -> dict[str, Any]:
    """A title that is not UTF-8 is no reason to refuse a recording: PyAV before 19 has to be told so, 19 no longer."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def _reason(error: Any) -> str:
    """FFmpeg's words, without its number and the name of a file that there is not."""
    return str(error.strerror).rstrip(".").lower()


def _samples(av: Any, file: Any) -> Iterator[Samples]:
    stream = next(iter(file.streams.audio), None)
    if stream is None:
        raise BadSound("there is no sound in it")
    codec = stream.codec_context
    if not codec.name.startswith(_CODECS):
        raise BadSound(f"its sound is {codec.name}, which is not taken")
    if codec.sample_rate not in RATES or not 0 < codec.layout.nb_channels <= MAX_CHANNELS:
        raise BadSound(f"it says that it has {codec.layout.nb_channels} channels at {codec.sample_rate} Hz")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    for frame in _frames(av, file, stream):
        frame.pts = None  # times that jump would be filled with silence
        for part in resampler.resample(frame):
            yield part.to_ndarray()[0]
    for part in resampler.resample(None):
        yield part.to_ndarray()[0]


def _frames(av: Any, file: Any, stream: Any) -> Iterator[Any]:
    """What can be decoded; a broken piece is left out."""
    bad = 0
    for packet in file.demux(stream):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError as error:
            bad += 1
            if bad > BAD_PACKETS:
                raise BadSound("too much of it is broken") from error


def _head(source: Source) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES and (more := source.read(HEAD_BYTES - len(head))):
        head += more
    return head


class _Rewound:
    """A source whose head was read already. It has no ``seek``: nothing is kept of what was read.

    What the source raises is kept for ``check``; FFmpeg takes it for the end, and would forget it.
    """

    def __init__(self, head: bytes, source: Source) -> None:
        self._head = head
        self._source = source
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raises what the source raised."""
        if self._error is not None:
            raise self._error

    def read(self, size: int) -> bytes:
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        if self._error is not None:
            return b""
        try:
            return self._source.read(size)
        except BaseException as error:  # noqa: BLE001 - raised by ``check``
            self._error = error
            return b""
