"""HTTP: the page, the WebSocket and the health endpoints, for this machine's own browsers."""

from gateway.web.entrance.listening import CannotListen
from gateway.web.parts import Parts
from gateway.web.server import WebServer

__all__ = ["CannotListen", "Parts", "WebServer"]
