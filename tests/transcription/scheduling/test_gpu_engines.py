"""What becomes of a GPU that fails: as the model is loaded, at work, and where there is no room for two models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.transcription.gpu_engine import FULL, GpuEngine
from tests.transcription.scheduling.test_keeper import until
from tests.transcription.scheduling.test_scheduler import AT_ONCE, States, of_length
from transcription.errors import DeviceUnavailable, EngineDied, ModelUnavailable
from transcription.process.process import ProcessTranscriber
from transcription.recognizing import Phase
from transcription.scheduling import engines
from transcription.scheduling.engines import OpenEngine, open_engine
from transcription.scheduling.scheduler import Recognizer
from transcription.settings import TranscriptionSettings
from transcription.transcriber import OnProgress, Where

ON_GPU = Where("cuda:0, float16")


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "WhisperTranscriber", GpuEngine)


@pytest.fixture
def opened() -> Iterator[list[OpenEngine]]:
    those: list[OpenEngine] = []
    yield those
    for one in those:
        one.transcriber.close()


def settings(model: str, device: str = "auto", isolation: str = "inline") -> TranscriptionSettings:
    return TranscriptionSettings(engine="faster-whisper", model=model, device=device, isolation=isolation)  # type: ignore[arg-type]


def test_a_gpu_that_works_is_used_and_told() -> None:
    assert open_engine(settings("base")).where == ON_GPU


@pytest.mark.parametrize(("model", "full"), [("full", True), ("gone", False)])
def test_auto_goes_on_without_a_gpu_that_fails_and_says_why(model: str, full: object) -> None:
    where = open_engine(settings(model)).where
    assert (where.gpu, where.full) == ("", full)
    assert where.notice.startswith(f"{model} computes on the CPU, because transcription.device is auto and ")


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_who_wants_the_gpu_alone_hears_that_it_failed(isolation: str) -> None:
    with pytest.raises(DeviceUnavailable, match="out of memory") as caught:
        open_engine(settings("full", "cuda", isolation))
    assert (caught.value.remedy, caught.value.full) == (FULL.remedy, True)


@pytest.mark.slow
def test_a_gpu_that_takes_the_process_along_is_none_either(opened: list[OpenEngine]) -> None:
    opened.append(open_engine(settings("crash", isolation="process")))
    assert opened[0].where.gpu == ""
    assert "crashed" in opened[0].where.notice
    with pytest.raises(EngineDied, match="crashed"):
        open_engine(settings("crash", isolation="process"), patient=True)


def test_what_is_no_fault_of_the_gpu_is_not_tried_without_it() -> None:
    with pytest.raises(ModelUnavailable, match="no such weights"):
        open_engine(settings("broken"))


@pytest.mark.slow
def test_a_process_whose_gpu_is_past_help_ends_and_says_so() -> None:
    engine = ProcessTranscriber(GpuEngine, settings("lost"))
    engine.load()
    try:
        assert engine.where == ON_GPU
        assert engine.transcribe(of_length(8)).text == "heard"
        with pytest.raises(
            EngineDied, match="ended with status 1: the GPU: CUDA failed with error an illegal"
        ):
            engine.transcribe(of_length(8))
    finally:
        engine.close()


async def test_an_utterance_at_which_the_gpu_failed_is_done_again() -> None:
    states = States()
    async with Recognizer(settings("lost"), states, retry_seconds=AT_ONCE) as r:
        texts = [(await r.transcribe(of_length(8), owner="a")).transcript.text for _ in range(3)]
    assert texts == ["heard"] * 3
    assert states.phases.count(Phase.READY) >= 2


class SmallGpu:
    """It has room for one model: another one is refused, or put on the CPU, as long as that is open."""

    def __init__(self) -> None:
        self.on_it: list[TenantEngine] = []

    def __call__(
        self, settings: TranscriptionSettings, *, fallback: bool, patient: bool, on_progress: OnProgress
    ) -> OpenEngine:
        engine = TenantEngine(settings, self)
        if not self.on_it:
            self.on_it.append(engine)
            return OpenEngine(engine, where=ON_GPU)
        if settings.device != "auto":
            raise FULL
        return OpenEngine(engine, where=Where(notice="no room", full=True))


class TenantEngine(GpuEngine):
    def __init__(self, settings: TranscriptionSettings, gpu: SmallGpu) -> None:
        super().__init__(settings)
        self._gpu = gpu

    def close(self) -> None:
        if self in self._gpu.on_it:
            self._gpu.on_it.remove(self)


@pytest.mark.parametrize("device", ["auto", "cuda"])
async def test_a_new_model_takes_the_place_of_the_one_before_on_a_small_gpu(device: str) -> None:
    gpu, states = SmallGpu(), States()
    async with Recognizer(settings("one", device), states, open_engine=gpu, retry_seconds=AT_ONCE) as r:
        await states.until(Phase.READY)
        r.change(settings("two", device))
        await until(states, lambda: r.verdict is not None)
        assert (r.state.model, r.state.where) == ("two", ON_GPU)
        assert [one.model for one in gpu.on_it] == ["two"]
        assert (await r.transcribe(of_length(8), owner="a")).transcript.model == "two"


async def test_the_device_changes_while_the_gateway_runs() -> None:
    states = States()
    async with Recognizer(settings("base", "cpu"), states, retry_seconds=AT_ONCE) as r:
        assert (await states.until(Phase.READY)).where.gpu == ""
        r.change(settings("base", "cuda"))
        await until(states, lambda: bool(r.verdict))
        assert r.state.where == ON_GPU


async def test_a_reload_tries_a_gpu_again_that_was_full() -> None:
    gpu, states = SmallGpu(), States()
    gpu.on_it.append(TenantEngine(settings("somebody else's"), gpu))
    async with Recognizer(settings("one"), states, open_engine=gpu, retry_seconds=AT_ONCE) as r:
        assert (await states.until(Phase.READY)).where == Where(notice="no room", full=True)
        gpu.on_it.clear()
        r.change(settings("one"))
        await until(states, lambda: bool(r.state.where.gpu))
        assert r.state.where == ON_GPU
