"""Whoever owns a folder plants links, pipes and devices in it, and waits for root or for the gateway to come by."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner, Result

from firmware_bridge.carriers.mqtt_address import Credentials, MqttUnavailable
from firmware_bridge.simulator import wires
from firmware_bridge.simulator.simulator import SimulatedDevice
from firmware_bridge.simulator.user import WireMissing
from firmware_bridge.simulator.wires import PseudoTerminal
from firmware_bridge.speech_files import BadRecording, read_wav
from gateway.access import private_files
from gateway.access.old_keys import OldKeys
from gateway.access.page_sessions import PageSessions
from gateway.access.principals import Role
from gateway.access.tokens import TokenError
from gateway.broker.address import Scheme, resolve
from gateway.broker.base import BrokerRefused
from gateway.client.credentials import BadCertificates, Introduction
from gateway.commands.cli import main
from gateway.commands.doctor import state as doctor_state
from gateway.config.editing import replace_file
from gateway.journal import Journal
from gateway.journal.dead_letters import not_transcribed
from gateway.journal.effects import Died, Effect, Heard
from gateway.orchestrators.loading import load_orchestrator
from gateway.orchestrators.sdk import BadOrchestrator
from gateway.settings.broker import BrokerSettings, BrokerTlsSettings
from gateway.settings.journal import JournalSettings
from gateway.settings.web import WebSettings, WebTlsSettings
from gateway.systemd.installing import Host, WriteFile
from gateway.web.entrance.tls import Tls, TlsUnavailable
from tests.attacks.castle import Castle, open_castle
from tests.gateway.access.keyring import Keyring
from tests.gateway.journal.rows import dead, utterance
from tests.gateway.journal.test_full_disk import small_disk as small_disk  # noqa: PLC0414 - a fixture
from tests.record import PATIENCE, Record, passes
from tests.servers.process import free_port
from tests.system.house import settings
from tests.transcription.hub_server import REPOSITORY, HubServer, serve_hub
from transcription.models.inventory import inventory
from transcription.models.model_hub import CannotFetch, ModelHub, folder_name

pytestmark = pytest.mark.slow

EARSHOT = Path(sys.executable).with_name("earshot")
STRANGER = 4711
"""Whose folder it is, where root comes by. Nobody has that number."""
SECRET = b"root:x:0:0:\n"

Plant = Callable[[Path, Path], None]


def by_symlink(name: Path, target: Path) -> None:
    name.symlink_to(target)


def by_second_name(name: Path, target: Path) -> None:
    name.hardlink_to(target)


def by_pipe(name: Path, _target: Path) -> None:
    os.mkfifo(name)


PLANTS = pytest.mark.parametrize("plant", [by_symlink, by_second_name, by_pipe])


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file that is none of the stranger's business."""
    path = tmp_path / "shadow"
    path.write_bytes(SECRET)
    path.chmod(0o640)
    return path


def is_untouched(victim: Path) -> bool:
    status = victim.stat()
    facts = (status.st_uid, status.st_gid, status.st_mode & 0o7777)
    return victim.read_bytes() == SECRET and facts == (os.geteuid(), os.getegid(), 0o640)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The stranger's state folder; for who is not root, their own."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (tmp_path / "config.yaml").write_text(json.dumps({"journal": {"path": str(folder / "journal.db")}}))
    tmp_path.chmod(0o755)
    if os.geteuid() == 0:
        for above in tmp_path.parents[:-2]:  # not /tmp itself
            above.chmod(above.stat().st_mode | 0o011)
        os.chown(folder, STRANGER, STRANGER)
    return folder


def command(state: Path, *arguments: str) -> Result:
    """In this process: one of its own takes seconds to start."""
    group, *rest = arguments
    return CliRunner().invoke(main, [group, "--config", str(state.parent / "config.yaml"), *rest])


def create(state: Path) -> Result:
    return command(state, "token", "create", "--role", "operator", "me")


