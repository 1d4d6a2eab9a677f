"""What the gateway and its machine use: processor, memory, disk and event loop, as /proc tells, for some hours."""
