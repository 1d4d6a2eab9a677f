"""Recordings in the usual formats, decoded as they come: a file's bytes in, the canonical audio out, bounded memory.

What a file is, its bytes say, never a name. FFmpeg is given one part of it at a time and may open nothing else: it
knows playlists and devices, too, which read what the sender wants. The only file that knows PyAV.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np

from transcription.audio import SAMPLE_RATE, Samples
from transcription.sound_files.chain import parts
from transcription.sound_files.lookahead import PIECE_BYTES, BadSound, Lookahead, Source
from transcription.sound_files.mixing import MAX_CHANNELS, Mixer, Mono, Planes
from transcription.sound_files.parts import Part

MAX_PLANES = 8
"""Channels that a decoder keeps apart."""
RATES = range(1_000, 384_001)
"""Hertz. Files that claim other rates, or more channels, lie."""
BAD_PACKETS = 100
"""So many pieces of a file may be broken; it is no recording when more are, and no fewer than are whole."""
BAD_PARTS = 100
"""So many files of a chain may be none."""
TAG_BYTES = 1_024
"""What is no sound and not longer is nothing that anybody misses."""
PROBE_BYTES = 256 * 1024
"""How much is read ahead to find out what is in a file."""
SPOOL_BYTES = 1024 * 1024 * 1024
"""Of a file that has to be there as a whole."""
SPOOL_FOLDER: Final = "/var/tmp"  # noqa: S108 - on a disk, where /tmp may be memory; the file has no name there


def spool_folder() -> str | None:
    """Where a file is kept that has to be there as a whole; None: where others are."""
    return SPOOL_FOLDER if os.access(SPOOL_FOLDER, os.W_OK) else None


_CODECS = ("pcm_", "flac", "opus", "vorbis", "mp1", "mp2", "mp3", "adpcm_", "aac", "alac", "amr")
_NAMELESS = "mp3,aac,amr"
"""What begins anywhere: one of these demuxers, whichever FFmpeg thinks it is."""
_TITLES = {"wav": "WAV", "flac": "FLAC", "ogg": "Ogg", "matroska": "WebM", "mov": "M4A", "amr": "AMR"}
_FULL_SCALE = {"u1": 128.0, "i2": 32_768.0, "i4": 2_147_483_648.0}
_DTYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}


@dataclass(frozen=True, slots=True)
class LostSound:
    """Something of the file that is not among its samples, at this place of them, and why."""

    reason: str


class NoRoom(Exception):
    """It has to be there as a whole before it can be decoded, and there is no room for it."""


def decoded(source: Source) -> Iterator[Samples | LostSound]:
    """The first sound in it, piece by piece, and that of each file that follows; and what is missing of it.

    Raises BadSound when nothing of it is sound, NoRoom, and MemoryError. What ``source`` raises goes through.
    """
    import av  # noqa: PLC0415 - 40 MB that a gateway without uploads does not need

    ahead, lost, is_sound = Lookahead(source), _Lost(), False
    try:
        for part in parts(ahead):
            try:
                for piece in _pieces(av, part):
                    yield from lost.told()
                    yield piece
                is_sound = True
            except BadSound as error:
                part.skip_rest()
                is_sound = is_sound or (lost.is_told and not isinstance(error, _MostlyBroken))
                lost.add(part, error)
    except BadSound as error:
        lost.tell(str(error))
    if not is_sound:
        raise BadSound(lost.why() if ahead.taken else "it is empty")
    yield from lost.told()


class _MostlyBroken(BadSound):
    """What was decoded of it is noise, as like as not."""


class _Lost:
    """Files of a chain that are none, until there is something to tell it with."""

    def __init__(self) -> None:
        self.is_told = False
        self._waiting: list[LostSound] = []
        self._why = "it is neither WAV, FLAC, Ogg, WebM, MP3, M4A, AAC nor AMR"
        self._parts = 0

    def add(self, part: Part, error: BadSound) -> None:
        """Raises BadSound when there are too many."""
        self._parts += 1
        if self._parts > BAD_PARTS:
            raise BadSound("too much of it is no sound")
        if part.name or isinstance(error, _MostlyBroken):
            self.tell(str(error))
        elif part.size > TAG_BYTES:
            self._waiting.append(LostSound(f"{part.size} bytes of it are no sound that is known"))

    def tell(self, why: str) -> None:
        """What is missing, and the reason if it turns out to be all."""
        self._why = why
        self._waiting.append(LostSound(why))

    def told(self) -> Iterator[LostSound]:
        """Each once."""
        self.is_told = True
        waiting, self._waiting = self._waiting, []
        yield from waiting

    def why(self) -> str:
        """When it was all."""
        return self._why


def _pieces(av: Any, part: Part) -> Iterator[Samples | LostSound]:
    with _spooled(part) if part.needs_seeking else nullcontext(_Watched(part)) as watched:
        try:
            with _opened(av, watched, part.name) as file:
                for piece in _samples(av, file):
                    watched.check()
                    yield piece
        except av.error.FFmpegError as error:
            watched.check()
            if error.errno == errno.ENOMEM:
                raise MemoryError from error
            title = _TITLES.get(part.name, "MP3 or AAC")
            raise BadSound(f"it cannot be decoded as {title}: {_reason(error)}") from error
        except Exception:
            watched.check()
            raise
        watched.check()


def _opened(av: Any, source: _Watched, name: str) -> Any:
    """Nothing but this is opened, by no other demuxer or decoder than ours."""
    codecs = sorted(one for one in av.codecs_available if one.startswith(_CODECS))
    options = {
        "probesize": str(PROBE_BYTES),
        "analyzeduration": "2000000",
        "protocol_whitelist": "",
        "format_whitelist": name or _NAMELESS,
        "codec_whitelist": ",".join(codecs),
    }
    return av.open(source, format=name or None, options=options, io_open=_nothing_else, **_metadata(av))


def _nothing_else(_url: str, _flags: int, _options: dict[str, str]) -> Any:
    raise BadSound("it wants to be read together with another file")


def _metadata(av: Any) -> dict[str, Any]:
    """A title that is not UTF-8 is no reason to refuse a recording: PyAV before 19 has to be told so, 19 no longer."""
    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def _reason(error: Any) -> str:
    """FFmpeg's words, without its number and the name of a file that there is not."""
    return str(error.strerror).rstrip(".").lower()


