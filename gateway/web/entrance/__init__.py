"""What every request passes before it is answered: the address, TLS, proxies, limits, and who it is."""
