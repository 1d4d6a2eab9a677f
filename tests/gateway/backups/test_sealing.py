"""What is sealed is read again byte by byte, whatever its length, and by nobody else."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backups import sealing
from gateway.backups.errors import BackupError
from gateway.backups.sealing import MAGIC, SealedReader, SealedWriter

SECRET = b"correct horse"
PIECE = 1_000


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "PIECE", PIECE)


def sealed(parts: Sequence[bytes], passphrase: bytes = SECRET) -> bytes:
    target = io.BytesIO()
    writer = SealedWriter(target, passphrase)
    for part in parts:
        assert writer.write(part) == len(part)
    writer.close()
    return target.getvalue()


def unsealed(data: bytes, passphrase: bytes = SECRET, step: int = -1) -> bytes:
    source = io.BytesIO(data)
    assert source.read(len(MAGIC)) == MAGIC
    reader, found = SealedReader(source, passphrase), []
    while part := reader.read(step):
        found.append(part)
        if step < 0:
            break
    assert reader.read() == b"", "its end stays its end"
    return b"".join(found)


@pytest.mark.parametrize("length", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7])
@pytest.mark.parametrize("step", [-1, 1, 333, PIECE, 10 * PIECE])
def test_whatever_its_length_it_comes_back(length: int, step: int) -> None:
    data = random.Random(length).randbytes(length)
    assert unsealed(sealed([data]), step=step) == data


def test_how_it_is_written_makes_no_difference() -> None:
    data = random.Random(2).randbytes(5_000)
    pieces = [data[start : start + 77] for start in range(0, len(data), 77)]
    assert unsealed(sealed(pieces)) == unsealed(sealed([data])) == data


def test_the_same_twice_is_not_the_same_to_see() -> None:
    one, other = sealed([b"x" * 100]), sealed([b"x" * 100])
    assert one != other
    assert b"xxxx" not in one


@pytest.mark.parametrize("passphrase", [b"", b"correct hors", b"correct horse ", b"\xff" * 40])
def test_with_another_passphrase_nobody_reads_it(passphrase: bytes) -> None:
    with pytest.raises(BackupError, match="passphrase is wrong"):
        unsealed(sealed([b"hello"]), passphrase)


@pytest.mark.parametrize("length", [0, 5, 16, 17, 19, 20, 21, 40])
def test_wherever_it_breaks_off_is_told(length: int) -> None:
    data = sealed([b"y" * 3_000])[: len(MAGIC) + length]
    with pytest.raises(BackupError, match=r"breaks off|damaged"):
        unsealed(data)


def test_behind_its_last_piece_nothing_is_read() -> None:
    assert unsealed(sealed([b"hello"]) + b"and more") == b"hello"


def test_a_length_that_cannot_be_is_no_reason_to_take_memory() -> None:
    data = sealed([b"hello"])
    head = len(MAGIC) + 16
    with pytest.raises(BackupError, match="breaks off"):
        unsealed(data[:head] + b"\xff\xff\xff\xff" + data[head + 4 :])


@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, 2_500), bit=st.integers(0, 7))
def test_not_a_bit_of_it_can_be_changed(place: int, bit: int) -> None:
    whole = sealed([b"z" * 2_400])
    changed = bytearray(whole)
    changed[len(MAGIC) + place % (len(whole) - len(MAGIC))] ^= 1 << bit
    with pytest.raises(BackupError):
        unsealed(bytes(changed))
