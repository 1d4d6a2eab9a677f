"""Where programs come to: TCP addresses and Unix sockets, taken, or refused with what to do about it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit

from firmware_bridge.servers import listening_socket, server_url
from gateway.process.made_in_thread import made_in_thread

BACKLOG = 128
MODE = 0o660
"""Of a Unix socket: its owner's and their group's."""

OnArrival: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


class CannotTakePlace(Exception):
    """Nobody can come there; ``remedy`` says what to do about it."""

    def __init__(self, url: str, reason: str, remedy: str) -> None:
        super().__init__(f"cannot listen on {url}: {reason}")
        self.remedy = remedy


class ListeningPlace:
    """One that was taken, for who opens it. ``url`` is where it is, by address; of port 0, the one that was free."""

    def __init__(
        self,
        url: str,
        server: asyncio.Server,
        *,
        host: str = "",
        port: int = 0,
        path: Path | None = None,
        inode: int = 0,
    ) -> None:
        """``host`` and ``port``: of TCP. ``path``: of a Unix socket, which goes with it, if it is still this one."""
        self.url = url
        self.host = host
        self.port = port
        self._server = server
        self._path = path
        self._inode = inode

    async def opened(self) -> Self:
        """Programs can come. Closed when that is cancelled: one that began as it was made would be nobody's then."""
        try:
            await self._server.start_serving()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Nobody can come any more; those who are there stay."""
        self._server.close()
        if self._path is not None:
            await asyncio.to_thread(self._remove, self._path)

    def _remove(self, path: Path) -> None:
        if _inode(path) == self._inode:
            path.unlink()


async def taken(url: str, on_arrival: OnArrival, read_bytes: int = 65_536) -> ListeningPlace:
    """Listen there. Raises CannotTakePlace."""
    place = urlsplit(url)
    if place.scheme == "unix":
        return await _unix(url, Path(place.path), on_arrival, read_bytes)
    return await _tcp(url, place.hostname or "", place.port or 0, on_arrival, read_bytes)


async def _tcp(url: str, host: str, port: int, on_arrival: OnArrival, read_bytes: int) -> ListeningPlace:
    try:
        listening = listening_socket(host, port, BACKLOG)
    except OSError as error:
        raise CannotTakePlace(url, *_why(error)) from error
    server = await asyncio.start_server(on_arrival, sock=listening, limit=read_bytes, start_serving=False)
    host, port = listening.getsockname()[:2]  # a name's address, and of port 0 the one that was free
    return await ListeningPlace(server_url("tcp", host, port), server, host=host, port=port).opened()


async def _unix(url: str, path: Path, on_arrival: OnArrival, read_bytes: int) -> ListeningPlace:
    try:
        listening, inode = await made_in_thread(partial(_bound, path), partial(_unbind, path))
    except OSError as error:
        raise CannotTakePlace(url, *_why(error)) from error
    ours: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
    server = await asyncio.start_unix_server(
        on_arrival, sock=listening, limit=read_bytes, start_serving=False, **ours
    )
    return await ListeningPlace(url, server, path=path, inode=inode).opened()


def _unbind(path: Path, bound: tuple[socket.socket, int]) -> None:
    listening, _ = bound
    listening.close()
    path.unlink(missing_ok=True)


def _bound(path: Path) -> tuple[socket.socket, int]:
    """A socket there, for its owner and their group, and its number on the disk. Raises OSError."""
    _clear(path)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(path))
        path.chmod(MODE)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening, _inode(path)


def _clear(path: Path) -> None:
    """Remove a socket on which nobody listens any more. Raises OSError where something else is in the way."""
    mode = _mode(path)
    if mode is None:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "something else than a socket lies there")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another program listens there")


def _mode(path: Path) -> int | None:
    """Of what lies there; None: nothing."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return None


def _inode(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0


def _why(error: OSError) -> tuple[str, str]:
    """The reason, and what to do about it."""
    if (error.errno or 0) < 0:  # a name that nobody knows, which the library has turned into this
        error = OSError(errno.EADDRNOTAVAIL, "")
    remedy = "set adapters.wyoming.listen to a place that is free"
    match error.errno:
        case errno.EADDRINUSE:
            return "another program listens there", remedy
        case errno.EADDRNOTAVAIL:
            return (
                "no such address here",
                "set adapters.wyoming.listen to an address of this machine; 0.0.0.0 is all",
            )
        case errno.EACCES | errno.EPERM | errno.ENOENT | errno.EROFS:
            folder = (
                "make its folder, and let the gateway's user write there; under systemd /run/earshot is there"
            )
            return os.strerror(error.errno), folder
        case errno.EEXIST:
            return "something else than a socket lies there", remedy
        case _:
            return error.strerror or str(error), remedy
