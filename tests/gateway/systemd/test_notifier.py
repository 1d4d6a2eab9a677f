"""sd_notify and the watchdog, against a real datagram socket."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.systemd.notifier import Notifier

PATIENCE = 10.0


class Systemd:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.environ = {"NOTIFY_SOCKET": address}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Every datagram that is there."""
        datagrams: list[str] = []
        try:
            while True:
                datagrams.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return datagrams

    async def hear(self) -> str:
        """The next datagram."""
        async with asyncio.timeout(PATIENCE):
            return (await asyncio.get_running_loop().sock_recv(self.socket, 4096)).decode()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    path = str(tmp_path / "notify")
    listening = Systemd(path if request.param == "path" else f"@{path}")
    yield listening
    listening.socket.close()


def test_the_life_of_a_service(systemd: Systemd) -> None:
    notifier = Notifier(systemd.environ)
    assert notifier.active
    notifier.ready("2 devices")
    notifier.status("3 devices")
    notifier.stopping("draining")
    assert systemd.heard() == ["READY=1\nSTATUS=2 devices", "STATUS=3 devices", "STOPPING=1\nSTATUS=draining"]


def test_reloading_bears_the_time_that_systemd_asks_for(systemd: Systemd) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(systemd.environ).reloading("reading")
    (datagram,) = systemd.heard()
    state, at, status = datagram.splitlines()
    assert (state, status) == ("RELOADING=1", "STATUS=reading")
    assert (
        before
        <= int(at.removeprefix("MONOTONIC_USEC="))
        <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    )


def test_without_a_status_only_the_state_is_sent(systemd: Systemd) -> None:
    notifier = Notifier(systemd.environ)
    notifier.ready()
    notifier.stopping()
    assert systemd.heard() == ["READY=1", "STOPPING=1"]


@pytest.mark.parametrize("status", ["ok\nWATCHDOG=trigger", "ok\rX=1", "\udcff", "\0"])
def test_a_status_cannot_forge_another_field(systemd: Systemd, status: str) -> None:
    Notifier(systemd.environ).status(status)
    (datagram,) = systemd.heard()
    assert datagram.startswith("STATUS=")
    assert len(datagram.splitlines()) == 1


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
async def test_outside_systemd_nothing_happens(environ: dict[str, str]) -> None:
    notifier = Notifier({**environ, "WATCHDOG_USEC": "1000"})
    assert not notifier.active
    notifier.ready("x")
    notifier.stopping()
    await asyncio.wait_for(notifier.watchdog(lambda: True), PATIENCE)


def test_a_socket_that_is_gone_is_logged_and_survived(tmp_path: Path) -> None:
    with capture_logs() as logs:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
    assert [entry["event"] for entry in logs] == ["systemd could not be told"]


def test_a_systemd_that_does_not_read_never_blocks_the_loop(systemd: Systemd) -> None:
    notifier = Notifier(systemd.environ)
    with capture_logs() as logs:
        for _ in range(2000):
            notifier.status("x" * 500)
    assert any("could not be told" in entry["event"] for entry in logs)
    assert systemd.heard()


@pytest.fixture
async def feeding(systemd: Systemd) -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose tasks are cancelled when the test ends."""
    async with asyncio.TaskGroup() as tasks:
        yield tasks
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name() == "watchdog":
                task.cancel()


def start(tasks: asyncio.TaskGroup, notifier: Notifier, check: object) -> None:
    tasks.create_task(notifier.watchdog(check), name="watchdog")  # type: ignore[arg-type]


async def test_the_watchdog_is_fed_again_and_again(systemd: Systemd, feeding: asyncio.TaskGroup) -> None:
    start(feeding, Notifier({**systemd.environ, "WATCHDOG_USEC": "20000"}), lambda: True)
    assert [await systemd.hear() for _ in range(3)] == ["WATCHDOG=1"] * 3


async def test_the_watchdog_is_fed_at_half_its_interval(systemd: Systemd, feeding: asyncio.TaskGroup) -> None:
    times: list[float] = []

    def check() -> bool:
        times.append(asyncio.get_running_loop().time())
        return True

    start(feeding, Notifier({**systemd.environ, "WATCHDOG_USEC": "200000"}), check)
    for _ in range(3):
        await systemd.hear()
    assert all(later - earlier >= 0.0999 for earlier, later in itertools.pairwise(times))


async def test_a_failed_check_starves_the_watchdog_until_it_passes(
    systemd: Systemd, feeding: asyncio.TaskGroup
) -> None:
    answers = iter([True, False, False, False])
    heard_while_failing: list[str] = []

    def check() -> bool:
        well = next(answers, True)
        if not well:
            heard_while_failing.extend(systemd.heard())
        return well

    with capture_logs() as logs:
        start(feeding, Notifier({**systemd.environ, "WATCHDOG_USEC": "20000"}), check)
        assert await systemd.hear() == "WATCHDOG=1"
        assert await systemd.hear() == "WATCHDOG=1", "fed again once the check passes"
    assert heard_while_failing == []
    assert [entry["event"] for entry in logs] == ["self-check failed, the watchdog is not fed"], "said once"


async def test_a_check_that_raises_has_failed(systemd: Systemd, feeding: asyncio.TaskGroup) -> None:
    checked = asyncio.Event()

    def check() -> bool:
        if checked.is_set():
            return True
        checked.set()
        raise RuntimeError("broken")

    with capture_logs() as logs:
        start(feeding, Notifier({**systemd.environ, "WATCHDOG_USEC": "20000"}), check)
        assert await systemd.hear() == "WATCHDOG=1"
    assert checked.is_set()
    assert "the self-check itself failed" in {entry["event"] for entry in logs}


@pytest.mark.parametrize("interval", ["", "0", "-5", "x", "²", "1e6"])
async def test_without_a_usable_interval_nothing_is_fed(systemd: Systemd, interval: str) -> None:
    notifier = Notifier({**systemd.environ, "WATCHDOG_USEC": interval})
    await asyncio.wait_for(notifier.watchdog(lambda: True), PATIENCE)
    assert systemd.heard() == []


async def test_a_watchdog_of_another_process_is_not_fed(systemd: Systemd) -> None:
    environ = {**systemd.environ, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": str(os.getpid() + 1)}
    await asyncio.wait_for(Notifier(environ).watchdog(lambda: True), PATIENCE)
    assert systemd.heard() == []


async def test_a_watchdog_of_this_process_is_fed(systemd: Systemd, feeding: asyncio.TaskGroup) -> None:
    environ = {**systemd.environ, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    start(feeding, Notifier(environ), lambda: True)
    assert await systemd.hear() == "WATCHDOG=1"
