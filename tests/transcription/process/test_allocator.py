"""One arena where the C library has several, and what unusual work took is given back once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from transcription.process import allocator
from transcription.process.allocator import SLACK_BYTES, Slack, keep_one_arena

MEGABYTE = 1024 * 1024

THREADS_ALLOCATE = """
import ctypes, sys, threading
from transcription.process.allocator import keep_one_arena
if sys.argv[1] == "one":
    assert keep_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(8)
def allocate():
    together.wait()
    libc.malloc(5_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_stats()
"""
"""Each thread has a block of its own at the same time; malloc_stats() writes to standard error what each arena has."""


def on_glibc() -> bool:
    return allocator._glibc() is not None


def environment(**more: str) -> dict[str, str]:
    tuned = allocator._TUNED_OUTSIDE
    return {name: value for name, value in os.environ.items() if name not in tuned} | more


def arenas(how: str) -> int:
    command = [sys.executable, "-c", THREADS_ALLOCATE, how]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=environment(PYTHONPATH=os.pathsep.join(sys.path)),
    )
    return done.stderr.count("Arena ")


@pytest.mark.slow
@pytest.mark.skipif(not on_glibc(), reason="this C library has no arenas")
def test_threads_share_one_arena() -> None:
    assert arenas("as it is") > 1
    assert arenas("one") == 1


@pytest.mark.parametrize("name", allocator._TUNED_OUTSIDE)
def test_who_tunes_it_from_outside_is_obeyed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "4")
    assert not keep_one_arena()


@pytest.mark.parametrize("error", [ValueError("unrecognized configuration name"), OSError("no such value")])
def test_another_c_library_is_left_alone(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def confstr(_: str) -> str:
        raise error

    monkeypatch.setattr(os, "confstr", confstr)
    assert not keep_one_arena()
    allocator._trim()


def test_what_is_usual_is_kept_and_what_is_not_is_given_back() -> None:
    resident, given_back = 100 * MEGABYTE, 0

    def trim() -> None:
        nonlocal resident, given_back
        resident, given_back = 80 * MEGABYTE, given_back + 1

    slack = Slack(lambda: resident, trim)
    assert not slack.give_back()
    resident += SLACK_BYTES
    assert not slack.give_back()
    resident += 1
    assert slack.give_back()
    assert (resident, given_back) == (80 * MEGABYTE, 1)
    assert not slack.give_back()


def test_what_cannot_be_given_back_is_not_asked_for_again_and_again() -> None:
    resident, given_back = 100 * MEGABYTE, 0

    def trim() -> None:
        nonlocal given_back
        given_back += 1

    slack = Slack(lambda: resident, trim)
    resident += 10 * SLACK_BYTES
    assert slack.give_back()
    assert not slack.give_back()
    resident += SLACK_BYTES
    assert slack.give_back()
    assert given_back == 2


def test_a_kernel_that_does_not_say_what_is_resident_is_asked_for_nothing() -> None:
    assert not Slack(lambda: 0).give_back()


def test_the_memory_of_this_process_can_be_given_back() -> None:
    slack = Slack(trim=allocator._trim)
    assert allocator._resident_bytes() > MEGABYTE or not on_glibc()
    slack._usual = -SLACK_BYTES - 1
    assert slack.give_back() or not on_glibc()
