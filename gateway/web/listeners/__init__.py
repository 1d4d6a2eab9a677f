"""Listeners, on WebSockets and server-sent events."""
