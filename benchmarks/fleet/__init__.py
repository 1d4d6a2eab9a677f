"""A whole fleet at once: devices on three carriers, listeners and agents at one gateway (`make load`, `make soak`)."""
