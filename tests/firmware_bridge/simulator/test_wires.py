"""The mischief a simulated wire does: seeded, counted, and no more than was asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.link.frames import FaultCode, Header, Ping
from firmware_bridge.link.framing import DatagramDecoder, FrameRejected, SerialDecoder, encode_serial
from firmware_bridge.simulator.wires import Mischief, MischiefMaker

FRAMES = [encode_serial(Ping(Header(timestamp=number))) for number in range(500)]


def through(maker: MischiefMaker, frames: list[bytes]) -> list[bytes]:
    return [out for frame in frames for out in maker.through(frame)]


def test_without_mischief_every_frame_passes_as_it_is() -> None:
    assert through(MischiefMaker(Mischief(), checksummed=True), FRAMES) == FRAMES


@given(
    seed=st.integers(0, 1000),
    drop=st.sampled_from([0.0, 0.1, 1.0]),
    duplicate=st.sampled_from([0.0, 0.1, 1.0]),
    delay=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_frames_are_lost_doubled_and_late_only_as_counted(
    seed: int, drop: float, duplicate: float, delay: float
) -> None:
    mischief = Mischief(seed=seed, drop=drop, duplicate=duplicate, delay=delay)
    maker = MischiefMaker(mischief, checksummed=True)
    out = through(maker, FRAMES)
    late = 3  # at most so many are still held back at the end
    expected = len(FRAMES) - maker.dropped + maker.duplicated
    assert expected - late <= len(out) <= expected
    assert set(out) <= set(FRAMES)
    assert out == through(MischiefMaker(mischief, checksummed=True), FRAMES), (
        "the same seed, the same mischief"
    )


def test_a_late_frame_comes_after_one_to_three_others() -> None:
    maker = MischiefMaker(Mischief(seed=3, delay=0.2), checksummed=True)
    out = through(maker, FRAMES)
    places = {frame: place for place, frame in enumerate(out)}
    moved = [places[frame] - place for place, frame in enumerate(FRAMES) if frame in places]
    assert maker.delayed > 0
    assert 0 < max(moved) <= 3


def test_a_corrupted_serial_frame_never_passes_for_a_frame() -> None:
    maker = MischiefMaker(Mischief(seed=5, corrupt=1.0), checksummed=True)
    decoder = SerialDecoder()
    for data in through(maker, FRAMES):
        for decoded in decoder.feed(data + b"\0"):
            assert not isinstance(decoded, Ping)
    assert maker.corrupted == len(FRAMES)


def test_a_corrupted_message_is_one_of_a_foreign_version() -> None:
    maker = MischiefMaker(Mischief(corrupt=1.0), checksummed=False)
    (data,) = maker.through(Ping(Header()).to_bytes())
    (rejected,) = DatagramDecoder().feed(data)
    assert isinstance(rejected, FrameRejected)
    assert rejected.code is FaultCode.UNSUPPORTED_VERSION
