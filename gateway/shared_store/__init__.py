"""What several gateways and hubs of one house know together: tokens, limits, and the history of all of them.

It is an extra: whatever is in it lies on each gateway's disk, too, and goes on there while the store is away.
"""
