"""Bytes into what happens on a link: frames as datagrams hold them, and in between whatever its owner does."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_bridge.link.framing import DatagramDecoder, Decoded

HEAD = b"\x01"
"""Protocol version, which an input need not find out."""


def steps(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each: what is done (a number), and the bytes it is done with, of which the first say how many they are."""
    at = 0
    while at + 2 <= len(data):
        act, size = data[at], data[at + 1]
        yield act, data[at + 2 : at + 2 + size]
        at += 2 + size


def arrivals(frame: bytes) -> list[Decoded]:
    """A frame without its version."""
    return list(DatagramDecoder().feed(HEAD + frame))
