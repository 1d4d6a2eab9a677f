"""Recordings that ask for more than they bring: each a few bytes, or as many as are sent, in pieces."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Final

from tests.transcription.recordings import wav, wav_form, wav_that_says

PIECE: Final = bytes(256 * 1024)
MANY: Final = 480
"""Pieces: 120 MB."""

Pieces = Iterator[bytes]


def element(name: str, *parts: bytes) -> bytes:
    """Of EBML."""
    body = b"".join(parts)
    return bytes.fromhex(name) + (1 << 56 | len(body)).to_bytes(8, "big") + body


def webm(block: bytes, encodings: bytes = b"", rate: float = 16_000.0, channels: int = 1) -> bytes:
    """PCM in one block."""
    entry = element(
        "ae",
        element("d7", b"\1"), element("73c5", b"\1"), element("83", b"\2"), element("86", b"A_PCM/INT/LIT"),
        encodings,
        element(
            "e1", element("b5", struct.pack(">d", rate)), element("9f", channels.to_bytes(4, "big")),
            element("6264", b"\x10"),
        ),
    )  # fmt: skip
    return b"".join(
        (
            element("1a45dfa3", element("4282", b"webm")),
            bytes.fromhex("18538067") + b"\xff" * 1,
            element("1549a966", element("2ad7b1", (1_000_000).to_bytes(3, "big"))),
            element("1654ae6b", entry),
            element("1f43b675", element("e7", b"\0"), element("a3", b"\x81\0\0\x80", block)),
        )
    )


def packed(algorithm: int, settings: bytes = b"") -> bytes:
    """ContentEncodings with compression: 0 is zlib, 3 a header that was stripped."""
    compression = element("5034", element("4254", bytes([algorithm])), settings)
    return element("6d80", element("6240", element("5031", b"\0"), element("5032", b"\1"),
                                   element("5033", b"\0"), compression))  # fmt: skip


def zlib_bomb(megabytes: int) -> bytes:
    """So much silence."""
    squeezer, out = zlib.compressobj(9), io.BytesIO()
    for _ in range(megabytes):
        out.write(squeezer.compress(bytes(1 << 20)))
    return out.getvalue() + squeezer.flush()


def ogg(packets: Pieces) -> Pieces:
    """Pages of one stream, of which each packet fills one and goes on in the next: a comment without an end."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48_000, 0, 0)
    yield _page(head, 0, 2)
    for number, body in enumerate(packets, 1):
        yield _page(body[: 255 * 255], number, 1 if number > 1 else 0)


_CRC: Final = [0] * 256
for _byte in range(256):
    _value = _byte << 24
    for _ in range(8):
        _value = (_value << 1 ^ (0x04C11DB7 if _value & 0x80000000 else 0)) & 0xFFFFFFFF
    _CRC[_byte] = _value


def _page(body: bytes, number: int, flags: int) -> bytes:
    """FFmpeg reads on though its checksum is wrong."""
    lacing = bytes([255] * (len(body) // 255)) + (bytes([len(body) % 255]) if len(body) % 255 else b"")
    head = b"OggS" + struct.pack("<BBqIIIB", 0, flags, 0, 7, number, 0, len(lacing)) + lacing
    crc = 0
    for byte in head + body:
        crc = (crc << 8 & 0xFFFFFFFF) ^ _CRC[crc >> 24 ^ byte]
    return head[:22] + struct.pack("<I", crc) + head[26:] + body


def box(kind: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    """Of MP4; ``size``: what it claims."""
    return struct.pack(">I4s", len(body) + 8 if size is None else size, kind) + body


def nested(kinds: bytes, depth: int) -> bytes:
    """Boxes in boxes."""
    body = b""
    for _ in range(depth):
        body = box(kinds, body)
    return body


FTYP: Final = box(b"ftyp", b"M4A \0\0\0\0M4A ")


def mp4_tables(entries: int) -> bytes:
    """An index whose tables claim so many entries, each."""
    claims = struct.pack(">II", 0, entries)
    sample = box(b"mp4a", bytes(6) + b"\0\1" + bytes(8) + struct.pack(">HHHHI", 1, 16, 0, 0, 16_000 << 16))
    tables = box(b"stsd", struct.pack(">II", 0, 1) + sample) + b"".join(
        box(kind, claims + bytes(64), 1 << 31)
        for kind in (b"stts", b"stsc", b"stsz", b"stco", b"ctts", b"stss")
    )
    media = box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, 16_000, 1 << 31, 0, 0)) + box(
        b"hdlr", struct.pack(">II4s12x", 0, 0, b"soun")
    )
    track = box(b"mdia", media + box(b"minf", box(b"stbl", tables)))
    return FTYP + box(b"moov", box(b"trak", track)) + box(b"mdat", bytes(4_096))


def flac(blocks: Pieces) -> Pieces:
    """Metadata blocks of 16 MB, as many as there are."""
    info = (
        struct.pack(">HH", 4_096, 4_096) + bytes(6) + (16_000 << 44 | 15 << 36).to_bytes(8, "big") + bytes(16)
    )
    yield b"fLaC\0\0\0\x22" + info
    yield from blocks


def picture() -> Pieces:
    """One block of a picture, 16 MB long."""
    size = 63 * len(PIECE)
    yield struct.pack(">I", 6 << 24 | size)
    head = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">IIIIII", 0, 9, 9, 24, 0, size - 41)
    yield head + PIECE[len(head) :]
    yield from repeat(PIECE, 62)


