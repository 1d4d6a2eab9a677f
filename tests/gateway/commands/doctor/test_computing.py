"""What the doctor says of where the speech model computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.commands.doctor.computing import computing
from gateway.commands.doctor.finding import Finding
from transcription.settings import TranscriptionSettings
from transcription.whisper.computing import gpus

NO_GPU = pytest.mark.skipif(gpus() > 0, reason="there is a GPU here")


def found(root: Path = Path("/"), **settings: object) -> list[Finding]:
    return list(computing(TranscriptionSettings(**settings), root))  # type: ignore[arg-type]


def test_where_nothing_was_asked_for_nothing_is_said(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert found(engine="off", device="cuda") == []


def test_a_gpu_that_lies_idle_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    (finding,) = found(tmp_path)
    assert finding.state == "ok"
    assert "transcription.device: auto" in finding.remedy


@NO_GPU
def test_a_gpu_that_is_not_there_fails_where_it_is_wanted() -> None:
    (finding,) = found(device="cuda")
    assert finding.state == "fail"
    assert finding.detail.startswith("transcription.device is cuda: ")
    assert finding.remedy


@NO_GPU
def test_auto_without_a_gpu_is_worth_a_word() -> None:
    (finding,) = found(device="auto")
    assert finding.state == "warn"
    assert "computes on the CPU" in finding.detail


def test_a_number_format_that_the_device_lacks_fails() -> None:
    (finding,) = found(device="auto", compute_type="float32")
    assert finding.state in {"ok", "warn"}
    assert found(device="cpu", compute_type="float16") == [], "the configuration's own check says that"
