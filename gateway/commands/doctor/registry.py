"""The doctor's look at who is of the house: whether the register can be read, and what of it does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from firmware_bridge.settings import DeviceSettings
from gateway.commands.doctor.finding import Finding, fail, ok, warn
from gateway.registry.file import Registered, RegistryFile
from gateway.registry.in_effect import in_effect
from gateway.registry.records import RegistryUnreadable

_WHAT = "device registry"
_UNKNOWN = {
    "open": "unknown devices are welcome",
    "approve": "unknown devices wait for approval",
    "deny": "unknown devices are refused",
}


def registry(settings: DeviceSettings, folder: Path) -> Iterator[Finding]:
    """Of the gateway whose state lies in ``folder``. Nothing is changed."""
    try:
        registered = RegistryFile(folder).read()
    except RegistryUnreadable as error:
        remedy = "restore that file, or remove it: until then no board is let in at the next start"
        yield fail(_WHAT, str(error), remedy)
        return
    known = in_effect(settings, registered).known
    welcome = [name for name in known if name not in registered or registered[name].is_welcome]
    keys = sum(bool(one.key) for one in registered.values())
    if settings.unknown == "deny" and not welcome:
        yield warn(_WHAT, "no device may come in: none is known", "earshot devices add ID, or devices.known")
    else:
        facts = f"{len(welcome)} known, {keys} with a key, {len(known) - len(welcome)} cut off"
        yield ok(_WHAT, f"{_UNKNOWN[settings.unknown]}; {facts}")
    yield from _overruled(settings, registered)
    for name in settings.microphones:
        if name in registered and registered[name].key:
            remedy = f"earshot devices unregister {name}"
            yield fail(_WHAT, f"the microphone {name} has a key, which no microphone can show", remedy)


def _overruled(settings: DeviceSettings, registered: Registered) -> Iterator[Finding]:
    """What somebody said with `earshot devices`, and config.yaml says otherwise."""
    known = in_effect(settings, registered).known
    for name, device in registered.items():
        for field in device.facts.__struct_fields__:
            said, holds = getattr(device.facts, field), getattr(known[name], field)
            if said and said != holds:
                yield warn(
                    _WHAT,
                    f"{name}: config.yaml says {field} {holds}, which wins over {said}",
                    f'correct config.yaml, or: earshot devices describe {name} --{field} ""',
                )
