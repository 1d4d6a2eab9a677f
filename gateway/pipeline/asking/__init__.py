"""The middle of the way: a text becomes a question on the broker, and what comes back its answer."""
