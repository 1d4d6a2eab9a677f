"""HTTP and WebSockets: the page, the API, listeners, devices and health, behind the door."""

from gateway.web.entrance.listening import CannotListen
from gateway.web.parts import Parts
from gateway.web.server import WebServer

__all__ = ["CannotListen", "Parts", "WebServer"]
