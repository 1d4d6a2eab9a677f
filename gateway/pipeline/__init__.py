"""The whole way, from what a device says to the answer in its hands."""