def _samples(av: Any, file: Any) -> Iterator[Samples | LostSound]:
    tracks = list(file.streams.audio)
    if not tracks:
        raise BadSound("there is no sound in it")
    stream = next((one for one in tracks if _is_taken(av, one.codec_context)), None)
    if stream is None:
        codec = tracks[0].codec_context
        raise BadSound(f"its sound is {codec.name if codec else 'of a kind'}, which is not taken")
    _check(stream.codec_context.sample_rate, stream.codec_context.layout.nb_channels)
    if len(tracks) > 1:
        yield LostSound(f"only one of its {len(tracks)} tracks of sound is heard")
    canonical = _Canonical(av)
    try:
        for frame in _frames(av, file, stream):
            yield from [frame] if isinstance(frame, LostSound) else canonical.samples(frame)
    except (av.error.FFmpegError, BadSound):
        yield from canonical.rest()
        raise
    yield from canonical.rest()


def _is_taken(av: Any, codec: Any) -> bool:
    """Without a decoder there is none, or (PyAV 19) one by the name of what there is no decoder for."""
    return codec is not None and codec.name.startswith(_CODECS) and codec.name in av.codecs_available


def _check(rate: int, channels: int) -> None:
    if rate not in RATES or not 0 < channels <= MAX_CHANNELS:
        raise BadSound(f"it says that it has {channels} channels at {rate} Hz")


def _frames(av: Any, file: Any, stream: Any) -> Iterator[Any]:
    """What can be decoded; a broken piece is left out, and told as LostSound."""
    whole = bad = broken = 0
    for packet in file.demux(stream):
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError) as error:  # PyAV's own, when the codec cannot be opened
            bad, broken = bad + 1, broken + 1
            if bad > max(BAD_PACKETS, whole):
                raise _MostlyBroken("too much of it is broken") from error
            continue
        if broken:
            yield LostSound(f"{broken} broken piece{'s' * (broken > 1)} of it")
        whole, broken = whole + bool(frames), 0
        yield from frames
    if bad and not whole:
        raise _MostlyBroken("nothing of it can be decoded")
    if broken:
        yield LostSound(f"{broken} broken piece{'s' * (broken > 1)} of it")


