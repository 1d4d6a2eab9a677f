"""A house in one file, and back: whole, sealed, damaged, hostile, and killed in between."""

from __future__ import annotations

import io
import os
import random
import shutil
import sqlite3
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from gateway.backups import archive, restoring, sealing
from gateway.backups.archive import BackedUp, BackupManifest
from gateway.backups.errors import BackupError
from gateway.backups.restoring import Restored, restore
from gateway.journal import Journal, JournalInUse
from gateway.journal.effects import Heard
from gateway.journal.file import Lock
from gateway.journal.tables.schema import VERSION
from gateway.settings.journal import JournalSettings
from tests.gateway.journal.rows import utterance

SECRET = b"correct horse"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "token.key").write_bytes(b"k" * 32)
    (folder / "token.key").chmod(0o600)
    (folder / "firmware").mkdir()
    (folder / "firmware" / "image.bin").write_bytes(random.Random(1).randbytes(3_000_000))
    (folder / "token.key.lock").write_bytes(b"")
    (folder / "planted").symlink_to("/etc/passwd")
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("web: {port: 8081}  # ours\n")
    return file


def back_up(state: Path, config: Path | None = None, passphrase: bytes = b"") -> bytes:
    target = io.BytesIO()
    scratch = state.with_name("scratch")
    scratch.mkdir(exist_ok=True)
    archive.write(
        target, state, config, state / "journal.db", "0.1.0", scratch=scratch, passphrase=passphrase
    )
    assert list(scratch.iterdir()) == []
    scratch.rmdir()
    return target.getvalue()


def put_back(data: bytes, state: Path, config: Path | None = None, **options: object) -> Restored:
    facts: dict[str, object] = {"passphrase": b"", "force": False, "progress": lambda _n, _s: None, **options}
    return restore(io.BytesIO(data), state, config, "journal.db", **facts)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.mark.parametrize("passphrase", [b"", SECRET])
async def test_a_house_at_work_is_the_same_on_another_machine(
    state: Path, config: Path, tmp_path: Path, passphrase: bytes
) -> None:
    async with Journal(JournalSettings(path=str(state / "journal.db"))) as journal:
        await journal.commit(Heard(utterance("u_1")))
        data = back_up(state, config, passphrase)
        await journal.commit(Heard(utterance("u_2", start=99_000)))
    assert (passphrase == b"") == (b"token.key" in data or data[:2] == b"\x1f\x8b")
    other, its_config = tmp_path / "elsewhere" / "earshot", tmp_path / "etc.yaml"
    done = put_back(data, other, its_config, passphrase=passphrase)
    assert (done.before, done.manifest.journal) == (None, VERSION)
    assert its_config.read_text() == "web: {port: 8081}  # ours\n"
    assert files(other).keys() == {"journal.db", "journal.db.lock", "token.key", "firmware/image.bin"}
    assert (other / "token.key").stat().st_mode & 0o777 == 0o600
    async with Journal(JournalSettings(path=str(other / "journal.db"))) as journal:
        assert [row.utterance_id async for row in journal.utterances()] == ["u_1"], "as it was at that moment"


def test_what_is_there_is_not_replaced_unasked_and_then_put_aside(state: Path, config: Path) -> None:
    data = back_up(state, config)
    (state / "token.key").write_bytes(b"new")
    config.write_text("web: {port: 1}\n")
    with pytest.raises(BackupError, match="--force"):
        put_back(data, state, config)
    assert (state / "token.key").read_bytes() == b"new"
    done = put_back(data, state, config, force=True)
    assert (state / "token.key").read_bytes() == b"k" * 32
    assert done.before is not None
    assert (done.before / "token.key").read_bytes() == b"new"
    assert done.config_before is not None
    assert done.config_before.read_text() == "web: {port: 1}\n"
    assert not list(state.parent.glob(".state.restoring-*")), "nothing else is left"


