"""Wyoming, the language of Home Assistant's voice: speech to text for whoever speaks it."""
