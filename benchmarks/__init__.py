"""Earshot's benchmarks: ``python -m benchmarks`` lists them."""
