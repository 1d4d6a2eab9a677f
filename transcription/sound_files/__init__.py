"""Recordings of any format into canonical audio, decoded in a process of their own."""
