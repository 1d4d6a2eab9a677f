"""https and wss: certificates from files and of the gateway's own, from first use to renewal."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.access.private_files import write_private
from gateway.client.credentials import BadCertificates, Introduction
from gateway.client.listener import Listener, ListenerRefused
from gateway.contract.events import SnapshotEvent
from gateway.hub.hub import Hub
from gateway.process.clock import DAY
from gateway.settings.web import WebSettings, WebTlsSettings
from gateway.web import CannotListen, WebServer
from gateway.web.entrance.certificate import DAYS, validity
from gateway.web.entrance.tls import RENEW_SECONDS, Tls, TlsUnavailable
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.house import PATIENCE, bearer, web_server
from tests.servers.certificates import Certificates, make_certificates


def settings(**tls: str | bool) -> WebSettings:
    return WebSettings(port=0, require_token=True, tls=WebTlsSettings(**tls))  # type: ignore[arg-type]


@asynccontextmanager
async def serving(settings: WebSettings, folder: Path) -> AsyncIterator[WebServer]:
    async with web_server(Hub(settings), folder=folder) as server:
        yield server


async def fetch(url: str, ca: Path, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    context = ssl.create_default_context(cafile=str(ca))
    async with ClientSession() as client, client.get(url, headers=headers, ssl=context) as answer:
        return answer.status, dict(answer.headers)


async def test_certificate_files(certificates: Certificates, keyring: Keyring) -> None:
    wanted = settings(cert_file=str(certificates.server_cert), key_file=str(certificates.server_key))
    token = keyring.token()
    async with serving(wanted, keyring.folder) as server:
        assert server.url.startswith("https://127.0.0.1:")
        status, headers = await fetch(server.url + "api/v1/session", certificates.ca, bearer(token))
        assert (status, headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
        async with Listener(server.url, introduction=Introduction(token, str(certificates.ca))) as listener:
            assert isinstance(await asyncio.wait_for(anext(listener), PATIENCE), SnapshotEvent)


async def test_the_pages_cookie_travels_by_tls_only(certificates: Certificates, keyring: Keyring) -> None:
    wanted = settings(cert_file=str(certificates.server_cert), key_file=str(certificates.server_key))
    context = ssl.create_default_context(cafile=str(certificates.ca))
    body = {"token": keyring.token()}
    async with (
        serving(wanted, keyring.folder) as server,
        ClientSession() as client,
        client.post(server.url + "api/v1/session", json=body, ssl=context) as answer,
    ):
        cookie = answer.cookies["__Host-earshot"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Strict")


@pytest.mark.slow
async def test_a_certificate_of_its_own(keyring: Keyring) -> None:
    wanted, folder = settings(self_signed=True), keyring.folder
    token = keyring.token()
    async with serving(wanted, folder) as server:
        status, headers = await fetch(server.url + "api/v1/session", folder / "web.crt", bearer(token))
        assert status == 200
        assert "Strict-Transport-Security" not in headers
        with pytest.raises(ListenerRefused, match="not trusted"):
            await Listener(server.url, introduction=Introduction(token)).__aenter__()
        by_name = server.url.replace("127.0.0.1", "localhost")
        async with Listener(by_name, introduction=Introduction(token, str(folder / "web.crt"))) as listener:
            assert isinstance(await asyncio.wait_for(anext(listener), PATIENCE), SnapshotEvent)
    assert (folder / "web.key").stat().st_mode & 0o777 == 0o600
    first = (folder / "web.crt").read_bytes()
    async with serving(wanted, folder):
        assert (folder / "web.crt").read_bytes() == first, "it is made once"


def test_the_fingerprint_is_the_one_that_browsers_show(tmp_path: Path) -> None:
    tls = Tls(settings(self_signed=True), tmp_path)
    der = ssl.PEM_cert_to_DER_cert((tmp_path / "web.crt").read_text())
    assert tls.fingerprint.replace(":", "").lower() == hashlib.sha256(der).hexdigest()
    assert len(tls.fingerprint.split(":")) == 32


def test_a_renewed_certificate_is_taken(tmp_path: Path) -> None:
    first, second = (make_certificates(_folder(tmp_path, name)) for name in ("first", "second"))
    cert, key = tmp_path / "web.pem", tmp_path / "web.key"

    def put(certificates: Certificates) -> None:
        write_private(cert, certificates.server_cert.read_bytes())
        write_private(key, certificates.server_key.read_bytes())

    put(first)
    tls = Tls(settings(cert_file=str(cert), key_file=str(key)), None)
    assert not tls.load()
    before = tls.fingerprint
    put(second)
    assert tls.load()
    assert tls.fingerprint != before
    cert.write_text("half of it")
    with pytest.raises(TlsUnavailable):
        tls.load()
    put(second)
    tls.load()


def _folder(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    "tls",
    [
        {"cert_file": "/nowhere.pem"},
        {"cert_file": "/etc/hostname"},
        {"cert_file": "/etc/passwd", "key_file": "/etc/passwd"},
    ],
)
async def test_no_certificate_no_page(tls: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="certificate cannot be used") as caught:
        await web_server(Hub(settings(**tls)), folder=tmp_path).__aenter__()
    assert "web.tls.cert_file" in caught.value.remedy
    assert tls["cert_file"] in caught.value.reason
    assert "SSL" not in caught.value.reason


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotListen, match="cannot be written"):
        await web_server(Hub(settings(self_signed=True)), folder=tmp_path / "file").__aenter__()


def test_old_tls_is_refused(certificates: Certificates, tmp_path: Path) -> None:
    tls = Tls(
        settings(cert_file=str(certificates.server_cert), key_file=str(certificates.server_key)), tmp_path
    )
    assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2


class TestStrangersAtTheDoor:
    @pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff", b"\x00" * 5_000])
    async def test_what_is_no_tls_is_closed(
        self, certificates: Certificates, keyring: Keyring, sent: bytes
    ) -> None:
        wanted = settings(cert_file=str(certificates.server_cert), key_file=str(certificates.server_key))
        async with serving(wanted, keyring.folder) as server:
            port = int(server.url.split(":")[2].strip("/"))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            writer.write_eof()
            try:
                got = await asyncio.wait_for(reader.read(), PATIENCE)
            except ConnectionError:
                got = b""
            assert b"HTTP" not in got
            writer.close()
            status, _ = await fetch(server.url + "livez", certificates.ca, {})
            assert status == 200


def test_certificates_that_cannot_be_read() -> None:
    with pytest.raises(BadCertificates, match="nowhere"):
        Listener("https://127.0.0.1/", introduction=Introduction("", "/nowhere.pem"))


def test_a_token_is_in_no_description() -> None:
    assert "secret" not in repr(Introduction("secret"))


@pytest.mark.slow
def test_cryptography_is_loaded_only_to_make_one() -> None:
    code = "import sys\nimport gateway.web.server, gateway.commands.run\nprint('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_one_of_its_own_is_made_anew_before_it_ends_whatever_its_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = Tls(settings(self_signed=True), tmp_path)
    before, made_at = tls.fingerprint, time.time()
    os.utime(tmp_path / "web.crt", (0, 0))
    tls.load()
    assert tls.fingerprint == before, "a copied file is as good as it was"
    monkeypatch.setattr(time, "time", lambda: made_at + DAYS * DAY - RENEW_SECONDS + 60)
    assert tls.load()
    assert tls.fingerprint != before
    assert not tls.load()


@pytest.mark.parametrize("made", [100.0, 40 * DAY], ids=["in 1970", "forty days ahead"])
def test_one_that_was_made_when_the_clock_was_wrong_is_made_anew_when_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: float
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: made if made < DAY else now + made)
    tls = Tls(settings(self_signed=True), tmp_path)
    before = tls.fingerprint
    assert not tls.load()
    monkeypatch.setattr(time, "time", lambda: now)
    assert tls.load()
    since, until = validity(tmp_path / "web.crt")
    assert since < now < until
    assert tls.fingerprint != before


def test_a_clock_that_was_not_set_condemns_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = Tls(settings(self_signed=True), tmp_path)
    monkeypatch.setattr(time, "time", lambda: 100.0)
    assert not tls.load()


def test_a_context_in_use_is_left_alone(tmp_path: Path) -> None:
    tls = Tls(settings(self_signed=True), tmp_path)
    before = tls.context
    (tmp_path / "web.key").unlink()
    assert tls.load()
    assert tls.context is not before
