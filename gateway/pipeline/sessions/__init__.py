"""Sessions, turns and requests: plain state tables."""
