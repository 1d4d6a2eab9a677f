"""The cable between an emulated board and a gateway: it can be pulled, and it can flip bits."""

from __future__ import annotations

import asyncio
import os
import random
import tty
from pathlib import Path

from firmware_bridge.carriers.serial_link import ByteStream
from tests.record import passes

PIECE = 4096
BUFFER = 256 * 1024
"""What an adapter and its driver keep; what comes while it is full is lost."""


class Cable:
    """From the UART, a Unix socket of qemu's, to a terminal under a name that the gateway looks for.

    While it is pulled, what either side says goes nowhere, as on a real line. ``flip``: the chance that a byte
    comes out with one bit flipped. ``flipped``: how many did. ``carried``: bytes that the board has said so far.
    """

    def __init__(self, name: Path, seed: int = 0) -> None:
        self.flip = 0.0
        self.flipped = 0
        self.carried = 0
        self._name = name
        self._chance = random.Random(seed)
        self._terminal: tuple[int, int] | None = None
        self._stream: ByteStream | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def run(self, socket: Path) -> None:
        """Carry what the UART says, until it is gone; cancel it to unplug for good."""
        reader, self._writer = await asyncio.open_unix_connection(socket)
        try:
            while data := await reader.read(PIECE):
                self.carried += len(data)
                if self._stream:
                    self._stream.write(self._through(data))
        finally:
            self.pull()
            self._writer.close()

    async def carries(self, more: int) -> None:
        """Wait until the board has said so many bytes more."""
        until = self.carried + more
        await passes(lambda: self.carried >= until)

    def plug(self) -> None:
        """There is a port, another one than before. Idempotent."""
        if self._stream:
            return
        # The gateway's end is open here, too: a terminal hangs up when its last user closes it, an adapter does not.
        ours, theirs = self._terminal = os.openpty()
        tty.setraw(theirs)
        self._stream = ByteStream(ours, self._from_gateway, lambda _reason: None, outbox_bytes=BUFFER)
        self._name.symlink_to(os.ttyname(theirs))

    def pull(self) -> None:
        """The port is gone. Idempotent."""
        if self._stream and self._terminal:
            self._name.unlink()
            self._stream.close()
            for end in self._terminal:
                os.close(end)
            self._stream = self._terminal = None

    def _from_gateway(self, data: bytes) -> None:
        if self._writer:
            self._writer.write(self._through(data))

    def _through(self, data: bytes) -> bytes:
        if not self.flip:
            return data
        out = bytearray(data)
        for place in range(len(out)):
            if self._chance.random() < self.flip:
                out[place] ^= 1 << self._chance.randrange(8)
                self.flipped += 1
        return bytes(out)