class _Canonical:
    """Frames into the canonical audio. Rate, channels and format may be others with each of them."""

    def __init__(self, av: Any) -> None:
        self._av = av
        self._kind = (0, 0)
        self._mixer = Mixer(1, SAMPLE_RATE)
        self._resampler: Any = None

    def samples(self, frame: Any) -> Iterator[Samples]:
        """What comes of it by now."""
        kind = frame.sample_rate, frame.layout.nb_channels
        if kind != self._kind:
            _check(*kind)
            yield from self.rest()
            self._kind = kind
            self._mixer = Mixer(kind[1], kind[0])
            self._resampler = self._av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        yield from self._resampled(self._mixer.mixed(_planes(self._av, frame, kind[1])))

    def rest(self) -> Iterator[Samples]:
        """What was held back."""
        if self._resampler is not None:
            yield from self._resampled(self._mixer.rest())
            for part in self._resampler.resample(None):
                yield part.to_ndarray()[0]

    def _resampled(self, mono: Mono) -> Iterator[Samples]:
        if not len(mono):
            return
        frame = self._av.AudioFrame.from_ndarray(mono[np.newaxis, :], format="flt", layout="mono")
        frame.sample_rate = self._kind[0]  # without a time: times that jump would be filled with silence
        for part in self._resampler.resample(frame):
            yield part.to_ndarray()[0]


def _apart(av: Any, frame: Any, channels: int, dtype: str) -> Any:
    """Channels that are kept apart, one by one: PyAV looks for a ninth behind eight, where there is none."""
    if channels > MAX_PLANES:
        raise BadSound(f"it has {channels} channels, of which {MAX_PLANES} are taken")
    planes = [av.audio.plane.AudioPlane(frame, one) for one in range(channels)]
    return np.stack([np.frombuffer(plane, dtype, count=frame.samples) for plane in planes])


def _planes(av: Any, frame: Any, channels: int) -> Planes:
    """Channels by samples."""
    name = frame.format.name
    dtype = _DTYPES.get(name.removesuffix("p"))
    if dtype is None:
        raise BadSound(f"its samples are {name}, which is not taken")
    is_apart = name.endswith("p")
    values = _apart(av, frame, channels, dtype) if is_apart else frame.to_ndarray().reshape(-1, channels).T
    if dtype in _FULL_SCALE:
        scaled = (values.astype(np.float32) - (128 if dtype == "u1" else 0)) / np.float32(_FULL_SCALE[dtype])
    else:
        scaled = np.clip(np.nan_to_num(values, nan=0.0), -1, 1)
    planes: Planes = scaled.astype(np.float32)
    return planes


class _Watched:
    """A part as FFmpeg reads it. It has no ``seek``: nothing is kept of what was read.

    What reading raises is kept for ``check``; FFmpeg takes it for the end, and would forget it.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raises what reading raised."""
        if self._error is not None:
            raise self._error

    def read(self, size: int) -> bytes:
        """As the source's."""
        if self._error is not None:
            return b""
        try:
            return self._source.read(size)
        except BaseException as error:  # noqa: BLE001 - raised by ``check``
            self._error = error
            return b""


class _Seekable(_Watched):
    """A file on the disk, where what is told first may stand last."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.seek = file.seek
        self.tell = file.tell


@contextmanager
def _spooled(part: Part) -> Iterator[_Watched]:
    """All of it on the disk, without a name. Raises NoRoom, BadSound."""
    with tempfile.TemporaryFile(dir=spool_folder()) as spool:
        while piece := part.read(PIECE_BYTES):
            if part.size > SPOOL_BYTES:
                raise BadSound(f"its index is at its end, and it has more than {SPOOL_BYTES >> 20} MiB")
            try:
                spool.write(piece)
                spool.flush()
            except OSError as error:
                raise NoRoom(
                    f"it has to be kept on the disk until its end, and cannot: {error.strerror}"
                ) from error
        spool.seek(0)
        yield _Seekable(spool)
