"""Audio fetched from a gateway that answers, and from one that does what it likes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gateway.broker.base import BrokerUnavailable
from gateway.recognizers.claim_checks import NotThere
from gateway.recognizers.worker import fetching
from gateway.recognizers.worker.fetching import AudioFetcher
from tests.servers.certificates import Certificates
from tests.servers.unruly_http import Told, unruly


async def test_what_lies_there_is_brought() -> None:
    async with unruly() as gateway:
        gateway.usual = Told([b"fla", b"c"], content_type="application/octet-stream")
        assert await AudioFetcher()(f"{gateway.url}/recognition/audio/x", 4) == b"flac"


@pytest.mark.parametrize(
    ("told", "error", "why"),
    [
        (Told(status=404), NotThere, "no longer"),
        (Told(status=410), NotThere, "no longer"),
        (Told([b"12345"]), NotThere, "larger"),
        (Told(status=302, headers={"Location": "http://127.0.0.1:1/"}), BrokerUnavailable, "status 302"),
        (Told(status=503), BrokerUnavailable, "status 503"),
        (Told([b"123"], headers={"Content-Length": "4"}, cut=True), BrokerUnavailable, "cannot be reached"),
        (Told(drops=True), BrokerUnavailable, "cannot be reached"),
        (Told(silent=True), BrokerUnavailable, "cannot be reached"),
        (Told([b"12"], hangs=True), BrokerUnavailable, "cannot be reached"),
    ],
)
async def test_what_cannot_be_had_is_told(
    told: Told, error: type[Exception], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "FETCH_SECONDS", 1.0)
    async with unruly() as gateway:
        gateway.usual = told
        with pytest.raises(error, match=why):
            await AudioFetcher()(f"{gateway.url}/recognition/audio/x", 4)


async def test_who_signed_is_looked_at(certificates: Certificates) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificates.server_cert, certificates.server_key)
    async with unruly(tls) as gateway:
        gateway.usual = Told([b"flac"])
        with pytest.raises(BrokerUnavailable, match="cannot be reached"):
            await AudioFetcher()(f"{gateway.url}/recognition/audio/x", 4)
        assert await AudioFetcher(str(certificates.ca))(f"{gateway.url}/recognition/audio/x", 4) == b"flac"


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AudioFetcher(str(tmp_path / "nothing"))
    (tmp_path / "garbage").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        AudioFetcher(str(tmp_path / "garbage"))
