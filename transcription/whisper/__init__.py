"""Whisper: what it is given, what it makes of that, and whether that can be true."""