def test_where_names_cannot_be_exchanged_they_are_changed_one_after_the_other(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = back_up(state)
    monkeypatch.setattr(restoring, "_exchanged", lambda _one, _other: False)
    assert put_back(data, state, force=True).before is not None
    assert (state / "token.key").exists()


def _cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("passphrase", [b"", SECRET])
@pytest.mark.parametrize(
    "damage", [_cut, _flipped, lambda _data: b"", lambda data: data[:40], lambda _data: os.urandom(4_096)]
)
def test_what_is_not_as_it_was_written_changes_nothing(
    state: Path, damage: Callable[[bytes], bytes], passphrase: bytes
) -> None:
    data = damage(back_up(state, passphrase=passphrase))
    before = files(state)
    with pytest.raises(BackupError):
        put_back(data, state, force=True, passphrase=passphrase)
    assert files(state) == before
    assert [path.name for path in state.parent.iterdir()] == ["state"]


@pytest.mark.parametrize(
    ("passphrase", "told"), [(b"", "--passphrase-file"), (b"wrong", "passphrase is wrong")]
)
def test_the_passphrase_is_needed_and_must_be_right(state: Path, passphrase: bytes, told: str) -> None:
    data = back_up(state, passphrase=SECRET)
    with pytest.raises(BackupError, match=told):
        put_back(data, state, force=True, passphrase=passphrase)


def test_pieces_of_a_sealed_one_cannot_be_left_out_or_moved(state: Path) -> None:
    data = back_up(state, passphrase=SECRET)
    head = len(sealing.MAGIC) + 16
    length = int.from_bytes(data[head : head + 4], "big") + 4
    first, second = data[head : head + length], data[head + length : head + 2 * length]
    rest = data[head + 2 * length :]
    for changed in (
        data[:head] + second + first + rest,
        data[:head] + second + rest,
        data[: head + 2 * length],
    ):
        with pytest.raises(BackupError):
            put_back(changed, state, force=True, passphrase=SECRET)


def crafted(
    *members: tuple[str, bytes, bytes],
    manifest: BackupManifest | None = None,
    form: int = tarfile.GNU_FORMAT,
) -> bytes:
    """A backup that somebody else has made: names, kinds and contents."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=form) as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            tar.addfile(info, io.BytesIO(content))
        if manifest is not None:
            data = msgspec.json.encode(manifest)
            info = tarfile.TarInfo(archive.MANIFEST)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return target.getvalue()


EMPTY = BackupManifest(version="0.1.0", journal=0, made_at=0.0, files=())


@pytest.mark.parametrize(
    "data",
    [
        crafted(("../../escaped", tarfile.REGTYPE, b"x"), manifest=EMPTY),
        crafted(("state/../../escaped", tarfile.REGTYPE, b"x"), manifest=EMPTY),
        crafted(("/tmp/escaped", tarfile.REGTYPE, b"x"), manifest=EMPTY),
        crafted(("state//escaped", tarfile.REGTYPE, b"x"), manifest=EMPTY),
        crafted(("state/nul\0and more", tarfile.REGTYPE, b"x"), manifest=EMPTY, form=tarfile.PAX_FORMAT),
        crafted(("state/link", tarfile.SYMTYPE, b""), manifest=EMPTY),
        crafted(("state/link", tarfile.LNKTYPE, b""), manifest=EMPTY),
        crafted(("state/pipe", tarfile.FIFOTYPE, b""), manifest=EMPTY),
        crafted(("state/one", tarfile.REGTYPE, b"x"), ("state/one", tarfile.REGTYPE, b"y"), manifest=EMPTY),
        crafted(("state/one", tarfile.REGTYPE, b"x"), manifest=EMPTY),
        crafted(("state/one", tarfile.REGTYPE, b"x")),
        crafted(manifest=msgspec.structs.replace(EMPTY, files=(BackedUp("state/one", 1, "0" * 64),))),
        crafted(manifest=msgspec.structs.replace(EMPTY, format=2)),
        crafted(manifest=msgspec.structs.replace(EMPTY, journal=VERSION + 1)),
    ],
)
def test_what_no_backup_of_ours_holds_is_refused(state: Path, data: bytes) -> None:
    before = files(state)
    with pytest.raises(BackupError):
        put_back(data, state, force=True)
    assert files(state) == before
    assert not list(state.parent.parent.rglob("escaped"))


def test_a_newer_journal_is_refused_with_the_version_that_knows_it(state: Path) -> None:
    newer = msgspec.structs.replace(EMPTY, version="9.9", journal=VERSION + 1)
    with pytest.raises(BackupError, match=r"use Earshot 9\.9 or newer"):
        put_back(crafted(manifest=newer), state, force=True)


def test_a_full_disk_changes_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, before = back_up(state), files(state)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put_back(data, state, force=True)
    assert files(state) == before


def _houses(folder: Path) -> list[dict[str, bytes]]:
    """What could be taken for a house by somebody who looks for it: the folder, and those put aside."""
    return [files(one) for one in sorted(folder.glob("state*")) if one.is_dir()]


def _without_lock(house: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in house.items() if not name.endswith(".lock")}


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("killed_at", range(14))
def test_killed_at_any_moment_nothing_of_either_house_is_lost(
    state: Path, config: Path, killed_at: int, *, can_exchange: bool
) -> None:
    """Before and behind every step that changes a name; ``renameat2`` is one of them."""
    data, old = back_up(state, config), _without_lock(files(state))
    (state / "token.key").write_bytes(b"new")
    config.write_text("web: {port: 1}\n")
    changed = {**old, "token.key": b"new"}
    child = os.fork()
    if child == 0:  # pragma: no cover - ends itself
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1
            if steps > killed_at:
                os._exit(0)

        real = restoring._exchanged

        def exchanged(one: Path, other: Path) -> bool:
            step()
            done = real(one, other) if can_exchange else False
            step()
            return done

        restoring._exchanged = exchanged
        sys.addaudithook(
            lambda event, _facts: step() if event in {"os.rename", "os.mkdir", "os.chmod"} else None
        )
        try:
            put_back(data, state, config, force=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    houses = [_without_lock(house) for house in _houses(state.parent)]
    assert changed in houses, "what was there before is there, or beside it"
    if can_exchange:
        assert _without_lock(files(state)) in (old, changed)
    texts = {one.read_text() for one in state.parent.glob("config.yaml*")}
    assert "web: {port: 1}\n" in texts
    assert config.read_text() in {"web: {port: 1}\n", "web: {port: 8081}  # ours\n"}
    put_back(data, state, config, force=True)
    assert _without_lock(files(state)) == old, "said again, it is done"
    assert config.read_text() == "web: {port: 8081}  # ours\n"
    assert changed in [_without_lock(house) for house in _houses(state.parent)]


def test_twice_within_a_second_each_house_before_is_kept(state: Path, config: Path) -> None:
    data = back_up(state, config)
    for number in range(3):
        (state / "token.key").write_text(f"{number}")
        config.write_text(f"web: {{port: {number}}}\n")
        put_back(data, state, config, force=True)
    kept = {(one / "token.key").read_text() for one in state.parent.glob("state.before-*")}
    assert kept == {"0", "1", "2"}
    assert len(list(state.parent.glob("config.yaml.before-*"))) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(5, "Input/output error"), MemoryError()])
def test_whatever_is_raised_behind_the_exchange_the_house_before_is_beside(
    state: Path, config: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    data, real = back_up(state, config), restoring._exchanged
    (state / "token.key").write_bytes(b"new")
    config.write_text("web: {port: 1}\n")

    def exchanged(one: Path, other: Path) -> bool:
        assert real(one, other)
        monkeypatch.setattr(Path, "replace", fail)
        return True

    def fail(_self: Path, _target: Path) -> Path:
        raise error

    monkeypatch.setattr(restoring, "_exchanged", exchanged)
    with pytest.raises(type(error)):
        put_back(data, state, config, force=True)
    (before,) = state.parent.glob("state.before-*")
    assert (before / "token.key").read_bytes() == b"new"
    assert (state / "token.key").read_bytes() == b"k" * 32
    assert config.read_text() == "web: {port: 1}\n"


@pytest.mark.parametrize("refused", [OSError(13, "Permission denied"), BackupError("a mount of its own")])
def test_what_cannot_be_moved_changes_nothing_at_all(
    state: Path, config: Path, monkeypatch: pytest.MonkeyPatch, refused: Exception
) -> None:
    data = back_up(state, config)
    (state / "token.key").write_bytes(b"new")
    config.write_text("web: {port: 1}\n")
    before = files(state.parent)

    def exchanged(_one: Path, _other: Path) -> bool:
        raise refused

    monkeypatch.setattr(restoring, "_exchanged", exchanged)
    with pytest.raises(type(refused)):
        put_back(data, state, config, force=True)
    assert files(state.parent) == before


def test_a_mount_is_refused_before_anything_is_read(
    state: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, before = back_up(state, config), files(state.parent)
    config.write_text("web: {port: 1}\n")
    monkeypatch.setattr(Path, "is_mount", lambda path: path == state)
    with pytest.raises(BackupError, match="empty it"):
        put_back(data, state, config, force=True)
    assert files(state.parent) == {**before, "config.yaml": b"web: {port: 1}\n"}
    assert {one.name for one in state.parent.iterdir()} == {"state", "config.yaml"}


def test_two_cannot_restore_at_once_and_no_gateway_begins_meanwhile(state: Path) -> None:
    journal = state / "journal.db"
    journal.write_bytes(b"")
    with restoring.alone_with(state, journal):
        with pytest.raises(JournalInUse):
            Lock(journal).acquire()
        with pytest.raises(BackupError, match="another process"), restoring.alone_with(state, journal):
            pass
    with (
        Lock(journal),
        pytest.raises(BackupError, match="stop it first"),
        restoring.alone_with(state, journal),
    ):
        pass
    journal.unlink()
    kept = Lock(journal)  # whose journal was taken away
    with kept, pytest.raises(BackupError, match="stop it first"), restoring.alone_with(state, journal):
        pass


def test_where_nothing_is_nothing_is_made_by_the_lock(tmp_path: Path) -> None:
    with restoring.alone_with(tmp_path / "deep" / "state", tmp_path / "deep" / "state" / "journal.db"):
        assert not (tmp_path / "deep" / "state").exists()


def test_what_goes_while_it_is_backed_up_had_its_time(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (state / f"speech-{number}").write_bytes(b"x")
    real = archive._add

    def add(tar: tarfile.TarFile, name: str, path: Path, progress: archive.Progress) -> BackedUp:
        if name == "state/speech-1":
            path.unlink()
        return real(tar, name, path, progress)

    monkeypatch.setattr(archive, "_add", add)
    data = back_up(state)
    put_back(data, state, force=True)
    assert sorted(one.name for one in state.glob("speech-*")) == ["speech-0", "speech-2"]


def test_a_configuration_that_goes_is_an_error(state: Path, config: Path) -> None:
    config.unlink()
    with pytest.raises(FileNotFoundError):
        back_up(state, config)


def test_a_folder_that_may_not_be_looked_into_is_an_error_and_not_left_out(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("firmware"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError):
        back_up(state)


def test_more_than_the_disk_has_is_refused_before_it_is_full(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = back_up(state)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _path: SimpleNamespace(free=archive.KEPT_FREE + 1_000_000)
    )
    with pytest.raises(BackupError, match="make room"):
        put_back(data, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_journal_newer_than_the_manifest_says_is_refused_too(state: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(state / "journal.db")) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
        db.commit()
    data = back_up(state)
    changed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as source,
        tarfile.open(fileobj=changed, mode="w:gz") as target,
    ):
        for member in source:
            file = source.extractfile(member)
            assert file is not None
            content = file.read().replace(f'"journal":{VERSION + 1}'.encode(), b'"journal":1')
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    with pytest.raises(BackupError, match=f"of version {VERSION + 1}"):
        put_back(changed.getvalue(), tmp_path / "new")


def test_a_journal_that_is_none_is_told(state: Path) -> None:
    (state / "journal.db").write_bytes(b"no journal at all" * 100)
    with pytest.raises(BackupError, match=r"journal\.db cannot be read"):
        back_up(state)


def test_the_copy_of_a_journal_is_sound(state: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(state / "journal.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (x)")
        db.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(1_000)])
        db.commit()
        data = back_up(state)
    put_back(data, tmp_path / "new")
    with closing(sqlite3.connect(tmp_path / "new" / "journal.db")) as db:
        assert db.execute("SELECT count(*) FROM t").fetchone() == (1_000,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
