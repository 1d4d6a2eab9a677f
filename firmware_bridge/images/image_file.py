"""One file for a firmware image and what is signed of it: a line that says what it is, a line of JSON, the image.

::

    earshot-image 1
    {"kind":"s3-box-3","version":"1.4.0","number":1796000000,"size":1048576,"sha256":"…","key":"…","signature":"…"}
    (the image)
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, structs

from firmware_bridge.link.frames import Header, Offer, signed_of
from firmware_bridge.named_files import read_named

MAGIC: Final = b"earshot-image 1\n"
SUFFIX: Final = ".earshot"
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of an image: the flash of the largest boards."""
MOST_OF_HEAD: Final = 1024
NAME: Final = re.compile(r"[ !#-\[\]-~]{1,64}")
"""What a kind and a version are: what HELLO can say without escaping."""

_Hex32 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Hex64 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{128}\Z")]
_Name = Annotated[str, Meta(pattern=r"\A[ !#-\[\]-~]{1,64}\Z")]


class BadImage(ValueError):
    """It is no firmware image, or not the one that was signed; says why."""


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed of an image, the signature, and the public key (x and y) that it is good by."""

    kind: _Name
    version: _Name
    number: Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]
    size: Annotated[int, Meta(ge=1, le=MOST_BYTES)]
    sha256: _Hex32
    key: _Hex64
    signature: _Hex64

    @property
    def image(self) -> int:
        """What FETCH and IMAGE call it."""
        return self.offer.image

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is over."""
        return signed_of(self.kind, self.version, self.size, self.number, bytes.fromhex(self.sha256))

    @property
    def offer(self) -> Offer:
        """As it is offered to a device of its kind."""
        sha256, signature = bytes.fromhex(self.sha256), bytes.fromhex(self.signature)
        return Offer(Header(), self.size, self.number, sha256, signature, self.version)

    def head(self) -> bytes:
        """What stands before the image."""
        return MAGIC + msgspec.json.encode(self) + b"\n"


def signed_image(image: bytes, *, kind: str, version: str, number: int, private: bytes) -> bytes:
    """The whole file. Raises BadImage for what no image may be, and ValueError for a key that is none."""
    from firmware_bridge.images.signing import public_of, sign  # noqa: PLC0415 - an extra

    for name, value in (("kind", kind), ("version", version)):
        if not NAME.fullmatch(value):
            raise BadImage(
                f'a {name} is 1 to 64 printable ASCII characters without " and \\, not {value!r:.80}'
            )
    if not image or len(image) > MOST_BYTES:
        raise BadImage(f"an image has 1 to {MOST_BYTES} bytes, and this one {len(image)}")
    if not 1 <= number <= 0xFFFFFFFF:
        raise BadImage(f"a number is 1 to 4294967295, and not {number}")
    unsigned = Manifest(
        kind=kind,
        version=version,
        number=number,
        size=len(image),
        sha256=hashlib.sha256(image).hexdigest(),
        key=public_of(private).hex(),
        signature="0" * 128,
    )
    return structs.replace(unsigned, signature=sign(private, unsigned.signed).hex()).head() + image


def read_manifest(head: bytes) -> tuple[Manifest, int]:
    """What the beginning of such a file says, and where its image begins. Raises BadImage."""
    if not head.startswith(MAGIC):
        raise BadImage("it is no signed image: `earshot firmware sign` makes one")
    line, end, _ = head[len(MAGIC) : MOST_OF_HEAD].partition(b"\n")
    if not end:
        raise BadImage("what it says of its image does not end")
    try:
        manifest = msgspec.json.decode(line, type=Manifest)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadImage(f"what it says of its image is damaged: {error}") from error
    return manifest, len(MAGIC) + len(line) + 1


def checked(data: bytes) -> Manifest:
    """What the whole file says, when all of it is true: size, SHA-256 and signature. Raises BadImage.

    Whose key it is, only the devices know that have it built in.
    """
    from firmware_bridge.images.signing import is_signed  # noqa: PLC0415 - an extra

    manifest, start = read_manifest(data[:MOST_OF_HEAD])
    image = memoryview(data)[start:]
    if len(image) != manifest.size:
        raise BadImage(f"its image has {len(image)} bytes, and was signed with {manifest.size}")
    if hashlib.sha256(image).hexdigest() != manifest.sha256:
        raise BadImage("its image is damaged: it is not the one that was signed")
    if not is_signed(bytes.fromhex(manifest.key), manifest.signed, bytes.fromhex(manifest.signature)):
        raise BadImage("its signature is not good")
    return manifest


def read_image_file(path: Path) -> bytes:
    """The bytes of such a file. Raises OSError."""
    return read_named(path, MOST_BYTES + MOST_OF_HEAD)
