"""A signed image in a file: what was signed is what is read, and nothing else."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.images.image_file import (
    MAGIC,
    MOST_BYTES,
    BadImage,
    checked,
    read_manifest,
    signed_image,
)
from firmware_bridge.images.signing import is_signed, new_key, public_of, public_pem, sign

IMAGE = random.Random(1).randbytes(5000)


@cache
def key() -> bytes:
    return new_key()


def made(image: bytes = IMAGE, kind: str = "s3-box-3", version: str = "1.4.0", number: int = 7) -> bytes:
    return signed_image(image, kind=kind, version=version, number=number, private=key())


def test_a_signed_image_reads_back() -> None:
    manifest = checked(made())
    assert (manifest.kind, manifest.version, manifest.number, manifest.size) == ("s3-box-3", "1.4.0", 7, 5000)
    assert bytes.fromhex(manifest.key) == public_of(key())
    assert made()[read_manifest(made())[1] :] == IMAGE


def test_what_a_device_is_offered_is_what_was_signed() -> None:
    manifest = checked(made())
    offer = manifest.offer
    assert offer.image == manifest.image == int.from_bytes(offer.sha256[:4], "little")
    assert is_signed(public_of(key()), manifest.signed, offer.signature)


@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    whole = bytearray(made())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadImage):
        checked(bytes(whole))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no signed image"),
        (IMAGE, "no signed image"),
        (MAGIC, "does not end"),
        (MAGIC + b"x" * 5000, "does not end"),
        (MAGIC + b"[" * 900 + b"\n", "damaged"),
        (MAGIC + b"{}\n", "damaged"),
        (made()[:-1], "4999 bytes"),
        (made() + b"x", "5001 bytes"),
        (made().replace(b"1.4.0", b"1.4.1"), "signature"),
        (made().replace(b'"number":7', b'"number":8'), "signature"),
        (made().replace(b'"1.4.0"', b'"1.4.0\\n"'), "damaged"),
        (made().replace(b"s3-box-3", b"s3-box-4"), "signature"),
    ],
    ids=range(11 + 1),
)
def test_what_is_no_signed_image_says_why(data: bytes, why: str) -> None:
    with pytest.raises(BadImage, match=why):
        checked(data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": ""},
        {"kind": 'a"b'},
        {"version": "a\\b"},
        {"version": "x" * 65},
        {"version": "1.4.0\n"},
        {"version": "ä"},
        {"number": 0},
        {"number": 2**32},
        {"image": b""},
        {"image": bytes(MOST_BYTES + 1)},
    ],
    ids=range(10),
)
def test_what_no_device_could_be_told_is_not_signed(wrong: dict[str, object]) -> None:
    with pytest.raises(BadImage):
        made(**wrong)  # type: ignore[arg-type]


def test_a_key_is_a_private_key_on_p256_and_nothing_else() -> None:
    for wrong in (b"", b"nonsense", public_pem(key())):
        with pytest.raises(ValueError, match=r".") as refused:
            sign(wrong, b"message")
        assert not isinstance(refused.value, BadImage)
