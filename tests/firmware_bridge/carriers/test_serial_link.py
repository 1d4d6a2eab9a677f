"""Serial ports, as pseudo-terminals under stable names."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import serial

from firmware_bridge.carriers.serial_link import (
    OUTBOX_BYTES,
    ByteStream,
    PortUnavailable,
    SerialLink,
    open_port,
    port_problem,
)
from firmware_bridge.link.events import LinkChanged
from firmware_bridge.link.frames import Header, Ping
from firmware_bridge.link.framing import Decoded, Noise, encode_serial
from firmware_bridge.link.wires import Line
from firmware_bridge.settings import SerialSettings

PING = Ping(Header(link=7, timestamp=1234))


@dataclass(frozen=True)
class Arrived:
    line: Line
    what: Decoded


class Owner:
    """Records what a link tells its owner."""

    def __init__(self, heard: Any) -> None:
        self.heard = heard

    def carrier_up(self, carrier: str) -> None:
        self.heard(LinkChanged(carrier, up=True))

    def carrier_weak(self, carrier: str, reason: str, remedy: str) -> None:
        self.heard(LinkChanged(carrier, up=True, reason=reason, remedy=remedy))

    def carrier_down(self, carrier: str, reason: str, remedy: str, *, passing: bool = False) -> None:
        self.heard(LinkChanged(carrier, up=False, reason=reason, remedy=remedy, passing=passing))

    def line_lost(self, line: Line, reason: str) -> None:
        raise AssertionError("a serial line goes only with its port")

    def receive(self, line: Line, arrivals: Iterable[Decoded]) -> None:
        for arrival in arrivals:
            self.heard(Arrived(line, arrival))


@asynccontextmanager
async def link_on(heard: Any, *ports: str | Path) -> AsyncIterator[SerialLink]:
    """A link that looks for ports every few milliseconds."""
    link = SerialLink(SerialSettings(ports=tuple(map(str, ports)), scan_seconds=0.02), Owner(heard))
    running = asyncio.create_task(link.run())
    yield link
    running.cancel()
    await asyncio.wait((running,))


async def test_a_port_is_opened_and_frames_and_text_come_in(heard: Any, terminal: Any) -> None:
    port = terminal()
    async with link_on(heard, port.name):
        await heard.first(LinkChanged, link=str(port.name), up=True)
        os.write(port.ours, b"rst:0x1 (POWERON)\r\n" + encode_serial(PING))
        line = Line(str(port.name))
        await heard.first(Arrived, line=line, what=PING)
        assert heard.of(Arrived, line=line, what=Noise(b"rst:0x1 (POWERON)\r\n"))


async def test_frames_go_out_after_a_delimiter(heard: Any, terminal: Any) -> None:
    port = terminal()
    async with link_on(heard, port.name) as link:
        await heard.first(LinkChanged, up=True)
        assert link.send(Line(str(port.name)), PING)
        expected = b"\0" + encode_serial(PING)
        assert await read_exactly(port.ours, len(expected)) == expected
        assert not link.send(Line("/dev/other"), PING)


async def test_a_port_that_is_named_and_missing_is_said_and_found_when_it_comes(
    heard: Any, terminal: Any, tmp_path: Path
) -> None:
    name = tmp_path / "usb-earshot"
    async with link_on(heard, name):
        down = await heard.first(LinkChanged, link=str(name), up=False)
        assert (down.reason, down.remedy) == ("no such port", "plug it in; it is found by itself")
        terminal()
        await heard.first(LinkChanged, link=str(name), up=True)


async def test_a_pattern_finds_several_ports_and_each_once(heard: Any, terminal: Any, tmp_path: Path) -> None:
    first, second = terminal("usb-1"), terminal("usb-2")
    (tmp_path / "usb-1-again").symlink_to(first.name)
    async with link_on(heard, tmp_path / "usb-*", first.name, os.ttyname(second.theirs)):
        await heard.first(LinkChanged, link=str(first.name), up=True)
        await heard.first(LinkChanged, link=str(second.name), up=True)
        third = terminal("usb-3")
        await heard.first(LinkChanged, link=str(third.name), up=True)
    assert {event.link for event in heard.items} == {str(p.name) for p in (first, second, third)}


async def test_a_pulled_port_is_down_and_back_when_it_is_plugged_in_again(heard: Any, terminal: Any) -> None:
    port = terminal()
    async with link_on(heard, port.name) as link:
        for time in (1, 2):
            await heard.first(LinkChanged, up=True, count=time)
            assert link.send(Line(str(port.name)), PING)
            port.unplug()
            await heard.first(LinkChanged, up=False, count=time)
            assert not link.send(Line(str(port.name)), PING)
            port = terminal()
        await heard.first(LinkChanged, up=True, count=3)
    assert len(heard.items) == 5


async def test_a_pulled_port_is_said_to_be_unplugged_and_nothing_more(heard: Any, terminal: Any) -> None:
    pulled = terminal("a")
    async with link_on(heard, pulled.name, pulled.name.with_name("b"), pulled.name.with_name("c")):
        await heard.first(LinkChanged, link=str(pulled.name), up=True)
        pulled.unplug()
        await heard.first(LinkChanged, link=str(pulled.name), up=False)
        for name in ("b", "c"):  # found by two more scans
            await heard.first(LinkChanged, link=str(terminal(name).name), up=True)
    (down,) = heard.of(LinkChanged, link=str(pulled.name), up=False)
    assert down.reason.startswith("unplugged")


async def test_a_port_of_a_pattern_that_goes_is_passing_in_whatever_state_it_was(
    heard: Any, terminal: Any, tmp_path: Path
) -> None:
    port = terminal("usb-one")
    with serial.Serial(str(port.name), exclusive=True):  # in use by another program
        async with link_on(heard, tmp_path / "usb-*") as link:
            busy = await heard.first(LinkChanged)
            assert (busy.up, busy.passing) == (False, False)
            assert link.counters() == {}
            port.unplug()
            gone = await heard.first(LinkChanged, passing=True)
            assert (gone.link, gone.up, gone.reason) == (str(port.name), False, "unplugged")


async def test_a_line_at_the_wrong_rate_says_so_and_its_counters_show_it(heard: Any, terminal: Any) -> None:
    port = terminal()
    async with link_on(heard, port.name) as link:
        await heard.first(LinkChanged, up=True)
        while not (weak := [told for told in heard.of(LinkChanged, up=True) if told.reason]):
            os.write(port.ours, b"\xf8\x86\x1f\xe6\0")
            await asyncio.sleep(0.01)
        assert "nothing in them can be read" in weak[0].reason
        assert "devices.serial.baudrate" in weak[0].remedy
        counters = link.counters()[str(port.name)]
        assert counters.broken
        assert counters.frames == 0
        os.write(port.ours, encode_serial(PING))
        await heard.until(lambda: heard.of(LinkChanged)[-1] == LinkChanged(str(port.name), up=True))


async def test_a_name_that_points_elsewhere_is_followed(heard: Any, terminal: Any) -> None:
    first, second = terminal("a"), terminal("b")
    async with link_on(heard, first.name):
        await heard.first(LinkChanged, up=True)
        first.name.unlink()
        first.name.symlink_to(os.ttyname(second.theirs))
        await heard.first(LinkChanged, up=True, count=2)
        os.write(second.ours, encode_serial(PING))
        await heard.first(Arrived, line=Line(str(first.name)), what=PING)


async def test_a_busy_port_is_said_with_a_remedy_and_taken_when_it_is_free(heard: Any, terminal: Any) -> None:
    port = terminal()
    other = open_port(str(port.name), 115_200)
    async with link_on(heard, port.name):
        down = await heard.first(LinkChanged, up=False)
        assert down.reason == "in use by another program"
        assert "fuser" in down.remedy
        other.close()
        await heard.first(LinkChanged, up=True)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Root may open everything, so be nobody for a while."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        yield


def test_a_forbidden_port_says_which_group_to_join(terminal: Any, request: pytest.FixtureRequest) -> None:
    port = terminal()
    os.fchmod(port.theirs, 0)
    request.getfixturevalue("unprivileged")
    with pytest.raises(PortUnavailable) as refused:
        open_port(os.ttyname(port.theirs), 115_200)
    assert refused.value.problem.reason == "permission denied"
    assert "usermod -aG" in refused.value.problem.remedy
    assert "log in again" in refused.value.problem.remedy


def test_what_is_no_serial_port_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PortUnavailable) as refused:
        open_port(str(tmp_path / "file"), 115_200)
    assert "not a usable serial port" in refused.value.problem.reason


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EBUSY, "in use by another program"),
        (errno.ENOENT, "no such port"),
        (errno.ENXIO, "no such port"),
        (errno.EIO, "no such port"),
        (errno.EINVAL, "not a usable serial port"),
    ],
)
def test_every_failure_has_words_and_a_remedy(number: int, reason: str) -> None:
    for error in (serial.SerialException(number, "no"), OSError(number, "no"), termios.error(number, "no")):
        problem = port_problem("/dev/ttyNOWHERE", error)
        assert problem.reason.startswith(reason)
        assert problem.remedy


async def test_a_port_that_takes_nothing_fills_a_bounded_outbox(terminal: Any) -> None:
    port = terminal()
    stream = ByteStream(port.ours, lambda _data: None, lambda _reason: None)
    frame = bytes(1000)
    taken = 0
    while stream.write(frame):
        taken += 1
    assert OUTBOX_BYTES - 1000 < stream.waiting <= OUTBOX_BYTES
    assert stream.refused == 1
    assert len(await read_exactly(port.theirs, taken * 1000)) == taken * 1000
    stream.close()


async def test_a_closed_stream_is_silent_and_takes_nothing(terminal: Any) -> None:
    port = terminal()
    stream = ByteStream(port.ours, lambda _data: None, lambda _reason: pytest.fail("it said closed"))
    stream.close()
    stream.close()
    assert not stream.write(b"x")
    port.unplug()
    await asyncio.sleep(0)


async def read_exactly(descriptor: int, count: int) -> bytes:
    """So many bytes from the other side of a terminal."""
    loop = asyncio.get_running_loop()
    os.set_blocking(descriptor, False)
    data = bytearray()
    done = asyncio.Event()

    def readable() -> None:
        data.extend(os.read(descriptor, 65536))
        if len(data) >= count:
            done.set()

    loop.add_reader(descriptor, readable)
    try:
        await asyncio.wait_for(done.wait(), 5.0)
    finally:
        loop.remove_reader(descriptor)
    return bytes(data)
