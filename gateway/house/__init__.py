"""Several gateways and hubs as one house: who is there, what each shows, and what one misses of another."""
