"""Which devices are of the house: written down by hand, or approved while it runs; and who may come in."""
