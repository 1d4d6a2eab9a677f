"""What CTranslate2 computes on here and in which number format, and what it means when that fails: its only file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transcription.errors import DeviceUnavailable, ModelUnavailable
from transcription.settings import TranscriptionSettings
from transcription.transcriber import ON_CPU, Where
from transcription.whisper import gpu
from transcription.whisper.features import Floats
from transcription.whisper.gpu import Lack

FITTEST = {"cpu": ("int8", "float32"), "cuda": ("float16", "int8", "float32")}
"""What ``auto`` takes of the number formats that a device has. On a GPU that of the stock weights: 8 bits are no
faster there, only smaller."""


@dataclass(frozen=True, slots=True)
class ComputeDevice:
    """A device as CTranslate2 is told of it, the number format, and the same for people."""

    device: str
    index: int
    compute_type: str
    where: Where = ON_CPU

    @property
    def is_gpu(self) -> bool:
        """Whether it is none of the processor's cores."""
        return self.device == "cuda"


def tensor(values: Floats) -> Any:
    """An array as CTranslate2 takes it."""
    return _ctranslate2().StorageView.from_array(values)


def place(settings: TranscriptionSettings) -> ComputeDevice:
    """Where the settings' model is to compute.

    ``auto`` is the first GPU, and the CPU where there is none that can be used, with the reason. Raises
    DeviceUnavailable, and ModelUnavailable where the device has no such number format.
    """
    if settings.device == "cpu":
        return _on_cpu(settings)
    index = int(settings.device.partition(":")[2] or 0)
    lack = _lack(index)
    if lack is None:
        return _on_gpu(settings, index)
    if settings.device != "auto":
        raise DeviceUnavailable(
            f"transcription.device is {settings.device}: {lack.reason}", remedy=lack.remedy
        )
    return _on_cpu(settings, f"{lack.reason}; {lack.remedy}")


def instead(settings: TranscriptionSettings, error: ModelUnavailable) -> Where:
    """What is told of a model that ``auto`` put on the CPU because the GPU failed."""
    full = isinstance(error, DeviceUnavailable) and error.full
    return Where(notice=_notice(settings, f"{error}; {error.remedy}"), full=full)


def gpus() -> int:
    """How many GPUs CUDA can use, as far as it knows before it does; its libraries are another matter."""
    return int(_ctranslate2().get_cuda_device_count())


def number_formats(device: str, index: int = 0) -> set[str]:
    """What a device has. Raises ValueError and RuntimeError, as CTranslate2 does."""
    return set(_ctranslate2().get_supported_compute_types(device, index))


def fault(error: Exception) -> DeviceUnavailable | None:
    """What a failure means if it was the GPU's; None: it was not."""
    said = str(error)
    if not any(sign in said for sign in _SIGNS):
        return None
    for signs, remedy, full in _FAULTS:
        if any(sign in said for sign in signs):
            return DeviceUnavailable(f"the GPU: {said}", remedy=remedy, full=full)
    return DeviceUnavailable(
        f"the GPU: {said}", remedy="nvidia-smi and the kernel's log (dmesg: NVRM, Xid) say more"
    )


_SIGNS = ("CUDA failed with error", "cuBLAS failed with status", gpu.CUBLAS, "compiled with CUDA support")
_FAULTS: tuple[tuple[tuple[str, ...], str, bool], ...] = (
    (
        ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_NOT_INITIALIZED"),
        "take a smaller transcription.model, or compute_type: int8; or end what else is on the GPU (nvidia-smi)",
        True,
    ),
    (
        ("no kernel image", "CUBLAS_STATUS_ARCH_MISMATCH"),
        "this CTranslate2 has no code for this GPU: pip install --upgrade ctranslate2, or transcription.device: cpu",
        False,
    ),
    (("driver version is insufficient",), f"install NVIDIA's driver {gpu.OLDEST_DRIVER} or newer", False),
    ((gpu.CUBLAS,), gpu.PIP_CUDA, False),
    (
        ("compiled with CUDA support",),
        "the wheels of CTranslate2 have CUDA for x86-64 only; elsewhere it is built from source, WITH_CUDA=ON",
        False,
    ),
)
"""Words of CTranslate2's messages, what to do then, and whether it was for want of memory."""


def _ctranslate2() -> Any:
    import ctranslate2  # noqa: PLC0415 - 20 MB that only an engine needs

    return ctranslate2


def _lack(index: int) -> Lack | None:
    """What keeps that GPU from being used, as far as it is known before it is."""
    count = gpus()
    if count == 0:
        return gpu.why_none()
    if index >= count:
        known = ", ".join(f"cuda:{number}" for number in range(count))
        return Lack(f"there is no cuda:{index}", f"of this machine's GPUs CUDA can use {known}")
    return gpu.load_libraries()


def _on_cpu(settings: TranscriptionSettings, lack: str = "") -> ComputeDevice:
    wanted = settings.compute_type
    if lack and wanted not in {*number_formats("cpu"), "default"}:  # meant for the GPU
        wanted = "auto"
    where = Where(notice=_notice(settings, lack)) if lack else ON_CPU
    return ComputeDevice("cpu", 0, _format(wanted, "cpu", 0), where)


def _on_gpu(settings: TranscriptionSettings, index: int) -> ComputeDevice:
    try:
        compute_type = _format(settings.compute_type, "cuda", index)
    except (RuntimeError, ValueError) as error:  # the first thing that it is asked
        raise fault(error) or error from error
    return ComputeDevice("cuda", index, compute_type, Where(f"cuda:{index}, {compute_type}"))


def _format(wanted: str, device: str, index: int) -> str:
    known = number_formats(device, index)
    if wanted == "auto":
        return next(one for one in FITTEST[device] if one in known)
    if wanted not in {*known, "default"}:
        name = "the CPU" if device == "cpu" else f"cuda:{index}"
        raise ModelUnavailable(
            f"{name} has no {wanted}",
            remedy=f"set transcription.compute_type to auto, or to one of {', '.join(sorted(known))}",
        )
    return wanted


def _notice(settings: TranscriptionSettings, lack: str) -> str:
    return f"{settings.model} computes on the CPU, because transcription.device is auto and {lack}"
