"""The engine in a process of its own: it may crash, hang or run out of memory, and the gateway goes on."""
