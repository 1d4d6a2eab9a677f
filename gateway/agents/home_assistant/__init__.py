"""Agents of kind home-assistant: Home Assistant's conversation answers, and it switches what it was told to."""
