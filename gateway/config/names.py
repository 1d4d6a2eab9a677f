"""What is wrong with where names come from, beyond what single settings can say."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config.mqtt_brokers import credentials_for_nothing, is_mqtt_url
from gateway.config.outline import Contradiction, Path, shown
from gateway.settings.names import AssistNamesSettings, NamesSettings


def contradictions(settings: NamesSettings) -> Iterator[Contradiction]:
    """All of it, with where it stands."""
    yield from _home_assistant(settings.home_assistant, ("names", "home_assistant"))
    here: Path = ("names", "mqtt")
    if settings.mqtt.url and not is_mqtt_url(settings.mqtt.url):
        message = f"expected mqtt[s]://[user:password@]host[:port] or nothing, got {shown(settings.mqtt.url)}"
        yield ((*here, "url"),), message
    yield from credentials_for_nothing(settings.mqtt, here)


def _home_assistant(settings: AssistNamesSettings, here: Path) -> Iterator[Contradiction]:
    if settings.url and not _is_http_url(settings.url):
        message = f"expected http[s]://host[:port] or nothing, got {shown(settings.url)}"
        yield ((*here, "url"),), message
    if settings.ca_file and not settings.url.startswith("https:"):
        yield ((*here, "ca_file"), (*here, "url")), "certificates need an https:// url"
    if settings.token_file and not settings.url:
        yield ((*here, "token_file"), (*here, "url")), "a token for nobody: names.home_assistant.url is empty"


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    rest = parts.query + parts.fragment + (parts.username or "")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not rest
