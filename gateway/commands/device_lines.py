"""How devices, those who wait, and the lines they are on look in a terminal: one line each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any


def lines_of(told: dict[str, Any]) -> Iterator[str]:
    """All that the gateway told of its devices and its links, and what is plugged in beside."""
    if not any(told[group] for group in ("devices", "waiting", "refused")):
        yield "no device has called yet"
    yield from map(_device, told["devices"])
    yield from map(_waiting, told["waiting"])
    yield from map(_refused, told["refused"])
    yield from map(_registered, told["registered"])
    for link in told["links"]:
        yield from _link(link)
    yield from map(_port, told["ports"])


def _device(device: dict[str, Any]) -> str:
    here = device["state"] == "connected"
    state = "here" if here else f"away ({device['reason']})"
    facts = [
        device["name"],
        device["room"],
        f"of {device['user_id']}",
        f"over {device['link']}",
        device["firmware"],
    ]
    facts += [device["priority"]] if device["priority"] != "normal" else []
    lost = device["counters"].get("lost_frames", 0)
    facts += [f"{lost} frames lost"] if lost else []
    facts += [f"{device['level']} dBFS"] if device["level"] is not None else []
    facts += [f"its clock {device['drift_ppm']:+.0f} ppm"] if device["drift_ppm"] is not None else []
    facts += ["has a key"] if device["has_key"] else []
    return (
        f"{device['device_id']:<16}  {state} since {_when(device['since'])}: {', '.join(filter(None, facts))}"
    )


def _refused(device: dict[str, Any]) -> str:
    name = device["device_id"] or "somebody"
    return f"{name:<16}  REFUSED on {device['link']} ({device['fault']}, {device['times']} times): {device['reason']}"


def _waiting(device: dict[str, Any]) -> str:
    facts = (f"over {device['link']}", device["firmware"], f"last heard {_when(device['seen'])}")
    return f"{device['device_id']:<16}  WAITS for approval: {', '.join(filter(None, facts))}"


def _registered(device: dict[str, Any]) -> str:
    facts = [
        device["name"],
        device["room"],
        f"of {device['user']}" if device["user"] else "",
        device["priority"],
    ]
    facts += ["with a key"] if device["has_key"] else []
    said = ", ".join(filter(None, facts))
    return f"{device['device_id']:<16}  {device['standing']}{': ' if said else ''}{said}"


def _link(link: dict[str, Any]) -> Iterator[str]:
    counted = link["counters"]
    bad = ("crc_errors", "cobs_errors", "oversized", "overruns", "lost_ms", "dropped_ms")
    broken = {name: counted[name] for name in bad if counted.get(name)}
    facts = [f"{counted['frames']} frames" if counted else "", *(f"{n} {name}" for name, n in broken.items())]
    yield f"{link['link']}: {'up' if link['up'] else 'down'}, {', '.join(filter(None, facts))}".rstrip(", ")
    if link["reason"]:
        yield f"    {link['reason']}"
    if link["remedy"]:
        yield f"    remedy: {link['remedy']}"


def _port(port: dict[str, Any]) -> str:
    if port["is_watched"]:
        return f"{port['port']}: plugged in, and not open yet"
    return f"{port['port']}: plugged in, and not among devices.serial.ports"


def _when(timestamp: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))
