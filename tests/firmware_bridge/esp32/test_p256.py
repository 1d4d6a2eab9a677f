"""The library's own check of signatures says what cryptography's does, of good ones and of everything that is none."""

from __future__ import annotations

import ctypes
import os
import random
from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.firmware_bridge.esp32.made import library

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def big(number: int) -> bytes:
    return number.to_bytes(32, "big")


@cache
def private(secret: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(secret, ec.SECP256R1())


def public(secret: int) -> bytes:
    point = private(secret).public_key().public_numbers()
    return big(point.x) + big(point.y)


def sign(secret: int, message: bytes) -> bytes:
    r, s = decode_dss_signature(private(secret).sign(message, ec.ECDSA(hashes.SHA256())))
    return big(r) + big(s)


def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    options = ("-O1", "-g", *os.environ.get("EARSHOT_TEST_CFLAGS", "").split())
    c = library("earshot_p256.c", "earshot_proof.c", options=options)
    c.earshot_p256_signed.restype = ctypes.c_bool
    return bool(c.earshot_p256_signed(key, message, len(message), signature))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, N - 1), st.binary(max_size=200))
def test_a_signature_is_good_for_its_key_and_its_message_alone(secret: int, message: bytes) -> None:
    signature = sign(secret, message)
    assert is_signed(public(secret), message, signature)
    assert not is_signed(public(secret), message + b"x", signature)
    assert not is_signed(public(secret % (N - 1) + 1), message, signature)


@pytest.mark.parametrize("secret", [1, 2, 3, N - 1, N - 2, (N + 1) // 2], ids=str)
def test_keys_that_meet_the_generator_in_the_sum_are_as_good(secret: int) -> None:
    """Their sums pass through equal points, opposite points and infinity."""
    for number in range(20):
        message = b"%d" % number
        assert is_signed(public(secret), message, sign(secret, message))
        assert not is_signed(public(secret), message, sign(secret, b"another"))


def test_no_single_bit_of_a_signature_can_be_another() -> None:
    drawn = random.Random(5)
    key, signature = public(77), sign(77, b"an image")
    for bit in drawn.sample(range(512), 64):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        assert not is_signed(key, b"an image", bytes(changed))


@pytest.mark.parametrize("r", [0, 1, N - 1, N, P, 2**256 - 1], ids=str)
@pytest.mark.parametrize("s", [0, 1, N - 1, N, P, 2**256 - 1], ids=str)
def test_numbers_at_the_edge_are_no_signature(r: int, s: int) -> None:
    assert not is_signed(public(77), b"an image", big(r) + big(s))


def test_a_signature_whose_r_is_not_reduced_is_none() -> None:
    """Somebody adds the order to a small r: another signature of the same message."""
    signature = sign(77, b"an image")
    assert not is_signed(
        public(77), b"an image", signature[:32] + big((int.from_bytes(signature[32:], "big") + N) % 2**256)
    )


def test_a_point_beside_the_curve_is_no_key() -> None:
    key = public(77)
    for wrong in (bytes(64), key[32:] + key[:32], key[:63] + bytes([key[63] ^ 1]), big(P) + key[32:]):
        assert not is_signed(wrong, b"an image", sign(77, b"an image"))
