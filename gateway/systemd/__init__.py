"""The gateway as a service: what it tells systemd, and how it is installed."""