@PLANTS
@pytest.mark.parametrize("name", ["tokens.json.lock"])
def test_a_lock_is_nobody_else_s_file(state: Path, victim: Path, name: str, plant: Plant) -> None:
    plant(state / name, victim)
    done = create(state)
    assert done.exit_code == 1
    assert "see who put it there" in done.stderr
    assert is_untouched(victim)


@PLANTS
def test_the_audit_log_writes_into_nobody_else_s_file(state: Path, victim: Path, plant: Plant) -> None:
    plant(state / "audit.log", victim)
    done = create(state)
    assert done.exit_code == 0
    assert "audit log" in done.stderr
    assert is_untouched(victim)


@PLANTS
def test_tokens_are_read_through_nothing(state: Path, victim: Path, plant: Plant) -> None:
    plant(state / "tokens.json", victim)
    done = create(state)
    assert done.exit_code == 1
    assert "see who put it there" in done.stderr
    assert "root:x" not in done.stderr
    assert is_untouched(victim)


@PLANTS
def test_keys_are_read_through_nothing(state: Path, victim: Path, plant: Plant) -> None:
    plant(state / "token.key", victim)
    with pytest.raises(TokenError, match="see who put it there") as caught:
        OldKeys("", state, {}).read()
    assert "root:x" not in str(caught.value)
    assert create(state).exit_code == 0, "it is not needed for that"
    assert is_untouched(victim)


def filled(state: Path) -> None:
    """A journal of the stranger's with a dead letter."""
    asyncio.run(_fill(state))
    if os.geteuid() == 0:
        for file in state.iterdir():
            os.chown(file, STRANGER, STRANGER)


async def _fill(state: Path, *effects: Effect) -> None:
    async with Journal(JournalSettings(path=str(state / "journal.db"))) as journal:
        await journal.commit(*(effects or (Died(dead("c_1")),)))


@PLANTS
@pytest.mark.parametrize(
    "name", ["journal.db.lock", "journal.db-wal", "journal.db-shm", "journal.db-journal"]
)
def test_what_stands_beside_the_journal_is_not_truncated(
    state: Path, victim: Path, name: str, plant: Plant
) -> None:
    filled(state)
    (state / name).unlink(missing_ok=True)
    plant(state / name, victim)
    done = command(state, "dlq", "purge", "--all")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert is_untouched(victim)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may come by")
