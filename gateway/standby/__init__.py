"""A gateway without a place of its own, which waits for that of another."""
