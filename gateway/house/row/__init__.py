"""Gateways in a row: a device that goes from one to another, and one that takes the place of another that died."""
