"""A switch between hosts, as a process of its own: it hands Ethernet frames on, late, or not at all.

Each host hangs on a TAP device of its own, whose other end is here. The kernel's netem would do the same where it is
compiled in; this needs nothing but /dev/net/tun. What is to be done comes as lines of JSON on the standard input, each
answered with a line when it holds: ``Weather`` of :mod:`tests.servers.network.hosts`.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import json
import os
import random
import selectors
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
TAP_WITHOUT_HEADER = 0x0002 | 0x1000
FRAME_BYTES = 2048
MOST_WAITING = 20_000
"""Frames; what is more is lost, as at a real switch."""


class Switch:
    """Hosts by their number, in the order of the command line; number ``n`` has the MAC address that ends in ``n``."""

    def __init__(self, taps: list[int]) -> None:
        self._taps = taps
        self._islands = [0] * len(taps)
        self._delay = self._jitter = self._loss = 0.0
        self._chance = random.Random(7)
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._count = itertools.count()

    def obey(self, line: bytes) -> None:
        """Another weather."""
        told = json.loads(line)
        self._delay, self._jitter, self._loss = told["delay"], told["jitter"], told["loss"]
        self._islands = told["islands"]

    def take(self, sender: int) -> None:
        """All frames that have come from a host."""
        while True:
            try:
                frame = os.read(self._taps[sender], FRAME_BYTES)
            except BlockingIOError:
                return
            for receiver in self._receivers(sender, frame):
                self._send(receiver, frame)

    def _receivers(self, sender: int, frame: bytes) -> list[int]:
        everybody = [number for number in range(len(self._taps)) if number != sender]
        if not frame[0] & 1:  # to one: its number is in the address
            everybody = [frame[5]] if frame[5] in everybody else []
        return [number for number in everybody if self._islands[number] == self._islands[sender]]

    def _send(self, receiver: int, frame: bytes) -> None:
        if self._loss and self._chance.random() < self._loss:
            return
        if not self._delay:
            self._write(receiver, frame)
        elif len(self._waiting) < MOST_WAITING:
            due = time.monotonic() + self._delay + self._jitter * self._chance.random()
            heapq.heappush(self._waiting, (due, next(self._count), receiver, frame))

    def forward(self) -> float | None:
        """Hand on what is due; seconds until the next is."""
        while self._waiting:
            seconds = self._waiting[0][0] - time.monotonic()
            if seconds > 0:
                return seconds
            _, _, receiver, frame = heapq.heappop(self._waiting)
            self._write(receiver, frame)
        return None

    def _write(self, receiver: int, frame: bytes) -> None:
        try:
            os.write(self._taps[receiver], frame)
        except OSError:  # its host is gone, or takes no more
            return


def _tap(name: str, namespace: str) -> int:
    """A TAP device in a namespace; its end here."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), TAP_WITHOUT_HEADER))
    if namespace:
        subprocess.run(["ip", "link", "set", name, "netns", namespace], check=True)
    return fd


def main(arguments: list[str]) -> None:
    """``NAME NAMESPACE`` of each host's device; an empty namespace is this machine itself."""
    taps = [_tap(name, namespace) for name, namespace in zip(arguments[::2], arguments[1::2], strict=True)]
    switch = Switch(taps)
    selector = selectors.DefaultSelector()
    for number, fd in enumerate(taps):
        selector.register(fd, selectors.EVENT_READ, number)
    selector.register(sys.stdin.buffer, selectors.EVENT_READ, None)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select(switch.forward()):
            if key.data is not None:
                switch.take(key.data)
            elif line := sys.stdin.buffer.readline():
                switch.obey(line)
                print("done", flush=True)
            else:
                return


if __name__ == "__main__":
    main(sys.argv[1:])
