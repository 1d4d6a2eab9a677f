"""A serial line measured: what it carries, how late, and what is broken on the way."""
