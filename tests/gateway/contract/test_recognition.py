"""Jobs, results and presence of recognizers as they travel."""

import msgspec
import pytest

from gateway.contract.messages import MESSAGE_BYTES, BadMessage
from gateway.contract.recognition import (
    AudioCodec,
    ClaimCheck,
    Failure,
    JobHints,
    RecognitionJob,
    RecognitionResult,
    Urgency,
    WorkerPresence,
    decode_job,
    decode_result,
    decode_worker,
    encode_recognition,
    jobs_topic,
    model_token,
)

JOB = RecognitionJob(
    job_id="j_1",
    gateway="gate-1",
    urgency=Urgency.FINAL,
    model="base",
    audio=b"fLaC",
    samples=16_000,
    hints=JobHints(language="de", names=("Siobhan",)),
    codec=AudioCodec.FLAC,
)


def test_what_is_written_is_read() -> None:
    result = RecognitionResult(job_id="j_1", worker="w", failure=Failure.LATE)
    worker = WorkerPresence(worker="w", languages=("en", "de"))
    assert decode_job(encode_recognition(JOB)) == JOB
    assert decode_result(encode_recognition(result)) == result
    assert decode_worker(encode_recognition(worker)) == worker


@pytest.mark.parametrize(
    "wrong",
    [
        {"gateway": "a/b"},
        {"urgency": "soon"},
        {"samples": -1},
        {"seconds": 0},
        {"priority": "first"},
        {"hints": {"task": "sing"}},
        {"claim": {"place": "file", "key": "/etc/passwd", "bytes": 1, "sha256": "0" * 64}},
        {"claim": {"place": "store", "key": "k", "bytes": 1, "sha256": "0"}},
    ],
)
def test_a_job_with_a_wrong_field_is_none(wrong: dict[str, object]) -> None:
    payload = msgspec.msgpack.encode(msgspec.to_builtins(JOB, builtin_types=(bytes,)) | wrong)
    with pytest.raises(BadMessage):
        decode_job(payload)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"{}", bytes(1 + MESSAGE_BYTES)])
def test_garbage_is_no_message(payload: bytes) -> None:
    for decode in (decode_job, decode_result, decode_worker):
        with pytest.raises(BadMessage):
            decode(payload)


def test_a_claim_check_travels() -> None:
    claim = ClaimCheck(place="store", key="audio.j_1", bytes=300_000, sha256="a" * 64)
    job = msgspec.structs.replace(JOB, audio=b"", claim=claim)
    assert decode_job(encode_recognition(job)).claim == claim


def test_models_have_topics_of_their_own() -> None:
    assert jobs_topic("base", Urgency.GUESS) == "recognition.jobs.base.guess"
    names = [
        "Systran/faster-whisper-base",
        "Systran_faster-whisper/base",
        "/models/base",
        "tiny.en",
        "tiny-en",
    ]
    tokens = [model_token(name) for name in names]
    assert len(set(tokens)) == len(names)
    assert all(len(token) <= 64 for token in tokens)
