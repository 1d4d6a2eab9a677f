from __future__ import annotations

import wave
from pathlib import Path

import pytest

from firmware_bridge.speech_files import BadRecording, read_wav, recordings


def write_wav(
    path: Path, *, rate: int = 16_000, channels: int = 1, width: int = 2, frames: int = 160
) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(bytes(frames * channels * width))
    return path


def test_every_recording_is_there_readable_and_as_long_as_listed() -> None:
    listed = recordings()
    assert len(listed) == 40
    assert any(recording.demo for recording in listed)
    for recording in listed:
        assert recording.text
        assert len(read_wav(recording.path)) / 32_000 == pytest.approx(recording.seconds, abs=0.01)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"rate": 44_100}, "44100 Hz"),
        ({"channels": 2}, "2 channels"),
        ({"width": 1}, "8 bit"),
    ],
)
def test_another_format_is_refused_with_the_command_that_converts_it(
    tmp_path: Path, fault: dict[str, int], said: str
) -> None:
    path = write_wav(tmp_path / "speech.wav", **fault)
    with pytest.raises(BadRecording, match=said) as refused:
        read_wav(path)
    assert "ffmpeg -i speech.wav" in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a wav file at all, but long enough to be one" * 3])
def test_what_is_no_wav_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(content)
    with pytest.raises(BadRecording, match=r"speech\.wav"):
        read_wav(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadRecording, match=r"nowhere\.wav.*No such file"):
        read_wav(tmp_path / "nowhere.wav")
