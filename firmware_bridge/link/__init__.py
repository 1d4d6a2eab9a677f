"""The device link: frames, and both ends of it. No I/O."""
