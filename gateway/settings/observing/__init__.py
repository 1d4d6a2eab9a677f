"""The sections about what is seen of the gateway."""