def test_a_journal_that_leads_elsewhere_is_read_with_its_owner_s_rights(state: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir(mode=0o700)
    filled(state)
    os.chown(state / "journal.db", 0, 0)
    (state / "journal.db").rename(vault / "journal.db")
    (state / "journal.db").symlink_to(vault / "journal.db")
    done = command(state, "dlq", "list")
    assert done.exit_code == 1
    with sqlite3.connect(vault / "journal.db") as db:
        assert db.execute("SELECT count(*) FROM dead_letters").fetchone() == (1,)
    db.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may come by")
def test_what_root_leaves_in_the_folder_is_its_owner_s(state: Path) -> None:
    filled(state)
    (state / "journal.db.lock").unlink()
    assert create(state).exit_code == 0
    assert command(state, "dlq", "purge", "--all").exit_code == 0
    assert {file.name: file.stat().st_uid for file in state.iterdir() if file.stat().st_uid != STRANGER} == {}
    assert {file.stat().st_mode & 0o077 for file in state.iterdir()} == {0}


def test_folders_are_made_for_nobody_else_whatever_the_umask(tmp_path: Path) -> None:
    deep = tmp_path / "home" / ".local" / "state" / "earshot"
    before = os.umask(0)
    try:
        Keyring(deep).token("me", Role.OPERATOR)
    finally:
        os.umask(before)
    made = [deep, *deep.parents][:4]
    assert [folder.stat().st_mode & 0o777 for folder in made] == [0o700] * 4
    assert {file.stat().st_mode & 0o777 for file in deep.iterdir()} == {0o600}


def test_a_lock_that_somebody_keeps_holds_up_nobody_for_ever(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_files, "LOCK_SECONDS", 0.05)
    keyring = Keyring(state)
    token, _ = keyring.make("me")
    held = os.open(state / "tokens.json.lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(TokenError, match="another process"):
        keyring.file.revoke(token.token_id)
    os.close(held)
    assert keyring.file.revoke(token.token_id)


def full(disk: Path) -> None:
    """Nothing more fits there."""
    for size in (64 * 1024, 1):
        with pytest.raises(OSError, match="No space"), (disk / "ballast").open("ab", buffering=0) as ballast:  # noqa: PT012
            while True:
                ballast.write(bytes(size))


def test_a_token_is_revoked_on_a_full_disk(small_disk: Path) -> None:
    keyring = Keyring(small_disk)
    names = [f"t{i}" for i in range(30)]
    for name in names:
        keyring.make(name)
    full(small_disk)
    for name in names:
        assert len(keyring.file.revoke(name)) == 1
    assert {token.problem(0) for token in keyring.file.read().tokens.values()} == {"revoked"}


def test_a_token_is_revoked_where_there_is_no_room_for_a_name(small_disk: Path) -> None:
    keyring = Keyring(small_disk)
    token, _ = keyring.make("me")
    tokens = keyring.file.path
    tokens.write_bytes(json.dumps(json.loads(tokens.read_bytes())).encode())  # not a blank that could go
    tokens.with_name("tokens.json.lock").unlink()
    subprocess.run(["mount", "-o", "remount,nr_inodes=4", str(small_disk)], check=True)
    with pytest.raises(OSError, match="No space"):  # noqa: PT012
        for number in range(10):
            (small_disk / f"ballast-{number}").touch()
    assert keyring.file.revoke(token.token_id)
    assert not keyring.file.read().living(0)


def test_a_token_that_cannot_be_revoked_is_told_to_be_good_still(small_disk: Path, tmp_path: Path) -> None:
    Keyring(small_disk).make("me")
    (tmp_path / "config.yaml").write_text("{}")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = CliRunner().invoke(
        main,
        ["token", "--config", str(tmp_path / "config.yaml"), "--folder", str(small_disk), "revoke", "me"],
    )
    assert done.exit_code == 1
    assert "remedy: the token is still good" in done.stderr


def test_all_tokens_end_at_once_on_a_full_disk(small_disk: Path) -> None:
    keyring = Keyring(small_disk)
    for number in range(30):
        keyring.make(f"t{number}")
    keyring.make_old("old")
    full(small_disk)
    assert len(keyring.file.revoke_all()) == 31
    assert {token.problem(0) for token in keyring.file.read().tokens.values()} == {"revoked"}


def test_a_page_that_signed_out_on_a_full_disk_stays_signed_out(small_disk: Path) -> None:
    pages = PageSessions(small_disk, lambda: 1.8e9)
    mine, another = pages.begin("t_1"), pages.begin("t_2")
    full(small_disk)
    assert pages.end(mine)
    restarted = PageSessions(small_disk, lambda: 1.8e9)
    assert (restarted.find(mine), restarted.find(another)) == (None, "t_2")


TELLS = "from pathlib import Path\nPath({0!r}).touch()\n"
TRAPS = (
    "json",
    "argparse",
    "contextlib",
    "struct",
    "amqtt",
    "numpy",
    "onnxruntime",
    "faster_whisper",
    "msgspec",
    "av",
)


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A folder with modules that tell when they are run."""
    folder = tmp_path / "trapped"
    folder.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text(TELLS.format(str(folder / f"{name}.sprung")))
    (folder / "house.py").write_text(
        "from gateway.orchestrator import Orchestrator\nhouse = Orchestrator('house')\n"
    )
    return folder


async def test_no_process_of_ours_runs_what_lies_in_the_current_folder(trapped: Path, tmp_path: Path) -> None:
    port = free_port()
    parts = settings(
        tmp_path,
        devices={"serial": {"ports": []}, "mqtt": {"url": "embedded", "embedded_port": 0}},
        orchestrator={"app": "house:house"},
        transcription={"isolation": "process"},
        web={"port": port},
    )
    (tmp_path / "config.yaml").write_text(json.dumps(parts))
    words = ("run", "--config", str(tmp_path / "config.yaml"))
    process = await asyncio.create_subprocess_exec(EARSHOT, *words, cwd=trapped, stderr=subprocess.DEVNULL)
    try:
        async with ClientSession() as client, asyncio.timeout(PATIENCE):
            while not await children_are_well(client, port):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        process.terminate()
        await process.wait()
    assert [name for name in os.listdir(trapped) if name.endswith(".sprung")] == []  # noqa: PTH208


async def children_are_well(client: ClientSession, port: int) -> bool:
    try:
        async with client.get(f"http://127.0.0.1:{port}/readyz") as response:
            components = (await response.json())["components"]
    except OSError:
        return False
    return {components.get(name, {}).get("state") for name in ("mqtt", "recognizer")} == {"healthy"}


COMMANDS = (
    "check-config", "token list", "dlq list", "reload", "models list", "doctor", "listen", "devices list", "simulate",
    "run",
)  # fmt: skip


@pytest.mark.parametrize(
    "loose", ["folder", "file", "folder's owner", "file's owner", "link", "link's target"]
)
def test_a_configuration_of_somebody_else_s_is_not_taken_from_the_current_folder(
    tmp_path: Path, loose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    config = here / "config.yaml"
    config.write_text("{}")
    config.chmod(0o644)
    monkeypatch.chdir(here)
    monkeypatch.delenv("EARSHOT_CONFIG", raising=False)
    assert CliRunner().invoke(main, ["check-config"]).exit_code == 0
    if loose == "folder":
        here.chmod(0o1777)
    elif loose == "file":
        config.chmod(0o666)
    elif loose == "link's target":
        open_place = tmp_path / "open"
        open_place.mkdir()
        open_place.chmod(0o777)
        config.rename(open_place / "config.yaml")
        config.symlink_to(open_place / "config.yaml")
    else:
        if os.geteuid() != 0:
            pytest.skip("only root may give files away")
        if loose == "link":
            config.rename(here / "real.yaml")
            config.symlink_to("real.yaml")
        os.chown(here if loose == "folder's owner" else config, STRANGER, STRANGER, follow_symlinks=False)
    for words in map(str.split, COMMANDS):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 2, words
        assert "config.yaml: not taken, for it" in done.stderr
        assert "--config config.yaml" in done.stderr
    assert CliRunner().invoke(main, ["check-config", "config.yaml"]).exit_code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("name", ["trap", "pack.trap", "bare.trap"])
def test_root_imports_nobody_else_s_orchestrator(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    for folder in (here / "pack", here / "bare"):
        folder.mkdir(parents=True)
    for place in (here / "trap.py", here / "pack" / "__init__.py", here / "bare" / "trap.py"):
        place.write_text(TELLS.format(str(tmp_path / "sprung")))
    for folder in (here, here / "pack", here / "bare"):
        os.chown(folder, STRANGER, STRANGER)
    monkeypatch.chdir(here)
    with pytest.raises(BadOrchestrator, match=f"belongs to user {STRANGER}"):
        load_orchestrator(f"{name}:trap")
    assert not (tmp_path / "sprung").exists()


# -- the doctor looks


def looked(state: Path) -> dict[str, str]:
    """What it says of the state folder, each with how bad it is."""
    return {one.detail: one.state for one in doctor_state.state(state / "journal.db")}


@PLANTS
@pytest.mark.parametrize(
    "name", ["pages.json", "audit.log.2", "journal.db-shm", ".web.key.77.new", "clock.json.lock"]
)
def test_the_doctor_sees_what_was_planted(state: Path, victim: Path, name: str, plant: Plant) -> None:
    plant(state / name, victim)
    (planted,) = (words for words, how in looked(state).items() if how == "fail")
    assert name in planted
    assert is_untouched(victim)


@pytest.mark.parametrize(("mode", "how"), [(0o777, "fail"), (0o1777, "fail"), (0o770, "warn"), (0o750, "ok")])
def test_the_doctor_sees_a_folder_in_which_others_write(state: Path, mode: int, how: str) -> None:
    state.chmod(mode)
    assert list(looked(state).values()) == [how]


def test_the_doctor_sees_every_file_of_ours_that_others_may_read(state: Path) -> None:
    for name in (
        "journal.db",
        "journal.db.corrupt-1",
        "token.key",
        "tokens.json",
        "pages.json",
        "clock.json",
    ):
        (state / name).touch(0o600)
    assert set(looked(state).values()) <= {"ok", "warn"}
    (state / "pages.json").chmod(0o640)
    (state / "notes.py").touch()
    (state / "notes.py").chmod(0o666)
    told = " ".join(words for words, how in looked(state).items() if how == "warn")
    assert "others may read pages.json" in told
    assert "others may write notes.py" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may come by")
def test_the_doctor_sees_what_is_not_the_folder_s_owner_s(state: Path) -> None:
    (state / "tokens.json").touch(0o600)
    assert [how for words, how in looked(state).items() if "tokens.json" in words] == ["warn"]
    os.chown(state / "tokens.json", STRANGER, STRANGER)
    assert list(looked(state).values()) == ["ok"]


# -- what else root and the gateway write


@pytest.mark.parametrize("name", [".environment.new", "environment", "."])
def test_installing_the_service_follows_nobody(tmp_path: Path, victim: Path, name: str) -> None:
    step = WriteFile(Path("/etc/earshot/environment"), "A=1\n", 0o600)
    host = Host(executable=EARSHOT, root=tmp_path)
    before = os.umask(0o077)
    try:
        if name != ".":
            (tmp_path / "etc" / "earshot").mkdir(parents=True)
            (tmp_path / "etc" / "earshot" / name).symlink_to(victim)
        step.apply(host)
    finally:
        os.umask(before)
    written = tmp_path / "etc" / "earshot" / "environment"
    assert (written.read_text(), written.lstat().st_mode) == ("A=1\n", 0o100600)
    assert is_untouched(victim)
    if name == ".":
        assert [written.parents[i].stat().st_mode & 0o777 for i in (0, 1)] == [0o755, 0o755], (
            "its user may look in"
        )


def test_saving_a_configuration_follows_no_temporary_name(tmp_path: Path, victim: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("{}\n")
    config.chmod(0o640)
    (tmp_path / ".config.yaml.new").symlink_to(victim)
    replace_file(config, "web: {port: 1}\n")
    assert (config.read_text(), config.stat().st_mode & 0o777) == ("web: {port: 1}\n", 0o640)
    assert is_untouched(victim)


@pytest.mark.parametrize("how", ["link", "folder", "second name", "folder of the target"])
def test_saving_a_configuration_writes_over_nothing_that_others_chose(
    tmp_path: Path, victim: Path, how: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    config = folder / "config.yaml"
    if how == "second name":
        config.hardlink_to(victim)
    else:
        config.symlink_to(victim)
    if how == "folder":
        folder.chmod(0o777)
    elif how == "folder of the target":
        tmp_path.chmod(0o777)
    elif how == "link":
        if os.geteuid() != 0:
            pytest.skip("only root may give files away")
        os.chown(config, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(OSError, match=r"link|another name"):
        replace_file(config, "web: {port: 1}\n")
    tmp_path.chmod(0o755)
    assert is_untouched(victim)


def test_saved_speech_is_put_into_nobody_else_s_file(state: Path, victim: Path) -> None:
    asyncio.run(_fill(state, Heard(utterance()), *not_transcribed(utterance(), "the engine died")))
    (state.parent / "said.wav").symlink_to(victim)
    done = command(state, "dlq", "show", "1", "--wav", str(state.parent / "said.wav"))
    assert done.exit_code == 1
    assert is_untouched(victim)
    done = command(state, "dlq", "show", "1", "--wav", str(state.parent / "new.wav"))
    assert (done.exit_code, (state.parent / "new.wav").stat().st_mode & 0o777) == (0, 0o600)


@pytest.mark.parametrize("target", ["shadow", "/dev/null", "nowhere", "/dev/ptsx"])
def test_a_simulated_board_takes_nobody_s_name(tmp_path: Path, victim: Path, target: str) -> None:
    name = tmp_path / "ttyESP32"
    name.symlink_to(target)
    with pytest.raises(ValueError, match="no link of ours"):
        PseudoTerminal(name)
    assert str(name.readlink()) == target
    assert is_untouched(victim)


async def test_a_simulated_board_waits_for_a_name_that_somebody_has_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "RETRY_SECONDS", 0.01)
    name = tmp_path / "ttyESP32"
    wire = PseudoTerminal(name)
    name.write_text("somebody's")
    told = Record()
    async with SimulatedDevice("sim", wire, report=told):
        await told.first(WireMissing)
        assert name.read_text() == "somebody's"
        name.unlink()
        await passes(name.is_symlink)


async def test_a_simulated_board_takes_away_only_its_own_name(tmp_path: Path) -> None:
    name = tmp_path / "ttyESP32"
    async with SimulatedDevice("sim", PseudoTerminal(name)):
        await passes(name.is_symlink)
        name.unlink()
        name.write_text("somebody's")
    assert name.read_text() == "somebody's"


# -- models


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with serve_hub() as server:
        server.files = {"config.json": b"{}", "model.bin": bytes(1000)}
        yield server


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The stranger's cache, with a model's folder."""
    home = tmp_path / "cache" / folder_name(REPOSITORY)
    for folder in ("blobs", "refs", "snapshots"):
        (home / folder).mkdir(parents=True)
    return home


@PLANTS
@pytest.mark.parametrize("name", [".earshot-lock", "refs/main", "part", "digest"])
def test_fetching_a_model_writes_into_nobody_else_s_file(
    hub: HubServer, model: Path, victim: Path, name: str, plant: Plant
) -> None:
    digest = hashlib.sha256(bytes(1000)).hexdigest()
    place = {"part": f"blobs/{digest}.part", "digest": f"blobs/{digest}"}.get(name, name)
    plant(model / place, victim)
    with suppress(CannotFetch):
        ModelHub(hub.url, pause_seconds=0.01).fetch(REPOSITORY, ["*"], model.parent)
    assert is_untouched(victim)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give links away")
@pytest.mark.parametrize("name", ["", "blobs", "refs", "snapshots"])
def test_a_model_is_not_fetched_into_a_folder_that_others_chose(
    hub: HubServer, model: Path, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = model / name
    shutil.rmtree(place)
    place.symlink_to(elsewhere)
    os.chown(place, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(CannotFetch, match="somebody else's link"):
        ModelHub(hub.url, pause_seconds=0.01).fetch(REPOSITORY, ["*"], model.parent)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("put", ["pipe", "zero"])
def test_a_model_that_is_described_by_no_file_is_passed_over(tmp_path: Path, put: str) -> None:
    folder = tmp_path / "hers"
    folder.mkdir()
    for name in ("model.bin", "tokenizer.json", "vocabulary.json"):
        (folder / name).write_bytes(b"")
    if put == "pipe":
        os.mkfifo(folder / "config.json")
    else:
        (folder / "config.json").symlink_to("/dev/zero")
    assert "hers" not in {
        model.name for model in inventory("base", str(tmp_path)) if model.multilingual is not None
    }


# -- what a setting or an option names


def by_device(name: Path, _target: Path) -> None:
    name.symlink_to("/dev/zero")


def by_size(name: Path, _target: Path) -> None:
    with name.open("wb") as file:
        file.truncate(1 << 40)


def _mqtt(file: Path) -> object:
    return Credentials(password_file=str(file)).password()


def _mqtt_tls(file: Path) -> object:
    return Credentials(ca_file=str(file)).tls()


def _broker(file: Path) -> object:
    return resolve("redis://a@host", Scheme(1), BrokerSettings(password_file=str(file)))


def _broker_tls(file: Path) -> object:
    settings = BrokerSettings(tls=BrokerTlsSettings(cert_file=str(file)))
    return resolve("rediss://a@host", Scheme(1, tls=True), settings)


def _page_tls(file: Path) -> object:
    return Tls(WebSettings(tls=WebTlsSettings(cert_file=str(file))), None)


def _own_tls(file: Path) -> object:
    file.rename(file.with_name("web.key"))
    file.with_name("web.crt").touch()
    return Tls(WebSettings(tls=WebTlsSettings(self_signed=True)), file.parent)


def _authority(file: Path) -> object:
    return Introduction(ca_file=str(file)).tls()


def _secret(file: Path) -> object:
    return OldKeys(str(file), file.parent, {}).read()


def _credential(file: Path) -> object:
    return OldKeys(file.name, file.parent, {"CREDENTIALS_DIRECTORY": str(file.parent)}).read()


def _recording(file: Path) -> object:
    return read_wav(file)


@pytest.mark.parametrize("plant", [by_pipe, by_device, by_size])
@pytest.mark.parametrize(
    "read",
    [
        _mqtt,
        _mqtt_tls,
        _broker,
        _broker_tls,
        _page_tls,
        _own_tls,
        _authority,
        _secret,
        _credential,
        _recording,
    ],
)
def test_what_is_named_and_no_file_is_refused_at_once(
    tmp_path: Path, victim: Path, read: Callable[[Path], object], plant: Plant
) -> None:
    plant(tmp_path / "named", victim)
    refused = (MqttUnavailable, BrokerRefused, TlsUnavailable, BadCertificates, TokenError, BadRecording)
    with pytest.raises(refused, match=r"no file|larger than|a link"):
        read(tmp_path / "named")


# -- under a gateway that runs


def as_pipe(config: Path) -> None:
    os.mkfifo(config)


def as_device(config: Path) -> None:
    config.symlink_to("/dev/zero")


def as_socket(config: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(config))


def as_folder(config: Path) -> None:
    config.mkdir()


def as_huge(config: Path) -> None:
    with config.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.unwell("configuration")
@pytest.mark.parametrize("put", [as_pipe, as_device, as_socket, as_folder, as_huge])
async def test_a_configuration_that_is_no_file_holds_up_nobody(
    castle: Castle, put: Callable[[Path], None]
) -> None:
    kept = castle.config.rename(castle.folder / "kept.yaml")
    try:
        put(castle.config)
        castle.process.send_signal(signal.SIGHUP)
        await said(castle, "the configuration is wrong")
    finally:
        if castle.config.is_dir():
            castle.config.rmdir()
        else:
            castle.config.unlink()
        kept.rename(castle.config)


async def said(castle: Castle, event: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not any(line["event"] == event for line in castle.log_lines()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_journal_deleted_under_the_gateway_is_told_and_loses_nothing(tmp_path: Path) -> None:
    with open_castle(tmp_path) as castle:
        await castle.ready()
        await castle.witness_is_answered()
        for name in ("journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"):
            (tmp_path / name).unlink()
        await said(castle, "the journal was not in its place")
        await castle.holds("journal")
        async with ClientSession() as client:
            told = (await castle.health(client))["journal"]
        assert told["state"] == "degraded"
        assert "written again" in told["reason"]
        assert told["remedy"]
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        assert db.execute("SELECT count(*) FROM history").fetchone() == (2,), "before and after"
