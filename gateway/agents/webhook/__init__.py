"""Agents of kind webhook: a program is asked by a POST, and answers at once, as a stream, or later."""
