"""A hub by itself: a process that serves a house and has no devices."""
