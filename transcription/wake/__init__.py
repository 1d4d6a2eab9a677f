"""Whether anybody is spoken to: a wake word heard in a stream, and where it ends."""
