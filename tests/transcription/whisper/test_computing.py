"""Where a model computes, by what CTranslate2 itself says of this machine."""

from __future__ import annotations

import pytest

from tests.transcription.speech import TEXTS, recording, utterance
from transcription.errors import DeviceUnavailable, ModelUnavailable
from transcription.settings import TranscriptionSettings
from transcription.whisper.computing import fault, gpus, number_formats, place
from transcription.whisper.engine import WhisperTranscriber

NO_GPU = pytest.mark.skipif(gpus() > 0, reason="there is a GPU here")
A_GPU = pytest.mark.skipif(gpus() == 0, reason="there is no GPU here")


def settings(**values: object) -> TranscriptionSettings:
    return TranscriptionSettings(**values)  # type: ignore[arg-type]


def test_the_processor_is_what_nobody_has_to_ask_for() -> None:
    chosen = place(TranscriptionSettings())
    assert (chosen.device, chosen.compute_type, chosen.is_gpu) == ("cpu", "int8", False)
    assert (chosen.where.gpu, chosen.where.notice) == ("", "")


@pytest.mark.parametrize("known", sorted(number_formats("cpu") - {"int16"}))
def test_each_number_format_that_the_processor_has(known: str) -> None:
    assert place(settings(compute_type=known)).compute_type == known
    assert place(settings(compute_type="default")).compute_type == "default"


def test_a_number_format_that_a_device_lacks_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(ModelUnavailable, match="the CPU has no float16") as caught:
        place(settings(compute_type="float16"))
    assert "int8" in caught.value.remedy
    assert not isinstance(caught.value, DeviceUnavailable)


@NO_GPU
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_who_wants_a_gpu_hears_why_there_is_none(device: str) -> None:
    with pytest.raises(DeviceUnavailable, match=f"transcription.device is {device}: ") as caught:
        WhisperTranscriber(settings(device=device)).load()
    assert caught.value.remedy
    assert not caught.value.full


@NO_GPU
@pytest.mark.parametrize("wanted", ["auto", "float16", "int8_float16", "int8"])
def test_auto_is_the_processor_where_there_is_none_and_says_so(wanted: str) -> None:
    chosen = place(settings(device="auto", compute_type=wanted))
    assert (chosen.device, chosen.compute_type) == ("cpu", "int8")
    assert chosen.where.notice.startswith(
        "bundled computes on the CPU, because transcription.device is auto and "
    )


@NO_GPU
@pytest.mark.slow
def test_the_engine_tells_where_it_computes() -> None:
    engine = WhisperTranscriber(settings(device="auto"))
    engine.load()
    assert engine.transcribe(utterance(recording("u05"))).text == TEXTS["u05"]
    assert (engine.where.gpu, engine.where.full) == ("", False)
    assert "on the CPU" in engine.where.notice


@A_GPU
@pytest.mark.parametrize("compute_type", ["auto", "float16", "int8_float16", "float32"])
def test_on_a_gpu_the_same_is_heard(compute_type: str) -> None:
    if compute_type not in {*number_formats("cuda"), "auto"}:
        pytest.skip(f"this GPU has no {compute_type}")
    engine = WhisperTranscriber(settings(device="cuda", compute_type=compute_type))
    engine.load()
    assert engine.where.gpu.startswith("cuda:0, ")
    assert engine.transcribe(utterance(recording("u05"))).text == TEXTS["u05"]


@A_GPU
def test_a_gpu_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(DeviceUnavailable, match="there is no cuda:99") as caught:
        place(settings(device="cuda:99"))
    assert "cuda:0" in caught.value.remedy


@pytest.mark.parametrize(
    ("said", "full", "remedy"),
    [
        ("CUDA failed with error out of memory", True, "smaller"),
        ("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED", True, "smaller"),
        ("cuBLAS failed with status CUBLAS_STATUS_NOT_INITIALIZED", True, "smaller"),
        (
            "CUDA failed with error no kernel image is available for execution on the device",
            False,
            "--upgrade",
        ),
        ("CUDA failed with error CUDA driver version is insufficient for CUDA runtime version", False, "525"),
        ("Library libcublas.so.12 is not found or cannot be loaded", False, "earshot-gateway[cuda]"),
        ("Cannot load symbol cublasCreate_v2 from library libcublas.so.12", False, "earshot-gateway[cuda]"),
        ("This CTranslate2 package was not compiled with CUDA support", False, "x86-64"),
        ("CUDA failed with error an illegal memory access was encountered", False, "dmesg"),
        ("cuBLAS failed with status CUBLAS_STATUS_EXECUTION_FAILED", False, "dmesg"),
    ],
)
def test_what_ctranslate2_says_of_a_gpu_has_a_remedy(said: str, full: object, remedy: str) -> None:
    told = fault(RuntimeError(said))
    assert told is not None
    assert str(told) == f"the GPU: {said}"
    assert (told.full, remedy in told.remedy) == (full, True)


@pytest.mark.parametrize(
    "said", ["unsupported device tpu", "Unable to open file 'model.bin'", "out of memory"]
)
def test_what_else_goes_wrong_is_not_the_gpus(said: str) -> None:
    assert fault(ValueError(said)) is None


@NO_GPU
def test_ctranslate2_itself_says_it_in_these_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        number_formats("cuda")
    told = fault(caught.value)
    assert told is not None
    assert told.remedy.startswith(("install NVIDIA's driver", "the wheels of CTranslate2", "nvidia-smi"))