def vorbis_comments() -> Pieces:
    """One block that claims 2^32 comments."""
    body = struct.pack("<II", 0, 0xFFFFFFFF) + (struct.pack("<I", 3) + b"A=B") * 60_000
    yield struct.pack(">I", 4 << 24 | len(body)) + body


def id3(size: int) -> bytes:
    """A tag's head: so long, of one text."""
    seven = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + seven + b"TXXX" + seven + b"\0\0\3"


def files() -> dict[str, Pieces]:
    """All of them; made anew for each question."""
    sound = wav(bytes(32_000))
    return {
        "webm of one zlib block": iter([webm(zlib_bomb(100), packed(0))]),
        "webm of small zlib blocks": iter([webm(zlib_bomb(10), packed(0))]),
        "webm, stripped of 100 MB": iter([webm(bytes(100), packed(3, element("4255", PIECE * 100)))]),
        "webm of 2^32 channels": iter([webm(bytes(9_999), channels=0xFFFFFFFF)]),
        "webm of endless hertz": iter([webm(bytes(9_999), rate=float("inf"))]),
        "webm with 60 MB attached": _then(
            webm(b"")[:60] + bytes.fromhex("1941a469") + b"\x01\0\0\0\x0f\0\0\0"
            + bytes.fromhex("61a7465c") + b"\x01\0\0\0\x0e\xff\0\0", repeat(PIECE, MANY // 2)
        ),
        "wav with a list": _then(
            sound[:12] + b"LIST" + struct.pack("<I", len(PIECE) * MANY) + b"INFOINAM", repeat(PIECE, MANY)
        ),
        "wav with a long format": _then(b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff", repeat(PIECE, MANY)),
        "wav of a hundred thousand chunks": _then(sound[:12], repeat(b"abcd\0\0\0\0" * 10_000, 10)),
        "wav of 65,535 channels": iter([wav_that_says(99_999, channels=65_535, data=bytes(99_999))]),
        "wav of 16 channels at 384 kHz": _then(
            wav(b"", form=wav_form(16, rate=384_000)), repeat(PIECE, 20)
        ),
        "wav of 2^31 hertz": iter([wav_that_says(99_999, rate=1 << 31, data=bytes(99_999))]),
        "ID3 of 120 MB": _then(id3(len(PIECE) * MANY), repeat(PIECE, MANY + 1)),
        "a hundred thousand ID3": repeat((b"ID3\4\0\0\0\0\0\0") * 10_000, 10),
        "flac pictures": flac(_chained(picture, 8)),
        "flac comments": flac(_chained(vorbis_comments, 4)),
        "ogg comment": ogg(_then(b"OpusTags" + bytes(65_017), repeat(bytes(65_025), 40))),
        "mp4 of claims": iter([mp4_tables(0x0FFFFFFF)]),
        "mp4 of 10,000 boxes in boxes": iter([FTYP + nested(b"moov", 10_000)]),
        "mp4 of 2^64 bytes": iter([FTYP + struct.pack(">I4sQ", 1, b"moov", (1 << 64) - 1) + bytes(999)]),
        "mp4 of a hundred thousand boxes": _then(FTYP, repeat(box(b"free") * 10_000, 10)),
        "aac of nothing": repeat(b"\xff\xf1\x50\x80\x01\x1f\xfc" * 10_000, 40),
        "amr that is empty": _then(b"#!AMR\n", repeat(b"\x7c" * 100_000, 40)),
    }  # fmt: skip


def _then(first: bytes, rest: Pieces) -> Pieces:
    yield first
    yield from rest


def _chained(make: Callable[[], Pieces], times: int) -> Pieces:
    for _ in range(times):
        yield from make()
