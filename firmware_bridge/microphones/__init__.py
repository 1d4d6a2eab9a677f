"""Microphones of this machine, each a device like any other, in a process of its own."""
