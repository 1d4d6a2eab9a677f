"""How the gateway is, and what it says of itself: health and its sources, and the log."""
