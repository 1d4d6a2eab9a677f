"""``earshot token``: made, listed, rotated and revoked from the command line, beside a gateway that runs or not."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.access.token_text import digest
from gateway.access.tokens import TokenFile
from gateway.commands.cli import main
from tests.servers.redis import Redis


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def run(folder: Path, *arguments: str) -> Result:
    (folder.parent / "config.yaml").write_text("{}")
    start = ("token", "--config", str(folder.parent / "config.yaml"), "--folder", str(folder))
    return CliRunner().invoke(main, [*start, *arguments])


def make(folder: Path, name: str = "ann", *more: str) -> str:
    done = run(folder, "create", "--role", "listener", name, *more)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def listed(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in run(folder, "list", "--json").stdout.splitlines()]


def test_a_token_is_shown_once_and_only_its_digest_is_kept(folder: Path) -> None:
    text = make(folder, "panel", "--device", "kitchen", "--device", "hall", "--user", "ann", "--days", "7")
    (token,) = TokenFile(folder).read().tokens.values()
    assert (token.digest, token.is_signed) == (digest(text), False)
    assert (token.name, token.role, token.devices, token.users) == (
        "panel",
        "listener",
        ("kitchen", "hall"),
        ("ann",),
    )
    assert token.expires_at - token.made_at == 7 * 86_400
    for file in folder.iterdir():
        assert text not in file.read_text(), file
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert "until" in run(folder, "list").output
    assert "device kitchen, device hall, user ann" in run(folder, "list").output


def test_revoked_by_name_and_by_id(folder: Path) -> None:
    make(folder, "ann")
    make(folder, "bob")
    bob = next(str(one["token_id"]) for one in listed(folder) if one["name"] == "bob")
    assert "is revoked" in run(folder, "revoke", "ann").output
    assert "is revoked" in run(folder, "revoke", bob).output
    assert "already" in run(folder, "revoke", bob).output
    assert {one["state"] for one in listed(folder)} == {"revoked"}
    make(folder, "ann")  # the name is free again


def test_rotated_with_an_overlap(folder: Path) -> None:
    old = make(folder, "ann", "--device", "kitchen")
    done = run(folder, "rotate", "ann", "--overlap-hours", "0.5", "--days", "3")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() != old
    first, second = listed(folder)
    assert first["state"] == second["state"] == "good"
    assert first["devices"] == second["devices"] == ["kitchen"]
    assert float(str(first["expires_at"])) - float(str(second["made_at"])) == pytest.approx(1_800, abs=5)


def test_all_revoked_at_once(folder: Path) -> None:
    make(folder, "ann")
    make(folder, "bob")
    run(folder, "revoke", "ann")
    done = run(folder, "revoke", "--all")
    assert (done.exit_code, "(bob) is revoked" in done.output, "ann" in done.output) == (0, True, False)
    assert {one["state"] for one in listed(folder)} == {"revoked"}
    assert "none that is not revoked" in run(folder, "revoke", "--all").output


def test_new_key_does_what_is_left_of_it(folder: Path) -> None:
    """For whoever has it in a script."""
    make(folder)
    done = run(folder, "new-key")
    assert (done.exit_code, "not signed any more" in done.stderr) == (0, True)
    assert {one["state"] for one in listed(folder)} == {"good"}
    assert run(folder, "new-key", "--drop-old").exit_code == 0
    assert {one["state"] for one in listed(folder)} == {"revoked"}
    assert not (folder / "token.key").exists()
    assert "new-key" not in run(folder, "--help").output


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("create", "--role", "listener", "a b"), 1, "is not a name"),
        (("create", "--role", "listener", "x" * 65), 1, "is not a name"),
        (("create", "--role", "listener", "--device", "a/b", "ann"), 1, "'a/b' is not a name"),
        (("create", "--role", "listener", "--device", "a..b", "ann"), 1, "a device's may have single dots"),
        (("create", "--role", "device", "board"), 1, "--device ID"),
        (("create", "--role", "king", "ann"), 2, "'king' is not one of"),
        (("create", "--role", "listener", "--days", "0", "ann"), 2, "--days"),
        (("create", "ann"), 2, "--role"),
        (("revoke", "nobody"), 1, "there is no token 'nobody'"),
        (("rotate", "nobody"), 1, "there is no token 'nobody'"),
        (("revoke",), 2, "name a token"),
        (("revoke", "--all", "ann"), 2, "name a token"),
    ],
)
def test_what_cannot_be_done(folder: Path, arguments: tuple[str, ...], status: int, message: str) -> None:
    done = run(folder, *arguments)
    assert done.exit_code == status
    assert message in done.output


def test_a_name_is_given_once(folder: Path) -> None:
    make(folder, "ann")
    done = run(folder, "create", "--role", "operator", "ann")
    assert done.exit_code == 1
    assert "earshot token rotate ann" in done.output


def test_a_damaged_file_is_said_and_left_alone(folder: Path) -> None:
    make(folder)
    (folder / "tokens.json").write_text("nonsense")
    for arguments in (("list",), ("revoke", "ann"), ("create", "--role", "listener", "bob")):
        done = run(folder, *arguments)
        assert done.exit_code == 1
        assert "is damaged" in done.output
    assert (folder / "tokens.json").read_text() == "nonsense"


def test_a_configured_key_is_in_nobodys_way(folder: Path) -> None:
    """Earlier versions needed it; whether it is there or any good, tokens are made."""
    config = folder.parent / "config.yaml"
    config.write_text(
        f"journal: {{path: {folder / 'house.db'}}}\nweb: {{secret_file: {folder.parent / 'no.key'}}}"
    )
    done = CliRunner().invoke(main, ["token", "--config", str(config), "create", "--role", "operator", "me"])
    assert (done.exit_code, done.stderr.count("good until")) == (0, 1), done.output
    assert CliRunner().invoke(main, ["check-config", str(config)]).exit_code == 0


def test_everything_is_in_the_audit_log(folder: Path) -> None:
    text = make(folder, "ann")
    run(folder, "rotate", "ann")
    run(folder, "revoke", "ann")
    lines = [json.loads(line) for line in (folder / "audit.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "token made",
        "token rotated",
        "token revoked",
        "token revoked",
    ]
    assert {line["by"] for line in lines} == {f"uid {os.getuid()}"}
    assert text not in (folder / "audit.log").read_text()


def test_beside_the_journal_where_nothing_else_is_said(folder: Path) -> None:
    config = folder.parent / "config.yaml"
    config.write_text(f"journal: {{path: {folder / 'house.db'}}}")
    done = CliRunner().invoke(main, ["token", "--config", str(config), "create", "--role", "operator", "me"])
    assert done.exit_code == 0, done.output
    assert (folder / "tokens.json").exists()


def test_none_is_made_before_the_clock_was_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder, "ann")
    monkeypatch.setattr(time, "time", lambda: 100.0)
    for arguments in (("create", "--role", "listener", "bob"), ("rotate", "ann")):
        done = run(folder, *arguments)
        assert done.exit_code != 0
        assert "this machine's clock says 1970-01-01" in done.output
        assert "timedatectl" in done.output
    assert run(folder, "revoke", "ann").exit_code == 0, "what protects is always possible"


class TestWithAStore:
    """Gateways of one house, each with a folder of its own; none of them runs."""

    @pytest.fixture
    def config(self, redis: Redis, tmp_path: Path) -> Path:
        path = tmp_path / "house.yaml"
        path.write_text(f"house: {{store: '{redis.url}', store_name: h{secrets.token_hex(6)}}}")
        return path

    def at(self, gateway: str, config: Path, *arguments: str) -> Result:
        folder = config.parent / gateway
        return CliRunner().invoke(
            main, ["token", "--config", str(config), "--folder", str(folder), *arguments]
        )

    def test_what_is_made_at_one_is_listed_and_revoked_at_the_other(self, config: Path) -> None:
        made = self.at("one", config, "create", "--role", "listener", "ann")
        assert (made.exit_code, "warning" in made.stderr) == (0, False), made.output
        assert "ann" in self.at("other", config, "list").stdout
        assert "is revoked" in self.at("other", config, "revoke", "ann").stdout
        assert "revoked" in self.at("one", config, "list").stdout

    def test_a_name_is_given_once_in_the_whole_house(self, config: Path) -> None:
        assert self.at("one", config, "create", "--role", "listener", "ann").exit_code == 0
        again = self.at("other", config, "create", "--role", "listener", "ann")
        assert again.exit_code != 0
        assert "already" in again.stderr

    def test_without_its_store_it_does_what_can_be_done_and_says_so(self, redis: Redis, config: Path) -> None:
        assert self.at("one", config, "create", "--role", "listener", "ann").exit_code == 0
        redis.kill()
        done = self.at("one", config, "revoke", "ann")
        assert done.exit_code == 0
        assert "the other gateways learn of it when" in done.stderr
        redis.start()
        assert "revoked" in self.at("one", config, "list").stdout
        assert "revoked" in self.at("other", config, "list").stdout
