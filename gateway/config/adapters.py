"""What is wrong with adapters, beyond what single settings can say."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from firmware_bridge.settings import DeviceSettings
from gateway.access.principals import WEB_DEVICE
from gateway.config.mqtt_brokers import credentials_for_nothing, is_mqtt_url
from gateway.config.networks import wrong_networks
from gateway.config.outline import Contradiction, Path, shown
from gateway.settings.adapters import AdapterSettings
from gateway.settings.home_assistant import HomeAssistantSettings
from gateway.settings.wyoming import WyomingSettings

NO_PLACE = "expected tcp://host:port (65535 at most) or unix:///path"
NO_ADDRESS = "expected an address or a network, such as 192.168.1.5 or 192.168.1.0/24"
EVERYBODY = "expected somebody, not everybody: this protocol has no passwords"
ID_OF_A_PAGE = f"ids that begin with {WEB_DEVICE} are of pages and programs, which their tokens name"


def contradictions(settings: AdapterSettings, devices: DeviceSettings) -> Iterator[Contradiction]:
    """All of it, with where it stands."""
    yield from _wyoming(settings.wyoming, ("adapters", "wyoming"))
    yield from _satellites(settings.wyoming, devices, ("adapters", "wyoming", "satellites"))
    yield from _home_assistant(settings.home_assistant, ("adapters", "home_assistant"))


def _wyoming(settings: WyomingSettings, here: Path) -> Iterator[Contradiction]:
    for i, place in enumerate(settings.listen):
        if not _is_place(place):
            yield ((*here, "listen", i),), f"{NO_PLACE}, got {shown(place)}"
        elif place in settings.listen[:i]:
            yield ((*here, "listen", i),), f"{shown(place)} stands here twice"
    allow = {(*here, "allow", name): address for name, address in settings.allow.items()}
    yield from wrong_networks(allow, NO_ADDRESS, EVERYBODY, strict=False)


def _satellites(settings: WyomingSettings, devices: DeviceSettings, here: Path) -> Iterator[Contradiction]:
    first: dict[str, str] = {}
    for device_id, place in settings.satellites.items():
        if not _is_place(place):
            message = f"{NO_PLACE}, got {shown(place)}"
            yield ((*here, device_id),), message
        elif first.setdefault(place, device_id) != device_id:
            yield ((*here, device_id),), f"{first[place]} is there, too; each satellite is one device"
        if device_id.startswith(WEB_DEVICE):
            yield ((*here, device_id),), ID_OF_A_PAGE
        if device_id in devices.microphones:
            paths = (*here, device_id), ("devices", "microphones", device_id)
            yield (
                paths,
                f"{device_id} is a microphone of this machine (devices.microphones), and no satellite",
            )


def _home_assistant(settings: HomeAssistantSettings, here: Path) -> Iterator[Contradiction]:
    if settings.url and not is_mqtt_url(settings.url):
        message = f"expected mqtt[s]://[user:password@]host[:port] or nothing, got {shown(settings.url)}"
        yield ((*here, "url"),), message
    yield from credentials_for_nothing(settings, here)


def _is_place(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    if url.query or url.fragment or url.username is not None:
        return False
    if url.scheme == "unix":
        return not url.netloc and len(url.path) > 1
    return url.scheme == "tcp" and bool(url.hostname) and port is not None and url.path in ("", "/")
