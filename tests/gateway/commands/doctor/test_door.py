"""The doctor at the door: every finding, and nothing made on the way."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from gateway.commands.doctor import doctor
from gateway.commands.doctor.door import door
from gateway.commands.doctor.finding import Finding, warn
from gateway.config import places
from gateway.config.configuration import GatewayConfig
from gateway.hub.hub import Hub
from gateway.settings.web import WebSettings, WebTlsSettings
from tests.gateway.access.keyring import Keyring
from tests.gateway.web.house import web_server

LAN = WebSettings(host="0.0.0.0")
SIGNED = WebTlsSettings(self_signed=True)


def found(web: WebSettings, folder: Path) -> dict[str, Finding]:
    return {finding.what: finding for finding in door(web, folder)}


def test_on_this_machine_it_is_open(tmp_path: Path) -> None:
    (finding,) = door(WebSettings(), tmp_path)
    assert (finding.state, "open to this machine" in finding.detail) == ("ok", True)
    assert list(door(WebSettings(enabled=False), tmp_path)) == []


def test_nobody_has_a_token(tmp_path: Path) -> None:
    finding = found(LAN, tmp_path)["tokens"]
    assert finding.state == "fail"
    assert finding.remedy == "earshot token create --role operator --days 90 me"
    assert found(WebSettings(require_token=True), tmp_path)["tokens"].state == "warn"
    assert list(tmp_path.iterdir()) == []


def test_tokens_that_end_soon(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.make("ann", days=400)
    assert found(LAN, tmp_path)["tokens"].state == "ok"
    keyring.make("bob", days=3)
    finding = found(LAN, tmp_path)["tokens"]
    assert (finding.state, finding.remedy) == ("warn", "earshot token rotate bob")


def test_tokens_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text("nonsense")
    assert found(LAN, tmp_path)["tokens"].state == "fail"


def test_in_the_clear(tmp_path: Path) -> None:
    assert found(LAN, tmp_path)["tls"].state == "warn"
    assert found(WebSettings(require_token=True), tmp_path)["tls"].state == "ok"


def test_certificates(tmp_path: Path) -> None:
    web = WebSettings(host="0.0.0.0", tls=SIGNED)
    assert "at its first start" in found(web, tmp_path)["tls"].detail
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "web.key").write_text("no key")
    (tmp_path / "web.crt").write_text("no certificate")
    assert found(web, tmp_path)["tls"].state == "fail"
    missing = WebSettings(host="0.0.0.0", tls=WebTlsSettings(cert_file="/nowhere.pem"))
    assert found(missing, tmp_path)["tls"].state == "fail"


def test_what_others_may_read(tmp_path: Path) -> None:
    Keyring(tmp_path).make_old()
    Keyring(tmp_path).file.path.chmod(0o600)
    assert "door" not in found(LAN, tmp_path)
    (tmp_path / "token.key").chmod(0o644)
    finding = found(LAN, tmp_path)["door"]
    assert (finding.state, "token.key" in finding.detail) == ("warn", True)


def test_a_key_that_nothing_is_signed_with(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.make("bob")
    assert "key" not in found(LAN, tmp_path)
    configured = WebSettings(host="0.0.0.0", secret_file=str(keyring.key))
    token, _ = keyring.make_old("ann")
    for web in (LAN, configured):
        needed = found(web, tmp_path)["key"]
        assert (needed.state, needed.detail.endswith("rotated or end: ann")) == ("ok", True)
    keyring.file.revoke(token.token_id)
    assert found(LAN, tmp_path)["key"] == warn(
        "key", "tokens are not signed any more, and need none", f"remove {keyring.key}"
    )
    keyring.key.unlink()
    assert "key" not in found(LAN, tmp_path)
    assert found(configured, tmp_path)["key"].remedy.startswith("remove web.secret_file, and ")


@pytest.mark.slow
async def test_a_gateway_behind_tls_is_recognized(tmp_path: Path) -> None:
    settings = WebSettings(port=0, tls=SIGNED)
    async with web_server(Hub(settings), folder=tmp_path) as server:
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        config = GatewayConfig(web=WebSettings(port=port, tls=SIGNED))
        (finding,) = await asyncio.to_thread(lambda: list(doctor.web(config)))
    assert finding.detail == f"a gateway is running at 127.0.0.1:{port}"


def test_the_services_configuration_means_the_services_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, config = tmp_path / "lib", tmp_path / "config.yaml"
    monkeypatch.setattr(places, "SYSTEM_CONFIG", config)
    monkeypatch.setattr(places, "SERVICE_FOLDER", service)
    mine = {"XDG_STATE_HOME": str(tmp_path / "mine"), "PATH": os.environ["PATH"]}
    folder = places.state_folder
    assert folder(GatewayConfig(), config, mine) == tmp_path / "mine" / "earshot"
    service.mkdir()
    assert folder(GatewayConfig(), config, mine) == service
    assert folder(GatewayConfig(), tmp_path / "other.yaml", mine) == tmp_path / "mine" / "earshot"
