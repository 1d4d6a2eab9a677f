"""What processes of ours use, as this machine's /proc tells it, and as a /proc that somebody has written does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gateway.observing.machine.files import MOST_BYTES, number_in, text_of
from gateway.observing.machine.processes import CHILDREN, GATEWAY, OTHER, RECOGNIZER, Kin, ProcessUse, use_of

PROC = Path("/proc")


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def stat(
    pid: str, name: str = "python3", *, user: int = 0, system: int = 0, threads: int = 1, pages: int = 0
) -> str:
    """The fields of proc_pid_stat(5), as far as anybody reads."""
    after = ["S", "1", "1", "1", "0", "-1", "0", "0", "0", "0", "0", str(user), str(system)]
    return f"{pid} ({name}) {' '.join([*after, '0', '0', '20', '0', str(threads), '0', '0', '0', str(pages), '0'])}"


def test_what_this_process_uses_is_what_psutil_says() -> None:
    ours, theirs = use_of(PROC / "self"), psutil.Process()
    assert ours is not None
    assert ours.resident_bytes == pytest.approx(theirs.memory_info().rss, rel=0.05)
    assert ours.cpu_seconds == pytest.approx(sum(theirs.cpu_times()[:2]), abs=0.5)
    assert ours.threads == theirs.num_threads()
    assert abs(ours.descriptors - theirs.num_fds()) <= 2
    assert 0 < ours.pss_bytes <= ours.resident_bytes


def test_a_child_is_found_and_gone_when_it_is() -> None:
    kin = Kin()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = kin.use()
        assert found[OTHER].threads >= 1
        assert found[GATEWAY].threads >= 1
        assert str(child.pid) in kin._names
        child.communicate(b"\n")
    kin.use()
    assert str(child.pid) not in kin._names


def test_every_module_that_is_a_process_has_a_name(tmp_path: Path) -> None:
    proc = tmp_path
    write(proc / "self", stat=stat("1"))
    write(proc / "self" / "task" / "1", children="11 12 13 14 ")
    for pid, words in (
        ("11", ["python3", "-P", "-m", "transcription.process.worker"]),
        ("12", ["python3", "-P", "-m", "somebody.else"]),
        ("13", ["python3", "-m"]),
        ("14", ["python3", "-P", "-m", "transcription.process.worker"]),
    ):
        write(proc / pid, stat=stat(pid, user=100, threads=3, pages=2), cmdline="\0".join(words) + "\0")
    found = Kin(proc).use()
    assert set(found) == {GATEWAY, RECOGNIZER, OTHER}
    tick = os.sysconf("SC_CLK_TCK")
    page = os.sysconf("SC_PAGE_SIZE")
    assert found[RECOGNIZER] == ProcessUse(
        cpu_seconds=200 / tick, resident_bytes=4 * page, pss_bytes=0, threads=6, descriptors=0
    )


@pytest.mark.parametrize("module", CHILDREN)
def test_the_modules_are_there(module: str) -> None:
    assert Path(*module.split(".")).with_suffix(".py").is_file(), "it is called otherwise now"


@pytest.mark.parametrize("text", ["", "1", "1 (python3", "1 (a) S 1", "\0" * 200, "1 () " + "x " * 5])
def test_what_is_no_stat_is_no_process(tmp_path: Path, text: str) -> None:
    assert use_of(write(tmp_path / "1", stat=text)) is None


def test_a_process_may_be_called_anything(tmp_path: Path) -> None:
    folder = write(tmp_path / "1", stat=stat("1", name="a) S (b) 99", user=50, system=50, threads=7))
    use = use_of(folder)
    assert use is not None
    assert use.threads == 7


def test_the_share_of_shared_pages_is_read_where_it_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "1", stat=stat("1"), smaps_rollup="x rollup\nRss: 9 kB\nPss:   3 kB\n")
    use = use_of(folder)
    assert use is not None
    assert use.pss_bytes == 3 * 1024


def test_a_file_that_says_nothing(tmp_path: Path) -> None:
    assert text_of(tmp_path / "nowhere") == ""
    assert text_of(tmp_path) == ""
    assert number_in(tmp_path / "nowhere") is None
    write(tmp_path, large="7" * (MOST_BYTES + 5), words="many", number=" 42\n", hexadecimal="0x50005\n")
    assert len(text_of(tmp_path / "large")) == MOST_BYTES
    assert number_in(tmp_path / "words") is None
    assert number_in(tmp_path / "number") == 42
    assert number_in(tmp_path / "hexadecimal") == 0x50005
