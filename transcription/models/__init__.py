"""Whisper models: which are here, which there are, what they fit, and how they come and go."""
