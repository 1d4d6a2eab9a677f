"""Message brokers: one contract, one file of mapping per broker."""
