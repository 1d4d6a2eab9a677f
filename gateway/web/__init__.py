"""HTTP: the page, the WebSocket and the health endpoints, for this machine's own browsers."""

from gateway.web.house import House
from gateway.web.listening import CannotListen
from gateway.web.server import WebServer

__all__ = ["CannotListen", "House", "WebServer"]
